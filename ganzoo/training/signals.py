"""The signals that a training run handles.

SIGINT (Ctrl-C) and SIGTERM: the trainer finishes the step, saves the state and stops. The exit codes are 130 and 143. A
second SIGINT, or a second SIGTERM after ``STOPPING_SECONDS``, stops at once and leaves the last checkpoint as it is. A
step that waits for data is not waited for longer than ``STOPPING_SECONDS``. SIGUSR1: the trainer saves the state and
goes on. SIGHUP is ignored. A SIGINT that was ignored when the process began, as for a background job, stays ignored.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import ClassVar

from ganzoo import errors

LAUNCHER_SECONDS = 2.0
"""Seconds within which a second SIGINT counts as torchrun forwarding the first."""

STOPPING_SECONDS = 15.0
"""Seconds after a signal in which a step may wait for data, and within which a second SIGTERM counts as the first.

Launchers and scripts repeat SIGTERM until a process has gone.
"""


class Interrupted(errors.TrainingStopped):
    """A signal asked training to stop. The step was finished and the state saved.

    The user asked for the stop, so the command line prints the message without the word "error".

    Args:
        signal_: the number of the signal.
        where: where training stopped, and what is saved.
        command: the command that continues the run.
    """

    is_error: ClassVar[bool] = False

    def __init__(self, signal_: int, where: str, command: str) -> None:
        super().__init__(f"{signal.Signals(signal_).name}: {where}; go on with: {command}")
        self.exit_code = 128 + signal_  # type: ignore[misc]  # a class fact elsewhere; here it is the signal's


class Ended(KeyboardInterrupt):
    """A signal ends what the main thread does at once, wherever it is. The name keeps other code from catching it.

    Args:
        signal_: the number of the signal.
    """

    def __init__(self, signal_: int) -> None:
        super().__init__()
        self.signal = signal_
        self.exit_code = 128 + signal_


class DataAwaited(Ended):
    """A signal asked training to stop, and the step still waits for data."""


@dataclass
class Interrupt:
    """The signals received so far.

    Attributes:
        signal: the number of the signal that asks training to stop.
        save: a signal asks for a checkpoint.
    """

    signal: int | None = None
    save: bool = False


def sigint_ignored() -> bool:
    """Tell whether the process was started to ignore Ctrl-C, as a shell starts a background job.

    Ctrl-C at the terminal is then meant for another program, and training goes on.
    """
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def _never() -> float | None:
    return None


@contextmanager
def interruptible(patience: float = 0.0, waiting_since: Callable[[], float | None] = _never) -> Iterator[Interrupt]:
    """A context that handles the signals listed at the top of this module, in the main thread alone.

    Args:
        patience: seconds within which a second SIGINT counts as the first, see ``LAUNCHER_SECONDS``.
        waiting_since: the time (``time.monotonic``) since which the step waits for data, or None.

    Yields:
        The signals received so far. The handlers write into the value.

    Raises:
        Ended: a second signal ends the training at once.
        DataAwaited: a step waits for data after the first signal.
    """
    asked = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    first = 0.0
    timer = getattr(signal, "setitimer", None)  # Windows has none
    timed: tuple[float, float] | None = None

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first, timed
        # the terminal sends Ctrl-C to torchrun too, which forwards the signal: two signals in a moment are one
        again = patience if number == signal.SIGINT else max(patience, STOPPING_SECONDS)
        if asked.signal is not None and time.monotonic() - first > again:
            raise Ended(number)
        if asked.signal is None:
            first = time.monotonic()
            if timer is not None:  # Python repeats a system call that a signal interrupts, such as a wait for data
                timed = timer(signal.ITIMER_REAL, 0.5, 0.5)
        asked.signal = number

    def look(number: int, frame: FrameType | None) -> None:
        since = waiting_since()
        if asked.signal is not None and since is not None and time.monotonic() - max(first, since) > STOPPING_SECONDS:
            raise DataAwaited(asked.signal)

    def ask_to_save(number: int, frame: FrameType | None) -> None:
        asked.save = True

    handlers: dict[str, Callable[[int, FrameType | None], None] | signal.Handlers] = {
        "SIGINT": ask,
        "SIGTERM": ask,
        "SIGUSR1": ask_to_save,
        "SIGHUP": signal.SIG_IGN,
    }
    if timer is not None:
        handlers["SIGALRM"] = look
    if sigint_ignored():
        del handlers["SIGINT"]
    # by name, since Windows has no SIGUSR1 and no SIGHUP
    numbers = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    try:
        yield asked
    finally:
        if timer is not None and timed is not None:
            timer(signal.ITIMER_REAL, *timed)
        for number, handler in before.items():
            signal.signal(number, handler)
