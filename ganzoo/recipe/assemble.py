"""Assemble an experiment from the settings of a run: the parts, the networks, the game and the data feed."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from ganzoo import errors, launcher
from ganzoo.data import choose
from ganzoo.data.feed import Feed
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.names import one_line
from ganzoo.parts import PLAYERS, Networks, Spec
from ganzoo.recipe import origins
from ganzoo.recipe.directory import plain_settings
from ganzoo.recipe.gather import gather
from ganzoo.recipe.real_samples import held_out
from ganzoo.recipe.rules import check, check_micro_batches, check_optimizers
from ganzoo.recipe.settings import PartSource, Settings, split_init_from
from ganzoo.speed import hardware
from ganzoo.step.average import Averaging
from ganzoo.step.build import build_game
from ganzoo.step.environment import GameParts, StepEnvironment
from ganzoo.step.game import Game
from ganzoo.step.randomness import derive_seed
from ganzoo.step.state import State
from ganzoo.training import loop, probe
from ganzoo.training.display import Display
from ganzoo.training.distributed import SINGLE_PROCESS, Processes, join, leave, statistics, synchronised
from ganzoo.training.parts import Parts
from ganzoo.training.run import Run
from ganzoo.training.scoring import require_samples, try_metric

TRAINED = threading.RLock()
"""Held while a thread trains: torch's default generators, which a run seeds, belong to the process."""

OWN_SETTINGS = frozenset({"device", "threads", "logdir", "init_from", "data"})
"""The settings in which the processes of a run may differ, as machines differ. The samples are compared themselves."""


@dataclass
class Experiment:
    """A run, and the objects that train the run.

    Args:
        run: the run, at step 0 until a checkpoint is loaded.
        game: the game that computes the losses, the gradients and the updates.
        feed: the real batches.
        catalogue: the source of parts, presets and plugins.
        processes: the processes that train the run together.
        lock: the lock on the run directory. None while the directory is not open for training.
    """

    run: Run
    game: Game
    feed: Feed
    catalogue: PartSource
    processes: Processes = SINGLE_PROCESS
    lock: Lock | None = None


@hardware.room("there is no memory for the networks and the data: give a smaller --arch or less data")
def assemble(settings: Settings, catalogue: PartSource, *, fresh: bool = True, dry: bool = False) -> Experiment:
    """Make the parts, data, networks, optimizers and game of a run, and check every rule across parts.

    Args:
        settings: the settings of the run.
        catalogue: the source in which the parts are looked up.
        fresh: whether the run begins at step 0. A fresh run starts from the networks of ``init_from``, if given. A run
            that is not fresh takes the networks of a checkpoint, which the caller loads.
        dry: whether the run is only described. No step is made then, not even to choose the precision.

    Returns:
        The experiment, ready to train. No run directory is made.

    Raises:
        GanzooError: a part or the data cannot be found or made, or two parts cannot go together.
    """
    parts = gather(settings, catalogue)
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
        return _assembled(settings, catalogue, parts, device, precision, processes, fresh, dry)


