"""The checks of every part, whatever its kind."""

from __future__ import annotations

import copy
import inspect
import pickle

from ganzoo import words
from ganzoo.errors import BadParameter
from ganzoo.parts import Part
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    fail,
    require,
)


@asks("any")
def _says_what_it_is(part: Part) -> None:
    """The class has a docstring whose first line says what it is: ``ganzoo list`` shows it."""
    doc = type(part).__dict__.get("__doc__") or ""  # a dataclass without one is given its signature
    require(doc.strip() and not doc.startswith(f"{type(part).__name__}("), "the class has no docstring")
    require(words.sections(doc).summary, "the docstring does not begin with a line that says what the part is")


@asks("any")
def _parameters_are_documented(part: Part) -> None:
    """Each parameter has its meaning under ``Args:``, and nothing else is described there."""
    known = words.parameters(type(part))
    for name, parameter in known.items():
        require(parameter.meaning, f"the parameter {name!r} has no line '{name}: what it means' under Args:")
    described = words.sections(inspect.getdoc(type(part)) or "").meanings
    strangers = sorted(described.keys() - known.keys())
    require(not strangers, f"Args: describes {', '.join(strangers)}, which is no parameter; {list(known)} are")


@asks("any")
def _parameters_are_validated(part: Part) -> None:
    """Each parameter has an annotation that refuses nonsense, and accepts the part's own value."""
    for name in words.parameters(type(part)):
        try:
            words.make(type(part), "part", {**words.plain(part), name: object()})
        except BadParameter:
            continue
        fail(f"the parameter {name!r} accepts any object: annotate it with the type, range or choices it takes")


@asks("any")
def _copies(part: Part) -> None:
    """A part is plain data: it is copied, pickled, and remade from what a config file holds of it."""
    plain = words.plain(part)
    copies = {
        "a deep copy": copy.deepcopy(part),
        "what pickle gives back": pickle.loads(pickle.dumps(part)),
        "what its own values make": words.make(type(part), "part", plain),
    }
    for what, other in copies.items():
        require(words.plain(other) == plain, f"{what} has other values: {words.plain(other)} for {plain}")
