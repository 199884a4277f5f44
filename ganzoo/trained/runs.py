"""List, remove and archive run directories. A run in training is never touched."""

from __future__ import annotations

import math
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ganzoo import errors
from ganzoo.disk import checkpoint, record, status
from ganzoo.disk.lock import NAME as LOCK
from ganzoo.disk.lock import Lock
from ganzoo.disk.regular import read_json
from ganzoo.recipe.settings import read_config

ARCHIVE = ".tar.gz"
"""The ending of an archive."""


@dataclass(frozen=True)
class RunFacts:
    """What a directory says of a run, without loading any part.

    Args:
        folder: the run directory.
        status: ``training``, ``finished``, ``stopped``, ``diverged``, ``failed``, ``killed``, or ``unknown`` for a run
            of an older ganzoo.
        reason: why the training ended early, or an empty text.
        step: the newest step that is known, from the checkpoints and the logs.
        until: the step to train up to, or 0 where no file says so.
        recipe: the names of the parts.
        figure: the best figure of ``--best`` as text, else the newest figure of the first metric, else an empty text.
        size: the bytes of all files.
    """

    folder: Path
    status: str
    reason: str
    step: int
    until: int
    recipe: str
    figure: str
    size: int


def found(place: Path) -> list[Path]:
    """Find run directories.

    Args:
        place: a log directory, or a run directory.

    Returns:
        The run directories in order of their names. A run directory gives itself.

    Raises:
        RunError: the directory is missing.
    """
    if not place.is_dir():
        raise errors.RunError(
            f"there is no directory {place}: give the --logdir of your runs, or train one: ganzoo run"
        )
    if (place / "config.yaml").is_file():
        return [place]
    return sorted(file.parent for file in place.glob("[!.]*/config.yaml"))


def facts(folder: Path) -> RunFacts:
    """Read what a run directory says of the run.

    Args:
        folder: the run directory.

    Returns:
        The facts. A file that is missing or damaged leaves a fact unknown.
    """
    said = status.read(folder)
    lines = _newest_values(folder)
    saved = checkpoint.found(folder / "checkpoints")
    state = _state(saved[-1]) if saved else {}
    step = max([checkpoint.step_of(place) for place in saved] + [said.step if said else 0, lines[0]])
    told = state.get("until", 0)
    until = said.until if said else told if isinstance(told, int) else 0
    name: str = said.status if said else ("unknown" if not until else "finished" if step >= until else "stopped")
    if in_training(folder):
        name = "training"
    elif name == "training":
        name = "killed"
    reason = said.reason if said is not None else ""
    return RunFacts(folder, name, reason, step, until, _recipe(folder), _figure(state, lines[1]), size(folder))


def in_training(folder: Path) -> bool:
    """Tell whether a process trains in a run directory.

    Args:
        folder: the run directory.

    Returns:
        True where another process or this process holds the lock.
    """
    if not (folder / LOCK).exists():
        return False
    try:
        Lock(folder, _nothing).release()
    except errors.RunError:
        return True
    return False


def size(folder: Path) -> int:
    """Add the bytes of all files of a directory.

    Args:
        folder: the directory. Links are not followed.

    Returns:
        Bytes.
    """
    total = 0
    for home, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(home, name).lstat().st_size
            except OSError:  # removed in the meantime, as old checkpoints are
                continue
    return total


def remove(folder: Path) -> None:
    """Remove a run directory.

    Args:
        folder: the run directory.

    Raises:
        RunError: the run is in training, or the directory cannot be removed.
    """
    with _held(folder):
        _remove(folder)


def archive(folder: Path, out: Path | None = None) -> Path:
    """Pack a run directory into an archive, read the archive again, and remove the directory.

    Args:
        folder: the run directory.
        out: the archive. None writes ``NAME.tar.gz`` beside the directory.

    Returns:
        The archive. ``tar xzf`` gives the directory back.

    Raises:
        RunError: the run is in training, the archive exists, or the archive cannot be written.
    """
    out = out if out is not None else folder.with_name(folder.name + ARCHIVE)
    with _held(folder):
        if out.exists():
            raise errors.RunError(f"{out} exists: move the archive, or remove the archive")
        draft = out.with_name(f".{out.name}.{os.getpid()}")
        try:
            with tarfile.open(
                draft, "w:gz", compresslevel=1
            ) as packed:  # weights hardly shrink, however long one tries
                packed.add(folder, arcname=folder.name)
            with tarfile.open(draft) as packed:
                kept = sum(member.size for member in packed if member.isfile())
            if kept != size(folder):
                raise errors.RunError(f"{folder} changed while it was packed: nothing was removed; try again")
            draft.replace(out)
        except OSError as error:
            raise errors.RunError(
                f"{out} cannot be written ({error.strerror or error}): nothing was removed"
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        _remove(folder)
    return out


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A context that holds the lock of a run directory, so that no training starts there."""
    if not (folder / "config.yaml").is_file():
        raise errors.RunError(f"{folder} is no run directory: it has no config.yaml")
    unlocked: list[str] = []
    lock = Lock(folder, unlocked.append)
    try:
        if unlocked:
            raise errors.RunError(
                f"{folder} is on a filesystem without locks, so that nobody can tell whether the run is in training: "
                "remove the directory by hand"
            )
        yield
    finally:
        lock.release()


def _remove(folder: Path) -> None:
    """Remove a directory. A directory that is half removed has no name of a run."""
    hidden = folder.with_name(f".{uuid4().hex}")
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be removed ({error.strerror})") from error


def _nothing(_: object) -> None:
    """Say nothing: the filesystem has no locks, so that no lock is held."""


def _newest_values(folder: Path) -> tuple[int, dict[str, float]]:
    """The newest step of the logs, and the newest value of each tag."""
    try:
        return int(record.last_line(folder / "metrics.jsonl").get("step", 0)), record.newest(folder / "metrics.jsonl")
    except errors.RunError:
        return 0, {}


def _state(saved: Path) -> dict[str, Any]:
    try:
        state = read_json(saved / "state.json")
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _recipe(folder: Path) -> str:
    """The names of the parts of a run, in the order of the run directory's name."""
    if not (folder / "config.yaml").is_file():  # a pipe would be waited for
        return "?"
    try:
        settings = read_config(folder / "config.yaml")
    except errors.SettingsError:
        return "?"
    names: list[str] = []
    for setting in ("arch", "loss", "regularizers", "schedule", "data"):
        value = settings.get(setting)
        parts = value if isinstance(value, list) else [value]
        names += [str(part["name"]) for part in parts if isinstance(part, dict) and "name" in part]
    return " ".join(names)


def _figure(state: dict[str, Any], values: dict[str, float]) -> str:
    best = state.get("best")
    if isinstance(best, dict) and isinstance(best.get("value"), int | float):
        return f"{best.get('figure')} {float(best['value']):.4g} (step {best.get('step')})"
    for tag, value in values.items():
        if tag.startswith("metrics/") and math.isfinite(value):
            return f"{tag.removeprefix('metrics/')} {value:.4g}"
    return ""
