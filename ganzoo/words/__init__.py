"""Read and write the text that names a part with parameters, and read the docstring of a part."""

from __future__ import annotations

from ganzoo.words.bound import Bound, bind, scheduled, unbound
from ganzoo.words.docstrings import Docstring, documented, sections
from ganzoo.words.parse import NOT_A_PARAMETER, READ_ONCE, Parameter, described, make, parameters, plain, remade
from ganzoo.words.scheduled import ScheduledNumber, read_scheduled
from ganzoo.words.spec import Origin, PartSpec, labels_of, numbered, spelled

__all__ = [
    "NOT_A_PARAMETER",
    "READ_ONCE",
    "Bound",
    "Docstring",
    "Origin",
    "Parameter",
    "PartSpec",
    "ScheduledNumber",
    "bind",
    "described",
    "documented",
    "labels_of",
    "make",
    "numbered",
    "parameters",
    "plain",
    "read_scheduled",
    "remade",
    "scheduled",
    "sections",
    "spelled",
    "unbound",
]
