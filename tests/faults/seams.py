"""What a test changes in a process of its own before `ganzoo` starts there."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path

from ganzoo import checkpoint


class Slow(checkpoint.Disk):
    def sync(self, path: Path) -> None:
        super().sync(path)
        if self.saves > 0:
            print("slow: sync", flush=True)
            time.sleep(5)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.saves += 1

    saves = 0


def slow_disk() -> None:
    """Every save after the first takes half a minute."""
    checkpoint.disk = Slow()


def small_files() -> None:
    """No file may grow beyond 24 KiB: a disk that is full, as far as whoever writes can tell."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24 << 10, 24 << 10))
