"""The form of names, the nearest known name to a misspelt name, and short texts for messages."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The form of a name of a part, a plugin, a preset, a command or a run."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest a known word for a misspelt word.

    Args:
        word: the word that was not found.
        known: the words that exist.

    Returns:
        The suggestion, to append to a message. Empty where no known word is near.

    Example:
        >>> nearest("gama", ["gamma", "every"])
        " (did you mean 'gamma'?)"
    """
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def kebab(name: str) -> str:
    """Convert the name of a class to the name that users type.

    Args:
        name: a name in CamelCase.

    Returns:
        The name in lower case, with hyphens between the words.

    Example:
        >>> kebab("SoftMargin"), kebab("WGANDiv")
        ('soft-margin', 'wgan-div')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def one_line(error: BaseException) -> str:
    """Write an exception in one line.

    Args:
        error: the exception.

    Returns:
        The class and the message. A message above 300 characters is cut.

    Example:
        >>> one_line(ModuleNotFoundError("No module named 'gudhi'"))
        "ModuleNotFoundError: No module named 'gudhi'"
    """
    said = " ".join(str(error).split())
    said = said if len(said) <= 300 else said[:297] + "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def brief(value: object) -> str:
    """Write a value for an error message.

    Args:
        value: any value.

    Returns:
        At most about 200 characters. A large container is abridged.

    Example:
        >>> brief(["r1", "sn"])
        'r1,sn'
    """
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ",".join(value[:20])
    if isinstance(value, (list, tuple, dict, set)):
        abridged = reprlib.Repr()
        abridged.maxlevel = 2
        return abridged.repr(value)
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def without_parentheses(text: str) -> str:
    """Remove the parentheses around a whole text.

    Args:
        text: the value of a parameter that is a part.

    Returns:
        The text inside, or the text itself where no pair of parentheses encloses the whole text.

    Example:
        >>> without_parentheses("(dcgan:width=8)"), without_parentheses("(a)b(c)")
        ('dcgan:width=8', '(a)b(c)')
    """
    inside, depth = text.strip()[1:-1], 0
    if not (text.strip().startswith("(") and text.strip().endswith(")")):
        return text
    for c in inside:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if depth < 0:
            return text
    return inside if depth == 0 else text
