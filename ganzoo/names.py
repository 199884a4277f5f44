"""The form of names, the nearest known name to a misspelt name, and short texts for messages."""

from __future__ import annotations

import difflib
import logging
import os
import re
import reprlib
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The form of a name of a part, a plugin, a preset, a command or a run."""

LONGEST_MESSAGE = 2000
"""Characters of a message. A longer message loses characters in the middle, since the advice is at the end."""

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what a terminal obeys or cannot show: controls, directions, surrogates, line ends."""

_JOINERS = "\u200c\u200d"
"""Invisible characters that emoji and several scripts need."""


def printable(text: str) -> str:
    r"""Escape the characters of a text that a terminal would obey, so that the text is one line and forges no other.

    Messages quote what comes from outside: config files, checkpoints, file names, plugins.

    Args:
        text: any text.

    Returns:
        The text. A character that begins a new line, moves the cursor, changes colours or the direction of writing is
        written as in Python, such as ``\x1b``.

    Example:
        >>> printable("a\nb") == "a" + chr(92) + "nb"
        True
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _OBEYED and c not in _JOINERS else c
        for c in text
    )


def message(text: str) -> str:
    """Write a text as a message: one printable line of limited length.

    Args:
        text: any text.

    Returns:
        At most ``LONGEST_MESSAGE`` characters.

    Example:
        >>> len(message("x" * 10_000))
        2000
    """
    text = printable(text)
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = (LONGEST_MESSAGE - 5) // 2
    return f"{text[: LONGEST_MESSAGE - 5 - half]} ... {text[-half:]}"


def escape_record(record: logging.LogRecord) -> bool:
    """Escape the message of a log record: a filter for the logger ``ganzoo``.

    Args:
        record: the record. The message is replaced.

    Returns:
        True, since every record is kept.
    """
    record.msg, record.args = message(record.getMessage()), ()
    return True


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
    try:
        said = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # the text of a plugin's exception may raise too, SystemExit included
        said = ""
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
    inside, depth, quote = text.strip()[1:-1], 0, ""
    if not (text.strip().startswith("(") and text.strip().endswith(")")):
        return text
    for i, c in enumerate(inside):
        if quote or (c in "'\"" and inside[:i].rstrip()[-1:] in ("=", ",")):  # a path in quotes may hold parentheses
            quote = "" if c == quote else quote or c
            continue
        depth += {"(": 1, ")": -1}.get(c, 0)
        if depth < 0:
            return text
    return inside if depth == 0 else text


def shell_command(verb: str, folder: Path, files: Iterable[str] = (), objects: Iterable[str] = ()) -> str:
    """Write a command on a run directory that works as printed.

    Args:
        verb: what precedes the run directory: ``"resume"``, ``"run --init-from"``.
        folder: the run directory.
        files: the plugin files that the command needs.
        objects: the settings whose parts were Python objects, such as ``data``: a shell cannot give them.

    Returns:
        The command, quoted for a shell. With objects a call of Python.

    Example:
        >>> shell_command("resume", Path("runs/my run"), ["/tmp/own.py"])
        "ganzoo resume 'runs/my run' --plugin /tmp/own.py"
        >>> shell_command("resume", Path("runs/a"), objects=["data"])
        "ganzoo.resume('runs/a', data=...)"
    """
    if given := "".join(f", {name}=..." for name in dict.fromkeys(objects)):
        plugins = f", plugins={[*files]}" if files else ""
        start = "run(init_from=" if "--init-from" in verb else f"{verb}("
        return f"ganzoo.{start}{str(folder)!r}{given}{plugins})"
    options = "".join(f" --plugin {shlex.quote(file)}" for file in files)
    return f"ganzoo {verb} {shlex.quote(str(folder))}{options}"


def user_path(path: str | Path) -> Path:
    """Read a path as a shell reads it: ``~`` is the home folder.

    Args:
        path: the path as the user wrote it.

    Returns:
        The path. A ``~name`` of nobody stays as it is, so that the message about the missing file shows the name. For
        the same reason a null byte, which no path can hold, is written out.

    Example:
        >>> user_path("runs/~x"), user_path("~") == Path.home()
        (PosixPath('runs/~x'), True)
    """
    path = os.fspath(path).replace("\0", "\\x00")
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises RuntimeError for an unknown user


def cache_folder() -> Path:
    """Find the folder in which ganzoo and parts keep what they can make again, such as decoded images.

    Returns:
        ``$GANZOO_CACHE``, or ``ganzoo`` in ``$XDG_CACHE_HOME`` or in ``~/.cache``. A user without a home folder, as in
        some containers, gets a folder that is not there and cannot be made.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    if named := os.environ.get("GANZOO_CACHE"):
        return user_path(named).absolute()
    cache, home = Path(os.environ.get("XDG_CACHE_HOME", "")), user_path("~")
    if not cache.is_absolute():  # the standard says that a relative path is to be ignored
        cache = (home if home.is_absolute() else Path("/nonexistent")) / ".cache"
    return cache / "ganzoo"
