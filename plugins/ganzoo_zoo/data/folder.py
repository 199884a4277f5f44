"""A folder, or a zip, of images."""

from __future__ import annotations

import hashlib
import json
import logging
import math
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
from ._arrays import ARRAYS, Axes, LazyArrays, Scale, stacked, unscaled
from ._decode import SUFFIXES, Pixels, Resize, Size, decode, reason, sides
from ._files import Files, Skipped, listed, user_path
from ._images import ImageSet, shown

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("ganzoo")
_CHUNK = 64  # images that a thread decodes at a time
_NAMED = 10  # unreadable images that are named one by one, when they are found during training


class Folder(ganzoo.Data):
    """Folder: your own images, a folder tree or a .zip of images of any kind and shape, with folders as classes.

    Args:
        path: the folder, or the .zip, which is read without being unpacked, or one ``.npy`` or ``.npz`` file.
        axes: of ``.npy`` and ``.npz`` samples, the axes besides the channels: 1 for sequences, 2 for images, 3 for
            volumes. An array with one axis more has its channels first. ``auto`` takes arrays of one or two axes
            without channels, of three axes as images with channels, and of four axes as volumes with channels.
        scale: of ``.npy`` and ``.npz`` samples, the two numbers that become -1 and 1. Exported arrays are scaled back.
            none takes bytes from 0 to 255, and other numbers from -1 to 1 as they are.
        size: side in pixels that every image is resized to, at least 1, or height and width such as ``64x96``.
        resize: ``crop`` cuts the largest piece of the aspect ratio from the middle, ``pad`` adds black margins,
            ``stretch`` distorts. The filter is bicubic and antialiased.
        channels: 3 for colour, 1 for grey (luma).
        limit: largest number of images that are used, at least 2, spread evenly over all images. none for all images.
        max_skipped: share of the files that may be unreadable, from 0 to 1. Unreadable files are named and left out. A
            larger share is an error.
        memory: size in GiB up to which decoded images are held in memory, at least 0.
        cache: folder for a larger set, which is decoded once into a file. ``auto`` is the user's cache folder. With
            ``none`` images are decoded each time.

    Raises:
        DataError: the path does not exist or holds fewer than two images, or more files than ``max_skipped`` allows are
            unreadable.

    Notes:
        The folders at the first level are the classes, where there are at least two and every image lies in a folder. A
        single outer folder is looked through. Order, classes and labels follow the names, with numbers by value (2
        before 10). Hidden files and files whose names do not end like an image's are ignored. The content of a file
        decides its format. Of an animation the first frame is used. The orientation of EXIF is applied, transparent
        pixels become white, and 16-bit grey is scaled to 8 bits. Images of more than 33
        million pixels count as unreadable, but for JPEG, which is decoded at a smaller size. In a set larger than
        ``memory`` the next readable image replaces an unreadable image, and without a cache each worker process counts
        separately. A file in the cache can be read by the user alone, is made again when an image changes, and may be
        deleted at any time.

        Where the path holds ``.npy`` or ``.npz`` files and no images, each file is a sample, in the shape of its array.
        One ``.npy`` or ``.npz`` file as the path has a sample a row. The array is called ``samples``, or is the only
        one, and class numbers may lie beside the samples as ``labels``. Floating-point arrays stay floating-point.
        size, resize, channels, max_skipped and cache are of images alone. Arrays larger than ``memory`` are read file
        by file.

    Example:
        >>> import ganzoo, pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as path:
        ...     for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        ...         file = pathlib.Path(path, name)
        ...         file.parent.mkdir(exist_ok=True)
        ...         Image.new("RGB", (20, 30)).save(file)
        ...     images = ganzoo.part("data", f"folder:path={path},size=8").dataset()
        >>> len(images), images.classes, images[2][0].shape
        (3, ['cat', 'dog'], torch.Size([3, 8, 8]))
    """

    path_parameter = "path"

    path: str
    size: Size = 64
    resize: Resize = "crop"
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Ge(2)] | None = None
    max_skipped: Annotated[float, Ge(0), Le(1)] = 0.05
    memory: Annotated[float, Ge(0)] = 2.0
    cache: str | None = "auto"
    axes: Axes = "auto"
    scale: Scale | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale={self.scale[0]:g},{self.scale[1]:g}: the first number must be below the second")

    def restore(self, samples: Tensor) -> Tensor:
        """Samples in the units of the arrays that the data was read from.

        Args:
            samples: (N, *shape), in [-1, 1].

        Returns:
            The numbers before the scaling.
        """
        return unscaled(samples, self.scale)

    def _arrays(self) -> ImageSet | LazyArrays | None:
        """Samples from arrays of numbers, None where the path holds images or neither."""
        place = Path(self.path).expanduser()
        if place.suffix.lower() in ARRAYS and place.is_file():
            return stacked(place, self.axes, self.scale, self.limit)
        files = listed(self.path, endings=ARRAYS)
        if not files.names or listed(self.path).names:
            return None
        names = files.names
        if len(names) < 2:
            raise errors.DataError(f"folder: only one array in {shown(self.path)}, and a GAN needs many: name the file")
        classes, labels = _classes(names)
        if self.limit is not None and self.limit < len(names):
            chosen = [i * len(names) // self.limit for i in range(self.limit)]
            names, labels = [names[i] for i in chosen], labels[chosen] if labels is not None else None
        arrays = LazyArrays(files, names, labels, classes, self.axes, self.scale)
        first = arrays.sample(0)
        return arrays.whole() if len(names) * first.nbytes <= self.memory * 2**30 else arrays

    def dataset(self) -> ImageSet | LazyImages | LazyArrays:
        """The images, whole in memory where the images fit, with labels where the folders are classes.

        Raises:
            DataError: see the class.
        """
        if (arrays := self._arrays()) is not None:
            return arrays
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
        if len(names) * self.channels * math.prod(sides(self.size)) <= self.memory * 2**30:
            return images.decoded()
        if self.cache is not None:
            try:
                place = _cache.default() if self.cache == "auto" else user_path(self.cache)
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
    """The files that cannot be read, and the share of unreadable files that is allowed.

    Args:
        where: the path, for messages.
        files: number of image files.
        max_skipped: the allowed share, from 0 to 1.
        skipped: names of unreadable files, with the reasons.
    """

    where: str
    files: int
    max_skipped: float
    skipped: list[Skipped]

    def check(self, usable: int) -> None:
        """Check the number of unreadable files.

        Args:
            usable: number of readable images.

        Raises:
            DataError: more files than allowed are unreadable, or fewer than two are readable.
        """
        many = f"{len(self.skipped)} of {self.files} files in {self.where} cannot be read"
        if len(self.skipped) > self.max_skipped * self.files:
            raise errors.DataError(
                f"folder: {many}, more than max_skipped={self.max_skipped:g} allows: {self.named()}: "
                "mend or remove them, or raise max_skipped"
            )
        if usable < 2:
            raise errors.DataError(f"folder: {many}, and a GAN needs many images: {self.named()}: mend or replace them")

    def report(self, usable: int) -> None:
        """Log the names of skipped files, after the check.

        Args:
            usable: number of readable images.

        Raises:
            DataError: more files than allowed are unreadable, or fewer than two are readable.
        """
        self.check(usable)
        if self.skipped:
            many = f"{len(self.skipped)} of {self.files} files that cannot be read"
            _log.warning("folder: skipped %s: %s", many, self.named())

    def named(self) -> str:
        """The first few names, with the reasons."""
        first = ", ".join(f"{shown(name)} ({why})" for name, why in self.skipped[:3])
        return first + (", ..." if len(self.skipped) > 3 else "")


class LazyImages(Dataset[Any]):
    """Images that are decoded each time an item is read.

    Args:
        part: the data part, with size, channels and resize.
        files: the image files.
        names: names of the files that are used.
        labels: (N,) int64 class numbers, None without labels.
        classes: the names of the classes, in the order of their numbers.
        tally: the count of unreadable files.

    Attributes:
        labels: (N,) int64 class numbers, None without labels.
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
        """All readable images at once, in memory.

        Raises:
            DataError: more files than allowed are unreadable.
        """
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
        """All images, in a file that is mapped into memory, with the same items as this dataset.

        Args:
            place: the folder of the cache.

        Raises:
            OSError: the file cannot be made.
            DataError: more files than allowed are unreadable.
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
        """Decode all images, put the next image where an image is unreadable, and return the unreadable rows."""
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
        return len(self.names), self.part.channels, *sides(self.part.size)

    def _fill(self, images: Pixels, done: Callable[[], object] = lambda: None) -> dict[int, str]:
        """Decode all images into an array, on all cores, and return the unreadable rows with the reasons."""
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
    """The row whose image stands at each row: the row itself, or the next readable row."""
    rows = list(range(count))
    at = next((k for k in rows if k not in bad), 0)  # the first readable one comes after the last
    for k in reversed(range(count)):
        at = rows[k] = at if k in bad else k
    return rows


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
