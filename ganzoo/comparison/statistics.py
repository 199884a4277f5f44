"""Means, standard deviations and intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        count: the number of values.
        mean: the mean. NaN without values.
        sd: the sample standard deviation. NaN below two values.
        low: the lower end of the 95 % interval of the mean. NaN below two values.
        high: the upper end.
    """

    count: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: Sequence[float], interval: str = "t") -> Estimate:
    """Estimate a mean with a 95 % interval.

    Args:
        values: one value a seed, finite.
        interval: ``t``, Student's interval for normal values, or ``bootstrap``, percentiles of 9999 means of values
            drawn with replacement, by scipy, with a fixed seed.

    Returns:
        The estimate.

    Example:
        >>> found = estimate([1.0, 2.0, 3.0])
        >>> found.mean, found.sd, round(found.low, 3), round(found.high, 3)
        (2.0, 1.0, -0.484, 4.484)
    """
    from scipy import stats

    count = len(values)
    if count < 2:
        mean = float(values[0]) if values else math.nan
        return Estimate(count, mean, math.nan, math.nan, math.nan)
    x = np.asarray(values, dtype=float)
    mean, sd = float(x.mean()), float(x.std(ddof=1))
    if sd == 0:
        return Estimate(count, mean, 0.0, mean, mean)
    if interval == "bootstrap":
        found = stats.bootstrap((x,), np.mean, method="percentile", rng=np.random.default_rng(0))
        low, high = map(float, found.confidence_interval)
    else:
        low, high = map(float, stats.t.interval(0.95, count - 1, loc=mean, scale=sd / math.sqrt(count)))
    return Estimate(count, mean, sd, low, high)


def verdict(difference: Estimate, higher_is_better: bool | None) -> str:
    """Put a paired difference to the baseline into a word.

    Args:
        difference: value minus baseline, over the seeds of both.
        higher_is_better: the direction of the figure. None: the figure has no direction.

    Returns:
        ``better``, ``worse``, ``other`` (for a figure without direction), ``within noise`` where the interval of the
        difference holds 0, or ``one seed``.

    Example:
        >>> verdict(estimate([1.0, 1.1, 0.9]), False), verdict(estimate([1.0, -1.0]), True)
        ('worse', 'within noise')
    """
    if difference.count < 2:
        return "one seed" if difference.count else ""
    if difference.low <= 0 <= difference.high:
        return "within noise"
    if higher_is_better is None:
        return "other"
    return "better" if (difference.mean > 0) == higher_is_better else "worse"
