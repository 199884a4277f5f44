"""End a run after some seconds."""

from __future__ import annotations

import time
from typing import Annotated

from annotated_types import Gt

import ganzoo


class Budget(ganzoo.Tracker):
    """Time budget: end the run after a number of seconds.

    Args:
        seconds: the time from the first step on, above 0. Samples, metrics and checkpoints count.

    Notes:
        The run saves a checkpoint and ends as finished work. The step at which the run ends depends on the machine, so
        that such runs are not repeatable bit for bit. A resumed run has the whole time again.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "budget:seconds=600").seconds
        600.0
    """

    seconds: Annotated[float, Gt(0)]

    def run_started(self, run: ganzoo.Run) -> None:
        """Start the clock.

        Args:
            run: the run.
        """
        self.state.began = time.monotonic()

    def step_made(self, run: ganzoo.Run, step: int) -> None:
        """Ask the run to stop after the time.

        Args:
            run: the run.
            step: the step.
        """
        if time.monotonic() - self.state.began >= self.seconds:
            run.request_stop(f"the budget of {self.seconds:g} seconds is spent")
