"""Write the state of a run to disk and read it back.

A checkpoint is a directory such as ``checkpoints/00000500``. The directory holds one safetensors file a group of
tensors, a ``state.json`` with the plain numbers, and a ``manifest.json``. Each safetensors file is usable without
ganzoo. The manifest is the seal of the checkpoint: the SHA-256 and the size of every other file.

A checkpoint is written into a draft directory, synced to the disk, sealed, and renamed into place. So a directory with
a checkpoint's name is complete, whenever the process dies. Nothing is pickled and nothing is unpickled, so that reading
a checkpoint never runs code. No file points to the latest checkpoint, because a pointer could be wrong: the newest
checkpoint is the one with the highest step whose seal holds.
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
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as as_safetensors
from torch import Tensor

from ganzoo import errors
from ganzoo.disk.regular import parse_json, read_bytes, read_json
from ganzoo.disk.schema import RunNumbers

FORMAT = 1
"""The version of the layout on disk. A checkpoint with a higher version is refused."""

MANIFEST = "manifest.json"
STATE = "state.json"
TENSORS = ".safetensors"

SPARE_BYTES = 1 << 20
"""Bytes to leave free on the disk beside the checkpoint, for the manifest, the records and the pictures."""

MANIFEST_BYTES = 1 << 20
"""A larger manifest is damaged: a manifest of a thousand groups takes a tenth of this size."""


class Manifest(BaseModel):
    """The content of ``manifest.json``: the seal of a checkpoint.

    Args:
        format: the version of the layout, see ``FORMAT``.
        step: the step that the checkpoint was written at.
        sha256: the SHA-256 of each file, as 64 hexadecimal digits, by file name.
        bytes: the size of each file in bytes, by file name.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    format: Annotated[int, Field(ge=1)]
    step: Annotated[int, Field(ge=0)]
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    bytes: dict[str, Annotated[int, Field(ge=0)]]


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read from disk.

    Args:
        step: the step that the checkpoint was written at.
        tensors: the tensors on the CPU, by group and name.
        numbers: the plain data of ``state.json``.
        passed_over: one line for each newer checkpoint that was damaged.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, Any]
    passed_over: tuple[str, ...] = ()

    def fact(self, name: str) -> Any:
        """Read a value of ``state.json`` that a run needs.

        Args:
            name: the key.

        Returns:
            The value.

        Raises:
            CheckpointError: the checkpoint lacks the value.
        """
        if self.numbers.get(name) is None:
            raise errors.CheckpointError(f"the checkpoint of step {self.step} has no {name}, which a run needs")
        return self.numbers[name]


