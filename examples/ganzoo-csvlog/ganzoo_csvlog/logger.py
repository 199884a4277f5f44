import csv
from pathlib import Path

import ganzoo


class Logger(ganzoo.Part):
    """The contract of the kind: a logger defines any of the event methods, which a run calls with their arguments."""

    kind = "logger"

    def run_started(self, run):
        """Called before the first step, and before the first step after a resume."""

    def step_recorded(self, run, step, values):
        """Called when scalars are recorded: ``values`` has their means by tag."""


class CSV(Logger):
    """Scalars in a CSV file: step, tag, value.

    Args:
        path: the file, in the run directory unless the path is absolute.
    """

    path: str = "scalars.csv"

    def run_started(self, run):
        file = run.dir / self.path
        if not file.exists():
            file.write_text("step,tag,value\n")

    def step_recorded(self, run, step, values):
        with Path(run.dir / self.path).open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows((step, tag, value) for tag, value in sorted(values.items()))