def _assembled(
    settings: Settings,
    catalogue: PartSource,
    parts: Parts,
    device: torch.device,
    precision: hardware.Precision,
    processes: Processes,
    fresh: bool,
    dry: bool,
) -> Experiment:
    with hardware.random_state_kept(device):
        try:
            dataset = parts.data.dataset()
        except (errors.GanzooError, MemoryError):
            raise
        except Exception as error:  # a data part may raise anything
            raise errors.DataError(f"data {parts.labels['data']} cannot be made: {one_line(error)}") from error
        source = choose.feed(
            dataset, parts.labels["data"], settings.batch_size, settings.seed, device, precision.dtype, parts.data
        )
        source.share(
            settings.accumulate * processes.world_size, processes.rank * settings.accumulate, settings.accumulate
        )
        with errors.refusals_of("architecture", parts.spec("arch").reference, parts.spec("d_arch").reference):
            classes = parts.architecture.classes(source.classes)
        source.give_labels(classes)
        spec = Spec(
            shape=source.shape,
            latent_dim=settings.latent_dim,
            classes=classes,
            inputs=source.inputs,
        )
        try:
            run = build(settings, parts, spec)
        except errors.Incompatible:
            if "labels" not in source.inputs:
                raise
            # Labels that are no class numbers, such as attributes, are left out where the networks take none.
            source.keep_inputs(source.inputs.keys() - {"labels"})
            run = build(settings, parts, spec := replace(spec, inputs=source.inputs))
            source.notes.append(
                f"data {parts.labels['data']} has labels that are no class numbers, and the networks are given none: "
                "whole numbers from 0 would be classes"
            )
        run.class_names, run.data_range = list(source.class_names), source.data_range
        data = source.fingerprint()
        processes.require_same(told(plain_settings(run, catalogue.kinds), data, _versions(parts)))
        run.plugin_files = tuple(catalogue.plugin_files.values())
        if source.inputs or any(metric.held_out for metric in parts.metrics.values()):
            source.held_out = held_out(run)
    run.warnings = check(parts, run.state.networks, spec) + source.notes
    check_micro_batches(parts, source.pieces, settings.accumulate)
    for label, metric in parts.metrics.items():
        require_samples(run, label, metric, source)
        if fresh and processes.is_main:
            try_metric(run, label, metric, source)
    environment = StepEnvironment(
        feed=source,
        batch_size=settings.batch_size,
        latent_dim=settings.latent_dim,
        noise=settings.noise,
        seed=settings.seed,
        device=device,
        dtype=precision.dtype,
        autocast=precision.autocast,
        process_group=processes,
        accumulate=settings.accumulate,
        skip_nonfinite=settings.on_nonfinite == "skip",
    )
    if environment.micro_batches > 1:
        modules = {**run.state.networks._asdict(), **run.state.modules}
        # The running statistics of the average follow those of the generator, which differ from process to process.
        if run.state.ema is not None:
            modules["ema"] = run.state.ema
        environment = replace(environment, buffers=tuple(statistics(modules)))
    game_parts = GameParts(
        run.state,
        spec=spec,
        architecture_name=parts.labels["arch"],
        discriminator_name=parts.labels["d_arch"],
        architecture=parts.architecture,
        loss_name=parts.labels["loss"],
        loss=parts.loss,
        regularizers=parts.regularizers,
    )
    figures = [
        f"{label}/{name}"
        for label, metric in parts.metrics.items()
        for name, up in metric.figures.items()
        if up is not None
    ]
    if settings.best is not None and settings.best not in figures:
        has = ", ".join(figures) or "none: name a --metric"
        raise errors.SettingsError(
            f"--best {settings.best} is no figure of this run that is better one way; there are {has}"
        )
    if settings.init_from is not None and fresh:
        adopt(run, settings.init_from)
    if dry and settings.precision == "auto":
        run.choices.append("bf16 where a trial finds bf16 faster")
        autocast = environment.autocast
    else:
        autocast = _choose_precision(run, game_parts, environment, source, processes)
    game = build_game(game_parts, replace(environment, autocast=autocast))
    run.identity = {
        "settings": plain_settings(run, catalogue.kinds),
        "data": data,
        "versions": {**_versions(parts), "the number of processes": processes.world_size},
    }
    return Experiment(run, game, source, catalogue, processes)


def _versions(parts: Parts) -> dict[str, str]:
    return {"ganzoo": version("ganzoo"), "torch": torch.__version__, **parts.providers}


def told(
    settings: Mapping[str, object], data: Mapping[str, object], versions: Mapping[str, object]
) -> dict[str, object]:
    """Collect what must be the same in all processes of a run.

    Args:
        settings: the settings as plain data.
        data: the fingerprint of the data.
        versions: the versions of ganzoo, torch and the plugins.

    Returns:
        The facts by name. Settings of a single machine are left out, such as the device.

    Example:
        >>> told({"steps": 5, "device": "cuda:1", "loss": {"name": "hinge"}}, {"size": 10}, {"torch": "2.9"})
        {'steps': 5, 'loss.name': 'hinge', 'data size': 10, 'version of torch': '2.9'}
    """
    facts: dict[str, object] = {}
    for key, value in settings.items():
        if key in OWN_SETTINGS:
            continue
        for name, each in value.items() if isinstance(value, Mapping) else [("", value)]:
            # a part that is made in Python may show the address of an object, which differs in every process
            plain = re.sub(" at 0x[0-9a-f]+", "", each) if isinstance(each, str) else each
            facts[f"{key}.{name}" if name else key] = plain
    facts.update({f"data {key}": value for key, value in data.items()})
    facts.update({f"version of {key}": value for key, value in versions.items()})
    return facts


