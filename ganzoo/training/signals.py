"""The signals that a training run handles.

SIGINT (Ctrl-C) and SIGTERM: the trainer finishes the step, saves the state and stops. The exit codes are 130 and 143. A
second SIGINT stops at once and leaves the last checkpoint as it is. SIGUSR1: the trainer saves the state and goes on.
SIGHUP is ignored.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

from ganzoo import errors

LAUNCHER_SECONDS = 2.0
"""Seconds within which a second SIGINT counts as torchrun forwarding the first."""


class Interrupted(errors.TrainingStopped):
    """A signal asked training to stop. The step was finished and the state saved.

    The user asked for the stop, so the command line prints the message without the word "error".

    Args:
        signal_: the number of the signal.
        step: the number of steps made.
        command: the command that continues the run.
    """

    is_error: ClassVar[bool] = False

    def __init__(self, signal_: int, step: int, command: str) -> None:
        name = signal.Signals(signal_).name
        super().__init__(f"{name}: stopped after step {step}, which is saved; go on with: {command}")
        self.exit_code = 128 + signal_  # type: ignore[misc]  # a class fact elsewhere; here it is the signal's


@dataclass
class Interrupt:
    """The signals received so far.

    Attributes:
        signal: the number of the signal that asks training to stop.
        save: a signal asks for a checkpoint.
    """

    signal: int | None = None
    save: bool = False


@contextmanager
def interruptible(patience: float = 0.0) -> Iterator[Interrupt]:
    """A context that handles the signals listed at the top of this module, in the main thread alone.

    Args:
        patience: seconds within which a second SIGINT counts as the first, see ``LAUNCHER_SECONDS``.

    Yields:
        The signals received so far. The handlers write into the value.
    """
    asked = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    first = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # the terminal sends Ctrl-C to torchrun too, which forwards the signal: two signals in a moment are one
        if asked.signal is not None and number == signal.SIGINT and time.monotonic() - first > patience:
            raise KeyboardInterrupt
        first = first if asked.signal is not None else time.monotonic()
        asked.signal = number

    def ask_to_save(number: int, frame: FrameType | None) -> None:
        asked.save = True

    handlers: dict[str, Any] = {"SIGINT": ask, "SIGTERM": ask, "SIGUSR1": ask_to_save, "SIGHUP": signal.SIG_IGN}
    # by name, since Windows has no SIGUSR1 and no SIGHUP
    numbers = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
