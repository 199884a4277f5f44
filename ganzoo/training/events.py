"""The events of a run, as the training loop reports the events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # what only lists parts imports the events too, and needs no torch
    from pathlib import Path

    from torch import Tensor

    from ganzoo.training.run import Run


class Events(Protocol):
    """The receiver of a run's events: the event hooks of ``ganzoo.hookspecs``."""

    def run_started(self, run: Run) -> None:
        """Receive a run before the first step, or before the first step after the run was resumed.

        Args:
            run: the run.
        """

    def step_made(self, run: Run, step: int) -> None:
        """Receive a run after every step.

        Args:
            run: the run.
            step: the number of steps made, from 1.
        """

    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Receive the scalars of a record.

        Args:
            run: the run.
            step: the step.
            values: means since the last record, by tag.
        """

    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None:
        """Receive a grid of images after the grid was written.

        Args:
            run: the run.
            step: the step.
            tag: ``samples/ema``, ``samples/generator`` or ``samples/real``.
            images: the images, (N, *shape), in [-1, 1].
        """

    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None:
        """Receive the path of a checkpoint that is complete on disk.

        Args:
            run: the run.
            step: the step of the checkpoint.
            path: the directory of the checkpoint.
        """

    def run_finished(self, run: Run, error: BaseException | None) -> None:
        """Receive a run after the last step, or after an error.

        Args:
            run: the run.
            error: the exception that ended the run, or None after the last step.
        """
