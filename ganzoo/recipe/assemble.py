"""A run's settings to an assembled experiment: the parts, the nets, what trains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from ganzoo import errors, launcher, words
from ganzoo.data import feed
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.names import one_line
from ganzoo.parts import (
    PLAYERS,
    Architecture,
    Batch,
    Data,
    Loss,
    Metric,
    Networks,
    Optimizer,
    Part,
    Player,
    Regularizer,
    Schedule,
    Spec,
)
from ganzoo.recipe.directory import plain_settings
from ganzoo.recipe.rules import check
from ganzoo.recipe.settings import PartSource, Settings
from ganzoo.speed import hardware
from ganzoo.step.build import build_game
from ganzoo.step.environment import GameParts, StepEnvironment
from ganzoo.step.game import Game
from ganzoo.step.randomness import derive_seed
from ganzoo.step.state import State
from ganzoo.training import loop, probe
from ganzoo.training.distributed import SINGLE_PROCESS, Processes, join, leave, statistics, synchronised
from ganzoo.training.run import Parts, Run
from ganzoo.words import Bound, PartSpec

PartT = TypeVar("PartT", bound=Part)


@dataclass
class Experiment:
    """A run with what trains it."""

    run: Run
    game: Game
    feed: feed.Feed
    catalogue: PartSource
    processes: Processes = SINGLE_PROCESS  # those that train the run together
    lock: Lock | None = None  # on the run directory, while it is open for training


@hardware.room("there is no memory for the networks and the data: give a smaller --arch or less data")
def assemble(settings: Settings, catalogue: PartSource, *, fresh: bool = True) -> Experiment:
    """Parts, data, nets, optimizers and game, ready to train; every rule across parts is looked at here.

    Args:
        settings: all of them.
        catalogue: where parts are looked up.
        fresh: the run begins here, with the networks of ``init_from`` if any; a checkpoint is not loaded on top.

    Raises:
        GanzooError: whatever cannot be found, made or put together.
    """
    cast_ = gather(settings, catalogue)
    device = hardware.device(settings.device)
    if settings.deterministic:
        hardware.set_cublas_workspace()
    precision = hardware.precision(settings.precision, device)
    pieces = settings.accumulate * launcher.launch().world_size
    if settings.batch_size % pieces:
        less, more = (pieces * max(1, n) for n in (settings.batch_size // pieces, settings.batch_size // pieces + 1))
        raise errors.SettingsError(
            f"a batch of {settings.batch_size} cannot be cut into {pieces} equal pieces ("
            f"{pieces // settings.accumulate} processes, --accumulate {settings.accumulate}): give --batch-size "
            f"{' or '.join(map(str, sorted({less, more})))}"
        )
    processes = join(device)
    with processes.relay_errors():
        return _assembled(settings, catalogue, cast_, device, precision, processes, fresh)


def _assembled(
    settings: Settings,
    catalogue: PartSource,
    cast_: Parts,
    device: torch.device,
    precision: hardware.Precision,
    processes: Processes,
    fresh: bool,
) -> Experiment:
    with hardware.random_state_kept(device):
        dataset = cast_.data.dataset()
        source = feed.feed(dataset, cast_.labels["data"], settings.batch_size, settings.seed, device, precision.dtype)
        source.share(
            settings.accumulate * processes.world_size, processes.rank * settings.accumulate, settings.accumulate
        )
        classes = cast_.architecture.classes(source.classes)
        source.with_labels = classes > 0
        spec = Spec(
            shape=source.shape,
            latent_dim=settings.latent_dim,
            classes=classes,
            inputs=source.inputs,
        )
        run_ = build(settings, cast_, spec)
        if source.inputs or any(metric.pairs for metric in cast_.metrics.values()):
            source.held_out = held_out(run_)
    run_.warnings = check(cast_, run_.state.networks, spec)
    for label, regularizer in cast_.regularizers.items():
        if regularizer.defines("joint_penalty") and source.pieces > 1:
            raise errors.Incompatible(
                f"{label} is the size of a whole batch's gradient: train it in one process and without --accumulate"
            )
    for label, metric in cast_.metrics.items():
        if metric.pairs and source.held_out is None:
            raise errors.Incompatible(
                f"metric {label} is figured on held-out pairs, and data {cast_.labels['data']} holds none out: set its "
                f"hold_out=0.2, or leave {label} out"
            )
    environment = StepEnvironment(
        feed=source,
        batch_size=settings.batch_size,
        latent_dim=settings.latent_dim,
        seed=settings.seed,
        device=device,
        dtype=precision.dtype,
        autocast=precision.autocast,
        process_group=processes,
        accumulate=settings.accumulate,
        skip_nonfinite=settings.on_nonfinite == "skip",
    )
    if environment.micro_batches > 1:
        nets = run_.state.networks._asdict()
        environment = replace(environment, buffers=tuple(statistics({**nets, **run_.state.modules})))
    game_parts = GameParts(
        run_.state,
        architecture_name=cast_.labels["arch"],
        architecture=cast_.architecture,
        loss_name=cast_.labels["loss"],
        loss=cast_.loss,
        regularizers=cast_.regularizers,
    )
    figures = [
        f"{label}/{name}"
        for label, metric in cast_.metrics.items()
        for name, up in metric.figures.items()
        if up is not None
    ]
    if settings.best is not None and settings.best not in figures:
        has = ", ".join(figures) or "none: name a --metric"
        raise errors.SettingsError(
            f"--best {settings.best} is no figure of this run that is better one way; there are {has}"
        )
    if settings.init_from is not None and fresh:
        adopt(run_, settings.init_from)
    autocast = _choose_precision(run_, game_parts, environment, source, processes)
    game = build_game(game_parts, replace(environment, autocast=autocast))
    run_.identity = {
        "settings": plain_settings(run_, catalogue.kinds),
        "data": source.fingerprint(),
        "versions": {
            "ganzoo": version("ganzoo"),
            "torch": torch.__version__,
            "the number of processes": processes.world_size,
            **cast_.providers,
        },
    }
    return Experiment(run_, game, source, catalogue, processes)


def _choose_precision(
    run_: Run, game_parts: GameParts, environment: StepEnvironment, source: feed.Feed, processes: Processes
) -> Callable[[], AbstractContextManager[Any]]:
    """The context that the networks run in; replaces precision ``auto`` of the settings by bf16 where it is faster.

    A small step on a CPU and a deterministic run take fp32 without a trial.
    """
    if run_.settings.precision != "auto":
        return environment.autocast
    times = 0.0
    if hardware.has_bf16(run_.device) and not run_.settings.deterministic and processes.is_main:
        cost = hardware.estimated_flops(
            run_.parts.architecture, run_.state.networks, run_.spec, run_.settings.batch_size
        )
        if run_.device.type != "cpu" or (cost or 0) >= hardware.SMALL_STEP:
            try:
                times = probe.probe(run_, game_parts, environment, source)
            except Exception as error:  # the run itself will tell whether the step is at fault
                run_.choices.append(f"precision fp32: the trial of bf16 failed ({one_line(error)})")
    times = processes.broadcast_object(times)
    name: Literal["bf16", "fp32"] = "bf16" if times > hardware.WORTHWHILE else "fp32"
    run_.settings = replace(run_.settings, precision=name)
    if times:
        run_.choices.append(f"precision {name}: a step in bf16 is {times:.2f} times as fast as in fp32 here")
    return hardware.precision(name, run_.device).autocast


def gather(settings: Settings, catalogue: PartSource) -> Parts:
    """The parts that the settings name, looked up and validated, each a copy of its own.

    Raises:
        GanzooError: a part is unknown, a value does not fit, or a part is named twice.
    """
    specs: dict[str, tuple[PartSpec, ...]] = {}
    bound: dict[str, Bound[Any]] = {}

    def many(setting: str, contract: type[PartT]) -> dict[str, PartT]:
        given = settings.parts.get(setting, ()) or settings.parts.get(catalogue.kinds.settings[setting].default, ())
        found: dict[str, PartT] = {}
        for each in given:
            spec, part = catalogue.make(catalogue.kinds.of_setting[setting], each)
            assert isinstance(part, contract)
            if spec.label in found:
                raise errors.Incompatible(f"{spec.label} is named twice: name it once")
            key = f"{spec.kind} {spec.label}" if catalogue.kinds.settings[setting].many else setting
            bound[key] = words.bind(part)
            found[spec.label] = bound[key].part
            specs[setting] = (*specs.get(setting, ()), spec)
        specs.setdefault(setting, ())
        return found

    def one(setting: str, contract: type[PartT]) -> PartT:
        (part,) = many(setting, contract).values()
        return part

    architecture, loss = one("arch", Architecture), one("loss", Loss)
    regularizers = many("regularizers", Regularizer)
    schedule, data = one("schedule", Schedule), one("data", Data)
    metrics = many("metrics", Metric)
    one("optimizer", Optimizer)
    optimizers: dict[Player, Optimizer] = {player: one(f"{player[0]}_optimizer", Optimizer) for player in PLAYERS}
    others = {
        f"{catalogue.kinds.of_setting[setting]} {label}": part
        for setting in catalogue.kinds.settings
        if setting not in specs
        for label, part in many(setting, Part).items()
    }
    in_order = {setting: specs[setting] for setting in catalogue.kinds.settings}
    return Parts(
        architecture,
        loss,
        regularizers,
        schedule,
        data,
        metrics,
        optimizers,
        bound,
        in_order,
        others,
        catalogue.names_with,
    )


def build(settings: Settings, cast_: Parts, spec: Spec) -> Run:
    """Nets, prepared by the regularizers, with their optimizers: a run at step 0, a function of the seed."""
    device = hardware.device(settings.device)
    precision = hardware.precision(settings.precision, device)
    with hardware.random_state_kept(device):
        hardware.seed_default_generators(device, derive_seed(settings.seed, "init"))
        made = cast_.architecture.build(spec)
        if settings.batch_norm == "sync":
            made = Networks(*map(synchronised, made))
        networks = Networks(*(hardware.settle(net, device, precision.dtype).train() for net in made))
        modules: dict[str, nn.Module] = {}
        for label, regularizer in cast_.regularizers.items():
            module = regularizer.prepare(networks, spec)
            if module is not None:
                modules[label] = hardware.settle(module, device, precision.dtype)
                cast_.bound[f"regularizer {label}"].values["module"] = modules[label]
    optimizers = {}
    for player in PLAYERS:
        trained = list(getattr(networks, player).parameters())
        for label, module in modules.items():
            if cast_.regularizers[label].trained_by == player:
                trained += module.parameters()
        optimizers[player] = cast_.optimizers[player].build(trained)
    with hardware.random_state_kept(device):
        own = cast_.schedule.prepare(networks, spec)
    if own is not None:
        modules["schedule"] = hardware.settle(own, device, precision.dtype)
        cast_.bound["schedule"].values["module"] = modules["schedule"]
    state = State(networks, optimizers, modules, settings.ema)
    return Run(None, settings, cast_, spec, state, device, precision.dtype)


def adopt(run_: Run, source: str | Path) -> None:
    """Start from another run's networks and average, to fine-tune them; everything else is new.

    Raises:
        RunError: that is no run directory; CheckpointError: its networks are not of this shape.
    """
    folder = Path(source)
    if not (folder / "config.yaml").is_file():
        raise errors.RunError(f"--init-from {folder} is no run directory: it has no config.yaml")
    try:
        run_.state.adopt(checkpoint.newest(folder / "checkpoints").tensors)
    except errors.CheckpointError as error:
        raise errors.CheckpointError(f"--init-from {folder}: {error}") from error


def held_out(run_: Run) -> feed.Feed | None:
    """A feed of samples that the run's training never sees, None where its data holds none out."""
    dataset = run_.parts.data.held_out()
    if dataset is None:
        return None
    return feed.feed(dataset, run_.parts.labels["data"], 1, run_.settings.seed, run_.device, run_.dtype)


