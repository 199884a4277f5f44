"""End a run that shows a sign of trouble."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge

import ganzoo

ALIKE = 0.1
WON = 0.99
VANISHED = 1e-5
WILD = 1e4


class Trouble(ganzoo.Tracker):
    """Trouble: end the run where samples collapse, the discriminator wins, or gradients grow without bound.

    Formula:
        collapsed  spread of the samples < 0.1 of the spread of the data
        won        share of pairs that the discriminator ranks right >= 0.99, and |gradient of G| < 1e-5
        wild       |gradient| of a player >= 1e4

    Args:
        sign: the sign to look for. any looks for all of them.
        patience: the records in a row that show a sign, at least 1.
        after: the steps in which a sign counts for nothing, at least 0. A new generator makes samples that are alike.

    Notes:
        The run saves a checkpoint and ends as finished work, with the reason.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("tracker", "trouble:sign=collapsed").patience
        3
    """

    sign: Literal["any", "collapsed", "won", "wild"] = "any"
    patience: Annotated[int, Ge(1)] = 3
    after: Annotated[int, Ge(0)] = 500

    def run_started(self, run: ganzoo.Run) -> None:
        """Begin to count.

        Args:
            run: the run.
        """
        self.state.counts = dict.fromkeys(("collapsed", "won", "wild"), 0)

    def step_recorded(self, run: ganzoo.Run, step: int, values: Mapping[str, float]) -> None:
        """Count the records with a sign, and ask the run to stop after enough of them.

        Args:
            run: the run.
            step: the step.
            values: the scalars by tag.
        """
        if step < self.after:
            return
        for sign, (judged, seen) in _signs(values).items():
            if not judged:
                continue
            self.state.counts[sign] = self.state.counts[sign] + 1 if seen else 0
            if self.sign in ("any", sign) and self.state.counts[sign] >= self.patience:
                run.request_stop(f"{self.patience} records in a row show trouble: {sign}")


def _signs(values: Mapping[str, float]) -> dict[str, tuple[bool, bool]]:
    """By sign, whether a record can show the sign, and whether it does."""
    gradients = [values[tag] for tag in ("grad/generator", "grad/discriminator") if tag in values]
    accuracy, pull = values.get("scores/accuracy", math.nan), values.get("grad/generator", math.nan)
    return {
        "collapsed": ("samples/diversity" in values, values.get("samples/diversity", math.inf) < ALIKE),
        "won": ("scores/accuracy" in values, accuracy >= WON and pull < VANISHED),
        "wild": (bool(gradients), max(gradients, default=0.0) >= WILD),
    }
