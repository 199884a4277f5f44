"""A part's docstring, taken apart: summary, sections, the meaning of each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ganzoo.parts import Part


@dataclass(frozen=True)
class Docstring:
    """A part's docstring, taken apart: one line, the body by section, the meaning of each parameter."""

    summary: str
    sections: Mapping[str, str]
    meanings: Mapping[str, str]


def documented(cls: type[Part]) -> Docstring:
    """What a part's docstring says, or its nearest base's; meanings of parameters from all of them."""
    said = []
    for c in cls.__mro__:
        doc = vars(c).get("__doc__") or ""
        if c is not object and not _is_contract(c) and doc and not doc.startswith(f"{c.__name__}("):
            said.append(sections(doc))  # a dataclass that has no docstring is given its signature for one
    if not said:
        return sections("")
    return replace(said[0], meanings={k: v for doc in reversed(said) for k, v in doc.meanings.items()})


def _is_contract(cls: type) -> bool:
    return cls.__module__ == Part.__module__


def sections(doc: str) -> Docstring:
    """Take a docstring apart at its headings (``Formula:``, ``Args:``, ``Raises:``, ``Source:``, ``Notes:``)."""
    lines = inspect.cleandoc(doc).splitlines()
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
        elif key and line.strip():
            meanings[key] += " " + line.strip()
    split_ = {name.strip(): meaning for names, meaning in meanings.items() for name in names.split(",")}
    body = {name: inspect.cleandoc("\n".join(["", *text])).strip() for name, text in found.items()}
    return Docstring(lines[0] if lines else "", {k: v for k, v in body.items() if v}, split_)
