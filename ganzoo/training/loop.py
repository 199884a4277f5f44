"""Repeat the step; once in a while record, sample, evaluate, save.

Signals, while training: SIGINT (Ctrl-C) and SIGTERM finish the step, save and stop, with 130 and 143; a second SIGINT
stops at once, and leaves the last checkpoint as it is; SIGUSR1 saves and goes on; SIGHUP is not heard.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ganzoo import errors, words
from ganzoo.data.feed import Feed
from ganzoo.disk import checkpoint, pictures
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
from ganzoo.speed import hardware
from ganzoo.speed.capture import TF32, TOLERANCE, Compiled, Graph, StepCompiler, Steps
from ganzoo.step.game import Game, RoundInputs, SingleProcess, logits, named
from ganzoo.step.state import State, derive_seed
from ganzoo.training import diagnostics, mcmc
from ganzoo.training.display import Display
from ganzoo.training.distributed import ALONE, Ranks, Silent, apart, launch

if TYPE_CHECKING:
    from ganzoo.recipe.settings import Settings

SAMPLE_BATCH = 256
"""Samples generated at a time when many are wanted."""

MOST_COLUMNS = 32
"""Classes that a grid still shows a column each."""

CHECKED_EVERY = 50
"""Steps after which the records are fetched from the device at the latest, so that a NaN is known by then."""

LAUNCHER_SECONDS = 2.0
"""In which a Ctrl-C that torchrun passes on arrives after the terminal's own."""

MOST_ROLLBACKS = 3
"""Returns to one checkpoint before giving up."""

MOST_SKIPPED = 100
"""Steps skipped in a row before giving up."""


PHASES = {
    "reals": "reading data",
    "generate": "making fakes",
    "judge": "judging samples",
    "update": "taking gradients",
    "update_both": "taking gradients",
    "_accumulated": "taking gradients",
    "_move": "moving a player",
    "average": "averaging the generator",
    "discriminator_penalty": "in a penalty",
    "generator_penalty": "in a penalty",
}
"""What the game's functions do, for a person."""


class Events(Protocol):
    """Who is told of a run's life: the event hooks of ``ganzoo.hookspecs``."""

    def run_started(self, run: Run) -> None: ...
    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None: ...
    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None: ...
    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None: ...
    def run_finished(self, run: Run, error: BaseException | None) -> None: ...


