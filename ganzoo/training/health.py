"""The health of a run in words, from the recorded figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ganzoo.training.diagnostics import FIRST_STEPS, signs

BALANCED = (0.5, 0.95)
"""The share of rightly ranked pairs between which neither player is far ahead."""

QUARTER = 4
"""A figure is still improving if its best value lies in the last of so many parts of the evaluations."""


def summary(lines: Sequence[Mapping[str, Any]], directions: Mapping[str, bool | None] | None = None) -> str:
    """Sum up a run in a line.

    Args:
        lines: the records of the run, the oldest first.
        directions: by tag of a figure, whether higher is better.

    Returns:
        A word, such as ``balanced``, with the figures that the word rests on. ``unknown`` without records.

    Example:
        >>> summary([{"step": 200, "scores/accuracy": 0.7, "samples/diversity": 0.9}])
        'balanced: 70 % of pairs are ranked rightly, and the samples have 90 % of the spread of the data'
        >>> summary([{"step": 200, "samples/diversity": 0.02}])
        'collapsed: the samples have 2 % of the spread of the data'
    """
    last: dict[str, float] = {}
    for line in lines:
        last.update({tag: math.nan if value is None else value for tag, value in line.items()})
    if not last:
        return "unknown: there are no records"
    if last.get("step", FIRST_STEPS) < FIRST_STEPS:
        return f"unknown: {FIRST_STEPS} steps are needed to tell"
    found = [name for name, _ in signs(last, step=int(last.get("step", 0)))]
    accuracy, spread = last.get("scores/accuracy", math.nan), last.get("samples/diversity", math.nan)
    ranked = f"{accuracy:.0%} of pairs are ranked rightly".replace("%", " %")
    alike = f"the samples have {spread:.0%} of the spread of the data".replace("%", " %")
    if "collapse" in found:
        return f"collapsed: {alike}"
    if "won" in found:
        return f"discriminator won: {ranked}, and the generator's gradient has vanished"
    if wild := [name for name in found if name == "gap" or name.startswith("wild")]:
        return f"unstable: {'scores' if wild[0] == 'gap' else 'gradients'} have grown without bound"
    said = [text for text, value in ((ranked, accuracy), (alike, spread)) if math.isfinite(value)]
    rest = f": {', and '.join(said)}" if said else ""
    if improving := _improving(lines, directions or {}):
        return f"still improving: {improving} was best at the end{''.join(f', {each}' for each in said)}"
    if math.isfinite(accuracy) and not BALANCED[0] - 0.1 <= accuracy <= BALANCED[1]:
        ahead = "discriminator" if accuracy > BALANCED[1] else "generator"
        return f"{ahead} ahead{rest}"
    return f"balanced{rest}"


def _improving(lines: Sequence[Mapping[str, Any]], directions: Mapping[str, bool | None]) -> str:
    """The first figure whose best value lies in the last quarter of its evaluations, or an empty text."""
    for tag, up in directions.items():
        values = [line[tag] for line in lines if isinstance(line.get(tag), (int, float))]
        if up is None or len(values) < QUARTER:
            continue
        best = max(values) if up else min(values)
        first = values.index(best)
        if first >= len(values) - max(1, len(values) // QUARTER) and best != values[0]:
            return tag.removeprefix("metrics/")
    return ""
