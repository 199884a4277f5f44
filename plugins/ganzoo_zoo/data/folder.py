"""A folder, or a zip, of images."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import PIL
import torch
from annotated_types import Ge, Le
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import Dataset

import ganzoo
from ganzoo import errors

from . import _cache
from ._decode import SUFFIXES, Pixels, Resize, decode, reason
from ._files import Files, Skipped, listed
from ._images import ImageSet, shown

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("ganzoo")
_CHUNK = 64  # images that a thread decodes at a time
_NAMED = 10  # unreadable images that are named one by one, when they are found during training


class Folder(ganzoo.Data):
    """Folder: your own images, a folder tree or a .zip of them, of any kind and shape, with folders as classes.

    Args:
        path: the folder, or the .zip, which is read without being unpacked.
        size: height and width in pixels that every image is brought to.
        resize: ``crop`` cuts the square in the middle, ``pad`` adds black margins, ``stretch`` distorts; then bicubic,
            antialiased.
        channels: 3 for colour, 1 for grey (luma).
        limit: use no more images than this, spread evenly over all of them.
        max_skipped: share of the files that may be unreadable; they are named and left out. More is an error.
        memory: decoded images are held in memory up to so many GiB.
        cache: a larger set is decoded once, into a file in this folder, ``auto`` for the user's cache; with ``none`` it
            is decoded as it is used.

    Raises:
        DataError: nothing there, no images or only one, or more unreadable files than ``max_skipped`` allows.

    Notes:
        The folders at the first level are the classes, where there are at least two and every image is in one; a
        single outer folder is looked through. Order, classes and labels follow the names, numbers by value (2 before
        10). Files whose names do not end like an image's and hidden files are not looked at; a file's format is told
        by its content. The first frame of an animation, the orientation that EXIF asks for, white behind what is
        transparent, 16-bit grey scaled to 8. Unreadable are also images of more pixels than Pillow's limit on
        decompression bombs. In a set that is larger than ``memory``, the next readable image takes the place of an
        unreadable one; while it is decoded as it is used, each worker process counts for itself. A file in the cache
        is made again when an image changed; it may be deleted at any time.
    """

    path_parameter = "path"

    path: str
    size: Annotated[int, Ge(1)] = 64
    resize: Resize = "crop"
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Ge(2)] | None = None
    max_skipped: Annotated[float, Ge(0), Le(1)] = 0.05
    memory: Annotated[float, Ge(0)] = 2.0
    cache: str | None = "auto"

    def dataset(self) -> ImageSet | LazyImages:
        """The images, whole in memory where they fit, with labels where there are class folders."""
        files = listed(self.path)
        names, tally = files.names, Tally(shown(self.path), len(files.skipped), self.max_skipped, files.skipped)
        if len(names) < 2:
            found = f"only one image in {tally.where}, and a GAN needs many" if names else f"no images in {tally.where}"
            unread = f" that can be read: {tally.named()}" if files.skipped else ""
            raise errors.DataError(f"folder: {found}{unread}: expected files that end in {' '.join(SUFFIXES)}")
        classes, labels = _classes(names)
        if self.limit is not None and self.limit < len(names):
            chosen = [i * len(names) // self.limit for i in range(self.limit)]
            names, labels = [names[i] for i in chosen], labels[chosen] if labels is not None else None
        tally.files += len(names)
        images = LazyImages(self, files, names, labels, classes, tally)
        if len(names) * self.channels * self.size**2 <= self.memory * 2**30:
            return images.decoded()
        if self.cache is not None:
            try:
                place = _cache.default() if self.cache == "auto" else Path(self.cache).expanduser()
                return images.kept(place)
            except (OSError, RuntimeError) as error:  # the latter where there is no home
                why = getattr(error, "strerror", None) or error
                _log.warning(
                    "folder: images are decoded as they are used, for they cannot be kept (%s): make room, or "
                    "name another folder by cache=",
                    shown(why),
                )
        tally.report(len(names))
        return images


@dataclass
class Tally:
    """The files that cannot be read, against the share of them that is put up with."""

    where: str
    files: int
    max_skipped: float
    skipped: list[Skipped]

    def check(self, usable: int) -> None:
        """Raise a DataError when there are too many of them, or too few others."""
        many = f"{len(self.skipped)} of {self.files} files in {self.where} cannot be read"
        if len(self.skipped) > self.max_skipped * self.files:
            raise errors.DataError(
                f"folder: {many}, more than max_skipped={self.max_skipped:g} allows: {self.named()}: "
                "mend or remove them, or raise max_skipped"
            )
        if usable < 2:
            raise errors.DataError(f"folder: {many}, and a GAN needs many images: {self.named()}: mend or replace them")

    def report(self, usable: int) -> None:
        """Say which were skipped, if any, after the check."""
        self.check(usable)
        if self.skipped:
            many = f"{len(self.skipped)} of {self.files} files that cannot be read"
            _log.warning("folder: skipped %s: %s", many, self.named())

    def named(self) -> str:
        """The first few, with the reasons."""
        first = ", ".join(f"{shown(name)} ({why})" for name, why in self.skipped[:3])
        return first + (", ..." if len(self.skipped) > 3 else "")


class LazyImages(Dataset[Any]):
    """Images that are decoded when they are asked for.

    Attributes:
        labels: (N,) int64 class numbers, None when there are none.
        classes: the names of the classes, in the order of their numbers.
    """

    def __init__(
        self, part: Folder, files: Files, names: list[str], labels: Tensor | None, classes: list[str], tally: Tally
    ) -> None:
        self.part, self.files, self.names, self.tally = part, files, names, tally
        self.labels, self.classes = labels, classes
        self.bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, int]:
        count = len(self.names)
        if not -count <= index < count:
            raise IndexError(f"index {index} of {count} images")
        for at in ((index + k) % count for k in range(count)):  # an unreadable image: the next one that is readable
            if at in self.bad:
                continue
            try:
                pixels = self._decode(at)
            except Exception as error:  # Pillow raises almost anything on damaged files
                self._skip(at, error)
                continue
            image = torch.from_numpy(np.ascontiguousarray(pixels))
            return image if self.labels is None else (image, int(self.labels[at]))
        raise errors.DataError(f"folder: none of the {count} images in {self.tally.where} can be read any more")

    def decoded(self) -> ImageSet:
        """All of them at once, in memory, without those that cannot be read."""
        count = len(self.names)
        images = np.empty(self._shape(), dtype=np.uint8)
        bad = self._fill(images)
        self.tally.skipped += [(self.names[at], why) for at, why in bad.items()]
        self.tally.report(count - len(bad))
        labels = self.labels
        if bad:
            keep = [at for at in range(count) if at not in bad]
            images, labels = images[keep], labels[keep] if labels is not None else None
        return ImageSet(torch.from_numpy(images), labels, self.classes)

    def kept(self, place: Path) -> ImageSet:
        """All of them, in a file that is mapped into memory; items are those of this dataset.

        Raises:
            OSError: the file cannot be made.
        """
        part, root = self.part, self.files.root.resolve()
        how = [str(root), part.size, part.channels, part.resize, part.limit]
        what = [*how, PIL.__version__, [[name, *self.files.stamp(name)] for name in self.names]]
        name = f"{re.sub('[^A-Za-z0-9_-]', '_', root.stem)[:40]}-{_hash(how)[:12]}"
        found = _cache.keep(place, name, _hash(what), self._shape(), self._fill_all)
        self.tally.skipped += [(self.names[at], why) for at, why in found.unread.items()]
        self.tally.report(len(self.names) - len(found.unread))
        if self.labels is None:
            return ImageSet(found.images)
        images = ImageSet(found.images, self.labels[_readable(len(self.names), found.unread)], self.classes)
        images.labels = self.labels
        return images

    def _fill_all(self, images: Pixels) -> dict[int, str]:
        """Decode all of them, each unreadable one's place taken by the next; say which these are, and why."""
        _log.warning(
            "folder: decoding %d images of %s once, for the cache (cache=none decodes them as they are used)",
            len(images),
            self.tally.where,
        )
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("decoding", total=len(images))
            bad = self._fill(images, lambda: progress.advance(task, _CHUNK))
        if len(bad) < len(images):
            rows = _readable(len(images), bad)
            for at in bad:
                images[at] = images[rows[at]]
        return bad

    def _shape(self) -> tuple[int, int, int, int]:
        return len(self.names), self.part.channels, self.part.size, self.part.size

    def _fill(self, images: Pixels, done: Callable[[], object] = lambda: None) -> dict[int, str]:
        """Decode all of them into an array, on all cores; say which could not be read, and why."""
        count = len(self.names)

        def fill(start: int) -> list[tuple[int, Exception]]:
            failed: list[tuple[int, Exception]] = []
            for at in range(start, min(start + _CHUNK, count)):
                try:
                    images[at] = self._decode(at)
                except Exception as error:  # as above; one bad file does not end the others
                    failed.append((at, error))
            done()
            return failed

        threads = ThreadPoolExecutor(min(os.cpu_count() or 1, 32))  # Pillow decodes without the interpreter's lock
        with warnings.catch_warnings(), threads as pool:
            warnings.filterwarnings("ignore", module="PIL")  # remarks on files that it reads all the same
            try:
                failed = [each for chunk in pool.map(fill, range(0, count, _CHUNK)) for each in chunk]
            except BaseException:  # Ctrl-C: leave now, not after the last image
                pool.shutdown(cancel_futures=True)
                raise
        return {at: reason(error) for at, error in failed}

    def _decode(self, at: int) -> Pixels:
        with self.files.open(self.names[at]) as stream:
            return decode(stream, self.part.size, self.part.channels, self.part.resize)

    def _skip(self, at: int, error: Exception) -> None:
        self.bad.add(at)
        self.tally.skipped.append((self.names[at], reason(error)))
        self.tally.check(len(self.names) - len(self.bad))
        if len(self.bad) <= _NAMED:
            _log.warning(
                "folder: %s cannot be read (%s): the next image takes its place", shown(self.names[at]), reason(error)
            )


def _classes(names: Sequence[str]) -> tuple[list[str], Tensor | None]:
    """Class names, and (N,) class numbers or None: the first level of folders at which the names differ."""
    parts = [name.split("/") for name in names]
    level = 0
    while all(len(p) > level + 1 and p[level] == parts[0][level] for p in parts):
        level += 1
    if not all(len(p) > level + 1 for p in parts):
        if folders := {p[level] for p in parts if len(p) > level + 1}:
            _log.warning("folder: images lie outside the %d class folders, so none has a label", len(folders))
        return [], None
    found = list(dict.fromkeys(p[level] for p in parts))  # in the order of the names, which are sorted
    number = {name: k for k, name in enumerate(found)}
    return found, torch.tensor([number[p[level]] for p in parts])


def _readable(count: int, bad: Container[int]) -> list[int]:
    """The row that stands at each: its own, or that of the next readable image."""
    rows = list(range(count))
    at = next((k for k in rows if k not in bad), 0)  # the first readable one comes after the last
    for k in reversed(range(count)):
        at = rows[k] = at if k in bad else k
    return rows


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
