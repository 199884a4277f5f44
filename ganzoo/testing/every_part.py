"""The checks of every part, for all kinds."""

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
    """The class has a docstring with a summary in the first line, which ``ganzoo list`` prints."""
    doc = type(part).__dict__.get("__doc__") or ""  # Python gives the signature to a dataclass without a docstring.
    require(doc.strip() and not doc.startswith(f"{type(part).__name__}("), "the class has no docstring")
    require(words.sections(doc).summary, "the docstring does not begin with a line that says what the part is")


@asks("any")
def _parameters_are_documented(part: Part) -> None:
    """``Args:`` of the class's docstring describes each parameter of the part, and no other name."""
    known = words.parameters(type(part))
    for name, parameter in known.items():
        require(parameter.meaning, f"the parameter {name!r} has no line '{name}: what it means' under Args:")
    described = words.sections(inspect.getdoc(type(part)) or "").meanings
    strangers = sorted(described.keys() - known.keys())
    require(not strangers, f"Args: describes {', '.join(strangers)}, which is no parameter; {list(known)} are")


@asks("any")
def _parameters_are_validated(part: Part) -> None:
    """The annotation of each parameter refuses an arbitrary object."""
    values = _values(part)
    for name in values:
        try:
            words.make(type(part), "part", {**values, name: object()})
        except BadParameter:
            continue
        fail(f"the parameter {name!r} accepts any object: annotate it with the type, range or choices it takes")


@asks("any")
def _copies(part: Part) -> None:
    """A part can be copied, pickled, and made again from the plain values that a config file holds."""
    plain = words.plain(part)
    copies = {
        "a deep copy": copy.deepcopy(part),
        "what pickle gives back": pickle.loads(pickle.dumps(part)),
        "what its own values make": words.make(type(part), "part", _values(part)),
    }
    for what, other in copies.items():
        require(words.plain(other) == plain, f"{what} has other values: {words.plain(other)} for {plain}")


def _values(part: Part) -> dict[str, object]:
    """The plain values of a part, with the part objects themselves where a parameter is a part."""
    return {**words.plain(part), **{name: value for name, value in vars(part).items() if isinstance(value, Part)}}
