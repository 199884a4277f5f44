"""Numbers that follow the run, and how they are spelled: ``0.1..0``, ``cosine(1,0.1)``, ``warmup(0.1,2e-4)``."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from ganzoo import errors

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

_RANGE = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})\s*")

_WARMUP = re.compile(rf"\s*warmup\(\s*({_NUMBER})\s*,(.*)\)\s*")

_CALL = re.compile(rf"\s*(linear|cosine)\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*")


class ScheduledNumber(float):
    """A number that follows the run from ``start`` (progress 0) to ``end`` (progress 1); outside a run it is its start.

    linear: start + (end - start) p;  cosine: end + (start - end) (1 + cos(pi p)) / 2. After a ``warmup`` of so much of
    the run, in which it rises from 0 to ``start`` in a straight line, p is the share of what is left.
    """

    def __new__(
        cls, shape: Literal["linear", "cosine"], start: float, end: float, warmup: float = 0.0
    ) -> ScheduledNumber:
        if not 0 <= warmup < 1:
            raise errors.BadWords(f"a warm-up over {warmup:g} of the run is none: give a share from 0 to below 1")
        self = super().__new__(cls, start)
        self.shape, self.start, self.end, self.warmup = shape, float(start), float(end), float(warmup)
        return self

    shape: Literal["linear", "cosine"]
    start: float
    end: float
    warmup: float

    def __getnewargs__(self) -> tuple[Any, ...]:  # what copies and pickles are made from
        return self.shape, self.start, self.end, self.warmup

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScheduledNumber) and self.__getnewargs__() == other.__getnewargs__()

    def __ne__(self, other: object) -> bool:  # or float's would compare the starts
        return not self == other

    def __hash__(self) -> int:
        return hash(self.__getnewargs__())

    def at(self, progress: float) -> float:
        """Today's number; exactly ``end`` from progress 1 on."""
        p = min(max(progress, 0.0), 1.0)
        if p == 1.0:
            return self.end
        if p < self.warmup:
            return self.start * p / self.warmup
        p = (p - self.warmup) / (1.0 - self.warmup)
        share = p if self.shape == "linear" else (1.0 - math.cos(math.pi * p)) / 2.0
        return self.start + (self.end - self.start) * share

    def __str__(self) -> str:
        after = f"{self.shape}({self.start!r},{self.end!r})"
        if self.shape == "linear":
            after = f"{self.start!r}..{self.end!r}"
        return f"warmup({self.warmup!r},{after})" if self.warmup else after

    __repr__ = __str__


def read_scheduled(text: str) -> ScheduledNumber | None:
    """The scheduled number that a text spells, or None: ``0.1..0``, ``cosine(1,0.1)``, ``warmup(0.1,2e-4)``."""
    if match := _WARMUP.fullmatch(text):
        share, rest = float(match[1]), match[2].strip()
        after = (
            ScheduledNumber("linear", float(rest), float(rest)) if re.fullmatch(_NUMBER, rest) else read_scheduled(rest)
        )
        if after is None or after.warmup:
            return None
        return ScheduledNumber(after.shape, after.start, after.end, share)
    if match := _RANGE.fullmatch(text):
        return ScheduledNumber("linear", float(match[1]), float(match[2]))
    if match := _CALL.fullmatch(text):
        return ScheduledNumber("linear" if match[1] == "linear" else "cosine", float(match[2]), float(match[3]))
    return None
