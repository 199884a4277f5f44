"""What a name may look like, and which known name is nearest to a misspelt one."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def nearest(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'gamma'?)"``, or nothing when no known word is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def kebab(name: str) -> str:
    """A class name as users type it: ``SoftMargin`` -> ``soft-margin``, ``WGANDiv`` -> ``wgan-div``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def one_line(error: BaseException) -> str:
    """``ModuleNotFoundError: No module named 'gudhi'``: an error in one line, however long it speaks."""
    said = " ".join(str(error).split())
    said = said if len(said) <= 300 else said[:297] + "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def brief(value: object) -> str:
    """A value as an error message shows it: at most 200 characters, and large containers abridged."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ",".join(value[:20])
    if isinstance(value, (list, tuple, dict, set)):
        abridged = reprlib.Repr()
        abridged.maxlevel = 2
        return abridged.repr(value)
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
