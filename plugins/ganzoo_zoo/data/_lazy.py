"""Image files as a dataset: decoded at once, once into a cache, or each time an image is read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import torch
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import Dataset

from ganzoo import errors
from ganzoo.image_depth import is_deep
from ganzoo.image_formats import formats

from . import _cache
from ._decode import How, Pixels, decode, opened, reason, sides
from ._files import Files, Skipped
from ._images import ImageSet, shown
from ._labels import Labelled

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("ganzoo")
_CHUNK = 64  # images that a thread decodes at a time
_NAMED = 10  # unreadable images that are named one by one, when they are found during training

_DEEP = (".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".jpf", ".avif")
"""The endings of files that may have more than 8 bits a channel, and that Pillow reads with all bits."""

_LOOKED_AT = 256
"""The number of files whose depth is looked at, spread evenly over all."""

BITS = (8, 10, 12, 14, 16)
"""The numbers of bits that sensors give."""


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
        how: size, channels, resizing, range and type.
        files: the image files.
        used: the files that are used, with their labels.
        tally: the count of unreadable files.
        data_range: the numbers of the files that become -1 and 1, None of bytes.

    Attributes:
        labels: (N,) int64 class numbers, None without labels.
        classes: the names of the classes, in the order of their numbers.
        notes: what is remarkable, a line each.
    """

    def __init__(
        self, how: How, files: Files, used: Labelled, tally: Tally, data_range: tuple[float, float] | None = None
    ) -> None:
        self.how, self.files, self.names, self.tally = how, files, used.names, tally
        self.labels, self.classes, self.notes, self.data_range = used.labels, used.classes, used.notes, data_range
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
            image = torch.from_numpy(np.array(pixels, order="C"))
            return image if self.labels is None else (image, int(self.labels[at]))
        raise errors.DataError(f"folder: none of the {count} images in {self.tally.where} can be read any more")

    def decoded(self) -> ImageSet:
        """All readable images at once, in memory.

        Raises:
            DataError: more files than allowed are unreadable.
        """
        count = len(self.names)
        images: Pixels = np.empty(self._shape(), dtype=np.dtype(self.how.dtype))
        bad = self._fill(images)
        self.tally.skipped += [(self.names[at], why) for at, why in bad.items()]
        self.tally.report(count - len(bad))
        labels = self.labels
        if bad:
            keep = [at for at in range(count) if at not in bad]
            images, labels = images[keep], labels[keep] if labels is not None else None
        return ImageSet(torch.from_numpy(images), labels, self.classes, self.notes, self.data_range)

    def kept(self, place: Path) -> ImageSet:
        """All images, in a file that is mapped into memory, with the same items as this dataset.

        Args:
            place: the folder of the cache.

        Raises:
            OSError: the file cannot be made.
            DataError: more files than allowed are unreadable.
        """
        own, root = self.how, self.files.root.resolve()
        how = [str(root), own.size, own.channels, own.resize, own.range, own.dtype, len(self.names)]
        what = [*how, PIL.__version__, [[name, *self.files.stamp(name)] for name in self.names]]
        name = f"{re.sub('[^A-Za-z0-9_-]', '_', root.stem)[:40]}-{_hash(how)[:12]}"
        found = _cache.keep(place, name, _hash(what), self._shape(), self._fill_all, own.dtype)
        self.tally.skipped += [(self.names[at], why) for at, why in found.unread.items()]
        self.tally.report(len(self.names) - len(found.unread))
        if self.labels is None:
            return ImageSet(found.images, notes=self.notes, data_range=self.data_range)
        rows = _readable(len(self.names), found.unread)
        images = ImageSet(found.images, self.labels[rows], self.classes, self.notes, self.data_range)
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
        return len(self.names), self.how.channels, *sides(self.how.size)

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
            return decode(stream, self.how, PurePosixPath(self.names[at]).suffix)

    def _skip(self, at: int, error: Exception) -> None:
        self.bad.add(at)
        self.tally.skipped.append((self.names[at], reason(error)))
        self.tally.check(len(self.names) - len(self.bad))
        if len(self.bad) <= _NAMED:
            _log.warning(
                "folder: %s cannot be read (%s): the next image takes its place", shown(self.names[at]), reason(error)
            )