def _choose_precision(
    run: Run, game_parts: GameParts, environment: StepEnvironment, source: Feed, processes: Processes
) -> Callable[[], AbstractContextManager[object]]:
    """Choose the precision of the networks' passes, and write the choice into the run's settings.

    Precision ``auto`` becomes bf16 where a trial shows that a step in bf16 is faster. A small step on a CPU and a
    deterministic run take fp32 without a trial. The main process decides for all processes.

    Returns:
        The function that makes the autocast context.
    """
    if run.settings.precision != "auto":
        return environment.autocast
    times = 0.0
    if hardware.has_bf16(run.device) and not run.settings.deterministic and processes.is_main:
        cost = hardware.estimated_flops(run.parts.architecture, run.state.networks, run.spec, run.settings.batch_size)
        if run.device.type != "cpu" or (cost or 0) >= hardware.SMALL_STEP:
            try:
                times = probe.probe(run, game_parts, environment, source)
            except Exception as error:  # if the step itself is at fault, training raises the same error again
                run.choices.append(f"precision fp32: the trial of bf16 failed ({one_line(error)})")
    times = processes.broadcast_object(times)
    name: Literal["bf16", "fp32"] = "bf16" if times > hardware.WORTHWHILE else "fp32"
    run.settings = replace(run.settings, precision=name)
    if times:
        run.choices.append(f"precision {name}: a step in bf16 is {times:.2f} times as fast as in fp32 here")
    return hardware.precision(name, run.device).autocast


def build(settings: Settings, parts: Parts, spec: Spec) -> Run:
    """Make the networks and optimizers of a run at step 0. The result is a function of the seed.

    Args:
        settings: the settings of the run.
        parts: the parts of the run.
        spec: the shapes of samples, latents and inputs, and the number of classes.

    Returns:
        The run, without a directory. The regularizers and the schedule have prepared the networks.
    """
    device = hardware.device(settings.device)
    precision = hardware.precision(settings.precision, device)
    with hardware.random_state_kept(device):
        hardware.seed_default_generators(device, derive_seed(settings.seed, "init"))
        with errors.refusals_of("architecture", parts.spec("arch").reference, parts.spec("d_arch").reference):
            made = parts.architecture.build(spec)
        for player, net in zip(("generator", "discriminator"), made, strict=True):
            if not isinstance(net, nn.Module):
                at_fault = parts.spec("arch" if player == "generator" else "d_arch").reference
                raise errors.PartError(
                    f"architecture {at_fault}: {player}() gave a {type(net).__name__}: return a torch.nn.Module"
                )
        if settings.batch_norm == "sync":
            made = Networks(*map(synchronised, made))
        networks = Networks(*(hardware.settle(net, device, precision.dtype).train() for net in made))
        modules: dict[str, nn.Module] = {}
        known = replace(spec, outputs=parts.architecture.outputs(spec))
        for label, regularizer in parts.regularizers.items():
            if isinstance(regularizer, origins.Missing):
                continue
            with errors.refusals_of("regularizer", label):
                module = regularizer.prepare(networks, known)
            if module is not None:
                modules[label] = hardware.settle(module, device, precision.dtype)
                parts.bound[f"regularizer {label}"].values["module"] = modules[label]
    optimizers = {}
    for player in PLAYERS:
        trained = list(getattr(networks, player).parameters())
        for label, module in modules.items():
            if parts.regularizers[label].trained_by == player:
                trained += module.parameters()
        if not isinstance(parts.optimizers[player], origins.Missing):
            optimizers[player] = made_optimizer = parts.optimizers[player].build(trained)
            if not hasattr(made_optimizer, "param_groups"):
                raise errors.PartError(
                    f"optimizer {parts.spec(f'{player[0]}_optimizer').reference}: build() gave a "
                    f"{type(made_optimizer).__name__}: return a torch.optim.Optimizer"
                )
    check_optimizers(parts, optimizers)
    with hardware.random_state_kept(device):
        missing = isinstance(parts.schedule, origins.Missing)
        own = None if missing else parts.schedule.prepare(networks, known)
    if own is not None:
        modules["schedule"] = hardware.settle(own, device, precision.dtype)
        parts.bound["schedule"].values["module"] = modules["schedule"]
    averaging = Averaging(
        settings.batch_size,
        settings.ema,
        settings.ema_half_life,
        settings.ema_rampup,
        settings.ema_start,
        settings.ema_form == "uniform",
    )
    state = State(networks, optimizers, modules, averaging)
    return Run(None, settings, parts, spec, state, device, precision.dtype)


