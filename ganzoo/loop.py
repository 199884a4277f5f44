"""Repeat the step; once in a while record, sample, evaluate, save."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganzoo import checkpoint, errors, words
from ganzoo.display import Display
from ganzoo.feed import Feed
from ganzoo.game import Game, named
from ganzoo.parts import (
    PLAYERS,
    Architecture,
    Batch,
    Data,
    Loss,
    Metric,
    Optimizer,
    Player,
    Regularizer,
    Schedule,
    Spec,
)
from ganzoo.settings import Settings
from ganzoo.state import State, mix

SAMPLE_BATCH = 256
"""Samples generated at a time when many are wanted."""

MOST_COLUMNS = 32
"""Classes that a grid still shows a column each."""

CHECKED_EVERY = 50
"""Steps after which the records are fetched from the device at the latest, so that a NaN is known by then."""


class Events(Protocol):
    """Who is told of a run's life: the event hooks of ``ganzoo.hookspecs``."""

    def run_started(self, run: Run) -> None: ...
    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None: ...
    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None: ...
    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None: ...
    def run_finished(self, run: Run, error: BaseException | None) -> None: ...


@dataclass
class Cast:
    """The parts of a run, by the label that records and checkpoints know them by."""

    architecture: Architecture
    loss: Loss
    regularizers: dict[str, Regularizer]
    schedule: Schedule
    data: Data
    metrics: dict[str, Metric]
    optimizers: dict[Player, Optimizer]
    labels: dict[str, str]  # setting -> how its part is called: {"loss": "hinge"}
    providers: dict[str, str] = field(default_factory=dict)  # "loss hinge" -> "zoo (ganzoo 0.1.0)"
    addresses: dict[str, str] = field(default_factory=dict)  # "loss softmargin" -> "softmargin/softmargin"


@dataclass
class Run:
    """A training run: what it is made of, and what it made.

    Attributes:
        dir: the run directory.
        settings: all of them, resolved.
        spec: sample shape, latent size, number of classes.
        metrics: the newest value of each tag.
        warnings: what was found questionable at assembly, a line each.
    """

    dir: Path | None
    settings: Settings
    cast: Cast
    spec: Spec
    state: State
    device: torch.device
    dtype: torch.dtype
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def generator(self) -> nn.Module:
        """The generator as it was trained last."""
        return self.state.networks.generator

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator as it was trained last."""
        return self.state.networks.discriminator

    @property
    def ema(self) -> nn.Module | None:
        """The average of the generator, None where none was kept."""
        return self.state.ema

    @property
    def step(self) -> int:
        """Steps made."""
        return self.state.counters.step

    def sample(
        self,
        count: int = 64,
        *,
        seed: int = 0,
        source: str = "auto",
        truncation: float | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Samples, (count, *shape) in [-1, 1] on the CPU; the same for a seed, whatever the count before it.

        Args:
            count: how many.
            seed: of the noise.
            source: ``ema``, ``generator``, or ``auto``: the average where there is one.
            truncation: draw the noise from N(0, 1) cut off beyond that absolute value; None cuts nothing.
            labels: (count,) class numbers; all classes in turn unless told.

        Raises:
            SettingsError: a value that is not one of these.
        """
        if source not in ("auto", "ema", "generator"):
            raise errors.SettingsError(f"source {source!r} is not one of auto, ema, generator")
        if count < 1:
            raise errors.SettingsError(f"count {count} is not a whole number >= 1")
        if source == "ema" and self.ema is None:
            raise errors.SettingsError("this run kept no average (--ema 0): use source=generator")
        net = self.generator if source == "generator" or self.ema is None else self.ema
        batch = self.latents(count, seed=seed, truncation=truncation, labels=labels)
        was_training = net.training
        net.eval()
        try:
            with torch.no_grad():
                made = [
                    self.cast.architecture.generate(net, piece).to("cpu", self.dtype)
                    for piece in _pieces(batch, SAMPLE_BATCH)
                ]
        finally:
            net.train(was_training)
        return torch.cat(made)

    def latents(
        self, count: int, *, seed: int = 0, truncation: float | None = None, labels: Tensor | None = None
    ) -> Batch:
        """The batch that ``sample`` generates from."""
        noise = torch.Generator().manual_seed(mix(seed, "sample"))
        shape = (count, self.spec.latent_dim)
        if truncation is None:
            latent = torch.randn(shape, generator=noise, dtype=torch.float64)
        elif truncation > 0:
            # N(0, 1) given |z| <= tau, by the inverse of its distribution function: as if redrawn until it fits
            uniform = torch.rand(shape, generator=noise, dtype=torch.float64) * 2 - 1
            latent = math.sqrt(2) * torch.erfinv(uniform * math.erf(truncation / math.sqrt(2)))
        else:
            raise errors.SettingsError(f"truncation {truncation:g} is not a number > 0")
        if self.spec.classes:
            labels = torch.arange(count) % self.spec.classes if labels is None else labels
            labels = labels.to(self.device)
        else:
            labels = None
        return Batch(latent=latent.to(self.device, self.dtype), labels=labels)


