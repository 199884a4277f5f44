"""One training at a time in a run directory.

The lock is the operating system's, on the file ``lock`` in the run directory: it goes with the process that holds it,
so a lock cannot be left behind by a crash, and whatever is written in the file says only whom to look for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ganzoo import errors

NAME = "lock"

_held: set[Path] = set()  # by this process: the system's lock is the process's, and would be granted to it twice


class Lock:
    """Held from the moment it is made until ``release``."""

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        """Take the lock.

        Args:
            folder: the run directory.
            say: told, in a line, when the filesystem knows no locks; training goes on without.

        Raises:
            RunError: another process trains there, or the directory cannot be written.
        """
        self._file: IO[bytes] | None = None
        self._key = folder.resolve()
        if self._key in _held:
            raise errors.RunError(f"{folder} is being trained by this very process: wait for it to end")
        path = folder / NAME
        try:
            # never through a link: a run directory from elsewhere must not have a file outside of it emptied
            opened = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            self._file = os.fdopen(opened, "r+b", buffering=0)
        except OSError as error:
            raise errors.RunError(
                f"{folder} cannot be written ({error.strerror}): training needs to write there"
            ) from error
        try:
            _take(self._file)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                self._file.seek(0)
                who = self._file.read(200).decode(errors="replace").strip() or "another process"
                self._file.close()
                raise errors.RunError(
                    f"{folder} is being trained by {who}: wait for it to end, or stop it with Ctrl-C or kill"
                ) from error
            say(f"{folder} is on a filesystem without locks ({error.strerror}): see that only one process trains there")
        _held.add(self._key)
        with contextlib.suppress(OSError):  # a disk that is full holds a lock all the same
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let others train there. The file stays: removing it would let two processes lock two files of one name."""
        if self._file is not None:
            self._file.close()
            self._file = None
            _held.discard(self._key)

    def __del__(self) -> None:
        self.release()


def _take(file: IO[bytes]) -> None:
    # a record lock (lockf), not flock: that one would be inherited by the workers that load data, which outlive a
    # killed parent for seconds, and a resume right after the kill would find the directory locked
    try:
        import fcntl
    except ImportError as error:  # not a Unix
        raise OSError(errno.ENOLCK, "this system has none of the kind") from error
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
