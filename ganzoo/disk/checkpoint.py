"""The state, to disk and back: ``checkpoints/00000500/``, sealed by a manifest.

A checkpoint is a directory of safetensors files, one a group (``ema.safetensors`` is usable by itself), and
``state.json``. It is written beside its place, synced, sealed by ``manifest.json`` (the SHA-256 of every file, written
last) and renamed into place: what bears the name is whole. Nothing is pickled, nothing is unpickled. There is no
``latest`` file that could lie: the newest checkpoint is the highest number whose seal holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor

from ganzoo import errors

FORMAT = 1
MANIFEST = "manifest.json"
STATE = "state.json"
TENSORS = ".safetensors"
SPARE_BYTES = 1 << 20
"""Left free on a disk besides the checkpoint: manifest, records, pictures."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read.

    Attributes:
        step: its step.
        tensors: by group and name.
        numbers: the rest, plain data.
        passed_over: newer checkpoints that were damaged, a line each.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, Any]
    passed_over: tuple[str, ...] = ()


class Disk:
    """What a checkpoint asks of the operating system, in one place, so that a test can make any one call fail."""

    def make(self, folder: Path) -> None:
        """Make a directory that is not there."""
        folder.mkdir()

    def write(self, file: Path, content: bytes) -> None:
        """Write a new file."""
        file.write_bytes(content)

    def sync(self, path: Path) -> None:
        """Wait until a file, or a directory's list of names, is on the disk itself."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Give a directory another name, at once or not at all."""
        old.rename(new)

    def remove(self, folder: Path) -> None:
        """Remove a directory with all that is in it."""
        shutil.rmtree(folder)

    def free(self, folder: Path) -> int:
        """Bytes that can still be written there."""
        return shutil.disk_usage(folder).free


disk = Disk()


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    numbers: Mapping[str, Any],
    keep: int,
    best: int | None = None,
) -> Path:
    """Write a checkpoint, and remove the oldest ones beyond ``keep``.

    Args:
        folder: the run's ``checkpoints``; made where it is missing.
        step: names the checkpoint.
        tensors: by group and name, on the CPU.
        numbers: plain data.
        keep: checkpoints to keep, this one included; a damaged one is never counted.
        best: the step of one more that is kept.

    Raises:
        RunError: the disk is full or not writable; what was there before is intact.
    """
    place = folder / f"{step:08d}"
    draft = folder / f".{place.name}.{os.getpid()}"
    try:
        if not folder.is_dir():
            disk.make(folder)
            disk.sync(folder.parent)
        _remove(draft)
        wanted = sum(value.nbytes for named in tensors.values() for value in named.values()) + SPARE_BYTES
        if (free := disk.free(folder)) < wanted:
            raise OSError(0, f"it takes {wanted >> 20} MiB, and {free >> 20} MiB are free")
        disk.make(draft)
        sealed: dict[str, str] = {}
        sizes: dict[str, int] = {}

        def write(name: str, content: bytes) -> None:
            disk.write(draft / name, content)
            disk.sync(draft / name)
            sealed[name], sizes[name] = hashlib.sha256(content).hexdigest(), len(content)

        for group, named in tensors.items():
            # a part's label may hold "/": a file's name must not; copies: safetensors refuses what is not dense
            dense = {name: value.detach().contiguous() for name, value in named.items()}
            write(quote(group, safe="") + TENSORS, as_safetensors(dense))
        write(STATE, json.dumps({"format": FORMAT, "step": step, **numbers}, indent=1).encode())
        seal = {"format": FORMAT, "step": step, "sha256": dict(sealed), "bytes": dict(sizes)}
        disk.write(draft / MANIFEST, json.dumps(seal, indent=1).encode())
        disk.sync(draft / MANIFEST)
        disk.sync(draft)
        if place.exists():  # set aside until the new one is in its place; swept away with the drafts
            disk.rename(place, folder / f"{draft.name}.old")
        disk.rename(draft, place)
        disk.sync(folder)
    except OSError as error:
        _remove(draft)
        why = error.strerror or error
        raise errors.RunError(f"checkpoint {place} cannot be written ({why}): make room or give it back") from error
    _prune(folder, keep, best)
    return place


