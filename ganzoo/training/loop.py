"""The training loop: make the steps, and log, sample, evaluate and save at their intervals."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import cast

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.data.feed import Feed
from ganzoo.disk import status
from ganzoo.launcher import launch_id
from ganzoo.parts import PLAYERS
from ganzoo.speed import hardware
from ganzoo.step.game import Game
from ganzoo.training import diagnostics, hparams
from ganzoo.training.display import Display
from ganzoo.training.distributed import SINGLE_PROCESS, NullLogger, Processes
from ganzoo.training.events import Events
from ganzoo.training.failures import constraints, not_finite, too_large
from ganzoo.training.grids import Grids
from ganzoo.training.looks import Looks
from ganzoo.training.run import Requests, Run
from ganzoo.training.saving import Saver
from ganzoo.training.scoring import score
from ganzoo.training.signals import LAUNCHER_SECONDS, DataAwaited, Interrupt, Interrupted, interruptible, sigint_ignored
from ganzoo.training.steps import advance, compiled_steps, conditions, step_compiler

CHECKED_EVERY = 50
"""The scalars are fetched from the device after this many steps at the latest, so that a NaN is noticed by then."""


MOST_ROLLBACKS = 3
"""Rollbacks to one checkpoint before training stops."""


MOST_SKIPPED = 100
"""Steps skipped in a row before training stops."""


@contextmanager
def training(
    run: Run,
    game: Game,
    feed: Feed,
    until: int,
    events: Events,
    *,
    quiet: bool = False,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Trainer]:
    """What training a run up to a step needs: its conditions, its display and its records, closed on the way out.

    A context and not a call, so that few frames lie between the caller of ``Trainer.train`` and the step.

    Args:
        run: a run as assembled, or as read from a checkpoint.
        game: the game over the run's state.
        feed: the run's data.
        until: the step to stop at.
        events: the receiver of the run's events.
        quiet: show warnings only.
        processes: the processes that train the run together; the main process alone writes.

    Raises:
        NonFinite: a loss or gradient is not finite. The update was not made and the last checkpoint is intact.
        OutOfMemory: the device has no room for a step.
        RankLost: another of the processes ended.
        Interrupted: a signal asked to stop. The state was saved.
    """
    if not processes.is_main:
        events = cast(Events, NullLogger())
    trainer = Trainer(run, game, feed, until, events, quiet, processes)
    error: BaseException | None = None
    if processes.is_main:
        status.write(run.dir, status.Status("training", run.step, until))
    try:
        with conditions(run):
            yield trainer
    except errors.RankLost as caught:
        error = errors.RankLost(f"step {run.step + 1}: {caught}; {trainer.saver.what_is_saved()}")
        raise error from caught
    except BaseException as caught:
        error = caught
        raise
    finally:
        game.close()
        feed.close()
        ending = status.ended(error, run.step, until, trainer.reason)
        trainer.close(ending, at_once=isinstance(error, KeyboardInterrupt))
        if processes.is_main:
            status.write(run.dir, ending)
        events.run_finished(run, error)


def train(
    run: Run,
    game: Game,
    feed: Feed,
    until: int,
    events: Events,
    *,
    quiet: bool = False,
    processes: Processes = SINGLE_PROCESS,
) -> None:
    """Train a run up to a step, in the directory of the run; see ``training``.

    Args:
        run: the run.
        game: the game over the state of the run.
        feed: the data of the run.
        until: the step to end at.
        events: is notified of records, pictures and checkpoints.
        quiet: show warnings only.
        processes: the processes that train the run together.
    """
    with training(run, game, feed, until, events, quiet=quiet, processes=processes) as trainer:
        trainer.train()


class Trainer:
    """A call of ``train``: the work around the step, such as logs, samples, metrics and checkpoints.

    Args:
        run: the run.
        game: the game over the state of the run.
        feed: the data of the run.
        until: the step to end at.
        events: the receiver of records, pictures and checkpoints.
        quiet: whether warnings alone are shown.
        processes: the processes that train the run together.
    """

    def __init__(
        self, run: Run, game: Game, feed: Feed, until: int, events: Events, quiet: bool, processes: Processes
    ) -> None:
        from ganzoo.disk import record  # imports TensorBoard, which is slow, so not at the top

        self.processes = processes
        self.run, self.game, self.feed, self.until, self.events = run, game, feed, until, events
        self.folder, self.settings, self.counters = run.dir, run.settings, run.state.counters
        self.display = Display(self.counters.step, until, quiet) if processes.is_main else cast(Display, NullLogger())
        self.open_logger: Callable[[int], record.RunLogger | NullLogger] = (
            partial(record.RunLogger, run.dir, warn=self.display.warn) if processes.is_main else NullLogger
        )
        self.logger = self.open_logger(self.counters.step)
        self.saver = Saver(run, until, events, self.display.warn, processes)
        records = step_compiler(run, processes.world_size)
        self.steps = None if records is None else compiled_steps(run, game, records, self.display.warn)
        if run.settings.compile and processes.world_size > 1:
            self.display.say(
                "several processes do not compile their steps: a trace holds no exchange between processes"
            )
        self.stopping, self.reason = False, ""
        self.skipped = 0
        self.warned: set[str] = set()
        self.rows: list[dict[str, Tensor]] = []
        self.since = (time.monotonic(), self.counters.step)
        self.grids = Grids(run, feed, events)
        self.known_figures = hparams.Figures(run)
        if self.counters.step and processes.is_main and run.parts.metrics:
            with suppress(errors.RunError):  # the logger has said so where the records cannot be read
                for line in record.lines(run.dir / "metrics.jsonl", '"metrics/'):
                    self.known_figures.update({k: v for k, v in line.items() if isinstance(v, float)})
        self.looks = Looks(run, self.grids.real, self.grids.shown.labels, feed.look)

    def train(self) -> None:
        run, counters, settings = self.run, self.counters, self.settings
        self.logger.begin(hparams.about(run))
        self.events.run_started(run)  # before the first picture, which is an event of its own
        if counters.step == 0:
            self.grids.log(self.logger, "samples/real", self.grids.real)
        if counters.step < self.until:
            self.display.say(self.header())
            if any(not name.isdecimal() for name in self.feed.class_names):
                self.display.say(f"classes: {self.feed.counts()}")
            if sigint_ignored():
                self.display.say(
                    "Ctrl-C (SIGINT) is ignored, since the process was started so, as background jobs are: stop with: "
                    f"kill {os.getpid()}"
                )
        for line in (*run.choices, *(f"warning: {warning}" for warning in run.warnings)):
            self.display.say(line)
        patience = LAUNCHER_SECONDS if launch_id() else 0.0
        with self.display, self.data_given_up(), interruptible(patience, self.waiting_since) as interrupt:
            self.processes.stop_waiting(partial(getattr, interrupt, "signal"))
            if settings.on_nonfinite == "rollback" and self.saver.saved < 0:
                self.save()  # a rollback needs a checkpoint
            while counters.step < self.until:
                try:
                    with self.explained_memory():
                        # Called from this loop, and not from a method of its own: a traceback of a part is short.
                        advance(self.run, self.game, self.until, self.steps)
                        self.keep_scalars()
                    ended = self.after_step(interrupt)
                except errors.NonFinite as error:
                    self.roll_back(error)
                    continue
                except errors.DataError as error:
                    if counters.step and self.game.take_back_begin():  # the steps before are not lost
                        self.save(wait=True)
                    raise errors.DataError(f"{error}; {self.saver.what_is_saved()}") from error
                if self.stopping:
                    break
                if ended and counters.step < self.until:
                    where = f"stopped after step {counters.step}, which is saved"
                    raise Interrupted(ended, where, self.run.command("resume"))
            self.save(wait=True)

    def waiting_since(self) -> float | None:
        """The time (``time.monotonic``) since which samples of the data are read, or None."""
        feeds = (self.feed, self.feed.held_out)
        return next((feed.waiting_since for feed in feeds if feed is not None and feed.waiting_since is not None), None)

    @contextmanager
    def data_given_up(self) -> Iterator[None]:
        """A context that ends with a line where a signal came and the data did not.

        Raises:
            Interrupted: a signal asked to stop, and the step waited for data.
        """
        try:
            yield
        except DataAwaited as error:
            where = f"stopped in step {self.counters.step + 1}, which waited for data {self.run.parts.labels['data']}"
            saved = self.saver.what_is_saved()
            raise Interrupted(error.signal, f"{where}; {saved}", self.run.command("resume")) from None

    def header(self) -> str:
        """The line that begins a run: the parts, the steps, the device and the directory."""
        labels = self.run.parts.labels
        return (
            f"training {labels['arch']} on {labels['data']}, loss {labels['loss']}, steps {self.counters.step} to "
            f"{self.until}, on {self.run.device}, in {self.folder}"
        )

    def after_step(self, interrupt: Interrupt) -> int:
        """Record, sample and save as far as each is due after a step.

        Args:
            interrupt: the signals received so far.

        Returns:
            The number of the signal that asks to stop, or 0.
        """
        step, settings = self.counters.step, self.settings
        done = step == self.until
        self.display.advance(step)
        if len(self.rows) >= CHECKED_EVERY:
            self.fetch()
        due = step % settings.log_every == 0 or step == 1 or done
        looking = step % settings.sample_every == 0 or done
        self.record((self.log() if due else {}) | (self.look() if looking else {}))
        self.events.step_made(self.run, step)
        wanted, self.run.requests = self.run.requests, Requests()
        ended, asked, stop, sample = self.processes.all_reduce_max(
            interrupt.signal or 0, int(interrupt.save or wanted.save), int(wanted.stop), int(wanted.sample)
        )
        if sample and not looking:
            self.record(self.look())
        if wanted.stop:
            self.reason = wanted.reason
        if stop and not done:
            self.stopping = True
            self.display.say(f"stopped after step {step}: {self.reason or 'the main process asked for the end'}")
        if step % settings.checkpoint_every == 0 or asked or done or ended or stop:
            interrupt.save = False
            self.save(wait=bool(done or ended or stop))
        self.saver.settle(wait=False)
        return ended

    def roll_back(self, error: errors.NonFinite) -> None:
        """Load the last checkpoint. The counter of rollbacks gives the repeated steps other random numbers.

        Args:
            error: the error of the step that was not finite.

        Raises:
            NonFinite: the run does not roll back, or has rolled back ``MOST_ROLLBACKS`` times to the same checkpoint.
        """
        if self.settings.on_nonfinite != "rollback" or self.saver.rollbacks >= MOST_ROLLBACKS:
            if self.saver.rollbacks:
                error.add_note(
                    f"after {self.saver.rollbacks} returns to one checkpoint, each with other random numbers"
                )
            raise error
        self.saver.settle(wait=True)
        self.game.close()
        self.game.clear_nonfinite()
        self.saver.roll_back()
        step = self.counters.step
        self.rows = []
        self.since = time.monotonic(), step
        self.logger.close()
        self.logger = self.open_logger(step)
        if step == 0:
            self.grids.log(self.logger, "samples/real", self.grids.real)
        self.display.warn(
            f"warning: {error}; back to step {step}, with other random numbers "
            f"({self.saver.rollbacks} of {MOST_ROLLBACKS} times)"
        )

    def keep_scalars(self) -> None:
        """Keep the scalars of the step that was just made, with the regularizers' reports where records are due."""
        step = self.counters.step
        if step % self.settings.log_every == 0 or step in (1, self.until):
            self.game.log_reports()
        self.rows.append(self.game.pop_scalars())

    @contextmanager
    def explained_memory(self) -> Iterator[None]:
        """A context that turns an exhausted memory into an error with a batch size that would fit.

        Raises:
            OutOfMemory: the block ran out of memory.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if hardware.out_of_memory(error):
                line = too_large(self.run, self.game, self.feed, error, self.saver.what_is_saved())
                raise errors.OutOfMemory(line) from error
            raise

    def fetch(self) -> None:
        """Fetch the scalars of the last steps from the device in a single transfer and check the scalars.

        Raises:
            NonFinite: a scalar is not finite, or too many steps in a row were skipped.
        """
        rows, self.rows = self.rows, []
        values: Iterator[float] = iter(())
        if rows:
            self.processes.barrier()
            found = torch.stack([v for row in rows for v in row.values()]).double()
            values = iter(self.processes.mean([found])()[0].tolist())
        for i, row in enumerate(rows):
            known = {tag: next(values) for tag in row}
            step = self.counters.step - len(rows) + i + 1
            if known.pop("faults/skipped", 0.0):
                self.skip(step, known)
                continue
            self.skipped = 0
            if not all(map(math.isfinite, known.values())):
                raise errors.NonFinite(self.not_finite(step, known))
            for tag, value in known.items():
                total, count = self.run.sums.get(tag, (0.0, 0))
                self.run.sums[tag] = total + value, count + 1

    def skip(self, step: int, known: Mapping[str, float]) -> None:
        """Count a skipped step.

        Args:
            step: the number of the step, from 1.
            known: the scalars of the step by tag.

        Raises:
            NonFinite: ``MOST_SKIPPED`` steps in a row were skipped.
        """
        self.skipped += 1
        self.counters.skipped += 1
        if self.skipped >= MOST_SKIPPED:
            raise errors.NonFinite(f"{self.skipped} steps in a row were skipped; {self.not_finite(step, known)}")
        if "skipped" not in self.warned:
            self.warned.add("skipped")
            self.display.warn(f"warning: {self.not_finite(step, known)}; training goes on (see faults/skipped)")

    def not_finite(self, step: int, known: Mapping[str, float]) -> str:
        """The message about a scalar that is not finite, which ends with what is saved.

        Args:
            step: the number of the step, from 1.
            known: the scalars of the step by tag.
        """
        return not_finite(self.run, step, known, self.saver.what_is_saved())

    def record(self, values: dict[str, float]) -> None:
        """Log the scalars of a step, warn of each sign of trouble once, and save the best state.

        Args:
            values: scalars by tag.
        """
        if not values:
            return
        self.run.metrics.update(values)
        shown = self.known_figures.update(values)
        self.logger.scalars(self.counters.step, self.counters.images, values, shown)
        self.events.step_recorded(self.run, self.counters.step, values)
        # the names cost an import of all regularizers, so they are looked up for a sign alone
        found = [name for name, _ in diagnostics.signs(values, step=self.counters.step)]
        advice = constraints(self.run) if any(name not in self.warned for name in found) else ()
        for name, line in diagnostics.signs(values, step=self.counters.step, constraints=advice):
            if name not in self.warned:
                self.warned.add(name)
                self.display.say(f"warning: step {self.counters.step}: {line}")
        self.compare(values)

    def log(self) -> dict[str, float]:
        """The means of the scalars since the last call, the learning rates, and the speed."""
        self.fetch()
        now, (then, step) = time.monotonic(), self.since
        self.since = now, self.counters.step
        values = {tag: total / count for tag, (total, count) in self.run.sums.items()}
        self.run.sums = {}
        for player in PLAYERS:
            values[f"lr/{player}"] = float(self.run.state.optimizers[player].param_groups[0].get("lr", math.nan))
        images = (self.counters.step - step) * self.settings.batch_size
        values["speed/images_per_second"] = images / max(now - then, 1e-9)
        for fault in ("skipped", "rollbacks"):
            if count := getattr(self.counters, fault):
                values[f"faults/{fault}"] = float(count)
        self.display.step(self.counters.step, values)
        return values

    def look(self) -> dict[str, float]:
        """Log sample grids from fixed latents and compute the metrics. Exhausted memory gives a warning.

        Returns:
            The figures by tag, the same in every process.
        """
        began = time.monotonic()
        figures: dict[str, float] = {}
        try:
            figures = self.figures() if self.processes.is_main else {}
        except (MemoryError, RuntimeError) as error:
            if not hardware.out_of_memory(error):
                raise
            self.no_room_to_look()
        figures = self.processes.broadcast_object(figures)
        figures |= self.streamed_figures()
        self.logger.flush()
        self.since = self.since[0] + time.monotonic() - began, self.since[1]  # sampling counts for no speed
        return figures

    def no_room_to_look(self) -> None:
        """Warn that there is no memory for samples and metrics."""
        self.display.warn(
            f"warning: step {self.counters.step}: there is no memory for samples and metrics: training goes on "
            "without; fewer --samples may help"
        )

    def figures(self) -> dict[str, float]:
        """Log sample grids and compute the metrics that take all samples at once, in the main process.

        Returns:
            The diversity of the samples and the figures of the metrics, by tag.
        """
        made = {} if self.run.ema is None else {"ema": self.grids.samples("ema")}
        made["generator"] = samples = self.grids.samples("generator")
        for source, each in made.items():
            self.grids.log(self.logger, f"samples/{source}", each)
        self.looks.record(self.logger, self.counters.step, made, last=self.counters.step == self.until)
        figures = self.grids.diversity(samples)
        for name, metric in self.run.parts.metrics.items():
            if not metric.streams():
                figures |= score(self.run, name, metric, self.feed)
        return figures

    def streamed_figures(self) -> dict[str, float]:
        """Compute the metrics that read samples in batches, by all processes together.

        Returns:
            The figures by tag.
        """
        found: dict[str, float] = {}
        for name, metric in self.run.parts.metrics.items():
            if metric.streams():
                try:
                    found |= score(self.run, name, metric, self.feed, processes=self.processes)
                except (MemoryError, RuntimeError) as error:
                    # The other processes wait for the features of this process, so that only one alone can go on.
                    if self.processes.world_size > 1 or not hardware.out_of_memory(error):
                        raise
                    self.no_room_to_look()
        return found

    def compare(self, values: Mapping[str, float]) -> None:
        """Save a checkpoint if the figure of ``--best`` is better than ever before.

        Args:
            values: scalars by tag.

        Raises:
            SettingsError: no metric of the run computes the figure.
        """
        wanted = self.settings.best
        figures = [tag for tag in values if tag.startswith("metrics/")]
        if wanted is None or not figures:
            return
        if (value := values.get(f"metrics/{wanted}")) is None:
            has = ", ".join(tag.removeprefix("metrics/") for tag in figures)
            raise errors.SettingsError(f"--best {wanted}: no metric of this run gives that figure; there are {has}")
        state, (label, _, name) = self.run.state, wanted.rpartition("/")
        sign = 1.0 if self.run.parts.metrics[label].figures[name] else -1.0
        before = state.best["value"] if state.best is not None and state.best["figure"] == wanted else -sign * math.inf
        better = math.isfinite(value) and sign * value > sign * before
        if self.processes.broadcast_object(better):  # the metrics are computed by the main process alone
            state.best = {"figure": wanted, "value": value, "step": self.counters.step}
            self.save()

    def save(self, wait: bool = False) -> None:
        """Write a checkpoint in the background.

        Args:
            wait: return when the checkpoint is on disk.
        """
        self.fetch()  # a NaN in scalars that are not fetched yet must not be saved
        self.saver.save(self.logger.sync, wait)

    def close(self, ending: status.Status, at_once: bool) -> None:
        """Wait for a save under way, log the outcome, and close the logs.

        Args:
            ending: what became of the training.
            at_once: do not wait, since the user pressed Ctrl-C twice.
        """
        if not at_once:
            self.saver.settle_quietly()
        text = hparams.outcome(self.run, ending)
        self.logger.end(ending.status, ending.reason, text, self.counters.step)
        self.logger.close()