def _pieces(batch: Batch, size: int) -> Iterator[Batch]:
    assert batch.latent is not None
    for i in range(0, len(batch.latent), size):
        yield Batch(
            latent=batch.latent[i : i + size], labels=None if batch.labels is None else batch.labels[i : i + size]
        )


def train(run: Run, game: Game, feed: Feed, until: int, events: Events, *, quiet: bool = False) -> None:
    """Train a run up to a step, in its directory.

    Args:
        run: as assembled, or as read from a checkpoint.
        game: over the run's state.
        feed: its data.
        until: the step to stop at.
        events: who is told.
        quiet: show nothing.

    Raises:
        NonFinite: a loss or gradient is not finite; the update was not made, the last checkpoint is intact.
        OutOfMemory: the device has no room.
        Interrupted: a signal asked to stop; the state was saved.
    """
    trainer = _Trainer(run, game, feed, until, events, quiet)
    error: BaseException | None = None
    try:
        trainer.train()
    except BaseException as caught:
        error = caught
        raise
    finally:
        game.close()
        trainer.recorder.close()
        events.run_finished(run, error)


class _Trainer:
    """One call of ``train``: what is done besides the step itself."""

    def __init__(self, run: Run, game: Game, feed: Feed, until: int, events: Events, quiet: bool) -> None:
        from ganzoo.record import Recorder  # the only place from where TensorBoard is reached

        assert run.dir is not None
        self.run, self.game, self.feed, self.until, self.events = run, game, feed, until, events
        self.folder, self.settings, self.counters = run.dir, run.settings, run.state.counters
        self.recorder = Recorder(run.dir, self.counters.step)
        self.display = Display(self.counters.step, until, quiet)
        self.rows: list[dict[str, Tensor]] = []
        self.sums: dict[str, tuple[float, int]] = {}
        self.since = (time.monotonic(), self.counters.step)
        self.saved = self.counters.step if checkpoint.found(run.dir / "checkpoints") else -1
        self.real = feed.first(self.settings.samples)
        self.parts = [*_parts(run.cast)]

    def train(self) -> None:
        run, counters, settings = self.run, self.counters, self.settings
        self.recorder.settings(*_hparams(run))
        if counters.step == 0:
            self.picture("samples/real", self.real)
        for warning in run.warnings:
            self.display.say(f"warning: {warning}")
        self.events.run_started(run)
        with self.display, interruptible() as interrupt, torch.random.fork_rng(devices=_devices(run.device)):
            while counters.step < self.until:
                self.make_step()
                done = counters.step == self.until or interrupt.signal is not None
                if len(self.rows) >= CHECKED_EVERY:
                    self.fetch()
                if counters.step % settings.log_every == 0 or counters.step == 1 or done:
                    self.log()
                if counters.step % settings.sample_every == 0 or done:
                    self.look()
                if counters.step % settings.checkpoint_every == 0 or done:
                    self.save()
                if interrupt.signal is not None and counters.step < self.until:
                    raise Interrupted(interrupt.signal, counters.step, self.folder)
            if self.saved < counters.step:  # nothing was left to train
                self.save()

    def make_step(self) -> None:
        step, game = self.counters.step, self.game
        progress = step / max(1, self.until - 1)
        for part in self.parts:
            words.set_progress(part, progress)
        for player, part in self.run.cast.optimizers.items():
            for name in words.courses(part):
                for group in self.run.state.optimizers[player].param_groups:
                    group[name] = getattr(part, name)
        game.begin(step, progress)
        try:
            with named("schedule", self.run.cast.labels["schedule"]):
                self.run.cast.schedule.step(game)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise errors.OutOfMemory(
                    f"step {step + 1}: {self.run.device} has no room for a batch of {self.settings.batch_size}: "
                    f"give a smaller --batch-size or a smaller --arch; {self.what_is_saved()}"
                ) from error
            raise
        self.counters.step = step + 1
        self.rows.append(game.take_notes())

    def fetch(self) -> None:
        """Bring the steps' scalars from the device, in one transfer, and look whether they are finite."""
        rows, self.rows = self.rows, []
        values = iter(torch.stack([v.double() for row in rows for v in row.values()]).tolist() if rows else [])
        for i, row in enumerate(rows):
            known = {tag: next(values) for tag in row}
            if not all(map(math.isfinite, known.values())):
                raise errors.NonFinite(self.not_finite(self.counters.step - len(rows) + i + 1, known))
            for tag, value in known.items():
                total, count = self.sums.get(tag, (0.0, 0))
                self.sums[tag] = total + value, count + 1

    def not_finite(self, step: int, known: Mapping[str, float]) -> str:
        labels = self.run.cast.labels
        families = ("scores/", "loss/", "penalty/", "grad/")
        tag = next(t for f in families for t in known if t.startswith(f) and not math.isfinite(known[t]))
        family, _, name = tag.partition("/")
        what = {
            "scores": f"the discriminator's score of {name} samples",
            "loss": f"the {name}'s loss ({labels['loss']})",
            "penalty": f"the penalty {name}",
            "grad": f"the {name}'s gradient (loss {labels['loss']})",
        }[family]
        return (
            f"step {step}: {what} is {known[tag]}: the update was not made; {self.what_is_saved()}; "
            "a smaller learning rate, or a penalty such as r1, may help"
        )

    def what_is_saved(self) -> str:
        kept = checkpoint.found(self.folder / "checkpoints")
        return f"the last checkpoint, of step {int(kept[-1].name)}, is intact" if kept else "no checkpoint was due yet"

    def log(self) -> None:
        self.fetch()
        now, (then, step) = time.monotonic(), self.since
        self.since = now, self.counters.step
        values = {tag: total / count for tag, (total, count) in self.sums.items()}
        self.sums = {}
        for player in PLAYERS:
            values[f"lr/{player}"] = float(self.run.state.optimizers[player].param_groups[0].get("lr", math.nan))
        images = (self.counters.step - step) * self.settings.batch_size
        values["speed/images_per_second"] = images / max(now - then, 1e-9)
        self.run.metrics.update(values)
        self.recorder.scalars(self.counters.step, self.counters.images, values)
        self.display.step(self.counters.step, values)
        self.events.step_recorded(self.run, self.counters.step, values)

    def look(self) -> None:
        """Sample grids from fixed latents, and the metrics."""
        began = time.monotonic()
        if self.run.ema is not None:
            self.picture("samples/ema", self.run.sample(self.settings.samples, source="ema"))
        self.picture("samples/generator", self.run.sample(self.settings.samples, source="generator"))
        figures: dict[str, float] = {}
        for name, metric in self.run.cast.metrics.items():
            with named("metric", name):
                count = min(metric.samples, self.feed.size)
                real, fake = self.feed.first(count), self.run.sample(count, seed=self.settings.seed + 1)
                found = metric.score(real.float(), fake.float(), self.run.cast.data)
            figures.update({f"metrics/{name}/{key}": float(value) for key, value in found.items()})
        if figures:
            self.run.metrics.update(figures)
            self.recorder.scalars(self.counters.step, self.counters.images, figures)
            self.events.step_recorded(self.run, self.counters.step, figures)
        self.recorder.flush()
        self.since = self.since[0] + time.monotonic() - began, self.since[1]  # looking is not training

    def picture(self, tag: str, samples: Tensor) -> None:
        classes = self.run.spec.classes  # labels come in turn, so that a column is a class
        columns = classes if 0 < classes <= MOST_COLUMNS and tag != "samples/real" else None
        self.recorder.images(self.counters.step, tag, samples, columns)
        self.events.images_recorded(self.run, self.counters.step, tag, samples)

    def save(self) -> None:
        self.fetch()  # a NaN that is on its way must not be saved
        if self.saved == self.counters.step:
            return
        state = self.run.state
        numbers = {**state.numbers(), "spec": plain_spec(self.run.spec), "until": self.until}
        path = checkpoint.save(
            self.folder / "checkpoints", self.counters.step, state.tensors(), numbers, self.settings.keep
        )
        self.saved = self.counters.step
        self.recorder.flush()
        self.events.checkpoint_saved(self.run, self.counters.step, path)


