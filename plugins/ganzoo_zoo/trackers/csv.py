"""Scalars as a table of text."""

from __future__ import annotations

import csv
from collections.abc import Mapping

import ganzoo


class CSV(ganzoo.Tracker):
    """Scalars in a CSV file: one line a scalar, with step, images, tag and value.

    Args:
        path: the file. A relative path begins in the run directory.

    Notes:
        A run that is resumed goes on in the same file. Steps that the run repeats are written again.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "csv").path
        'scalars.csv'
    """

    path: str = "scalars.csv"

    def run_started(self, run: ganzoo.Run) -> None:
        """Begin the file with the names of the columns.

        Args:
            run: the run.
        """
        file = run.dir / self.path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("step,images,tag,value\n", encoding="utf-8")

    def step_recorded(self, run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
        """Append the scalars of a record.

        Args:
            run: the run.
            step: the step.
            values: the scalars by tag.
        """
        images = run.state.counters.images
        with (run.dir / self.path).open("a", newline="", encoding="utf-8") as file:
            lines = ((step, images, tag, value) for tag, value in sorted(values.items()))
            csv.writer(file, lineterminator="\n").writerows(lines)