def shown(run_: Run, count: int) -> tuple[Batch, bool]:
    """Up to so many samples of the run's data to look at, and whether training never saw them (or it holds none out).

    Raises:
        DataError: the data is missing or unreadable.
    """
    source = held_out(run_)
    if source is not None:
        return source.look(min(count, source.size)), True
    seen = feed.feed(
        run_.parts.data.dataset(), run_.parts.labels["data"], 1, run_.settings.seed, run_.device, run_.dtype
    )
    return seen.look(min(count, seen.size)), False


def other(run_: Run, named: str, catalogue: PartSource, count: int) -> Batch:
    """Up to so many samples of other data, at the run's size and channels where the data takes these.

    Args:
        run_: the run that the samples are for.
        named: the data, as ``--data`` takes it.
        catalogue: where parts are looked up.
        count: samples at most.

    Raises:
        GanzooError: the data cannot be found, made or read.
    """
    shape = run_.spec.shape
    fitting = {"size": shape[-1], "channels": shape[0]} if len(shape) == 3 else {}
    given = catalogue.specify("data", named)
    spec, data = catalogue.make("data", given)
    if isinstance(given, PartSpec):
        fitting = {
            key: value for key, value in fitting.items() if key in spec.parameters and key not in given.parameters
        }
        spec, data = catalogue.make("data", given.with_parameters(**fitting))
    assert isinstance(data, Data)
    samples = feed.feed(data.dataset(), spec.label, 1, run_.settings.seed, run_.device, run_.dtype)
    return samples.look(min(count, samples.size))


