"""Open and read files of a run directory, which may come from elsewhere.

A named pipe in the place of a file would be waited for without end, a device may never end, and JSON of many nested
brackets exhausts Python's stack. Each of these is an OSError or a ValueError here, as a missing or a damaged file is.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

MOST_BYTES = 1 << 26
"""The largest text that is read whole: 64 MiB. A ``state.json`` with long histories has a few MiB."""


def descriptor(path: Path, flags: int = os.O_RDONLY, *, links: bool = True) -> int:
    """Open a regular file.

    Args:
        path: the file.
        flags: the flags of ``os.open``.
        links: follow a link. A file that is written to must be no link: a run directory from elsewhere must not make
            ganzoo write to a file outside of the directory.

    Returns:
        A file descriptor, which the caller closes.

    Raises:
        OSError: the file cannot be opened, or is no regular file.

    Example:
        >>> descriptor(Path("/dev/null"))
        Traceback (most recent call last):
        ...
        OSError: [Errno 0] no regular file: '/dev/null'
    """
    followed = 0 if links else getattr(os, "O_NOFOLLOW", 0)
    # Without O_NONBLOCK the system would wait here until another process opens the other end of a pipe.
    opened = os.open(path, flags | followed | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not os.path.isfile(opened):  # noqa: PTH113  # a file descriptor, which a Path cannot be
        os.close(opened)
        raise OSError(0, "no regular file", str(path))
    return opened


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Read a regular file.

    Args:
        path: the file.
        most: the largest number of bytes. None has no limit.

    Returns:
        The content.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger than ``most``.
    """
    with os.fdopen(descriptor(path), "rb") as file:
        content = file.read(-1 if most is None else most + 1)
    if most is not None and len(content) > most:
        raise OSError(0, f"larger than {most >> 10} KiB", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text.

    Args:
        path: the file, in UTF-8.
        most: the largest number of bytes.

    Returns:
        The text.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger than ``most``.
        ValueError: the file is not in UTF-8.
    """
    return read_bytes(path, most).decode()


def read_json(path: Path, most: int = MOST_BYTES) -> object:
    """Read a file of JSON.

    Args:
        path: the file.
        most: the largest number of bytes.

    Returns:
        Plain data of any type.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger than ``most``.
        ValueError: the file is not JSON, or nests deeper than Python reads.
    """
    return parse_json(read_bytes(path, most))


def parse_json(content: bytes | str) -> object:
    """Parse JSON.

    Args:
        content: the text, as bytes in UTF-8 or as a string.

    Returns:
        Plain data of any type.

    Raises:
        ValueError: the text is not JSON, or nests deeper than Python reads.

    Example:
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: nested too deep
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
