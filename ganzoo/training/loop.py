"""The training loop: make the steps, and log, sample, evaluate and save at their intervals."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.data.feed import Feed
from ganzoo.disk import checkpoint, pictures, status
from ganzoo.launcher import launch_id
from ganzoo.parts import (
    PLAYERS,
)
from ganzoo.speed import hardware
from ganzoo.step.game import Game
from ganzoo.training import diagnostics, hparams
from ganzoo.training.display import Display
from ganzoo.training.distributed import SINGLE_PROCESS, NullLogger, Processes
from ganzoo.training.looks import Looks
from ganzoo.training.probe import memory
from ganzoo.training.run import Requests, Run, plain_spec, read_sums
from ganzoo.training.scoring import score
from ganzoo.training.signals import LAUNCHER_SECONDS, Interrupt, Interrupted, interruptible
from ganzoo.training.steps import advance, compiled_steps, conditions, step_compiler

CHECKED_EVERY = 50
"""The scalars are fetched from the device after this many steps at the latest, so that a NaN is noticed by then."""


MOST_ROLLBACKS = 3
"""Rollbacks to one checkpoint before training stops."""


MOST_SKIPPED = 100
"""Steps skipped in a row before training stops."""


PHASES = {
    "reals": "reading data",
    "generate_all": "making fakes",
    "judge": "judging samples",
    "update": "taking gradients",
    "update_both": "taking gradients",
    "gradients": "taking gradients",
    "_move": "moving a player",
    "average_generator": "averaging the generator",
    "discriminator_penalty": "in a penalty",
    "generator_penalty": "in a penalty",
}
"""What each function of the game does, for the message about memory that ran out."""


class Events(Protocol):
    """The receiver of a run's events: the event hooks of ``ganzoo.hookspecs``."""

    def run_started(self, run: Run) -> None:
        """Receive a run before the first step, or before the first step after the run was resumed.

        Args:
            run: the run.
        """

    def step_made(self, run: Run, step: int) -> None:
        """Receive a run after every step.

        Args:
            run: the run.
            step: the number of steps made, from 1.
        """

    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Receive the scalars of a record.

        Args:
            run: the run.
            step: the step.
            values: means since the last record, by tag.
        """

    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None:
        """Receive a grid of images after the grid was written.

        Args:
            run: the run.
            step: the step.
            tag: ``samples/ema``, ``samples/generator`` or ``samples/real``.
            images: the images, (N, *shape), in [-1, 1].
        """

    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None:
        """Receive the path of a checkpoint that is complete on disk.

        Args:
            run: the run.
            step: the step of the checkpoint.
            path: the directory of the checkpoint.
        """

    def run_finished(self, run: Run, error: BaseException | None) -> None:
        """Receive a run after the last step, or after an error.

        Args:
            run: the run.
            error: the exception that ended the run, or None after the last step.
        """


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
        error = errors.RankLost(f"step {run.step + 1}: {caught}; {trainer.what_is_saved()}")
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
        self.open_logger: Callable[[int], Any] = (
            partial(record.RunLogger, run.dir, warn=self.display.warn) if processes.is_main else NullLogger
        )
        self.logger = self.open_logger(self.counters.step)
        self.writer = checkpoint.Writer()
        records = step_compiler(run, processes.world_size)
        self.steps = None if records is None else compiled_steps(run, game, records, self.display.warn)
        if records is None and (run.settings.compile or (run.settings.capture and run.device.type == "cuda")):
            what = "compiled" if run.settings.compile else "captured in CUDA graphs"
            self.display.say(f"several processes make their steps as written; those of one would be {what}")
        self.stopping, self.reason = False, ""
        self.failed_saves = self.rollbacks = self.skipped = 0
        self.best = self.saving = (
            run.state.best
        )  # the best checkpoint on disk, and the best one after the save under way
        self.warned: set[str] = set()
        self.rows: list[dict[str, Tensor]] = []
        self.since = (time.monotonic(), self.counters.step)
        self.saved: int = processes.broadcast_object(
            self.counters.step if checkpoint.found(run.dir / "checkpoints") else -1
        )
        in_plane = run.spec.shape == (2,)
        self.count = max(self.settings.samples, pictures.POINTS) if in_plane else self.settings.samples
        # Labels repeat in order, so that a column is a class. The last row is full.
        self.columns = pictures.class_columns(run.spec.classes, self.count) if len(run.spec.shape) == 3 else None
        if self.columns is not None:
            self.count = math.ceil(self.count / self.columns) * self.columns
        self.among = {"among": feed.look(self.count).images, "centres": run.parts.data.modes()} if in_plane else {}
        self.shown = (feed.held_out or feed).look(self.count)
        assert self.shown.images is not None
        self.real = self.shown.images
        self.spread = float(_spread(self.real))
        self.known_figures = hparams.Figures(run)
        if self.counters.step and processes.is_main and run.parts.metrics:
            for line in record.read(run.dir / "metrics.jsonl"):
                self.known_figures.update({k: v for k, v in line.items() if isinstance(v, float)})
        self.looks = Looks(run, self.real, self.shown.labels, feed.look)

    def train(self) -> None:
        run, counters, settings = self.run, self.counters, self.settings
        self.logger.begin(hparams.about(run))
        self.events.run_started(run)  # before the first picture, which is an event of its own
        if counters.step == 0:
            self.picture("samples/real", self.real)
        if counters.step < self.until:
            self.display.say(self.header())
        for line in (*run.choices, *(f"warning: {warning}" for warning in run.warnings)):
            self.display.say(line)
        patience = LAUNCHER_SECONDS if launch_id() else 0.0
        with self.display, interruptible(patience) as interrupt:
            self.processes.stop_waiting(partial(getattr, interrupt, "signal"))
            if settings.on_nonfinite == "rollback" and self.saved < 0:
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
                if self.stopping:
                    break
                if ended and counters.step < self.until:
                    raise Interrupted(ended, counters.step, self.run.command("resume"))
            self.save(wait=True)

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
        self.settle(wait=False)
        return ended

    def roll_back(self, error: errors.NonFinite) -> None:
        """Load the last checkpoint. The counter of rollbacks gives the repeated steps other random numbers.

        Args:
            error: the error of the step that was not finite.

        Raises:
            NonFinite: the run does not roll back, or has rolled back ``MOST_ROLLBACKS`` times to the same checkpoint.
        """
        if self.settings.on_nonfinite != "rollback" or self.rollbacks >= MOST_ROLLBACKS:
            if self.rollbacks:
                error.add_note(f"after {self.rollbacks} returns to one checkpoint, each with other random numbers")
            raise error
        self.settle(wait=True)
        before = self.counters.rollbacks
        self.rollbacks += 1
        self.game.close()
        self.game.clear_nonfinite()
        if self.processes.is_main:
            saved = checkpoint.newest(self.folder / "checkpoints", set_aside=True)
            self.run.state.load(saved.tensors, saved.numbers)
            self.run.sums = read_sums(saved.numbers)
        self.processes.broadcast_state(self.run.state)
        self.counters.rollbacks = before + 1
        self.saved = step = self.counters.step
        self.rows = []
        self.since = time.monotonic(), step
        self.logger.close()
        self.logger = self.open_logger(step)
        if step == 0:
            self.picture("samples/real", self.real)
        self.display.warn(
            f"warning: {error}; back to step {step}, with other random numbers "
            f"({self.rollbacks} of {MOST_ROLLBACKS} times)"
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
                raise errors.OutOfMemory(self.too_large(error)) from error
            raise

    def too_large(self, error: BaseException) -> str:
        """The message about exhausted memory: the phase of the step, and the batch size that would fit.

        Args:
            error: the error of torch. The traceback gives the phase.

        Returns:
            One line for the user.
        """
        batch, pieces = self.settings.batch_size, self.game.environment.micro_batches
        doing = next((PHASES[name] for name in _functions(error) if name in PHASES), "between two moves")
        fits = batch // 2
        try:
            fixed, each = memory(self.run, self.game, self.feed)
            fits = min(fits, pieces * int((0.8 * hardware.memory(self.run.device) - fixed) / max(1, each)))
        except Exception as failure:
            # There is no memory even for two samples, or the networks are odd. Half of the batch is then a guess.
            logging.getLogger("ganzoo").debug("the memory of a step cannot be estimated: %s", failure)
        fits = max(2, pieces, fits - fits % pieces)
        # The share of one process, which the micro-batches must divide.
        own = batch // (pieces // self.settings.accumulate)
        more = next((k for k in range(1, own + 1) if own % k == 0 and batch // k <= fits), own)
        return (
            f"step {self.counters.step + 1}, {doing}: {self.run.device} has no room for a batch of {batch}: "
            f"--batch-size {fits} should fit, or --accumulate {self.settings.accumulate * more} with this one, or a "
            f"smaller --arch; {self.what_is_saved()}"
        )

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
        """The message about a scalar that is not finite.

        Args:
            step: the number of the step, from 1.
            known: the scalars of the step by tag. Some scalar is not finite.

        Returns:
            One line for the user, about the scalar that the step computed first.
        """
        labels = self.run.parts.labels
        families = ("shared/", "scores/", "loss/", "penalty/", "grad/", "parts/")
        tag = next(t for f in families for t in known if t.startswith(f) and not math.isfinite(known[t]))
        family, _, name = tag.partition("/")
        what = {
            "shared": "the ratio of the players' gradients, by which a shared backward scales,",
            "scores": f"the discriminator's score of {name} samples",
            "loss": f"the {name}'s loss ({labels['loss']})",
            "penalty": f"the penalty {name}",
            "grad": f"the {name}'s gradient (loss {labels['loss']})",
            "parts": f"{name.replace('/', ', its ')},",
        }[family]
        return (
            f"step {step}: {what} is {known[tag]}: the update was not made; {self.what_is_saved()}; a smaller learning "
            "rate, or a regularizer that constrains the discriminator"
            f"{diagnostics.such_as(self.constraints())}, may help"
        )

    def constraints(self) -> Sequence[str]:
        """The names of regularizers that constrain the discriminator, for advice to the user."""
        return self.run.parts.catalogue_names("regularizer", "constrains_discriminator")

    def what_is_saved(self) -> str:
        """The end of an error message: the step of the last checkpoint on disk, after any save under way."""
        if not self.processes.is_main:
            return "the main process keeps the checkpoints"
        self.settle_quietly()
        kept = checkpoint.found(self.folder / "checkpoints")
        return (
            f"the last checkpoint, of step {checkpoint.step_of(kept[-1])}, is intact"
            if kept
            else "no checkpoint was saved"
        )

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
        constraints = self.constraints() if any(name not in self.warned for name in found) else ()
        for name, line in diagnostics.signs(values, step=self.counters.step, constraints=constraints):
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
        made = {} if self.run.ema is None else {"ema": self.samples("ema")}
        made["generator"] = samples = self.samples("generator")
        for source, each in made.items():
            self.picture(f"samples/{source}", each)
        self.looks.record(self.logger, self.counters.step, made, last=self.counters.step == self.until)
        figures = {"samples/diversity": float(_spread(samples)) / self.spread} if self.spread else {}
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

    def samples(self, source: str) -> Tensor:
        """Samples from fixed latents, for the inputs that the grids show.

        Args:
            source: ``ema`` or ``generator``.

        Returns:
            (N, *shape) in [-1, 1] on the CPU.
        """
        inputs = {name: self.shown[name] for name in self.run.spec.inputs}
        count = self.shown.size if inputs else self.count
        return self.run.sample(count, source=source, inputs=inputs)

    def stages(self, tag: str) -> list[Tensor]:
        """What the generator made on the way to the samples of a grid, where that is a picture of the samples' size.

        Args:
            tag: the tag of the grid: ``samples/ema`` or ``samples/generator``.
        """
        run, shape = self.run, self.run.spec.shape
        names = [name for name, each in run.parts.architecture.intermediates(run.spec).items() if each == shape]
        if not names:
            return []
        inputs = {name: self.shown[name] for name in run.spec.inputs}
        made = run.intermediates(run.latents(self.shown.size, inputs=inputs), tag.rpartition("/")[2])
        return [made[name] for name in names]

    def picture(self, tag: str, samples: Tensor) -> None:
        """Log a grid of samples, beside the inputs that the samples were generated for.

        Args:
            tag: the tag of the grid, such as ``samples/ema``.
            samples: (N, *shape).
        """
        seen, labels = samples, self.shown.labels
        if tag == "samples/real" and self.columns is not None and labels is not None and not self.run.spec.inputs:
            rows = self.count // self.columns
            seen = pictures.by_class(samples, labels, self.columns, rows, self.run.spec.classes)
        if self.run.spec.inputs:
            pair = pictures.all_beside([*(self.shown[name] for name in self.run.spec.inputs), self.real])
            seen = pair if tag == "samples/real" else pictures.all_beside([pair, *self.stages(tag), samples])
        among = self.among if tag != "samples/real" else {}
        names = self.run.class_names if self.columns is not None and not self.run.spec.inputs else ()
        self.logger.images(self.counters.step, tag, seen, self.columns, names=names, **among)
        self.events.images_recorded(self.run, self.counters.step, tag, samples)

    def save(self, wait: bool = False) -> None:
        """Copy the state to the host and write a checkpoint in the background.

        Args:
            wait: return when the checkpoint is on disk.
        """
        self.fetch()  # a NaN in scalars that are not fetched yet must not be saved
        self.settle(wait=True)
        step, state = self.counters.step, self.run.state
        if self.saved == step:
            return
        if (value := state.unsound()) is not None:
            raise errors.NonFinite(f"step {step}: {value} is not finite: it was not saved; {self.what_is_saved()}")
        if not self.processes.is_main:
            self.saved = step
            return
        # A run that is resumed from this checkpoint must find the logs up to the checkpoint, even after a power cut.
        self.logger.sync()
        numbers = {
            **state.numbers(),
            "spec": plain_spec(self.run.spec),
            "until": self.until,
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
        self.writer.start(
            partial(checkpoint.save, self.folder / "checkpoints", step, tensors, numbers, self.settings.keep, best)
        )
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
            self.failed_saves = self.rollbacks = 0
            self.events.checkpoint_saved(self.run, self.saved, path)

    def not_saved(self, error: errors.RunError, last: bool) -> None:
        """Warn that a save failed.

        Args:
            error: the error of the save.
            last: no further save is due.

        Raises:
            RunError: no further save is due, or two saves in a row failed.
        """
        self.failed_saves += 1
        if self.run.state.best is self.saving:
            # the failed save never became the best checkpoint; without this, pruning would keep a missing one
            self.run.state.best = self.best
        if last or self.failed_saves > 1:
            raise errors.RunError(f"{error}; {self.what_is_saved()}; then go on with: {self.run.command('resume')}")
        self.display.warn(f"warning: {error}; training goes on, and stops if the next one fails too")

    def settle_quietly(self) -> None:
        """Wait for a save under way. A failure is a warning, since training ends with a more important error."""
        try:
            self.settle(wait=True)
        except errors.RunError as error:
            self.display.warn(f"warning: {error}")

    def close(self, ending: status.Status, at_once: bool) -> None:
        """Wait for a save under way, log the outcome, and close the logs.

        Args:
            ending: what became of the training.
            at_once: do not wait, since the user pressed Ctrl-C twice.
        """
        if not at_once:
            self.settle_quietly()
        text = hparams.outcome(self.run, ending)
        self.logger.end(ending.status, ending.reason, text, self.counters.step)
        self.logger.close()


def _functions(error: BaseException) -> Iterator[str]:
    """The names of the functions in the traceback of an exception, innermost first."""
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return reversed(frames)


def _spread(samples: Tensor) -> Tensor:
    """(): the standard deviation over the samples, averaged over the numbers of a sample."""
    return samples.double().std(0, correction=0).mean()