class Disk:
    """The calls of the operating system that a checkpoint needs. A test replaces a method to make one call fail."""

    def make(self, folder: Path) -> None:
        """Make a new directory.

        Args:
            folder: the path. The path must not exist.
        """
        folder.mkdir()

    def write(self, file: Path, content: bytes) -> None:
        """Write a new file.

        Args:
            file: the path.
            content: the bytes of the file.
        """
        file.write_bytes(content)

    def read(self, file: Path) -> bytes:
        """Read a file.

        Args:
            file: the path.

        Returns:
            The bytes of the file.
        """
        return read_bytes(file)

    def sync(self, path: Path) -> None:
        """Block until a file, or the list of names of a directory, has reached the disk.

        Args:
            path: a file or a directory.
        """
        # A handle for reading is enough to sync, and a directory cannot be opened for writing.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would be waited for
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a directory in one atomic step.

        Args:
            old: the present path.
            new: the path to give. The path must not exist.
        """
        old.rename(new)

    def remove(self, folder: Path) -> None:
        """Remove a directory with the whole content.

        Args:
            folder: the path.
        """
        shutil.rmtree(folder)

    def free(self, folder: Path) -> int:
        """Count the bytes that can still be written.

        Args:
            folder: a directory on the disk in question.

        Returns:
            The number of free bytes.
        """
        return shutil.disk_usage(folder).free


disk = Disk()


def name_of(step: int) -> str:
    """Name the directory of a checkpoint.

    Args:
        step: the step that the checkpoint is written at, >= 0.

    Returns:
        The step with at least eight digits, so that a file manager sorts checkpoints by step.

    Example:
        >>> name_of(500)
        '00000500'
    """
    return f"{step:08d}"


def step_of(place: Path) -> int:
    """Read the step from the path of a checkpoint: the inverse of ``name_of``.

    Args:
        place: the directory of the checkpoint.

    Returns:
        The step that the checkpoint was written at.

    Raises:
        ValueError: the path does not bear the name of a checkpoint.

    Example:
        >>> step_of(Path("checkpoints/00000500"))
        500
    """
    return int(place.name)


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    numbers: Mapping[str, object],
    keep: int,
    best: int | None = None,
) -> Path:
    """Write a checkpoint, and remove the oldest checkpoints beyond ``keep``.

    Args:
        folder: the directory ``checkpoints`` of the run. A missing directory is made.
        step: the step of the run, which names the checkpoint.
        tensors: the tensors by group and name, on the CPU.
        numbers: plain data for ``state.json``.
        keep: the number of checkpoints to keep, the new checkpoint included. Damaged checkpoints are not counted.
        best: the step of one more checkpoint to keep, or None.

    Returns:
        The directory of the checkpoint.

    Raises:
        RunError: the disk is full or not writable. The older checkpoints are intact.
    """
    place = folder / name_of(step)
    # The process number keeps the drafts of two processes apart. The leading dot hides a draft from `found`.
    draft = folder / f".{place.name}.{os.getpid()}"
    try:
        if not folder.is_dir():
            disk.make(folder)
            disk.sync(folder.parent)  # without this line a power cut could remove `checkpoints` with all it holds
        _remove(draft)
        # A full disk is found before the first byte is written, so that the records keep room to say so.
        wanted = sum(value.nbytes for named in tensors.values() for value in named.values()) + SPARE_BYTES
        if (free := disk.free(folder)) < wanted:
            raise OSError(0, f"it takes {wanted >> 20} MiB, and {free >> 20} MiB are free")
        disk.make(draft)
        digests: dict[str, str] = {}
        sizes: dict[str, int] = {}

        def write(name: str, content: bytes) -> None:
            disk.write(draft / name, content)
            disk.sync(draft / name)
            digests[name], sizes[name] = hashlib.sha256(content).hexdigest(), len(content)

        for group, named in tensors.items():
            # safetensors refuses tensors with gaps in memory. A part's label may hold "/", and a file's name must not.
            dense = {name: value.detach().contiguous() for name, value in named.items()}
            write(quote(group, safe="") + TENSORS, as_safetensors(dense))
        write(STATE, json.dumps({"format": FORMAT, "step": step, **numbers}, indent=1).encode())
        # The manifest comes last: a draft with a manifest holds every other file already.
        seal = {"format": FORMAT, "step": step, "sha256": digests, "bytes": sizes}
        disk.write(draft / MANIFEST, json.dumps(seal, indent=1).encode())
        disk.sync(draft / MANIFEST)
        disk.sync(draft)
        if place.exists():
            # A directory cannot be renamed over another. The old one gets a draft's name, to be removed like a draft.
            disk.rename(place, folder / f"{draft.name}.old")
        disk.rename(draft, place)
        disk.sync(folder)  # only now has the new name reached the disk
    except OSError as error:
        _remove(draft)
        why = error.strerror or error
        raise errors.RunError(f"checkpoint {place} cannot be written ({why}): make room or give it back") from error
    _prune(folder, keep, best)
    return place


class Writer:
    """Writes one checkpoint at a time in a background thread.

    The thread is a daemon: the thread ends with the process, and an unfinished draft does no harm.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._path: Path | None = None
        self._error: BaseException | None = None
        self._pending = False

    def start(self, write: Callable[[], Path]) -> None:
        """Start to write a checkpoint. The result of the checkpoint before must have been fetched by ``finished``.

        Args:
            write: writes the checkpoint and returns the directory.
        """

        def work() -> None:
            try:
                self._path = write()
            except BaseException as error:
                self._error = error

        self._path = self._error = None
        self._pending = True
        self._thread = threading.Thread(target=work, name="ganzoo-checkpoint", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # The system has no thread left. The checkpoint is written here: training waits, and nothing is lost.
            self._thread = None
            work()

    def finished(self, wait: bool) -> Path | None:
        """Fetch the result of the last ``start``.

        Args:
            wait: block until the checkpoint is written.

        Returns:
            The directory of the checkpoint, once for each checkpoint. None while the thread runs and when no result
            is pending.

        Raises:
            BaseException: the error that ended the writing.
        """
        if not self._pending or (self._thread is not None and not wait and self._thread.is_alive()):
            return None
        if self._thread is not None:
            self._thread.join()
        self._thread, self._pending = None, False
        if self._error is not None:
            raise self._error
        return self._path


def newest(folder: Path, *, set_aside: bool = False) -> Saved:
    """Read the newest checkpoint whose seal holds.

    Args:
        folder: the directory ``checkpoints`` of the run.
        set_aside: rename newer checkpoints that are damaged to ``00000500.damaged``. Only the process that holds the
            lock of the run may do so.

    Returns:
        The checkpoint. ``passed_over`` names the damaged checkpoints.

    Raises:
        CheckpointError: the directory holds no checkpoint, or every checkpoint is damaged.
        RunError: a checkpoint cannot be read at present, which is no damage.
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
            else:
                # A training process may prune this checkpoint while `sample` reads it. Newer ones exist then.
                places, damaged = found(folder), []
            continue
        # Damaged checkpoints are renamed only after an older one was read. Otherwise a second attempt would find an
        # empty directory, and the run would begin again at step 0.
        lines = (f"{line}{_set_aside(place) if set_aside else ''}" for place, line in damaged)
        return Saved(saved.step, saved.tensors, saved.numbers, tuple(lines))
    if damaged:
        lines_ = "; ".join(line for _, line in damaged)
        raise errors.CheckpointError(
            f"no checkpoint in {folder} is whole: {lines_}; remove {folder} to begin the run again from its seed"
        )
    raise errors.CheckpointError(f"there is no checkpoint in {folder}")


def chosen(folder: Path, which: str | int) -> Saved:
    """Read the checkpoint that a user named.

    Args:
        folder: the directory ``checkpoints`` of the run.
        which: ``newest``, ``best`` (by the figure of the run's ``--best``), or a step.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: the run has no such checkpoint, or the checkpoint is damaged.
        RunError: the checkpoint cannot be read at present.
    """
    if which == "newest":
        return newest(folder)
    if which == "best":
        best = newest(folder).numbers.get("best")
        if best is None:
            raise errors.CheckpointError(f"{folder} has no best checkpoint: the run was not given --best; give a step")
        which = best["step"]
    place = folder / name_of(int(which)) if str(which).isdecimal() and len(str(which)) < 20 else None
    if place is None or not place.is_dir():
        has = ", ".join(str(step_of(p)) for p in found(folder)) or "none"
        steps = f"newest, best or one of its steps, {has}"
        raise errors.CheckpointError(f"{folder} has no checkpoint {which}: give {steps}")
    return read(place)


def found(folder: Path) -> list[Path]:
    """List the checkpoints of a run, damaged checkpoints included.

    Args:
        folder: the directory ``checkpoints`` of the run.

    Returns:
        The directories of the checkpoints in the order of their steps. The list is empty when the folder is missing.

    Raises:
        RunError: the directory cannot be read.
    """
    try:
        # In this order: a run that makes its first checkpoint meanwhile is no error.
        folder.lstat()
        if not folder.is_dir():  # such as a link to a disk that is not mounted: the checkpoints are not lost
            raise errors.RunError(f"{folder} is no directory, or leads to none: put back what belongs there")
        # `isdecimal` alone accepts digits of every script, and `int` would read them.
        named = (p for p in folder.iterdir() if p.name.isascii() and p.name.isdecimal() and p.is_dir())
        return sorted(named, key=step_of)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        todo = "give yourself the right to" if isinstance(error, PermissionError) else "try again"
        raise errors.RunError(f"{folder} cannot be read ({error.strerror}): {todo}") from error


def read(place: Path) -> Saved:
    """Read a checkpoint whose seal holds.

    Args:
        place: the directory of the checkpoint.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: a file is missing, damaged, or of another checkpoint.
        RunError: a file cannot be read at present, or the checkpoint needs a newer ganzoo. Neither is damage.
    """
    try:
        manifest = _manifest(place)
        # Sizes cost one look at the directory, digests cost reading every byte: the cheap check comes first.
        for name, size in manifest.bytes.items():
            _require_file(place / name)
            if (place / name).stat().st_size != size:
                raise errors.CheckpointError(f"checkpoint {place} is damaged: {name} is not what was written")
        tensors: dict[str, dict[str, Tensor]] = {}
        numbers: Any = None
        for name, digest in manifest.sha256.items():
            # One read serves the digest and the content. What is checked is then what is used.
            content = disk.read(place / name)
            if hashlib.sha256(content).hexdigest() != digest:
                raise errors.CheckpointError(f"checkpoint {place} is damaged: {name} is not what was written")
            if name == STATE:
                numbers = parse_json(content)
            else:
                tensors[unquote(name.removesuffix(TENSORS))] = tensors_of(content)
        counters = _require_schema(RunNumbers, numbers, STATE).counters
        if counters.get("step", manifest.step) != manifest.step:
            raise errors.CheckpointError(f"checkpoint {place} is damaged: its counters are of another step")
        if not numbers["step"] == manifest.step == step_of(place):
            raise errors.CheckpointError(f"checkpoint {place} is damaged: it is not of step {step_of(place)}")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {error}") from error
    except (OSError, MemoryError) as error:
        # Too many open files, no permission, a passing fault of the disk: the checkpoint itself may be healthy.
        todo = "give yourself the right to" if isinstance(error, PermissionError) else "try again"
        why = getattr(error, "strerror", None) or error or type(error).__name__
        raise errors.RunError(f"checkpoint {place} cannot be read ({why}): {todo}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {error}") from error
    return Saved(manifest.step, tensors, numbers)


def _manifest(place: Path) -> Manifest:
    """Read the seal of a checkpoint, and check that every name in the seal is a file of a checkpoint."""
    path = place / MANIFEST
    _require_file(path)
    if path.stat().st_size > MANIFEST_BYTES:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {MANIFEST} is larger than a manifest can be")
    content = parse_json(disk.read(path))
    # The version is looked at before the schema: a newer layout may have another schema, and is not damaged.
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise errors.RunError(
            f"checkpoint {place} has format {version}, and this ganzoo knows {FORMAT}: take a newer one"
        )
    manifest = _require_schema(Manifest, content, MANIFEST)
    if manifest.bytes.keys() != manifest.sha256.keys():
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {MANIFEST} lists sizes of other files")
    if STATE not in manifest.sha256:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: it is not of step {step_of(place)}")
    for name in manifest.sha256:
        if Path(name).name != name or name == "..":  # a name such as ../x would be read from outside of the checkpoint
            raise errors.CheckpointError(f"checkpoint {place} names a file outside itself: {name!r}")
        if name != STATE and not name.endswith(TENSORS):
            raise errors.CheckpointError(f"checkpoint {place} holds {name}, which is no part of a checkpoint")
    return manifest


ModelT = TypeVar("ModelT", bound=BaseModel)


def _require_schema(schema: type[ModelT], content: object, name: str) -> ModelT:
    """Check the content of a file. A ValueError says which value is of another type than the schema's."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name}: {where}: {first['msg'].lower()}") from error


def _require_file(path: Path) -> None:
    """Refuse a named pipe or a device: opening one could block for ever."""
    if path.exists() and not path.is_file():
        raise FileNotFoundError(f"{path.name} is no file")


def _set_aside(place: Path) -> str:
    """Rename a damaged checkpoint, so that `found` no longer lists the directory; the end of a message."""
    names = (f"{place.name}.damaged{n}" for n in ("", *range(2, 100)))
    with contextlib.suppress(OSError, StopIteration):  # a directory that cannot be renamed stays where it is
        aside = next(name for name in names if not (place.parent / name).exists())
        disk.rename(place, place.parent / aside)
        return f" (renamed to {aside})"
    return ""


def _prune(folder: Path, keep: int, best: int | None) -> None:
    """Remove the oldest checkpoints beyond ``keep``, and every draft."""
    # A damaged checkpoint is not counted, or damage could make the last healthy checkpoint disappear.
    whole = [place for place in found(folder) if _looks_whole(place)]
    for place in whole[:-keep]:
        if step_of(place) != best:
            _remove(place)
    for draft in folder.glob(".[0-9]*.[0-9]*"):
        _remove(draft)


def _looks_whole(place: Path) -> bool:
    """Whether every file has the sealed size. The content is checked when the checkpoint is read."""
    try:
        sealed = read_json(place / MANIFEST, MANIFEST_BYTES)
        return isinstance(sealed, dict) and all(
            (place / name).stat().st_size == size for name, size in sealed["bytes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _remove(folder: Path) -> None:
    """Remove a directory. A directory that cannot be removed is no reason to stop the training."""
    if folder.exists():
        # The rename comes first: a checkpoint that is half removed must not look like a damaged checkpoint.
        gone = folder if folder.name.startswith(".") else folder.with_name(f".{folder.name}.{os.getpid()}.gone")
        with contextlib.suppress(OSError):
            if gone != folder:
                disk.rename(folder, gone)
            disk.remove(gone)
