"""Let only one process train in a run directory.

The operating system holds the lock, on the file ``lock`` in the run directory. The system releases the lock when the
process ends, so that a crash leaves no lock behind. The content of the file only names the process for messages.
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

# The locks of this process. Some systems would grant a process the same lock twice.
_held: dict[Path, IO[bytes]] = {}


def _let_go() -> None:
    """Close the locks in a forked process: a lock belongs to the parent, and must not outlive the parent."""
    for file in _held.values():
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class Lock:
    """The lock of a run directory, held from the moment the object is made until ``release``."""

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        """Take the lock.

        Args:
            folder: the run directory.
            say: shows a line to the user, when the filesystem has no locks. Training then goes on without a lock.

        Raises:
            RunError: another process trains in the directory, or the directory cannot be written.
        """
        self._file: IO[bytes] | None = None
        self._key = folder.resolve()
        if self._key in _held:
            raise errors.RunError(f"{folder} is being trained by this very process: wait for it to end")
        path = folder / NAME
        try:
            # A link is not followed: a run directory from elsewhere must not empty a file outside of the directory.
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
        with contextlib.suppress(OSError):  # the lock holds on a full disk as well
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Release the lock, so that another process can train in the directory.

        The file stays. If the file were removed, two processes could lock two files of the same name.
        """
        if self._file is not None:
            self._file.close()
            self._file = None
            _held.pop(self._key, None)

    def __del__(self) -> None:
        self.release()


def _take(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError as error:  # a system other than Unix
        raise OSError(errno.ENOLCK, "this system has none of the kind") from error
    if hasattr(fcntl, "F_OFD_SETLK"):
        # This kind of lock belongs to the opened file. The older kind (lockf) belongs to the process, and is lost as
        # soon as the process closes any handle of the file, as an event hook that copies the run directory does.
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole)
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: the filesystem has the older kind only
                raise
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
