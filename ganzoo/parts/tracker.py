"""The contract of trackers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from ganzoo.training.run import Run


EVENTS = ("run_started", "step_made", "step_recorded", "images_recorded", "checkpoint_saved", "run_finished")
"""The events of a run."""


class Tracker(Part):
    """An observer of a run: a log of one's own, an early stop, a picture of one's own.

    A tracker defines any of the events below. A run calls the events in the main process alone. A tracker that raises
    is reported and switched off, and training goes on. A tracker may ask the run for something:
    ``run.request_stop(reason)``, ``run.request_save()`` and ``run.request_sample()`` are answered after the present
    step.

    Example:
        >>> import ganzoo
        >>> class Words(ganzoo.Tracker):
        ...     interval: int = 100
        ...     def step_made(self, run, step):
        ...         print(f"step {step}")
        Traceback (most recent call last):
        TypeError: parameter 'interval' of Words has the name of an attribute that every tracker has: rename the \
parameter, or give the attribute as a constant (without annotation) or a property
    """

    kind: ClassVar[str] = "tracker"
    can_be_scheduled: ClassVar[bool] = False

    @property
    def interval(self) -> int:
        """The number of steps between two calls of ``step_made``, at least 1."""
        return 1

    @cached_property
    def state(self) -> SimpleNamespace:
        """A place for what changes during a run, such as an open file: ``self.state.file = file``."""
        return SimpleNamespace()

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (EVENTS,)

    def run_started(self, run: Run) -> None:
        """Receive a run before the first step, or before the first step after the run was resumed.

        Args:
            run: the run. ``run.step`` is the number of steps made, ``run.settings`` and ``run.parts`` the recipe.
        """

    def step_made(self, run: Run, step: int) -> None:
        """Receive a run after every step whose number is a multiple of ``interval``.

        Scalars of the step are still on the device. A read makes the step wait for the device.

        Args:
            run: the run.
            step: the number of steps made, from 1.
        """

    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Receive the scalars of a record, each ``--log-every`` steps.

        Args:
            run: the run.
            step: the step.
            values: by tag the means since the last record, the figures of metrics (``metrics/fid/value``), the
                learning rates and the speed.
        """

    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None:
        """Receive a grid of images after the grid was written, each ``--sample-every`` steps.

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
            error: the exception that ended the run, or None after the last step and after a requested stop.
        """

    @classmethod
    def defines(cls, event: str) -> bool:
        """Whether the class defines an event.

        Args:
            event: the name of the event, such as ``step_recorded``.
        """
        return getattr(cls, event) is not getattr(Tracker, event)
