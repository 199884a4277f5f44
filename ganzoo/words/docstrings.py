"""Split the docstring of a part into the summary, the sections and the meaning of each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ganzoo import parts
from ganzoo.names import printable

if TYPE_CHECKING:
    from ganzoo.parts import Part


@dataclass(frozen=True)
class Docstring:
    """The docstring of a part.

    Args:
        summary: the first line.
        sections: the text of each section by heading. The text before the first heading has the heading "".
        meanings: the meaning of each parameter by name, on one line.
    """

    summary: str
    sections: Mapping[str, str]
    meanings: Mapping[str, str]


def documented(cls: type[Part]) -> Docstring:
    """Read the docstring of a part's class.

    Args:
        cls: the class of the part.

    Returns:
        Summary and sections of the class, or of the nearest base class with a docstring. The meanings of parameters
        come from the class and all base classes: the class overrides the base classes.
    """
    said = []
    for c in cls.__mro__:
        doc = vars(c).get("__doc__") or ""
        if c is not object and not _is_contract(c) and doc and not doc.startswith(f"{c.__name__}("):
            said.append(sections(doc))  # `dataclass` sets the signature as docstring where a class has none
    if not said:
        return sections("")
    return replace(said[0], meanings={k: v for doc in reversed(said) for k, v in doc.meanings.items()})


def _is_contract(cls: type) -> bool:
    return cls.__module__.startswith(f"{parts.__name__}.")


def sections(doc: str) -> Docstring:
    r"""Split a docstring at the headings (``Formula:``, ``Args:``, ``Raises:``, ``Source:``, ``Notes:``).

    Args:
        doc: the docstring, with the indentation of the source.

    Returns:
        The summary, the sections, and the meanings from the section ``Args``.

    Example:
        >>> doc = sections("R1 penalty.\n\nArgs:\n    gamma: the weight,\n        above 0.\nSource: Mescheder 2018.")
        >>> doc.summary, doc.meanings["gamma"], doc.sections["Source"]
        ('R1 penalty.', 'the weight, above 0.', 'Mescheder 2018.')
    """
    # A docstring is shown on a terminal, which must not obey what a plugin writes there.
    lines = [printable(line) for line in inspect.cleandoc(doc).splitlines()]
    found: dict[str, list[str]] = {"": []}
    current = ""
    for line in lines[1:]:
        if match := re.fullmatch(r"([A-Z][a-z]+(?: [a-z]+)?):(?: (.*))?", line):
            current = match[1]
            found[current] = [match[2]] if match[2] else []
        else:
            found[current].append(line)
    meanings: dict[str, str] = {}
    key = ""
    for line in inspect.cleandoc("\n".join(["", *found.get("Args", [])])).splitlines():
        if (match := re.fullmatch(r"([A-Za-z_][\w, ]*): (.*)", line)) and not line.startswith(" "):
            key = match[1]
            meanings[key] = match[2]
        elif key and line.strip():  # an indented line continues the meaning before
            meanings[key] += " " + line.strip()
    # "width, height: pixels" describes two parameters.
    split_ = {name.strip(): meaning for names, meaning in meanings.items() for name in names.split(",")}
    body = {name: inspect.cleandoc("\n".join(["", *text])).strip() for name, text in found.items()}
    return Docstring(lines[0] if lines else "", {k: v for k, v in body.items() if v}, split_)
