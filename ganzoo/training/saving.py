"""The checkpoints that training writes: copied to the host at once, and written in the background."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ganzoo import errors
from ganzoo.disk import checkpoint
from ganzoo.speed import hardware
from ganzoo.training.distributed import Processes
from ganzoo.training.events import Events
from ganzoo.training.plain import plain_spec, read_sums
from ganzoo.training.run import Run


class Saver:
    """Saves the state of a run, and returns to a saved state.

    The main process alone writes. The other processes follow its steps, so that all know which step is saved.

    Args:
        run: the run.
        until: the step that training ends at.
        events: is notified of every checkpoint that is complete on disk.
        warn: shows a warning to the user.
        processes: the processes that train the run together.

    Attributes:
        saved: the step of the last checkpoint on disk. -1: there is none.
        rollbacks: returns to the last checkpoint since a checkpoint was written.
    """

    def __init__(self, run: Run, until: int, events: Events, warn: Callable[[str], None], processes: Processes) -> None:
        self.run, self.until, self.events, self.warn, self.processes = run, until, events, warn, processes
        self.folder = run.dir / "checkpoints"
        self.writer = checkpoint.Writer()
        self.saved: int = processes.broadcast_object(run.step if checkpoint.found(self.folder) else -1)
        self.failed = self.rollbacks = 0
        # the best checkpoint on disk, and the best one after the save under way
        self.best = self.saving = run.state.best

    def save(self, sync: Callable[[], None], wait: bool = False) -> None:
        """Copy the state to the host and write a checkpoint in the background.

        Args:
            sync: brings the logs to disk.
            wait: return when the checkpoint is on disk.

        Raises:
            NonFinite: a number of the state is not finite.
            RunError: two saves in a row failed, or the last one.
        """
        self.settle(wait=True)
        step, state = self.run.step, self.run.state
        if self.saved == step:
            return
        if (value := state.unsound()) is not None:
            raise errors.NonFinite(f"step {step}: {value} is not finite: it was not saved; {self.what_is_saved()}")
        if not self.processes.is_main:
            self.saved = step
            return
        # A run that is resumed from this checkpoint must find the logs up to the checkpoint, even after a power cut.
        sync()
        numbers = {
            **state.numbers(),
            "spec": plain_spec(self.run.spec),
            "until": self.until,
            "course_steps": self.run.course_steps,
            "sums": dict(self.run.sums),
            **self.run.identity,
        }
        self.saving = state.best
        best = None if state.best is None else state.best["step"]
        try:
            tensors = state.copies()
        except (MemoryError, RuntimeError) as error:
            if not hardware.out_of_memory(error):
                raise
            self.not_saved(errors.RunError(f"step {step}: there is no memory to copy the state into"), wait)
            return
        self.writer.start(partial(checkpoint.save, self.folder, step, tensors, numbers, self.run.settings.keep, best))
        if wait:
            self.settle(wait=True, last=True)

    def settle(self, wait: bool, last: bool = False) -> None:
        """Take the result of the save in the background. A failed save is repeated when the next save is due.

        Args:
            wait: wait for a save under way.
            last: no further save is due, so that a failure raises.
        """
        try:
            path = self.writer.finished(wait)
        except (errors.RunError, MemoryError, RuntimeError) as error:
            if not isinstance(error, errors.RunError):
                if not hardware.out_of_memory(error):
                    raise
                error = errors.RunError("there is no memory to write a checkpoint from")
            self.not_saved(error, last)
            return
        if path is not None:
            self.saved, self.best = checkpoint.step_of(path), self.saving
            self.failed = self.rollbacks = 0
            self.events.checkpoint_saved(self.run, self.saved, path)

    def not_saved(self, error: errors.RunError, last: bool) -> None:
        """Warn that a save failed.

        Args:
            error: the error of the save.
            last: no further save is due.

        Raises:
            RunError: no further save is due, or two saves in a row failed.
        """
        self.failed += 1
        if self.run.state.best is self.saving:
            # the failed save never became the best checkpoint; without this, pruning would keep a missing one
            self.run.state.best = self.best
        if last or self.failed > 1:
            raise errors.RunError(f"{error}; {self.what_is_saved()}; then go on with: {self.run.command('resume')}")
        self.warn(f"warning: {error}; training goes on, and stops if the next one fails too")

    def settle_quietly(self) -> None:
        """Wait for a save under way. A failure is a warning, since training ends with a more important error."""
        try:
            self.settle(wait=True)
        except errors.RunError as error:
            self.warn(f"warning: {error}")

    def what_is_saved(self) -> str:
        """The end of an error message: the step of the last checkpoint on disk, after any save under way."""
        if not self.processes.is_main:
            return "the main process keeps the checkpoints"
        self.settle_quietly()
        kept = checkpoint.found(self.folder)
        return (
            f"the last checkpoint, of step {checkpoint.step_of(kept[-1])}, is intact"
            if kept
            else "no checkpoint was saved"
        )

    def roll_back(self) -> None:
        """Load the last checkpoint in all processes. The counter of rollbacks gives the repeated steps other noise."""
        self.rollbacks += 1
        counters = self.run.state.counters
        before = counters.rollbacks
        if self.processes.is_main:
            found = checkpoint.newest(self.folder, set_aside=True)
            self.run.state.load(found.tensors, found.numbers)
            self.run.sums = read_sums(found.numbers)
        self.processes.broadcast_state(self.run.state)
        counters.rollbacks = before + 1
        self.saved = counters.step
