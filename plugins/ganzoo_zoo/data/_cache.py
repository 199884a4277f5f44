"""A cache of decoded images: a file for each set, in the user's cache folder, mapped into memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from ._decode import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Unread: TypeAlias = Mapping[int, str]  # the row of an image that could not be read, and why
_WAIT = 3600.0  # seconds to wait for another process that decodes the same images
_WORD = 10.0  # seconds of waiting after which a line says so
_SPARE = 256 << 20  # bytes left free on the disk
_SAMPLED = 64  # images whose pixels are compared before a cache is believed


@dataclass(frozen=True)
class Kept:
    """The decoded images of a set.

    Args:
        images: (N, C, H, W) uint8 or float32.
        unread: the rows of images that could not be read, with the reasons.
    """

    images: Tensor
    unread: Unread


def keep(
    place: Path, name: str, key: str, shape: tuple[int, ...], fill: Callable[[Pixels], Unread], dtype: str = "uint8"
) -> Kept:
    """The set of a name from the cache, decoded now where the cache does not hold the whole set under the same key.

    Args:
        place: the folder of the cache.
        name: name of the set. A set of the same name with another key is replaced.
        key: a digest of what is decoded and how.
        shape: (N, C, H, W).
        fill: decodes all images into an array and returns the rows that could not be read, with the reasons.
        dtype: of the images: uint8 or float32.

    Raises:
        OSError: the disk has no room, or the folder cannot be written.
    """
    folder = place / name
    if found := _found(folder, key, shape, dtype):
        return found
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place / f".{name}.lock") as alone:  # of several processes one decodes and the others wait for it
        if found := _found(folder, key, shape, dtype):
            return found
        if alone:  # what a killed process left behind
            for left in place.glob(f".{name}.making-*"):
                shutil.rmtree(left, ignore_errors=True)
        _make(folder, key, shape, fill, dtype)
        if found := _found(folder, key, shape, dtype):
            return found
        raise OSError(errno.EIO, f"{folder} is not what was written")


def _found(folder: Path, key: str, shape: tuple[int, ...], dtype: str) -> Kept | None:
    """The set where the cache holds the whole set under the key, undamaged, else None."""
    try:
        with contextlib.suppress(OSError):
            if folder.stat().st_mode & 0o077:  # a cache that an earlier version left open to others
                folder.chmod(0o700)
        facts = json.loads((folder / "facts.json").read_text())
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if facts["key"] != key or (folder / "pixels").stat().st_size != size:
            return None
        kind = torch.uint8 if dtype == "uint8" else torch.float32
        images = torch.from_file(str(folder / "pixels"), size=math.prod(shape), dtype=kind).view(shape)
        if facts["digest"] != _digest(images.numpy()):
            return None
        return Kept(images, {int(row): str(why) for row, why in facts["unread"]})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # not there, no JSON, other JSON, not to be mapped
        return None


def _make(folder: Path, key: str, shape: tuple[int, ...], fill: Callable[[Pixels], Unread], dtype: str) -> None:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(folder.parent).free
    if size + _SPARE > free:
        raise OSError(errno.ENOSPC, f"{size / 2**30:.2f} GiB of {free / 2**30:.2f} GiB that are free")
    prefix = f".{folder.name}.making-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as making:
        new = Path(making) / "new"
        new.mkdir(0o700)  # for the user alone: the images may be private, and lie in a folder that nobody else enters
        with (new / "pixels").open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # a disk that fills up is an error here, and would be a crash below
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
        pixels = np.memmap(new / "pixels", np.dtype(dtype), "r+", shape=shape)
        unread = fill(pixels)
        pixels.flush()
        facts = {"key": key, "digest": _digest(pixels), "unread": list(unread.items())}
        with (new / "facts.json").open("w") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)  # who has it mapped keeps it
        with contextlib.suppress(OSError):  # another process, that we could not wait for, put its own there
            new.rename(folder)


def _digest(images: Pixels) -> str:
    """A digest of some images, spread over the set. A file that was not written to its end has holes."""
    rows = np.linspace(0, len(images) - 1, min(len(images), _SAMPLED)).astype(int)
    return hashlib.sha256(np.ascontiguousarray(images[rows]).data).hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Wait until no other process holds the lock. Yield False where locks do not work (Windows, some networks).

    Raises:
        OSError: another process held the lock for an hour. The process may be stopped.
    """
    with contextlib.ExitStack() as stack:
        try:
            import fcntl

            lock = stack.enter_context(path.open("w"))
        except (ImportError, OSError):
            yield False
            return
        began, said = time.monotonic(), False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - began
            except OSError:
                yield False
                return
            if waited > _WAIT:
                raise OSError(errno.EBUSY, f"another process holds {path} for {_WAIT:.0f} seconds")
            if waited > _WORD and not said:
                said = True
                logging.getLogger("ganzoo").warning(
                    "waiting for another process that decodes the same images (it holds %s), %.0f seconds at most",
                    path,
                    _WAIT,
                )
            time.sleep(0.05)
        yield True
