"""Labels of image files, from folders of classes, or from a CSV or JSON file beside the images."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ganzoo import errors, user_path

from ._decode import reason
from ._files import Archive, Files, natural
from ._images import shown

FOUND = ("dataset.json", "labels.csv", "labels.json", "metadata.csv", "metadata.jsonl", "metadata.json")
"""The names of label files that are looked for beside the images. ``dataset.json`` is StyleGAN's name."""

FILES = ("file_name", "filename", "file", "image", "path", "name", "image_id", "id")
"""The names of the column with the names of the images."""

LABELS = ("label", "labels", "class", "category", "target", "y")
"""The names of the column with the labels."""

SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "holdout"))
"""The names of folders that hold the splits of a set rather than classes."""

LARGEST = 1 << 28
"""Bytes of the largest label file that is read."""

Label = int | str


class Unfit(Exception):
    """A label file that cannot be used. The message is the reason."""


@dataclass
class Labelled:
    """The images that are used, with their labels.

    Args:
        names: names of the image files, in order.
        classes: the names of the classes, in the order of their numbers.
        labels: (N,) int64 class numbers, None without labels.
        notes: what is remarkable, a line each.
    """

    names: list[str]
    classes: list[str] = field(default_factory=list)
    labels: Tensor | None = None
    notes: list[str] = field(default_factory=list)

    def spread(self, limit: int | None) -> Labelled:
        """The same with a limited number of images, spread evenly over all.

        Args:
            limit: the largest number of images. None for all.
        """
        if limit is None or limit >= len(self.names):
            return self
        chosen = [i * len(self.names) // limit for i in range(limit)]
        labels = None if self.labels is None else self.labels[chosen]
        return Labelled([self.names[i] for i in chosen], self.classes, labels, self.notes)


def labelled(files: Files, given: str | None, path: str) -> Labelled:
    """Find the labels of image files.

    Args:
        files: the image files.
        given: the path of a label file, ``auto`` for a label file beside the images, or None for folders alone.
        path: the folder or zip as the user wrote it, for messages.

    Returns:
        The images, with the labels of the file, or else with folders as classes.

    Raises:
        DataError: the label file that was named cannot be read, or labels none of the images.
    """
    if given not in (None, "auto"):
        assert given is not None
        try:
            return _from_file(files, given)
        except Unfit as why:
            raise errors.DataError(f"folder: labels={shown(given)} {why}") from None
    notes = []
    for name in FOUND if given == "auto" else ():
        try:
            content = _content(files, name)
        except Unfit:
            continue
        try:
            found = _matched(files, _read(content, name), name)
        except Unfit as why:
            notes.append(f"folder: {name} is not used for labels: it {why}")
        else:
            _is_used(files, name)
            found.notes.insert(0, f"folder: the labels are those of {name} (labels=none takes folders as classes)")
            return found
    found = _from_folders(files.names, path)
    return Labelled(found.names, found.classes, found.labels, [*notes, *found.notes])


def _from_folders(names: list[str], path: str) -> Labelled:
    """Folders as classes: those of the first level at which the names differ."""
    parts = [name.split("/") for name in names]
    level, notes = 0, []
    while all(len(p) > level + 1 and p[level] == parts[0][level] for p in parts):
        level += 1
    if not all(len(p) > level + 1 for p in parts):
        if folders := {p[level] for p in parts if len(p) > level + 1}:
            notes.append(f"folder: images lie outside the {len(folders)} class folders, so none has a label")
        return Labelled(names, notes=notes)
    own = [unicodedata.normalize("NFC", p[level]) for p in parts]  # macOS writes an accent as a character of its own
    classes = list(dict.fromkeys(own))  # in the order of the names, which are sorted
    if len(classes) < 2:
        return Labelled(names, notes=notes)
    number = {name: k for k, name in enumerate(classes)}
    if {name.lower() for name in classes} <= SPLITS:
        split = next((name for name in classes if name.lower().startswith("train")), classes[0])
        first = "/".join([path.rstrip("/"), *parts[0][:level], split])
        notes.append(
            f"folder: the folders {' and '.join(map(shown, classes))} look like splits of a set, and count as classes: "
            f"give one of them, such as path={shown(first)}"
        )
    return Labelled(names, classes, torch.tensor([number[name] for name in own]), notes)


def _from_file(files: Files, given: str) -> Labelled:
    place = user_path(given)
    if place.is_file():
        try:
            if place.stat().st_size > LARGEST:
                raise Unfit(f"is larger than {LARGEST >> 20} MiB")
            content = place.read_bytes()
        except OSError as error:
            raise Unfit(f"cannot be read ({reason(error)})") from None
        if place.resolve().is_relative_to(files.root.resolve()):
            _is_used(files, given)
        elif not place.is_absolute() and _has(files, given):
            found = _matched(files, _read(content, place.name), place.name)
            here = shown(place.resolve())
            found.notes.insert(
                0, f"folder: the labels are those of {here}, and not of {shown(given)} beside the images"
            )
            return found
    else:
        content = _content(files, given)
        _is_used(files, given)
    return _matched(files, _read(content, place.name), place.name)


def _has(files: Files, name: str) -> bool:
    """Whether a file lies beside the images."""
    try:
        _content(files, name)
    except Unfit:
        return False
    return True


def _outer(names: Sequence[str]) -> str:
    """The single outer folder that all images lie in, with a slash, or nothing."""
    outer = {name.split("/")[0] if "/" in name else "" for name in names}
    only = outer.pop() if len(outer) == 1 else ""
    return f"{only}/" if only else ""


def _is_used(files: Files, name: str) -> None:
    """Do not count a label file among the files that are not looked at."""
    ending = PurePosixPath(name).suffix.lower()
    files.ignored[ending] -= 1
    if files.ignored[ending] <= 0:
        del files.ignored[ending]


def _content(files: Files, name: str) -> bytes:
    """A file beside the images: in the folder, or in the zip."""
    try:
        if isinstance(files, Archive):
            return files.beside(name)
        place = files.root / name
        if not place.is_file() and (outer := _outer(files.names)):
            place = files.root / outer / name
        if not place.is_file():
            raise Unfit(
                "does not exist: name a CSV or JSON file, by its path or by its name in the folder of the images"
            )
        if place.stat().st_size > LARGEST:
            raise Unfit(f"is larger than {LARGEST >> 20} MiB")
        return place.read_bytes()
    except KeyError:
        raise Unfit("is not in the zip: name a CSV or JSON file in the zip, or one on the disk by its path") from None
    except OSError as error:
        raise Unfit(f"cannot be read ({reason(error)})") from None


def _read(content: bytes, name: str) -> list[tuple[str, Any]]:
    """The pairs of a file name and a label.

    Raises:
        Unfit: the file has another form.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit("is no UTF-8 text: save it as UTF-8") from None
    try:
        if name.lower().endswith(".jsonl"):
            return _records([json.loads(line) for line in text.splitlines() if line.strip()])
        if name.lower().endswith(".json"):
            return _from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"is no JSON ({reason(ValueError(str(error)))})") from None
    return _from_csv(text)


def _from_json(found: Any) -> list[tuple[str, Any]]:
    if isinstance(found, dict) and "labels" in found and isinstance(found["labels"], list | dict | None):
        found = found["labels"]  # StyleGAN: {"labels": [["00000/img0.png", 3], ...]}
    if found is None:
        raise Unfit("has no labels")
    if isinstance(found, dict):
        return [(str(name), label) for name, label in found.items()]
    if isinstance(found, list) and all(isinstance(each, list) and len(each) == 2 for each in found):
        return [(str(name), label) for name, label in found]
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return _records(found)
    raise Unfit('has another form than {"a.png": "cat"}, [["a.png", 0]] or [{"file_name": "a.png", "label": 0}]')


def _records(found: list[Any]) -> list[tuple[str, Any]]:
    if not found or not all(isinstance(each, dict) for each in found):
        raise Unfit("has lines that are no records of file_name and label")
    keys = list(found[0])
    file, label = _column(keys, FILES, "file_name"), _column(keys, LABELS, "label")
    return [(str(each.get(file)), each.get(label)) for each in found]


def _from_csv(text: str) -> list[tuple[str, Any]]:
    first = text.splitlines()[0] if text.strip() else ""
    divider = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=None), delimiter=divider) if row]
    except csv.Error as error:
        raise Unfit(f"is no CSV ({reason(error)}): look for a quote that is not closed") from None
    if not rows or min(map(len, rows)) < 2:
        raise Unfit("has no two columns: give the name of the image and its label in each line")
    head = [cell.strip().lower() for cell in rows[0]]
    if len(head) == 2 and not set(head) & {*FILES, *LABELS}:
        # Without a header, or with one of other words. Names may have no ending in all lines, as 0000,cat.
        named = PurePosixPath(rows[0][0]).suffix or not any(PurePosixPath(row[0]).suffix for row in rows)
        return [(row[0], row[1]) for row in (rows if named else rows[1:])]
    file, label = (head.index(_column(head, names, names[0])) for names in (FILES, LABELS))
    if max(file, label) >= min(map(len, rows)):
        raise Unfit("has lines with fewer columns than its first line")
    return [(row[file], row[label]) for row in rows[1:]]


def _column(keys: Sequence[str], names: Sequence[str], called: str) -> str:
    known = {key.lower(): key for key in keys}
    found = next((known[name] for name in names if name in known), None)
    if found is None:
        raise Unfit(f"has the columns {', '.join(map(shown, keys[:6]))}: call one of them {called}")
    return found


def _matched(files: Files, pairs: list[tuple[str, Any]], name: str) -> Labelled:
    """The images that have a label, in the order of the names."""
    given: dict[str, Any] = {}
    for file, label in pairs:
        if label is None or (isinstance(label, str) and not label.strip()):
            continue
        if given.setdefault(_plain(file), label) != label:
            raise Unfit(
                f"gives {shown(file)} two labels, {shown(given[_plain(file)])} and {shown(label)}: leave one out"
            )
    outer = _outer(files.names)  # a label file may lie in the outer folder, and name files from there
    if pairs and not given:
        raise Unfit("has no label in any line: give the class in the column label")
    known = {_plain(name): image for image in files.names for name in (image.removeprefix(outer), image)}
    by_end: dict[str, list[str]] = {}
    for image in files.names:
        for end in {_plain(PurePosixPath(image).name), _plain(PurePosixPath(image).stem)}:
            by_end.setdefault(end, []).append(image)
    found: dict[str, Any] = {}
    lost: list[str] = []
    unclear: list[tuple[str, list[str]]] = []
    for file, label in given.items():
        ends = by_end.get(_plain(PurePosixPath(file).name), [])
        if file in known:
            found[known[file]] = label
        elif len(ends) == 1:
            if found.setdefault(ends[0], label) != label:
                raise Unfit(
                    f"has two lines that fit {shown(ends[0])}, with the labels {shown(found[ends[0]])} and "
                    f"{shown(label)}: name the files by their paths in the folder"
                )
        elif ends:
            unclear.append((file, ends))
        else:
            lost.append(file)
    if not found and unclear:
        (file, ends) = unclear[0]
        raise Unfit(
            f"names {shown(file)}, which fits {len(ends)} images, such as {shown(ends[0])} and {shown(ends[1])}: name "
            "the files by their paths in the folder"
        )
    if not found:
        raise Unfit(
            f"names none of the images, such as {shown(files.names[0])}: its first is {shown(next(iter(given), ''))}"
        )
    names = [image for image in files.names if image in found]
    classes, labels = class_numbers([found[image] for image in names], names)
    notes = []
    if len(names) < len(files.names):
        left = next(image for image in files.names if image not in found)
        gone = len(files.names) - len(names)
        notes.append(
            f"folder: {gone} of {len(files.names)} images have no label in {name} and are left out: {shown(left)}, ..."
        )
    if unclear:
        (file, ends) = unclear[0]
        notes.append(
            f"folder: {len(unclear)} lines of {name} fit several images, such as {shown(file)} ({shown(ends[0])}, "
            f"{shown(ends[1])}), and are not used: name the files by their paths in the folder"
        )
    if lost:
        notes.append(f"folder: {len(lost)} lines of {name} name no image of the folder: {shown(lost[0])}, ...")
    return Labelled(names, classes, labels, notes)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/").removeprefix("./"))


def class_numbers(labels: list[Any], names: list[str]) -> tuple[list[str], Tensor]:
    """Labels as class numbers: whole numbers from 0 as they are, one-hot rows, or names in natural order.

    Args:
        labels: a label an item.
        names: how messages call the items.

    Returns:
        The names of the classes, empty where labels are numbers, and (N,) int64.

    Raises:
        Unfit: a label is no class.
    """
    if all(isinstance(label, list) for label in labels):
        labels = [_one_hot(label, name) for label, name in zip(labels, names, strict=True)]
    read = [_whole(label) for label in labels]
    if all(isinstance(label, int) for label in read):
        numbers = [label for label in read if isinstance(label, int)]
        if min(numbers) >= 0 and not any(map(_is_huge, numbers)):
            return [], torch.tensor(numbers)
    for label, name in zip(labels, names, strict=True):
        if isinstance(label, float) or _is_huge(label) or not isinstance(label, int | str) or _is_fraction(label):
            raise Unfit(f"gives {shown(name)} the label {shown(label)}: give a whole number or the name of a class")
    spoken = [str(label).strip() for label in read]
    classes = sorted(set(spoken), key=lambda name: (0, int(name), ()) if _is_whole(name) else (1, 0, natural(name)))
    number = {name: k for k, name in enumerate(classes)}
    return classes, torch.tensor([number[name] for name in spoken])


def _one_hot(label: list[Any], name: str) -> int:
    if not (label and all(each in (0, 1) for each in label) and sum(label) == 1):
        raise Unfit(f"gives {shown(name)} the label {shown(label[:8])}: give a whole number or the name of a class")
    return label.index(1)


def _whole(label: Any) -> Any:
    """A whole number in any form, such as 3.0 and "3", as an int. Other labels stay."""
    if isinstance(label, bool):
        return int(label)
    if isinstance(label, float) and label.is_integer():
        return int(label)
    if isinstance(label, str) and _is_whole(label.strip()):
        return int(label)
    if isinstance(label, str) and _is_fraction(label) and float(label).is_integer():
        return int(float(label))
    return label


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 12


def _is_huge(label: Any) -> bool:
    """Whether a number is beyond those that count classes."""
    return isinstance(label, int | float) and not abs(label) < 1e11


def _is_fraction(label: Any) -> bool:
    """Whether a text is a number with a point, such as 0.37."""
    try:
        return isinstance(label, str) and "." in label and abs(float(label)) < 1e9
    except ValueError:
        return False
