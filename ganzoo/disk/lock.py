"""One training at a time in a run directory.

The lock is the operating system's, on the file ``lock`` in the run directory: it goes with the process that holds it,
so a lock cannot be left behind by a crash, and whatever is written in the file says only whom to look for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ganzoo import errors

NAME = "lock"

_held: dict[Path, IO[bytes]] = {}  # by this process, which some systems would grant it twice


def _let_go() -> None:
    """In a process that was forked off: the lock is its parent's, and must not outlive it."""
    for file in _held.values():
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


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
        _held[self._key] = self._file
        with contextlib.suppress(OSError):  # a disk that is full holds a lock all the same
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let others train there. The file stays: removing it would let two processes lock two files of one name."""
        if self._file is not None:
            self._file.close()
            self._file = None
            _held.pop(self._key, None)

    def __del__(self) -> None:
        self.release()


def _take(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError as error:  # not a Unix
        raise OSError(errno.ENOLCK, "this system has none of the kind") from error
    if hasattr(fcntl, "F_OFD_SETLK"):
        # A lock of this opened file: a process's own (lockf) would go as soon as any part of the process closes another
        # handle of that file, as a hook that copies the run directory does.
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole)
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # a filesystem that knows the other kind only
                raise
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
