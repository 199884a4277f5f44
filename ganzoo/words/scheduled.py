"""Numbers that follow the run, as text: ``0.1..0``, ``cosine(1,0.1)``, ``course(1,0.1)``, ``warmup(0.1,2e-4)``."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from ganzoo import errors

# Each digit can be matched in a single way. With two ways, a long row of digits would take quadratic time.
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"

_RANGE = re.compile(rf"\s*({_NUMBER})\.\.({_NUMBER})\s*")

_WARMUP = re.compile(rf"\s*warmup\(\s*({_NUMBER})\s*,(.*)\)\s*")

_CALL = re.compile(rf"\s*(linear|cosine|course)\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*")

_LONGEST = 200
"""The largest number of characters of a scheduled number. Three numbers with all digits of a float take 80."""


Shape = Literal["linear", "cosine", "course"]
"""The way of a scheduled number from the start to the end."""


class ScheduledNumber(float):
    """A number that follows the run from ``start`` (progress 0) to ``end`` (progress 1).

    Outside a run, the float has the value ``start``. With a warm-up, the number rises from 0 to ``start`` in a straight
    line first. p is then the share of the run after the warm-up.

    Formula:
        linear: start + (end - start) p
        cosine: end + (start - end) (1 + cos(pi p)) / 2
        course: start + (end - start) c(p),  c the course that several numbers of a run share (``--course``)

    Args:
        shape: ``linear``, ``cosine`` or ``course``.
        start: the number at progress 0, or at the end of the warm-up.
        end: the number at progress 1.
        warmup: the share of the run that the warm-up takes, 0 <= warmup < 1.

    Raises:
        BadWords: ``warmup`` is outside the range.

    Example:
        >>> rate = ScheduledNumber("cosine", 1.0, 0.0, warmup=0.2)
        >>> rate, rate.at(0.1), round(rate.at(0.6), 3), rate.at(1.0)
        (warmup(0.2,cosine(1.0,0.0)), 0.5, 0.5, 0.0)
    """

    def __new__(cls, shape: Shape, start: float, end: float, warmup: float = 0.0) -> ScheduledNumber:
        if not 0 <= warmup < 1:
            raise errors.BadWords(f"a warm-up over {warmup:g} of the run is none: give a share from 0 to below 1")
        self = super().__new__(cls, start)
        self.shape, self.start, self.end, self.warmup = shape, float(start), float(end), float(warmup)
        return self

    shape: Shape
    start: float
    end: float
    warmup: float

    def __getnewargs__(self) -> tuple[Any, ...]:  # copy and pickle pass these values to __new__
        return self.shape, self.start, self.end, self.warmup

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScheduledNumber) and self.__getnewargs__() == other.__getnewargs__()

    def __ne__(self, other: object) -> bool:  # without this method, float.__ne__ would compare the starts
        return not self == other

    def __hash__(self) -> int:
        return hash(self.__getnewargs__())

    def at(self, progress: float, course: float | None = None) -> float:
        """Compute the number at a progress.

        Args:
            progress: the share of the run that is done. Values outside 0 to 1 are clamped.
            course: the course of the run, a scheduled number from 0 to 1. None is a straight line. A number that is not
                scheduled holds for the whole run.

        Returns:
            The number. Without a course, the number is exactly ``end`` from progress 1 on.

        Example:
            >>> ScheduledNumber("linear", 1.0, 0.0).at(0.25)
            0.75
            >>> ScheduledNumber("course", 4.0, 0.0).at(0.5, ScheduledNumber("cosine", 0.0, 1.0))
            2.0
        """
        p = min(max(progress, 0.0), 1.0)
        if p < self.warmup:
            return self.start * p / self.warmup
        p = (p - self.warmup) / (1.0 - self.warmup)
        share = p
        if self.shape == "cosine":
            share = (1.0 - math.cos(math.pi * p)) / 2.0
        elif self.shape == "course" and course is not None:
            share = course.at(p) if isinstance(course, ScheduledNumber) else float(course)
        if share == 1.0:  # the sum below may miss `end` by rounding
            return self.end
        return self.start + (self.end - self.start) * share

    def __str__(self) -> str:
        after = f"{self.shape}({self.start!r},{self.end!r})"
        if self.shape == "linear":
            after = f"{self.start!r}..{self.end!r}"
        return f"warmup({self.warmup!r},{after})" if self.warmup else after

    __repr__ = __str__


def read_scheduled(text: str) -> ScheduledNumber | None:
    """Read a scheduled number, such as ``0.1..0``, ``cosine(1,0.1)``, ``course(1,0.1)`` or ``warmup(0.1,2e-4)``.

    Args:
        text: as typed on the command line.

    Returns:
        The scheduled number, or None where the text has another form.

    Raises:
        BadWords: the share of the warm-up is outside 0 <= share < 1.

    Example:
        >>> read_scheduled("warmup(0.1,0.2..0)")
        warmup(0.1,0.2..0.0)
        >>> read_scheduled("0.2") is None
        True
    """
    if len(text) > _LONGEST:
        return None
    if match := _WARMUP.fullmatch(text):
        share, rest = float(match[1]), match[2].strip()
        after = (
            ScheduledNumber("linear", float(rest), float(rest)) if re.fullmatch(_NUMBER, rest) else read_scheduled(rest)
        )
        if after is None or after.warmup:  # a warm-up inside a warm-up has no meaning
            return None
        return ScheduledNumber(after.shape, after.start, after.end, share)
    if match := _RANGE.fullmatch(text):
        return ScheduledNumber("linear", float(match[1]), float(match[2]))
    if match := _CALL.fullmatch(text):
        shapes: dict[str, Shape] = {"linear": "linear", "cosine": "cosine", "course": "course"}
        return ScheduledNumber(shapes[match[1]], float(match[2]), float(match[3]))
    return None
