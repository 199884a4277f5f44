"""What a test changes in a process of its own before `ganzoo` starts there."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ganzoo.disk import checkpoint
from ganzoo.training.display import Display

SYNC_SECONDS = 15
"""How long one sync of `slow_disk` takes. A save makes several."""


class Slow(checkpoint.Disk):
    def sync(self, path: Path) -> None:
        super().sync(path)
        if self.saves > 0:
            print("slow: sync", flush=True)
            time.sleep(SYNC_SECONDS)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.saves += 1

    saves = 0


def slow_disk() -> None:
    """Every save after the first takes a minute or more."""
    checkpoint.disk = Slow()


def small_files() -> None:
    """No file may grow beyond 24 KiB: the system refuses to write, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24 << 10, 24 << 10))


def stops_at_warnings() -> None:
    """After each warning the process stops (SIGSTOP), so that a test can change what is around it, and let it go on."""
    warn = Display.warn

    def stop(display: Display, line: str) -> None:
        warn(display, line)
        os.kill(os.getpid(), signal.SIGSTOP)

    Display.warn = stop  # type: ignore[method-assign]


def bound_by_permissions() -> None:
    """What a directory's mode forbids is forbidden, to root too: without the capabilities that let it pass by."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the call, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; and again for those above 31
    passing = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capget(header, sets) == 0
    sets[0], sets[1] = sets[0] & ~passing, sets[1] & ~passing
    assert libc.capset(header, sets) == 0


def one_of_two() -> None:
    """The process is one of two: RANK says which. They meet in the file $STORE, which needs no launcher and no port."""
    import torch.distributed as dist

    from ganzoo.training import distributed, heartbeat

    def meet(url: str, timeout: object) -> Iterator[tuple[dist.Store, int, int]]:
        yield dist.FileStore(os.environ["STORE"], 2), int(os.environ["RANK"]), 2

    distributed.rendezvous = meet  # type: ignore[assignment]
    if "SILENT_SECONDS" in os.environ:
        heartbeat.WORD_SECONDS = 2
        heartbeat.SILENT_SECONDS = heartbeat.STOPPING_SECONDS = float(os.environ["SILENT_SECONDS"])


def few_files() -> None:
    """The process may open $FILES files, and no more."""
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (int(os.environ["FILES"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )


def no_threads() -> None:
    """The system has no thread left for the process."""
    import threading

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = start  # type: ignore[method-assign]


def background_job() -> None:
    """The process ignores Ctrl-C, as a shell starts background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def impatient() -> None:
    """After a signal, data is waited for one second, and a second SIGTERM counts after one."""
    from ganzoo.data import streamed
    from ganzoo.training import signals

    signals.STOPPING_SECONDS = 1.0
    streamed.WORTH_WORKERS = math.inf  # on a busy machine items seem slow, and a worker would read ahead
