"""The text that names a part, its parameters and their values; and the docstring that explains them."""

from __future__ import annotations

from ganzoo.words.bound import Bound, bind, scheduled, unbound
from ganzoo.words.docstrings import Docstring, documented, sections
from ganzoo.words.parse import (
    Parameter,
    Words,
    make,
    parameters,
    plain,
    remade,
    shown,
    spelled,
    split,
)
from ganzoo.words.scheduled import ScheduledNumber, course

__all__ = [
    "Bound",
    "Docstring",
    "Parameter",
    "ScheduledNumber",
    "Words",
    "bind",
    "course",
    "documented",
    "make",
    "parameters",
    "plain",
    "remade",
    "scheduled",
    "sections",
    "shown",
    "spelled",
    "split",
    "unbound",
]
