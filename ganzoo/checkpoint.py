"""The state, to disk and back: ``checkpoints/00000500/``, sealed by a manifest.

A checkpoint is a directory of safetensors files, one a group (``ema.safetensors`` is usable by itself), and
``state.json``. It is written beside its place, synced, sealed by ``manifest.json`` (the SHA-256 of every file, written
last) and renamed into place: what bears the name is whole. Nothing is pickled, nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganzoo import errors

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read: its step, its tensors by group and name, and its numbers."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, Any]


def save(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], numbers: Mapping[str, Any], keep: int
) -> Path:
    """Write a checkpoint, and remove the oldest ones beyond ``keep``.

    Args:
        folder: the run's ``checkpoints``; made where it is missing.
        step: names the checkpoint.
        tensors: by group and name.
        numbers: plain data.
        keep: checkpoints to keep, this one included; a damaged one is never counted.

    Raises:
        NonFinite: a weight is NaN or infinite; nothing is written.
        RunError: the disk is full or not writable; what was there before is intact.
    """
    for group, named in tensors.items():
        for name, value in named.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise errors.NonFinite(f"{group} has a value in {name} that is not finite: no checkpoint was written")
    place = folder / f"{step:08d}"
    draft = folder / f".{place.name}.{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for group, named in tensors.items():
            # copies: safetensors refuses tensors that share memory or are not dense
            copies = {name: value.detach().cpu().contiguous().clone() for name, value in named.items()}
            save_file(copies, draft / f"{group}.safetensors")
        (draft / "state.json").write_text(json.dumps({"format": FORMAT, "step": step, **numbers}, indent=1))
        manifest = {file.name: _digest(file) for file in sorted(draft.iterdir())}
        for file in manifest:
            _sync(draft / file)
        (draft / MANIFEST).write_text(json.dumps({"format": FORMAT, "step": step, "sha256": manifest}, indent=1))
        _sync(draft / MANIFEST)
        _sync(draft)
        if place.exists():  # of a run that was resumed from before it
            shutil.rmtree(place)
        draft.rename(place)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        why = error.strerror or error
        raise errors.RunError(f"checkpoint {place} cannot be written ({why}): free some space, then resume") from error
    _prune(folder, keep)
    return place


def newest(folder: Path) -> Saved:
    """The newest checkpoint that is whole.

    Raises:
        CheckpointError: there is none; names the damaged ones.
    """
    damaged = []
    for place in reversed(found(folder)):
        try:
            return read(place)
        except errors.CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise errors.CheckpointError(f"no checkpoint in {folder} is whole: {'; '.join(damaged)}")
    raise errors.CheckpointError(f"there is no checkpoint in {folder}")


def found(folder: Path) -> list[Path]:
    """Checkpoints by step, whole or not."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.name.isdecimal() and p.is_dir()), key=lambda p: int(p.name))


def read(place: Path, only: frozenset[str] | None = None) -> Saved:
    """A checkpoint, after its files were checked against its seal.

    Args:
        place: its directory.
        only: the groups wanted; None for all.

    Raises:
        CheckpointError: a file is missing, damaged, not of this checkpoint, or of a newer format.
    """
    try:
        manifest = json.loads((place / MANIFEST).read_text())
        sealed: Mapping[str, str] = manifest["sha256"]
        if manifest["format"] > FORMAT:
            raise errors.CheckpointError(f"checkpoint {place} has format {manifest['format']}: it needs a newer ganzoo")
        tensors = {}
        numbers: dict[str, Any] | None = None
        for name, digest in sealed.items():
            if Path(name).name != name:
                raise errors.CheckpointError(f"checkpoint {place} names a file outside itself: {name!r}")
            group = name.removesuffix(".safetensors")
            if only is not None and group != name and group not in only:
                continue
            if _digest(place / name) != digest:
                raise errors.CheckpointError(f"checkpoint {place} is damaged: {name} is not what was written")
            if group != name:
                tensors[group] = load_file(place / name)
            else:
                numbers = json.loads((place / name).read_text())
        if numbers is None or numbers["step"] != manifest["step"] or manifest["step"] != int(place.name):
            raise errors.CheckpointError(f"checkpoint {place} is not of step {int(place.name)}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise errors.CheckpointError(f"checkpoint {place} is damaged: {error}") from error
    return Saved(manifest["step"], tensors, numbers)


def _prune(folder: Path, keep: int) -> None:
    whole = [place for place in found(folder) if (place / MANIFEST).is_file()]
    for place in whole[:-keep]:
        with contextlib.suppress(OSError):  # an old checkpoint that cannot be removed is no reason to stop
            shutil.rmtree(place)
    for draft in folder.glob(".[0-9]*.[0-9]*"):
        shutil.rmtree(draft, ignore_errors=True)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