class Writer:
    """Saves in the background, one checkpoint at a time. The thread dies with the process: a draft harms nothing."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._path: Path | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], Path]) -> None:
        """Begin a save; the one before it must have been asked for by ``finished``."""

        def work() -> None:
            try:
                self._path = write()
            except BaseException as error:
                self._error = error

        self._path = self._error = None
        self._thread = threading.Thread(target=work, name="ganzoo-checkpoint", daemon=True)
        self._thread.start()

    def finished(self, wait: bool) -> Path | None:
        """The checkpoint that was written since the last time this was asked, or None; raises what went wrong.

        Args:
            wait: until the save under way, if any, is done.
        """
        if self._thread is None or (not wait and self._thread.is_alive()):
            return None
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        return self._path


def newest(folder: Path, *, set_aside: bool = False) -> Saved:
    """The newest checkpoint that is whole.

    Args:
        folder: the run's ``checkpoints``.
        set_aside: rename damaged ones that are newer to ``00000500.damaged``; only for who holds the run's lock.

    Raises:
        CheckpointError: there is none; names the damaged ones. RunError: one may not be read, which is no damage.
    """
    damaged: list[tuple[Path, str]] = []
    places = found(folder)
    while places:
        place = places.pop()
        try:
            saved = read(place)
        except errors.CheckpointError as error:
            if place.exists():
                damaged.append((place, str(error)))
            else:  # the run that is being trained removed it meanwhile, for newer ones
                places, damaged = found(folder), []
            continue
        # only now that there is another to go on from: or the next to ask would find none, and begin at step 0
        told = (f"{line}{_set_aside(place) if set_aside else ''}" for place, line in damaged)
        return Saved(saved.step, saved.tensors, saved.numbers, tuple(told))
    if damaged:
        lines = "; ".join(line for _, line in damaged)
        raise errors.CheckpointError(
            f"no checkpoint in {folder} is whole: {lines}; remove {folder} to begin the run again from its seed"
        )
    raise errors.CheckpointError(f"there is no checkpoint in {folder}")


def chosen(folder: Path, which: str | int) -> Saved:
    """The checkpoint that a person named: ``newest``, ``best`` (by the run's ``--best`` figure), or a step.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    if which == "newest":
        return newest(folder)
    if which == "best":
        best = newest(folder).numbers.get("best")
        if best is None:
            raise errors.CheckpointError(f"{folder} has no best checkpoint: the run was not given --best; give a step")
        which = best["step"]
    place = folder / f"{int(which):08d}" if str(which).isdecimal() else None
    if place is None or not place.is_dir():
        has = ", ".join(str(int(p.name)) for p in found(folder)) or "none"
        steps = f"newest, best or one of its steps, {has}"
        raise errors.CheckpointError(f"{folder} has no checkpoint {which}: give {steps}")
    return read(place)


def found(folder: Path) -> list[Path]:
    """Checkpoints by step, whole or not.

    Raises:
        RunError: the directory may not be read, or is out of reach.
    """
    try:
        if not folder.is_dir():
            if os.path.lexists(folder):  # a link to a disk that is not mounted, say
                raise errors.RunError(f"{folder} is no directory, or leads to none: put back what belongs there")
            return []
        named = (p for p in folder.iterdir() if p.name.isascii() and p.name.isdecimal() and p.is_dir())
        return sorted(named, key=lambda p: int(p.name))
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be read ({error.strerror}): give yourself the right to") from error


def read(place: Path, only: frozenset[str] | None = None) -> Saved:
    """A checkpoint, after its files were checked against its seal.

    Args:
        place: its directory.
        only: the groups wanted; None for all.

    Raises:
        CheckpointError: a file is missing, damaged, or not of this checkpoint.
        RunError: a file cannot be read now, or needs a newer version: neither is damage.
    """
    try:
        _require_file(place / MANIFEST)
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        sealed: Mapping[str, str] = manifest["sha256"]
        if manifest["format"] > FORMAT:
            raise errors.RunError(
                f"checkpoint {place} has format {manifest['format']}, and this ganzoo knows {FORMAT}: take a newer one"
            )
        tensors = {}
        numbers: dict[str, Any] | None = None
        for name, digest in sealed.items():
            if Path(name).name != name:
                raise errors.CheckpointError(f"checkpoint {place} names a file outside itself: {name!r}")
            group = unquote(name.removesuffix(TENSORS)) if name.endswith(TENSORS) else None
            if group is None and name != STATE:
                raise errors.CheckpointError(f"checkpoint {place} holds {name}, which is no part of a checkpoint")
            if only is not None and group is not None and group not in only:
                continue
            _require_file(place / name)
            if _digest(place / name) != digest:
                raise errors.CheckpointError(f"checkpoint {place} is damaged: {name} is not what was written")
            if group is not None:
                tensors[group] = load_file(place / name)
            else:
                numbers = json.loads((place / name).read_text(encoding="utf-8"))
        if numbers is None or numbers["step"] != manifest["step"] or manifest["step"] != int(place.name):
            raise errors.CheckpointError(f"checkpoint {place} is damaged: it is not of step {int(place.name)}")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {error}") from error
    except OSError as error:
        todo = "give yourself the right to" if isinstance(error, PermissionError) else "try again"
        raise errors.RunError(f"checkpoint {place} cannot be read ({error.strerror or error}): {todo}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {error}") from error
    return Saved(manifest["step"], tensors, numbers)


def _require_file(path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path.name} is no file")


def _set_aside(place: Path) -> str:
    names = (f"{place.name}.damaged{n}" for n in ("", *range(2, 100)))
    with contextlib.suppress(OSError, StopIteration):  # where nothing can be renamed, reading goes on
        aside = next(name for name in names if not (place.parent / name).exists())
        disk.rename(place, place.parent / aside)
        return f" (renamed to {aside})"
    return ""


def _prune(folder: Path, keep: int, best: int | None) -> None:
    whole = [place for place in found(folder) if _looks_whole(place)]
    for place in whole[:-keep]:
        if int(place.name) != best:
            _remove(place)
    for draft in folder.glob(".[0-9]*.[0-9]*"):
        _remove(draft)


def _looks_whole(place: Path) -> bool:
    """Whether all files are there in the size that was sealed; the bits are looked at when they are read."""
    try:
        sizes = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["bytes"]
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _remove(folder: Path) -> None:
    """Remove a directory if it is there; one that cannot be removed is no reason to stop."""
    if folder.exists():
        # out of the way of `found` first: a checkpoint that is half removed must not look like a damaged one
        gone = folder if folder.name.startswith(".") else folder.with_name(f".{folder.name}.{os.getpid()}.gone")
        with contextlib.suppress(OSError):
            if gone != folder:
                disk.rename(folder, gone)
            disk.remove(gone)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