def total_steps(settings: Settings) -> int:
    """Steps to train: as told, or as many as see that many images."""
    if settings.images is not None:
        return math.ceil(settings.images / settings.batch_size)
    if settings.steps is None:
        raise errors.SettingsError("nothing says how long to train: give --steps or --images")
    return settings.steps


@contextmanager
def training(experiment: Experiment, total: int | None = None, *, quiet: bool = False) -> Iterator[loop.Trainer]:
    """What training an experiment in its directory needs; the lock and the other processes are left on the way out.

    Args:
        experiment: with its directory opened.
        total: the step to train up to; the settings say unless given.
        quiet: show only what goes wrong.
    """
    steps = total_steps(experiment.run.settings) if total is None else total
    run_, processes = experiment.run, experiment.processes
    try:
        with (
            processes.relay_errors(),
            loop.training(
                run_,
                experiment.game,
                experiment.feed,
                steps,
                experiment.catalogue.events(run_.parts.others),
                quiet=quiet,
                processes=processes,
            ) as trainer,
        ):
            yield trainer
    finally:
        if experiment.lock is not None:
            experiment.lock.release()
        leave()


def train(experiment: Experiment, total: int | None = None, *, quiet: bool = False) -> Run:
    """Train an experiment in its directory, up to a step; see ``training``."""
    with training(experiment, total, quiet=quiet) as trainer:
        trainer.train()
    return experiment.run
