"""End a run that no longer gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from annotated_types import Ge

import ganzoo


class EarlyStop(ganzoo.Tracker):
    """Early stop: end the run where a figure has not become better for a number of evaluations.

    Args:
        figure: a tag of a record, such as ``metrics/modes/modes`` or ``loss/generator``.
        patience: evaluations without a better figure after which the run ends, at least 1.
        higher: whether a higher figure is better.
        margin: the difference by which a figure must be better to count, at least 0.

    Notes:
        The run saves a checkpoint and ends as finished work: the exit status is 0, and the status is ``stopped`` with
        the reason. ``ganzoo resume`` goes on to the step that was asked for. The count of evaluations begins again at
        a resume.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "early-stop:figure=loss/generator,patience=3").higher
        False
    """

    figure: str
    patience: Annotated[int, Ge(1)] = 5
    higher: bool = False
    margin: Annotated[float, Ge(0)] = 0.0

    def run_started(self, run: ganzoo.Run) -> None:
        """Begin to count.

        Args:
            run: the run.
        """
        self.state.best, self.state.waited = math.inf, 0

    def step_recorded(self, run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
        """Compare the figure with the best one, and ask the run to stop after too many in vain.

        Args:
            run: the run.
            step: the step.
            values: the scalars by tag.
        """
        if self.figure not in values:
            return
        value = -values[self.figure] if self.higher else values[self.figure]
        if value < self.state.best - self.margin:
            self.state.best, self.state.waited = value, 0
            return
        self.state.waited += 1
        if self.state.waited >= self.patience:
            best = -self.state.best if self.higher else self.state.best
            run.request_stop(f"{self.figure} has not become better than {best:.4g} for {self.state.waited} evaluations")
