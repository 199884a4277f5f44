"""Follow a run from outside: its scalars into a CSV file, a line on the terminal for each checkpoint.

    ganzoo run --plugin examples/plugins/csv_log.py

Every function below is an event hook, and takes those of the hook's arguments that it needs; ganzoo/hookspecs.py has
all hooks. Should one fail, it is reported and switched off, and training goes on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import ganzoo


@ganzoo.hookimpl
def run_started(run: ganzoo.Run) -> None:
    """Begin the file, or go on with the one of the run that is resumed."""
    file = run.dir / "scalars.csv"
    if not file.exists():
        file.write_text("step,tag,value\n")


@ganzoo.hookimpl
def step_recorded(run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
    """A line for each scalar: a table in this form stays right when a tag joins later."""
    with (run.dir / "scalars.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((step, tag, value) for tag, value in sorted(values.items()))


@ganzoo.hookimpl
def checkpoint_saved(step: int, path: Path) -> None:
    """Say that there is something to come back to."""
    print(f"checkpoint of step {step}: {path}")
