"""The contract of engines, which carry out the runs of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ganzoo.parts.part import Part


@dataclass(frozen=True)
class Job:
    """A run of a comparison, as an engine sees it.

    Attributes:
        name: the name of the run, unique in the comparison.
        command: the command that makes the run, or goes on with the run from its newest checkpoint. Calling the command
            again after any interruption is safe. The command does nothing once the run is finished.
        folder: the folder that the command must run in. Engines on several machines need a folder that all see.
        log: the file for the output of the command.
        done: whether the result is on disk.

    Example:
        >>> job = Job("seed-0", ("ganzoo", "run"), Path("runs"), Path("seed-0.log"), done=lambda: False)
        >>> job.name, job.done()
        ('seed-0', False)
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    log: Path
    done: Callable[[], bool]


class Engine(Part):
    """Carries out the runs of a comparison: in processes of this machine, on a cluster, by a batch system.

    Example:
        >>> class Echo(Engine):
        ...     waits = False
        ...     def perform(self, jobs, at_once):
        ...         for job in jobs:
        ...             print(" ".join(job.command))
        >>> job = Job("seed-0", ("ganzoo", "run"), Path("runs"), Path("seed-0.log"), done=lambda: False)
        >>> Echo().perform([job], None)
        ganzoo run
    """

    kind: ClassVar[str] = "engine"

    @property
    def text_parameter(self) -> str | None:
        """The parameter that text without ``key=`` sets: ``--on ray:ADDRESS``. None: there is no such parameter."""
        return None

    @property
    def waits(self) -> bool:
        """Whether ``perform`` returns when the jobs have ended. Otherwise the table is made by a later call."""
        return True

    def perform(self, jobs: Sequence[Job], at_once: int | None) -> None:
        """Run the command of every job.

        A job whose process dies needs no care: the comparison hands out the job again, three times at most.

        Args:
            jobs: the jobs that have no result.
            at_once: the number of jobs to run at the same time. None leaves the choice to the engine.

        Raises:
            RunError: the engine cannot be reached. The message says what to do.
        """
        raise NotImplementedError
