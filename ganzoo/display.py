"""What a person sees of a run while it trains: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_SECONDS = 5.0
"""Between two plain lines."""


class Display:
    """A context that shows how far training is; ``quiet`` shows nothing."""

    def __init__(self, start: int, total: int, quiet: bool = False) -> None:
        """Show steps ``start`` to ``total``."""
        self.start, self.total, self.quiet = start, total, quiet
        self.console = Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Display:
        if not self.quiet and self.console.is_terminal:
            self._bar = Progress(
                TextColumn("step"), MofNCompleteColumn(), BarColumn(bar_width=None),
                TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True), console=self.console,
            )  # fmt: skip
            self._task = self._bar.add_task("train", total=self.total, completed=self.start, figures="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
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
            self._bar.update(self._task, completed=step, figures=figures)
            return
        now = time.monotonic()
        if now - self._said < PLAIN_SECONDS and step not in (self.start + 1, self.total):
            return
        self._said = now
        left = (now - self._began) / max(1, step - self.start) * (self.total - step)
        self.console.print(f"step {step}/{self.total}  {figures}  left {int(left) // 60}:{int(left) % 60:02d}")

    def say(self, line: str) -> None:
        """A line above the progress bar."""
        if not self.quiet:
            self.console.print(line, soft_wrap=True, markup=False)
