"""The text that names a part, its parameters and their values; and the docstring that explains them."""

from __future__ import annotations

from ganzoo.words.docstrings import Docstring, documented, sections
from ganzoo.words.parse import (
    Parameter,
    Words,
    at,
    courses,
    make,
    parameters,
    plain,
    remade,
    set_progress,
    shown,
    spelled,
    split,
)
from ganzoo.words.scheduled import ScheduledNumber, course

__all__ = [
    "Docstring",
    "Parameter",
    "ScheduledNumber",
    "Words",
    "at",
    "course",
    "courses",
    "documented",
    "make",
    "parameters",
    "plain",
    "remade",
    "sections",
    "set_progress",
    "shown",
    "spelled",
    "split",
]
