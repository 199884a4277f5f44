"""The hierarchy of errors. Each message is one line: the cause, the expected value, and the remedy.

    GanzooError                 the base of all errors that ganzoo raises on purpose, exit code 2
    |-- PartError               a part cannot be found or made
    |   |-- UnknownPart         no part has the name
    |   |-- AmbiguousPart       several plugins bring a part of the name
    |   |-- BadWords            "r1:gamma" does not follow the grammar
    |   `-- BadParameter        a key or a value that the part does not take
    |-- PluginError             a plugin could not be loaded (raised in strict mode, or when the plugin is needed)
    |-- SettingsError           a setting of the run that is unknown, of the wrong type or out of range
    |-- Incompatible            parts that cannot go together, found at assembly
    |-- DataError               a dataset that is missing, empty, unreadable or too small
    |-- RunError                a run directory that is missing, already there, or cannot be written
    |   `-- CheckpointError     a checkpoint that is missing, damaged or of another shape
    `-- TrainingStopped         training ended early, exit code 1
        |-- NonFinite           a loss or gradient is NaN or infinite, and the update was not made
        |-- OutOfMemory         the device has no room for the step
        `-- RankLost            another process of the same training ended

Any other exception that leaves ganzoo is a bug, and is shown with the traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ganzoo.names import message


class GanzooError(Exception):
    """Base of all errors that ganzoo raises on purpose.

    The text is one printable line, whatever the message quotes.

    Attributes:
        exit_code: the exit code of a command that ends with the error.
        is_error: whether the command line prints "error" before the message; False where the user asked to stop.
    """

    exit_code: ClassVar[int] = 2
    is_error: ClassVar[bool] = True

    def __str__(self) -> str:
        return message(super().__str__())


class PartError(GanzooError):
    """A part cannot be found or made."""


class UnknownPart(PartError):
    """No part of the kind has the name."""


class AmbiguousPart(PartError):
    """Several plugins bring a part of the name. ``provider/name`` is unambiguous."""


class BadWords(PartError):
    """The text that names a part does not follow the grammar ``name:key=value,key=value``."""


class BadParameter(PartError):
    """The part does not take a key or a value."""


class PluginError(GanzooError):
    """A plugin could not be loaded."""


class SettingsError(GanzooError):
    """A setting of the run is unknown, of the wrong type, or out of range."""


class Incompatible(GanzooError):
    """Two parts cannot go together. The error is raised at assembly."""


@contextmanager
def refusals_of(kind: str, *names: str) -> Iterator[None]:
    """While this lasts, a refusal names the part that the user wrote, also where another part speaks for the part.

    Args:
        kind: the kind of part, such as ``"architecture"``.
        names: the name of the part, or the names of parts of which a refusal names one.

    Raises:
        Incompatible: the refusal, with the kind and the names before a message that holds none of the names.

    Example:
        >>> with refusals_of("architecture", "patch"):
        ...     raise Incompatible("dcgan makes images, and this data gives points")
        Traceback (most recent call last):
        ganzoo.errors.Incompatible: architecture patch: dcgan makes images, and this data gives points
    """
    try:
        yield
    except Incompatible as error:
        if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", str(error)) for name in names):
            raise
        raise Incompatible(f"{kind} {' and '.join(dict.fromkeys(names))}: {error}") from error


class DataError(GanzooError):
    """A dataset is missing, empty, unreadable or too small."""


class RunError(GanzooError):
    """A run directory is missing, already there, or cannot be written."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged or of another shape."""


class TrainingStopped(GanzooError):
    """Training ended early. Files that were saved before are intact."""

    exit_code: ClassVar[int] = 1


class NonFinite(TrainingStopped):
    """A loss or a gradient is NaN or infinite. The update was not made."""


class OutOfMemory(TrainingStopped):
    """The device has no room for the step."""


class RankLost(TrainingStopped):
    """Another process of the same training ended, so that training ended in all processes."""
