"""Scalars, pictures and settings of a run in MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from torch import Tensor

import ganzoo
from ganzoo import words

LONGEST = 500
"""The largest number of characters of a parameter in MLflow's database."""


class MLflow(ganzoo.Tracker):
    """MLflow: scalars, pictures and settings of a run, on a server or in a database on this machine.

    Args:
        experiment: the experiment, which is made where the experiment is missing.
        uri: the server or the database, such as ``http://localhost:5000``. An empty text takes the environment
            variable MLFLOW_TRACKING_URI, and without the variable the database ``mlflow.db`` beside the run directory.
        pictures: whether the PNG files of the sample grids are logged.

    Notes:
        A run that is resumed goes on under the same identity, which the file ``mlflow.txt`` of the run directory holds.
        MLflow's API takes the time of each value in milliseconds.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "mlflow:experiment=digits").experiment
        'digits'
    """

    experiment: str = "ganzoo"
    uri: str = ""
    pictures: bool = True

    def run_started(self, run: ganzoo.Run) -> None:
        """Begin or continue the run of the same identity.

        Args:
            run: the run.
        """
        import os
        import time

        default = f"sqlite:///{(run.dir.parent / 'mlflow.db').resolve()}"
        client = MlflowClient(self.uri or os.environ.get("MLFLOW_TRACKING_URI") or default)
        note = run.dir / "mlflow.txt"
        self.state.client, self.state.clock = client, time.time
        if note.exists():
            self.state.run_id = note.read_text(encoding="utf-8").strip()
            client.update_run(self.state.run_id, status="RUNNING")
            return
        found = client.get_experiment_by_name(self.experiment)
        place = (run.dir.parent / "mlflow-files").resolve().as_uri() if not (self.uri or found) else None
        number = found.experiment_id if found else client.create_experiment(self.experiment, artifact_location=place)
        begun = client.create_run(number, run_name=run.dir.name)
        self.state.run_id = begun.info.run_id
        note.write_text(self.state.run_id + "\n", encoding="utf-8")
        settings = {**words.plain(run.settings), **run.parts.labels}
        client.log_batch(self.state.run_id, params=[Param(k, str(v)[:LONGEST]) for k, v in settings.items()])

    def step_recorded(self, run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
        """Log the scalars of a record.

        Args:
            run: the run.
            step: the step.
            values: the scalars by tag.
        """
        now = int(self.state.clock() * 1000)
        numbers = {**values, "images": float(run.state.counters.images)}
        found = [Metric(tag, value, now, step) for tag, value in numbers.items() if math.isfinite(value)]
        for first in range(0, len(found), 1000):  # MLflow takes a thousand values at a time
            self.state.client.log_batch(self.state.run_id, metrics=found[first : first + 1000])

    def images_recorded(self, run: ganzoo.Run, step: int, tag: str, images: Tensor) -> None:
        """Log the PNG file of a sample grid.

        Args:
            run: the run.
            step: the step.
            tag: ``samples/ema``, ``samples/generator`` or ``samples/real``.
            images: (N, *shape) in [-1, 1].
        """
        file = Path(run.dir) / "samples" / f"{step:08d}-{tag.rpartition('/')[2]}.png"
        if self.pictures and file.exists():
            self.state.client.log_artifact(self.state.run_id, str(file), "samples")

    def run_finished(self, run: ganzoo.Run, error: BaseException | None) -> None:
        """Close the run.

        Args:
            run: the run.
            error: the exception that ended the run, or None.
        """
        if hasattr(self.state, "run_id"):
            self.state.client.set_terminated(self.state.run_id, "FINISHED" if error is None else "FAILED")
