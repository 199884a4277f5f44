"""The progress of a run: a bar on a terminal, plain lines elsewhere.

A terminal that went away (SIGHUP, a closed pipe) ends the display. Training goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ganzoo.names import message

PLAIN_SECONDS = 5.0
"""Seconds between two plain lines."""

REDRAWS_PER_SECOND = 4.0
"""The largest number of redraws of the bar in a second."""

FIGURES_WIDTH = 76
"""Columns that a terminal needs to show the figures beside step, bar and remaining time."""

FIGURES = (
    ("speed/images_per_second", "img/s", ".0f"),
    ("loss/discriminator", "loss D", ".3f"),
    ("loss/generator", "G", ".3f"),
)
"""Tag, label and format of each figure that the display shows."""


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error again. Rich would end the process and redirect stdout."""
        raise BrokenPipeError


class Display:
    """A context that shows how far training is.

    Args:
        start: the step that training begins at.
        total: the step that training ends at.
        quiet: show warnings only.
    """

    def __init__(self, start: int, total: int, quiet: bool = False) -> None:
        self.start, self.total, self.quiet = start, total, quiet
        self.console = _Terminal(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._figures = ""
        self._shown = time.monotonic()  # the last redraw or plain line
        self._first: tuple[float, int] | None = None  # time and number of the first step

    def __enter__(self) -> Display:
        # a dumb terminal cannot move the cursor back, so a bar would never show there
        if not self.quiet and self.console.is_terminal and not self.console.is_dumb_terminal:
            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                refresh_per_second=REDRAWS_PER_SECOND,
            )
            self._task = self._bar.add_task("train", total=self.total, completed=self.start, figures="")
            with self._ignoring_lost_terminal():
                self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with self._ignoring_lost_terminal():
                self._bar.stop()

    def advance(self, step: int) -> None:
        """Show that a step was made. A call costs a look at the clock, and never waits for the device.

        Args:
            step: the number of steps made.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = now, step  # the first step compiles and warms up: rates are measured from its end
        if self.quiet:
            return
        if self._bar is not None and (now - self._shown >= 1 / REDRAWS_PER_SECOND or step == self.total):
            self._shown = now
            with self._ignoring_lost_terminal():
                self._bar.update(self._task, completed=step)
        elif self._bar is None and now - self._shown >= PLAIN_SECONDS:
            self._print(step, now)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Show the figures of a step.

        Args:
            step: the number of steps made.
            values: scalars by tag, see ``FIGURES``.
        """
        if self.quiet:
            return
        figures = [f"{label} {values[tag]:{form}}" for tag, label, form in FIGURES if tag in values]
        self._figures = "  ".join(figures)
        now = time.monotonic()
        if self._bar is not None:
            # rich cuts the columns from the left, so that the figures would push step and bar off a narrow terminal
            shown = self._figures if self.console.width >= FIGURES_WIDTH else ""
            with self._ignoring_lost_terminal():
                self._bar.update(self._task, completed=step, figures=shown)
        elif now - self._shown >= PLAIN_SECONDS or step in (self.start + 1, self.total):
            self._print(step, now)

    def _print(self, step: int, now: float) -> None:
        self._shown = now
        line = f"step {step}/{self.total}  {self._figures}"
        if self._first is not None and step > self._first[1]:
            then, first = self._first
            left = int((now - then) / (step - first) * (self.total - step))
            line += f"  left {left // 60}:{left % 60:02d}"
        with self._ignoring_lost_terminal():
            self.console.print(line)

    def say(self, line: str) -> None:
        """Print a line above the progress bar, unless the display is quiet.

        Args:
            line: the text.
        """
        if not self.quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print a line above the progress bar, whether the display is quiet or not.

        Args:
            line: the text.
        """
        with self._ignoring_lost_terminal():
            self.console.print(message(line), soft_wrap=True, markup=False)

    @contextmanager
    def _ignoring_lost_terminal(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # a closed pipe, a terminal that is gone; a closed file raises ValueError
            self.quiet = True
