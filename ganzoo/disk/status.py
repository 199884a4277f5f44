"""The status of a run: what became of the training, in the file ``status.json`` of the run directory.

The file is written when training starts and when training ends. A process that was killed leaves the status
``training`` behind. Then the lock of the run directory is free, by which a reader tells a killed run from a run in
training.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from ganzoo.disk.regular import read_json
from ganzoo.errors import NonFinite

NAME = "status.json"

Name = Literal["training", "finished", "stopped", "diverged", "failed"]


@dataclass(frozen=True)
class Status:
    """What became of a training.

    Args:
        status: ``training`` from the first step on, ``finished`` after the last step, ``stopped`` on request of a
            signal or of a hook, ``diverged`` after a value that is not finite, and ``failed`` after any other error.
        step: the number of steps made.
        until: the step to train up to.
        reason: why the training ended early, in one line. The text is empty for a run in training or finished.

    Example:
        >>> Status("stopped", 20, 100, "SIGTERM was received").status
        'stopped'
    """

    status: Name
    step: int
    until: int
    reason: str = ""


def ended(error: BaseException | None, step: int, until: int, asked: str = "") -> Status:
    """Describe the end of a training.

    Args:
        error: the exception that ended the training, or None after the last step.
        step: the number of steps made.
        until: the step to train up to.
        asked: why an observer asked for the end.

    Returns:
        The status. The reason is the first line of the error.

    Example:
        >>> ended(NonFinite("step 7: the loss is nan"), 7, 100).status
        'diverged'
    """
    if error is None:
        return Status("finished", step, until) if step >= until else Status("stopped", step, until, asked)
    if isinstance(error, NonFinite):
        name: Name = "diverged"
    elif isinstance(error, KeyboardInterrupt) or not getattr(error, "is_error", True):
        name = "stopped"
    else:
        name = "failed"
    try:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    except BaseException:  # the text of an exception of a plugin may raise anything
        reason = type(error).__name__
    return Status(name, step, until, reason)


def write(folder: Path, status: Status) -> None:
    """Write the status. A disk that refuses the file is no error, since the status is no part of the training.

    Args:
        folder: the run directory.
        status: the status.
    """
    draft = folder / f".{NAME}.{os.getpid()}"
    with contextlib.suppress(OSError):
        try:
            draft.unlink(missing_ok=True)  # a link of this name must not be followed
            draft.write_text(json.dumps(asdict(status), indent=1) + "\n", encoding="utf-8")
            draft.replace(folder / NAME)
        finally:
            draft.unlink(missing_ok=True)


def read(folder: Path) -> Status | None:
    """Read the status.

    Args:
        folder: the run directory.

    Returns:
        The status, or None where the file is missing or damaged.
    """
    try:
        found = read_json(folder / NAME)
        if not isinstance(found, dict):
            return None
        name, step, until, reason = (found[key] for key in ("status", "step", "until", "reason"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if name not in get_args(Name) or not isinstance(step, int) or not isinstance(until, int):
        return None
    return Status(cast(Name, name), step, until, str(reason))