class Interrupted(errors.TrainingStopped):
    """A signal asked training to stop; the step was finished and the state saved."""

    def __init__(self, signal_: int, step: int, folder: Path) -> None:
        name = signal.Signals(signal_).name
        super().__init__(f"{name}: stopped after step {step}, which is saved; go on with: ganzoo resume {folder}")
        self.exit_code = 128 + signal_  # type: ignore[misc]  # a class fact elsewhere; here it is the signal's


@dataclass
class _Interrupt:
    signal: int | None = None


@contextmanager
def interruptible() -> Iterator[_Interrupt]:
    """SIGINT and SIGTERM ask to stop after the step; a second SIGINT stops at once. In the main thread only."""
    asked = _Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def plain_spec(spec: Spec) -> dict[str, Any]:
    """A spec as plain data."""
    return {
        "shape": list(spec.shape),
        "latent_dim": spec.latent_dim,
        "classes": spec.classes,
        "condition_shape": None if spec.condition_shape is None else list(spec.condition_shape),
    }


def _parts(cast: Cast) -> Iterator[Any]:
    yield from (cast.architecture, cast.loss, cast.schedule, cast.data)
    yield from cast.regularizers.values()
    yield from cast.optimizers.values()


def _devices(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []


def _hparams(run: Run) -> tuple[dict[str, Any], str, list[str]]:
    """The hparams row (the same columns for every run), the settings as markdown, and the columns for results."""
    settings = words.plain(run.settings)
    row: dict[str, Any] = {key: run.cast.labels.get(key, settings[key]) for key in HPARAMS}
    text = "\n".join(f"- **{key}**: `{value}`" for key, value in {**settings, **run.cast.labels}.items())
    results = ["loss/discriminator", "loss/generator", "speed/images_per_second"]
    return {key: "none" if value is None else value for key, value in row.items()}, text, results


HPARAMS = (
    "arch", "loss", "regularizers", "schedule", "data", "optimizer", "d_optimizer", "g_optimizer",
    "batch_size", "latent_dim", "ema", "seed", "precision",
)  # fmt: skip
"""Columns of the hparams table. All runs have all of them, so runs of different parts share one table."""