@dataclass
class Parts:
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
        choices: what was left to ganzoo and is decided now, a line each.
        identity: what a run must agree with to go on from its checkpoints, and the versions that made it; plain data.
        sums: of the steps' scalars since they were last recorded, by tag, and of how many.
    """

    dir: Path | None
    settings: Settings
    parts: Parts
    spec: Spec
    state: State
    device: torch.device
    dtype: torch.dtype
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)

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
        condition: Tensor | None = None,
    ) -> Tensor:
        """Samples, (count, *shape) in [-1, 1] on the CPU; the same for a seed, whatever the count before it.

        Args:
            count: how many.
            seed: of the noise.
            source: ``ema``, ``generator``, or ``auto``: the average where there is one.
            truncation: draw the noise from N(0, 1) cut off beyond that absolute value; None cuts nothing.
            labels: (count,) class numbers; all classes in turn unless told.
            condition: (count, *condition_shape) what to make samples for, where the generator is given one.

        Raises:
            SettingsError: a value that is not one of these.
        """
        if count < 1:
            raise errors.SettingsError(f"count {count} is not a whole number >= 1")
        batch = self.latents(count, seed=seed, truncation=truncation, labels=labels, condition=condition)
        return self.generated(batch, source)

    def generated(self, batch: Batch, source: str = "auto") -> Tensor:
        """The samples that a batch of noise (and labels, and conditions) makes, on the CPU; see ``sample``."""
        net = self._weights(source)
        with evaluating(net), torch.no_grad():
            made = [
                self.parts.architecture.generate(net, piece).to("cpu", self.dtype)
                for piece in _pieces(batch, SAMPLE_BATCH)
            ]
        return torch.cat(made)

    def walk(
        self,
        batch: Batch,
        method: str = "mala",
        *,
        steps: int = 100,
        step_size: float = 0.01,
        prior: bool = False,
        seed: int = 0,
        source: str = "auto",
    ) -> tuple[Batch, float]:
        """Move a batch's noise by MCMC along the energy of its samples, U(G(z)) = -D(G(z)).

        Args:
            batch: as ``latents`` gives it.
            method: langevin (unadjusted), or mala (with Metropolis's correction); see ``ganzoo.training.mcmc``.
            steps: of each chain.
            step_size: a: a step is a times the slope, and noise of variance 2a.
            prior: add |z|^2 / 2, so that N(0, I), which the noise was drawn from, weighs in.
            seed: of the walk.
            source: as for ``sample``.

        Returns:
            The batch with its noise moved, and the share of the proposals that were taken.

        Raises:
            Incompatible: the loss does not make minus the score an energy.
            SettingsError: a value that is not one of these.
        """
        if not self.parts.loss.energy_based:
            raise errors.Incompatible(
                f"loss {self.parts.labels['loss']} does not make the discriminator an energy that MCMC could follow: "
                "train with one that does, such as meg"
            )
        if method not in ("langevin", "mala"):
            raise errors.SettingsError(f"mcmc {method!r} is not one of langevin, mala")
        if steps < 1 or not step_size > 0:
            raise errors.SettingsError(f"mcmc wants steps >= 1 and a step size > 0, not {steps} and {step_size:g}")
        architecture, noise = self.parts.architecture, torch.Generator().manual_seed(derive_seed(seed, "mcmc"))
        net, ends, accepted = self._weights(source), [], 0.0
        with evaluating(net, self.discriminator):
            for piece in _pieces(batch, SAMPLE_BATCH):
                assert piece.latent is not None

                def energy(z: Tensor, piece: Batch = piece) -> Tensor:
                    images = architecture.generate(net, piece.replace(latent=z))
                    energies = -logits(architecture.judge(self.discriminator, images, piece))
                    return energies + z.square().sum(1) / 2 if prior else energies

                walk = mcmc.walk(energy, piece.latent, steps, step_size, noise, adjusted=method == "mala")
                ends.append(walk.end)
                accepted += walk.accepted * len(walk.end)
        end = torch.cat(ends)
        if not bool(end.isfinite().all()):
            raise errors.SettingsError(f"the walk left all bounds at a step size of {step_size:g}: give a smaller one")
        return batch.replace(latent=end), accepted / len(end)

    def reconstruct(
        self, images: Tensor, *, labels: Tensor | None = None, scale: float = 1.0, source: str = "auto"
    ) -> Tensor:
        """Images encoded by the discriminator and generated again, (N, *shape) in [-1, 1] on the CPU.

        Args:
            images: (N, *shape) in [-1, 1].
            labels: (N,) their class numbers, where the nets are given classes.
            scale: of the encoded noise; a little below 1 gives smoother images.
            source: as for ``sample``.

        Raises:
            Incompatible: the loss teaches no encoding, or the architecture has no encoder.
            SettingsError: images of another shape, or labels that are missing.
        """
        loss, spec = self.parts.loss, self.spec
        if not loss.trains_encoder:
            raise errors.Incompatible(
                f"loss {self.parts.labels['loss']} does not teach the discriminator to encode images: train with one "
                "that does, such as ogan"
            )
        if tuple(images.shape[1:]) != spec.shape:
            found, due = ("x".join(map(str, shape)) for shape in (images.shape[1:], spec.shape))
            raise errors.SettingsError(f"images of {found} cannot be reconstructed by a run on {due}")
        if spec.classes and labels is None:
            raise errors.SettingsError("this run's nets are given classes: give the images' labels")
        net, architecture = self._weights(source), self.parts.architecture
        whole = Batch(
            images=images.to(self.device, self.dtype),
            labels=labels.to(self.device) if labels is not None and spec.classes else None,
        )
        made = []
        with evaluating(net, self.discriminator), torch.no_grad():
            for piece in _pieces(whole, SAMPLE_BATCH):
                assert piece.images is not None
                latent = scale * architecture.encode(self.discriminator, piece.images, piece)
                made.append(architecture.generate(net, piece.replace(images=None, latent=latent)).to("cpu", self.dtype))
        return torch.cat(made)

    def _weights(self, source: str) -> nn.Module:
        """The generator that a person asked for."""
        if source not in ("auto", "ema", "generator"):
            raise errors.SettingsError(f"source {source!r} is not one of auto, ema, generator")
        if source == "ema" and self.ema is None:
            raise errors.SettingsError("this run kept no average (--ema 0): use source=generator")
        return self.generator if source == "generator" or self.ema is None else self.ema

    def latents(
        self,
        count: int,
        *,
        seed: int = 0,
        truncation: float | None = None,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Batch:
        """The batch that ``sample`` generates from."""
        noise = torch.Generator().manual_seed(derive_seed(seed, "sample"))
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
        due = self.spec.condition_shape
        found = None if condition is None else tuple(condition.shape)
        if found != (None if due is None else (count, *due)):
            wanted = "takes none" if due is None else f"makes each sample for a condition: give ({count}, {due})"
            raise errors.SettingsError(f"a condition of shape {found} was given, and this run {wanted}")
        if condition is not None:
            condition = condition.to(self.device, self.dtype)
        return Batch(latent=latent.to(self.device, self.dtype), labels=labels, condition=condition)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode, and afterwards as they were."""
    were = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, training in zip(networks, were, strict=True):
            network.train(training)


def _pieces(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch in batches of at most that size."""
    given = {name: value for name, value in vars(batch).items() if value is not None}
    for i in range(0, len(next(iter(given.values()))), size):
        yield Batch(**{name: value[i : i + size] for name, value in given.items()})


def advance(run: Run, game: Game, until: int, steps: Steps | None = None) -> None:
    """Make the next of ``until`` steps: today's numbers, today's randomness, the schedule's moves, maybe recorded."""
    step = run.state.counters.step
    progress = step / max(1, until - 1)
    turn(run, progress)
    game.begin(step, progress)
    if steps is None:
        play(run, game)
    else:
        steps.make(step, progress)
    game.average_buffers()
    run.state.counters.step = step + 1


def turn(run: Run, progress: float) -> None:
    """Set all numbers that follow the run to those of a progress."""
    for part in _parts(run.parts):
        words.set_progress(part, progress)
    for player, part in run.parts.optimizers.items():
        for name in words.courses(part):
            for group in run.state.optimizers[player].param_groups:
                group[name] = getattr(part, name)


def play(run: Run, game: Game) -> None:
    """The schedule's moves."""
    with named("schedule", run.parts.labels["schedule"]):
        run.parts.schedule.step(game)


def recorded(run: Run, game: Game, recorder: StepCompiler, say: Callable[[str], None]) -> Steps:
    """The steps of a run, made from recordings."""
    chosen = run.parts
    parts = {
        f"architecture {chosen.labels['arch']}": chosen.architecture,
        f"loss {chosen.labels['loss']}": chosen.loss,
        f"schedule {chosen.labels['schedule']}": chosen.schedule,
        **{f"regularizer {label}": part for label, part in chosen.regularizers.items()},
    }
    with game.autocast():
        rough = torch.is_autocast_enabled(run.device.type)
    tolerance = TOLERANCE[torch.bfloat16 if rough else run.dtype]
    if run.settings.compile and _on_tensor_cores(run):
        tolerance = max(tolerance, TF32)
    return Steps(game, partial(play, run, game), parts, chosen.optimizers, partial(turn, run), recorder, tolerance, say)


def step_compiler(run: Run, world: int = 1) -> StepCompiler | None:
    """Who records the steps of a run, as its settings want it; nobody where processes wait for one another in them."""
    if world > 1:
        return None
    graph = captures(run)
    return Compiled(graph) if run.settings.compile else graph


def captures(run: Run) -> StepCompiler | None:
    """Who captures steps, on a GPU."""
    return Graph(run.device) if run.device.type == "cuda" and run.settings.capture else None


def memory(run: Run, game: Game, feed: Feed) -> tuple[int, int]:
    """Bytes that training takes at its peak, roughly: whatever the batch, and for each sample of a piece of it.

    What a round of two samples keeps for its gradients; and weights, their gradients, the optimizers' two moments, and
    the average.
    """
    state = run.state
    weights = sum(p.nbytes for net in state.networks for p in net.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    size = game.batch_size
    counters = {**vars(state.counters)}
    game.batch_size = feed.batch_size = 2 * game.pieces
    try:
        with torch.random.fork_rng(devices=_devices(run.device)), saved_tensors_hooks(keep, lambda tensor: tensor):
            s = game.judged(RoundInputs(game, game.noise_batch(), True), 0)
            losses = game.discriminator_loss(s), game.generator_loss(s)
    finally:
        game.batch_size = feed.batch_size = size
        vars(state.counters).update(counters)
        game.pop_scalars()
        game.close()
        feed.close()
    del losses
    storages = {p.untyped_storage().data_ptr() for net in state.networks for p in net.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in storages)
    average = sum(p.nbytes for p in state.ema.parameters()) if state.ema is not None else 0
    return 4 * weights + average, activations // 2


def probe(run: Run, game: Game, feed: Feed) -> float:
    """How many times as fast a step is in bf16 than in fp32; the run is left at its start.

    Steps are captured where the run's will be, for which bf16 may be faster where it is not for steps as written. Costs
    two steps, and some more within ``speed.PROBE_SECONDS``.
    """
    state, plain = run.state, game.autocast
    tensors, numbers = state.copies(), copy.deepcopy(state.numbers())

    class Same:
        """One batch again and again: reading data is not what is measured."""

        condition_shape, labels = feed.condition_shape, feed.labels
        batch = feed.reals(0)

        def reals(self, draw: int, piece: int = 0) -> Batch:
            return self.batch

    def trial(autocast: Callable[[], AbstractContextManager[Any]]) -> Callable[[], None]:
        game.autocast = autocast
        graph = captures(run)
        steps = None if graph is None else recorded(run, game, graph, lambda line: None)  # the run itself will say it

        def step() -> None:
            game.autocast = autocast
            advance(run, game, 1, steps)
            game.pop_scalars()

        if steps is not None:
            for _ in range(2):  # an optimizer's first step is not captured, the next is
                step()
        return step

    game.feed, process_group, game.process_group = Same(), game.process_group, SingleProcess()
    try:
        with conditions(run), apart():
            bf16 = hardware.precision("bf16", run.device).autocast
            return hardware.ratio(trial(plain), trial(bf16), run.device)
    finally:
        game.close()
        game.clear_nonfinite()
        feed.close()
        game.feed, game.process_group, game.autocast = feed, process_group, plain
        state.load(tensors, numbers)


def train(
    run: Run, game: Game, feed: Feed, until: int, events: Events, *, quiet: bool = False, ranks: Ranks = ALONE
) -> None:
    """Train a run up to a step, in its directory.

    Args:
        run: as assembled, or as read from a checkpoint.
        game: over the run's state.
        feed: its data.
        until: the step to stop at.
        events: who is told.
        quiet: show only what goes wrong.
        ranks: the processes that train it together; the first of them alone writes.

    Raises:
        NonFinite: a loss or gradient is not finite; the update was not made, the last checkpoint is intact.
        OutOfMemory: the device has no room.
        RankLost: another of these processes ended.
        Interrupted: a signal asked to stop; the state was saved.
    """
    if not ranks.lead:
        events = cast(Events, Silent())
    trainer = _Trainer(run, game, feed, until, events, quiet, ranks)
    error: BaseException | None = None
    try:
        with conditions(run):
            trainer.train()
    except errors.RankLost as caught:
        error = errors.RankLost(f"step {run.step + 1}: {caught}; {trainer.what_is_saved()}")
        raise error from caught
    except BaseException as caught:
        error = caught
        raise
    finally:
        game.close()
        feed.close()
        trainer.close(at_once=isinstance(error, KeyboardInterrupt))
        events.run_finished(run, error)


def _on_tensor_cores(run: Run) -> bool:
    return run.device.type == "cuda" and run.dtype == torch.float32 and not run.settings.deterministic


@contextmanager
def conditions(run: Run) -> Iterator[int]:
    """What the steps of a run are made in; the caller's are left as they were. Gives the number of CPU threads."""

    def step() -> int:
        return hardware.flops(run.parts.architecture, run.state.networks, run.spec, run.settings.batch_size)

    cuda, exact = run.device.type == "cuda", run.settings.deterministic
    with (
        hardware.deterministic(exact),
        hardware.tensor_cores(_on_tensor_cores(run)),
        hardware.threads(run.settings.threads, (lambda: 0) if cuda else step) as number,
        torch.random.fork_rng(devices=_devices(run.device)),
    ):
        yield number


class _Trainer:
    """One call of ``train``: what is done besides the step itself."""

    def __init__(self, run: Run, game: Game, feed: Feed, until: int, events: Events, quiet: bool, ranks: Ranks) -> None:
        from ganzoo.disk.record import Recorder  # the only place from where TensorBoard is reached

        assert run.dir is not None
        self.ranks = ranks
        self.run, self.game, self.feed, self.until, self.events = run, game, feed, until, events
        self.folder, self.settings, self.counters = run.dir, run.settings, run.state.counters
        self.display = Display(self.counters.step, until, quiet) if ranks.lead else cast(Display, Silent())
        self.open_recorder: Callable[[int], Any] = (
            partial(Recorder, run.dir, say=self.display.warn) if ranks.lead else Silent
        )
        self.recorder = self.open_recorder(self.counters.step)
        self.writer = checkpoint.Writer()
        records = step_compiler(run, ranks.world)
        self.steps = None if records is None else recorded(run, game, records, self.display.warn)
        if records is None and (run.settings.compile or (run.settings.capture and run.device.type == "cuda")):
            what = "compiled" if run.settings.compile else "captured in CUDA graphs"
            self.display.say(f"several processes make their steps as written; those of one would be {what}")
        self.failed_saves = self.rollbacks = self.skipped = 0
        self.best = self.saving = run.state.best  # that is on disk, and that is being written
        self.said: set[str] = set()
        self.rows: list[dict[str, Tensor]] = []
        self.since = (time.monotonic(), self.counters.step)
        self.saved: int = ranks.told(self.counters.step if checkpoint.found(run.dir / "checkpoints") else -1)
        in_plane = run.spec.shape == (2,)
        self.count = max(self.settings.samples, pictures.POINTS) if in_plane else self.settings.samples
        self.among = {"among": feed.look(self.count).images, "centres": run.parts.data.modes()} if in_plane else {}
        self.shown = (feed.held_out or feed).look(self.count)
        assert self.shown.images is not None
        self.real = self.shown.images
        self.spread = float(_spread(self.real))

    def train(self) -> None:
        run, counters, settings = self.run, self.counters, self.settings
        self.recorder.settings(*_hparams(run))
        if counters.step == 0:
            self.picture("samples/real", self.real)
        for line in (*run.choices, *(f"warning: {warning}" for warning in run.warnings)):
            self.display.say(line)
        self.events.run_started(run)
        patience = LAUNCHER_SECONDS if launch() else 0.0
        with self.display, interruptible(patience) as interrupt:
            if settings.on_nonfinite == "rollback" and self.saved < 0:
                self.save()  # somewhere to return to
            while counters.step < self.until:
                try:
                    ended = self.round(interrupt)
                except errors.NonFinite as error:
                    self.roll_back(error)
                    continue
                if ended and counters.step < self.until:
                    raise Interrupted(ended, counters.step, self.folder)
            self.save(wait=True)

    def round(self, interrupt: _Interrupt) -> int:
        """A step, and what is due after it; the signal that asks to stop, or 0."""
        self.make_step()
        step, settings = self.counters.step, self.settings
        done = step == self.until
        if len(self.rows) >= CHECKED_EVERY:
            self.fetch()
        due = step % settings.log_every == 0 or step == 1 or done
        self.record((self.log() if due else {}) | (self.look() if step % settings.sample_every == 0 or done else {}))
        ended, asked = self.ranks.agreed(interrupt.signal or 0, int(interrupt.save))
        if ended and not due:
            self.record(self.log())
        if step % settings.checkpoint_every == 0 or asked or done or ended:
            interrupt.save = False
            self.save(wait=bool(done or ended))
        self.settle(wait=False)
        return ended

    def roll_back(self, error: errors.NonFinite) -> None:
        """Return to the last checkpoint, and go on from there with other random numbers."""
        if self.settings.on_nonfinite != "rollback" or self.rollbacks >= MOST_ROLLBACKS:
            if self.rollbacks:
                error.add_note(f"after {self.rollbacks} returns to one checkpoint, each with other random numbers")
            raise error
        self.settle(wait=True)
        before = self.counters.rollbacks
        self.rollbacks += 1
        self.game.close()
        self.game.clear_nonfinite()
        if self.ranks.lead:
            saved = checkpoint.newest(self.folder / "checkpoints", set_aside=True)
            self.run.state.load(saved.tensors, saved.numbers)
            self.run.sums = read_sums(saved.numbers)
        self.ranks.share(self.run.state)
        self.counters.rollbacks = before + 1
        self.saved = step = self.counters.step
        self.rows = []
        self.since = time.monotonic(), step
        self.recorder.close()
        self.recorder = self.open_recorder(step)
        if step == 0:
            self.picture("samples/real", self.real)
        self.display.warn(
            f"warning: {error}; back to step {step}, with other random numbers "
            f"({self.rollbacks} of {MOST_ROLLBACKS} times)"
        )

    def make_step(self) -> None:
        try:
            advance(self.run, self.game, self.until, self.steps)
            step = self.counters.step
            if step % self.settings.log_every == 0 or step in (1, self.until):
                self.game.report()
            self.rows.append(self.game.pop_scalars())
        except (MemoryError, RuntimeError) as error:
            if hardware.out_of_memory(error):
                raise errors.OutOfMemory(self.too_large(error)) from error
            raise

    def too_large(self, error: BaseException) -> str:
        """Where memory ran out, and what would fit."""
        batch, pieces = self.settings.batch_size, self.game.pieces
        doing = next((PHASES[name] for name in _functions(error) if name in PHASES), "between two moves")
        fits = batch // 2
        try:
            fixed, each = memory(self.run, self.game, self.feed)
            fits = min(fits, pieces * int((0.8 * hardware.memory(self.run.device) - fixed) / max(1, each)))
        except (MemoryError, RuntimeError):  # not even for two samples: half of what did not fit is a guess
            pass
        fits = max(2, pieces, fits - fits % pieces)
        own = batch // (pieces // self.settings.accumulate)  # a process's share, which more pieces must divide
        more = next((k for k in range(1, own + 1) if own % k == 0 and batch // k <= fits), own)
        return (
            f"step {self.counters.step + 1}, {doing}: {self.run.device} has no room for a batch of {batch}: "
            f"--batch-size {fits} should fit, or --accumulate {self.settings.accumulate * more} with this one, or a "
            f"smaller --arch; {self.what_is_saved()}"
        )

    def fetch(self) -> None:
        """Bring the steps' scalars from the device, in one transfer, and look whether they are finite."""
        rows, self.rows = self.rows, []
        values: Iterator[float] = iter(())
        if rows:
            self.ranks.meet()
            found = torch.stack([v for row in rows for v in row.values()]).double()
            values = iter(self.ranks.mean([found])()[0].tolist())
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
        """Count a step that was undone."""
        self.skipped += 1
        self.counters.skipped += 1
        if self.skipped >= MOST_SKIPPED:
            raise errors.NonFinite(f"{self.skipped} steps in a row were skipped; {self.not_finite(step, known)}")
        if "skipped" not in self.said:
            self.said.add("skipped")
            self.display.warn(f"warning: {self.not_finite(step, known)}; training goes on (see faults/skipped)")

    def not_finite(self, step: int, known: Mapping[str, float]) -> str:
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
            f"step {step}: {what} is {known[tag]}: the update was not made; {self.what_is_saved()}; "
            "a smaller learning rate, or a penalty such as r1, may help"
        )

    def what_is_saved(self) -> str:
        if not self.ranks.lead:
            return "the first process keeps the checkpoints"
        self.settle_quietly()
        kept = checkpoint.found(self.folder / "checkpoints")
        return f"the last checkpoint, of step {int(kept[-1].name)}, is intact" if kept else "no checkpoint was saved"

    def record(self, values: dict[str, float]) -> None:
        """Scalars of now, to everyone who wants them; what looks bad in them is said once, the best state is saved."""
        if not values:
            return
        self.run.metrics.update(values)
        self.recorder.scalars(self.counters.step, self.counters.images, values)
        self.events.step_recorded(self.run, self.counters.step, values)
        for name, line in diagnostics.signs(values):
            if name not in self.said:
                self.said.add(name)
                self.display.say(f"warning: step {self.counters.step}: {line}")
        self.compare(values)

    def log(self) -> dict[str, float]:
        """The means of the steps' scalars since the last time, and how fast they were."""
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
        """Sample grids from fixed latents, and the metrics; where memory does not suffice for them, without."""
        began = time.monotonic()
        figures: dict[str, float] = {}
        try:
            figures = self.figures() if self.ranks.lead else {}
        except (MemoryError, RuntimeError) as error:
            if not hardware.out_of_memory(error):
                raise
            self.display.warn(
                f"warning: step {self.counters.step}: there is no memory for samples and metrics: training goes on "
                "without; fewer --samples may help"
            )
        self.recorder.flush()
        figures = self.ranks.told(figures)
        self.since = self.since[0] + time.monotonic() - began, self.since[1]  # looking is not training
        return figures

    def figures(self) -> dict[str, float]:
        if self.run.ema is not None:
            self.picture("samples/ema", self.samples("ema"))
        samples = self.samples("generator")
        self.picture("samples/generator", samples)
        figures = {"samples/diversity": float(_spread(samples)) / self.spread} if self.spread else {}
        for name, metric in self.run.parts.metrics.items():
            with named("metric", name):
                source = (self.feed.held_out if metric.pairs else None) or self.feed
                count = min(metric.samples, source.size)
                real = source.look(count)
                fake = self.run.sample(count, seed=self.settings.seed + 1, condition=real.condition)
                assert real.images is not None
                found = metric.score(real.images.float(), fake.float(), self.run.parts.data)
            figures.update({f"metrics/{name}/{key}": float(value) for key, value in found.items()})
        return figures

    def compare(self, values: Mapping[str, float]) -> None:
        """Save if this is the best so far."""
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
        if self.ranks.told(better):  # only the first process knows whether the best was written
            state.best = {"figure": wanted, "value": value, "step": self.counters.step}
            self.save()

    def samples(self, source: str) -> Tensor:
        """From fixed noise, for the conditions that are shown."""
        count = self.count if self.shown.condition is None else len(self.shown.condition)
        return self.run.sample(count, source=source, condition=self.shown.condition)

    def picture(self, tag: str, samples: Tensor) -> None:
        classes = self.run.spec.classes  # labels come in turn, so that a column is a class
        columns = classes if 0 < classes <= MOST_COLUMNS and tag != "samples/real" else None
        seen = samples
        if self.shown.condition is not None:
            pair = pictures.beside(self.shown.condition, self.real)
            seen = pair if tag == "samples/real" else pictures.beside(pair, samples)
        among = self.among if tag != "samples/real" else {}
        self.recorder.images(self.counters.step, tag, seen, columns, **among)
        self.events.images_recorded(self.run, self.counters.step, tag, samples)

    def save(self, wait: bool = False) -> None:
        """Copy the state off the device, and have it written in the background; ``wait`` until it is on disk."""
        self.fetch()  # a NaN that is on its way must not be saved
        self.settle(wait=True)
        step, state = self.counters.step, self.run.state
        if self.saved == step:
            return
        if (value := state.unsound()) is not None:
            raise errors.NonFinite(f"step {step}: {value} is not finite: it was not saved; {self.what_is_saved()}")
        if not self.ranks.lead:
            self.saved = step
            return
        self.recorder.flush()  # whoever resumes from this checkpoint finds the records up to it
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
        """Look how the save in the background went; one that failed is tried again when the next is due."""
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
            self.saved, self.best = int(path.name), self.saving
            self.failed_saves = self.rollbacks = 0
            self.events.checkpoint_saved(self.run, self.saved, path)

    def not_saved(self, error: errors.RunError, last: bool) -> None:
        """Say that a save failed; raise it if it was the last one, or the second in a row."""
        self.failed_saves += 1
        if self.run.state.best is self.saving:  # or the next save would keep one that is not there, not this one
            self.run.state.best = self.best
        if last or self.failed_saves > 1:
            raise errors.RunError(f"{error}; {self.what_is_saved()}; then go on with: ganzoo resume {self.folder}")
        self.display.warn(f"warning: {error}; training goes on, and stops if the next one fails too")

    def settle_quietly(self) -> None:
        """Wait for a save under way, where training ends with an error of its own that matters more than the save's."""
        try:
            self.settle(wait=True)
        except errors.RunError as error:
            self.display.warn(f"warning: {error}")

    def close(self, at_once: bool) -> None:
        """Let a save under way end, unless the user is in a hurry, and close the records."""
        if not at_once:
            self.settle_quietly()
        self.recorder.close()


class Interrupted(errors.TrainingStopped):
    """A signal asked training to stop; the step was finished and the state saved."""

    def __init__(self, signal_: int, step: int, folder: Path) -> None:
        name = signal.Signals(signal_).name
        super().__init__(f"{name}: stopped after step {step}, which is saved; go on with: ganzoo resume {folder}")
        self.exit_code = 128 + signal_  # type: ignore[misc]  # a class fact elsewhere; here it is the signal's


@dataclass
class _Interrupt:
    signal: int | None = None
    save: bool = False


@contextmanager
def interruptible(patience: float = 0.0) -> Iterator[_Interrupt]:
    """Hear signals, in the main thread only: what each does is said on top of this file.

    Args:
        patience: seconds in which a second SIGINT is taken for the first.
    """
    asked = _Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    first = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # a launcher (torchrun) hears Ctrl-C too and passes it on: twice in a moment is once
        if asked.signal is not None and number == signal.SIGINT and time.monotonic() - first > patience:
            raise KeyboardInterrupt
        first = first if asked.signal is not None else time.monotonic()
        asked.signal = number

    def ask_to_save(number: int, frame: FrameType | None) -> None:
        asked.save = True

    heard: dict[str, Any] = {"SIGINT": ask, "SIGTERM": ask, "SIGUSR1": ask_to_save, "SIGHUP": signal.SIG_IGN}
    # by name: not every system has all of them
    numbers = {getattr(signal, name): handler for name, handler in heard.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _functions(error: BaseException) -> Iterator[str]:
    """The functions that an exception went through, innermost first."""
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return reversed(frames)


def _spread(samples: Tensor) -> Tensor:
    """How much samples differ: the standard deviation over them of each number, averaged."""
    return samples.double().std(0, correction=0).mean()


def read_sums(numbers: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """A run's sums, as a checkpoint holds them."""
    return {tag: (float(total), int(count)) for tag, (total, count) in numbers.get("sums", {}).items()}


def plain_spec(spec: Spec) -> dict[str, Any]:
    """A spec as plain data."""
    return {
        "shape": list(spec.shape),
        "latent_dim": spec.latent_dim,
        "classes": spec.classes,
        "condition_shape": None if spec.condition_shape is None else list(spec.condition_shape),
    }


def _parts(cast: Parts) -> Iterator[Any]:
    yield from (cast.architecture, cast.loss, cast.schedule, cast.data)
    yield from cast.regularizers.values()
    yield from cast.optimizers.values()


def _devices(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []


def _hparams(run: Run) -> tuple[dict[str, Any], str, list[str]]:
    """The hparams row (the same columns for every run), the settings as markdown, and the columns for results."""
    settings = words.plain(run.settings)
    row: dict[str, Any] = {key: run.parts.labels[key] for key in PARTS_SHOWN}
    row.update({f"settings/{key}": run.parts.labels.get(key, settings[key]) for key in SETTINGS_SHOWN})
    text = "\n".join(f"- **{key}**: `{value}`" for key, value in {**settings, **run.parts.labels}.items())
    results = ["loss/discriminator", "loss/generator", "speed/images_per_second"]
    return {key: "none" if value is None else value for key, value in row.items()}, text, results


PARTS_SHOWN = ("arch", "data", "loss", "regularizers", "schedule")
SETTINGS_SHOWN = ("batch_size", "d_optimizer", "ema", "g_optimizer", "latent_dim", "precision", "seed")
"""Columns of the hparams table. All runs have all of them, so runs of different parts share one table. TensorBoard
sorts them by name and shows the first five unless told, so the settings' names begin with a later letter."""