def adopt(run: Run, source: str | Path) -> None:
    """Take over the networks and the average of another run, to fine-tune the networks.

    Optimizers, counters and random numbers stay those of the new run.

    Args:
        run: the new run. The networks of this run are overwritten.
        source: the directory of the other run. The newest checkpoint is read. With ``:partial`` behind the directory,
            the tensors whose names and shapes fit are taken, and the choices of the run list the others.

    Raises:
        RunError: the source is no run directory.
        CheckpointError: the networks of the two runs differ in shape.
    """
    folder, partial = split_init_from(source)
    if not (folder / "config.yaml").is_file():
        raise errors.RunError(f"--init-from {folder} is no run directory: it has no config.yaml")
    try:
        left = run.state.adopt(checkpoint.newest(folder / "checkpoints").tensors, partial=partial)
    except errors.CheckpointError as error:
        advice = f"give --init-from {folder}:partial to take what fits"
        raise errors.CheckpointError(f"--init-from {folder}: {error}; {advice}") from error
    run.choices += [f"from {folder}: {line}" for line in left]


def total_steps(settings: Settings) -> int:
    """Compute the number of steps to train, from ``steps`` or from ``images``.

    Args:
        settings: the settings of the run.

    Returns:
        The number of steps. With ``images``, the smallest number of batches that holds as many images.

    Raises:
        SettingsError: neither ``steps`` nor ``images`` is given.

    Example:
        >>> total_steps(Settings(batch_size=64, images=1000))
        16
    """
    if settings.images is not None:
        return math.ceil(settings.images / settings.batch_size)
    if settings.steps is None:
        raise errors.SettingsError("nothing says how long to train: give --steps or --images")
    return settings.steps


@contextmanager
def training(experiment: Experiment, total: int | None = None, *, quiet: bool = False) -> Iterator[loop.Trainer]:
    """Open the context in which an experiment is trained. At the exit the lock is released and the process group left.

    Args:
        experiment: an experiment whose run directory is open.
        total: the step to train up to. None takes the number of steps of the settings.
        quiet: whether to show warnings and errors only.

    Yields:
        The trainer. The method ``train`` of the trainer makes the steps.
    """
    steps = total_steps(experiment.run.settings) if total is None else total
    run, processes = experiment.run, experiment.processes
    alone = TRAINED.acquire(blocking=False)
    if not alone:
        Display(0, 0, quiet=True).warn(
            "warning: another thread of this process trains a run: both draw from torch's own generators, so neither "
            "run can be repeated: train one after the other, or in processes of their own"
        )
    try:
        with (
            processes.relay_errors(),
            loop.training(
                run,
                experiment.game,
                experiment.feed,
                steps,
                experiment.catalogue.events(run.parts.others),
                quiet=quiet,
                processes=processes,
            ) as trainer,
        ):
            yield trainer
    finally:
        if alone:
            TRAINED.release()
        if experiment.lock is not None:
            experiment.lock.release()
        leave()


def train(experiment: Experiment, total: int | None = None, *, quiet: bool = False) -> Run:
    """Train an experiment up to a step.

    Args:
        experiment: an experiment whose run directory is open.
        total: the step to train up to. None takes the number of steps of the settings.
        quiet: whether to show warnings and errors only.

    Returns:
        The trained run.
    """
    with training(experiment, total, quiet=quiet) as trainer:
        trainer.train()
    return experiment.run
