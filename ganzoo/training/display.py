"""What a person sees of a run while it trains: a progress bar on a terminal, plain lines elsewhere.

A terminal that went away (SIGHUP, a closed pipe) ends the showing, not the training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SECONDS = 5.0
"""Between two plain lines."""


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Let it be seen; rich would end the process, and point stdout elsewhere."""
        raise BrokenPipeError


class Display:
    """A context that shows how far training is; ``quiet`` shows only what went wrong."""

    def __init__(self, start: int, total: int, quiet: bool = False) -> None:
        """Show steps ``start`` to ``total``."""
        self.start, self.total, self.quiet = start, total, quiet
        self.console = _Terminal(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Display:
        if not self.quiet and self.console.is_terminal:
            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
            )
            self._task = self._bar.add_task("train", total=self.total, completed=self.start, figures="")
            with self._while_there():
                self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with self._while_there():
                self._bar.stop()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Show where training is, with figures by tag."""
        if self.quiet:
            return
        figures = "  ".join(
            f"{label} {values[tag]:{form}}"
            for tag, label, form in (
                ("speed/images_per_second", "img/s", ".0f"),
                ("loss/discriminator", "loss D", ".3f"),
                ("loss/generator", "G", ".3f"),
            )
            if tag in values
        )
        if self._bar is not None:
            with self._while_there():
                self._bar.update(self._task, completed=step, figures=figures)
            return
        now = time.monotonic()
        if now - self._said < PLAIN_SECONDS and step not in (self.start + 1, self.total):
            return
        self._said = now
        left = (now - self._began) / max(1, step - self.start) * (self.total - step)
        with self._while_there():
            self.console.print(f"step {step}/{self.total}  {figures}  left {int(left) // 60}:{int(left) % 60:02d}")

    def say(self, line: str) -> None:
        """A line above the progress bar."""
        if not self.quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """A line that is said even where nothing else is shown."""
        with self._while_there():
            self.console.print(line, soft_wrap=True, markup=False)

    @contextmanager
    def _while_there(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # a closed pipe, a terminal that is gone; a closed file says it by ValueError
            self.quiet = True
