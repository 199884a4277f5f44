"""Processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import ClassVar

import ganzoo
from ganzoo.errors import RunError

CHUNK = 8
"""The largest number of runs that one process makes, one after another. The start of a process costs seconds."""


class Local(ganzoo.Engine):
    """Processes of this machine (local): a process makes several runs, and a process that dies takes one run along.

    Args:
        gpus: the GPUs to share out, as for CUDA_VISIBLE_DEVICES. none leaves the choice to each run.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("engine", "local", gpus="0,1").gpus
        '0,1'
    """

    gpus: str | None = None

    text_parameter: ClassVar[str] = "gpus"

    def perform(self, jobs: Sequence[ganzoo.Job], at_once: int | None) -> None:
        """Run the jobs in ``at_once`` processes.

        Args:
            jobs: the jobs.
            at_once: the number of processes, 1 unless given.

        Raises:
            RunError: the folder cannot be written.
        """
        number = at_once or 1
        size = max(1, min(CHUNK, len(jobs) // number))
        waiting = [list(jobs[k : k + size]) for k in range(0, len(jobs), size)]
        gpus = self.gpus.split(",") if self.gpus else []
        running: dict[int, subprocess.Popen[bytes]] = {}
        try:
            while waiting or running:
                for place in range(number):
                    if place not in running and waiting:
                        running[place] = _start(waiting.pop(0), gpus[place % len(gpus)] if gpus else None)
                    elif place in running and running[place].poll() is not None:
                        del running[place]
                time.sleep(0.05)
        finally:
            for process in running.values():
                process.send_signal(signal.SIGTERM)  # training saves a checkpoint and ends
            for process in running.values():
                process.wait()


def _start(chunk: Sequence[ganzoo.Job], gpu: str | None) -> subprocess.Popen[bytes]:
    """Start a process for some jobs. A command ends with the name of its run: further names make further runs."""
    command = [*chunk[0].command, *(each.command[-1] for each in chunk[1:])]
    environment = {**os.environ, "GANZOO_PARENT": str(os.getpid())}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        with chunk[0].log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=chunk[0].folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
    except OSError as error:
        raise RunError(f"{chunk[0].log} cannot be written ({error.strerror}): give another --out") from error