def _readable(count: int, bad: Container[int]) -> list[int]:
    """The row whose image stands at each row: the row itself, or the next readable row."""
    rows = list(range(count))
    at = next((k for k in rows if k not in bad), 0)  # the first readable one comes after the last
    for k in reversed(range(count)):
        at = rows[k] = at if k in bad else k
    return rows


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@dataclass
class Depth:
    """How many bits a channel the files of a set have.

    Args:
        span: the values of images of more than 8 bits that become black and white, as ``How`` takes them.
        data_range: the same, and the usual values where nobody gave any. None where every image has 8 bits.
    """

    span: tuple[float, float] | None
    data_range: tuple[float, float] | None


def depth(who: str, files: Files, names: list[str], notes: list[str], given: tuple[float, float] | None) -> Depth:
    """Look at how many bits the images of a set have, and how many of 16 bits are used.

    Args:
        who: name of the data part, for the notes.
        files: the image files.
        names: names of the files that are used.
        notes: gets a line where fewer than 16 bits are used, where a range is given in vain, and where Pillow drops
            bits.
        given: the values that become black and white, as the user gave them.

    Returns:
        The values that become black and white: 0 and the largest number of as many bits as are used, where nobody gave
        the two.
    """
    found = _look(files, names)
    if found.coloured:
        notes.append(
            f"{who}: {shown(found.coloured)} has 16 bits a channel in colour, of which Pillow reads 8: to train on all "
            "bits, save each image as .npy of shape (3, H, W)"
        )
    if given is not None:
        deep = found.top is not None or found.floating
        if not deep:
            numbers = ",".join(f"{value:g}" for value in given)
            notes.append(
                f"{who}: range={numbers} changes nothing: no image of more than 8 bits was found, and bytes go from 0 "
                "to 255"
            )
        return Depth(given, given if deep else None)
    if found.top is None:
        return Depth(None, (0.0, 1.0) if found.floating else None)
    bits = next((n for n in BITS if found.top < 2**n), BITS[-1])
    whole = (0.0, 2.0**bits - 1)
    if bits == BITS[-1]:
        return Depth(None, whole)
    notes.append(
        f"{who}: 16-bit images have values up to {found.top:g}, as of {bits} bits: 0 to {2**bits - 1} become black to "
        "white, and range=0,65535 would take all 16 bits"
    )
    return Depth(whole, whole)


@dataclass
class _Found:
    """What was found in the files that were looked at.

    Args:
        top: the largest value of the images with integers of more than 8 bits. None without such an image.
        floating: whether an image has floating-point numbers.
        coloured: the name of an image in colour with 16 bits a channel, or nothing.
    """

    top: float | None = None
    floating: bool = False
    coloured: str = ""


def _look(files: Files, names: list[str]) -> _Found:
    candidates = [name for name in names if PurePosixPath(name).suffix.lower() in _DEEP]
    count = min(len(candidates), _LOOKED_AT)
    found = _Found()
    for name in (candidates[i * len(candidates) // count] for i in range(count)):
        try:
            with files.open(name) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with PIL.Image.open(stream, formats=formats(PurePosixPath(name).suffix)) as image:
                    found.floating |= image.mode == "F"
                    if not is_deep(image):
                        found.coloured = found.coloured or (name if _drops_bits(image) else "")
                    if not is_deep(image) or image.mode == "F":
                        continue
                stream.seek(0)
                values = np.asarray(opened(stream, PurePosixPath(name).suffix))
                top = float(values.max()) if values.min() >= 0 else float("inf")
        except Exception:  # unreadable files are counted where they are decoded
            continue
        found.top = top if found.top is None else max(found.top, top)
    return found


def _drops_bits(image: PIL.ImageFile.ImageFile) -> bool:
    """Whether Pillow reads 8 bits of 16: Pillow's plan for decoding tells ``RGB;16B``, or the largest value 65535."""
    plans = [str(tuple(tile)[3]) for tile in image.tile]  # plain tuples before Pillow 11
    return any(";16" in plan or "65535" in plan for plan in plans)
