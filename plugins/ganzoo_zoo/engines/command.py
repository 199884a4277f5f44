"""A command of the shell for each run."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import ClassVar

import ganzoo
from ganzoo.errors import RunError


class Command(ganzoo.Engine):
    """A command for each run (command): hands scripts to a batch system such as SLURM, one resumable script a run.

    Args:
        submit: the command that takes a script, such as ``sbatch --gpus 1``. The path of the script is appended, or
            stands where the command has ``{}``. none only writes the scripts.

    Notes:
        A script may be submitted again at any time: a finished run is not made again, and a broken run goes on. The
        table is made by the next ``ganzoo compare FOLDER``.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("engine", "command", submit="sbatch --gpus 1").waits
        False
    """

    submit: str | None = None

    text_parameter: ClassVar[str] = "submit"
    waits: ClassVar[bool] = False

    def perform(self, jobs: Sequence[ganzoo.Job], at_once: int | None) -> None:
        """Write the scripts, and hand each script to the command.

        Args:
            jobs: the jobs.
            at_once: is left to the batch system.

        Raises:
            RunError: a script cannot be written, or the command fails.
        """
        for job in jobs:
            script = job.log.with_suffix(".sh")
            text = f"#!/bin/sh\ncd {shlex.quote(str(job.folder))}\nexec {shlex.join(job.command)}\n"
            try:
                script.write_text(text, encoding="utf-8")
                script.chmod(0o755)
            except OSError as error:
                raise RunError(f"{script} cannot be written ({error.strerror}): give another --out") from error
            if self.submit is None:
                continue
            path = shlex.quote(str(script))
            command = self.submit.replace("{}", path) if "{}" in self.submit else f"{self.submit} {path}"
            done = subprocess.run(command, shell=True, cwd=job.folder, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise RunError(
                    f"{self.submit!r} ended with status {done.returncode} for {job.name}"
                    f"{f' ({said[-1]})' if said else ''}: the script is {script}"
                )
