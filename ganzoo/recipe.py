"""A run's settings to an assembled experiment: the parts, the nets, the rules across parts, the run directory.

``run``, ``resume``, ``load``, ``part`` and ``catalogue`` are what users of the library call.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import torch
from torch import nn

from ganzoo import errors, words
from ganzoo import plugins as door
from ganzoo.data import feed
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.names import NAME, nearest
from ganzoo.parts import KINDS, PLAYERS, Batch, Loss, Networks, Part, Player, Regularizer, Spec
from ganzoo.settings import FREE, PART_SETTINGS, Settings, resolve
from ganzoo.speed import hardware
from ganzoo.step.game import Game
from ganzoo.step.state import State, mix
from ganzoo.training import loop
from ganzoo.training.display import Display
from ganzoo.training.distributed import ALONE, Ranks, join, launch, leave, restarted, statistics, synchronised
from ganzoo.training.loop import Parts, Run

LONGEST_NAME = 200

ABANDONED = 3600.0
"""Seconds after which a run directory that has no name yet is nobody's."""


@dataclass
class Experiment:
    """A run with what trains it."""

    run: Run
    game: Game
    feed: feed.Feed
    catalogue: door.Catalogue
    ranks: Ranks = ALONE  # the processes that train it together
    lock: Lock | None = None  # on the run directory, while it is open for training


# -- what users of the library call ------------------------------------------------------------------------------


def run(
    *,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    no_plugins: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a GAN, and return the run: its directory, networks, average, metrics and samples.

    Args:
        preset: settings to start from, such as ``"sngan"``.
        config: a YAML file of settings, or a mapping.
        overrides: ``"loss.margin=2"``, ``"r1.gamma=5"``, ``"optimizer.lr=1e-4"``.
        plugins: Python files with parts of your own.
        no_plugins: use only the parts that ship with ganzoo (and those of ``plugins``).
        quiet: show no progress.
        settings: what the command line takes, by the same names (``arch``, ``loss``, ``regularizers``, ``schedule``,
            ``data``, ``optimizer``, ``steps``, ``seed``, ``logdir``, ``device``, ...); parts as words, as mappings
            with ``name``, or as part objects.

    Raises:
        GanzooError: in one line, what was found, what was expected, what to do.
    """
    catalogue_ = door.catalogue(no_plugins=no_plugins, files=plugins)
    resolved = resolve(catalogue_.presets(), preset=preset, config=config, given=settings, overrides=overrides)
    experiment = assemble(resolved, catalogue_)
    return train(experiment, begin(experiment), quiet=quiet)


def resume(
    run_dir: str | Path,
    *,
    steps: int | None = None,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
    **parts: Any,
) -> Run:
    """Go on with a run in its own directory, from its newest whole checkpoint, as if it had never stopped.

    Args:
        run_dir: the run directory.
        steps: the step to train up to, where it differs from the run's own.
        plugins: the Python files that its parts came from, if any.
        quiet: show no progress.
        parts: the parts that were given as Python objects, which a config file cannot hold.

    Raises:
        RunError: that is no run directory; CheckpointError: no checkpoint of it is whole.
    """
    experiment, total = reopen(run_dir, door.catalogue(files=plugins), steps=steps, parts=parts)
    return train(experiment, total, quiet=quiet)


def load(
    run_dir: str | Path, *, checkpoint: str | int = "newest", plugins: Sequence[str | Path] = (), **parts: Any
) -> Run:
    """A run as it is on disk: networks, average, settings, newest metrics. Needs no data.

    Args:
        run_dir: the run directory.
        checkpoint: newest, best (by the run's ``--best`` figure), or a step.
        plugins: the Python files that its parts came from, if any.
        parts: the parts that were given as Python objects, which a config file cannot hold.

    Raises:
        RunError: that is no run directory; CheckpointError: no checkpoint of it is whole.
    """
    return reload(run_dir, door.catalogue(files=plugins), parts, which=checkpoint)


def part(kind: str, named: str, /, **values: Any) -> Part:
    """One part, alone: ``part("loss", "hinge:margin=2").discriminator(ganzoo.Scores(real=r, fake=f))``.

    Args:
        kind: architecture, loss, regularizer, schedule, data, metric or optimizer.
        named: words, ``"name:key=value"``.
        values: parameters, instead of in words.

    Raises:
        PartError: the kind, the name, a key or a value is wrong.
    """
    if kind not in KINDS:
        raise errors.UnknownPart(f"there is no kind {kind!r}{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    split = words.split(named)
    made: Part = catalogue().make(kind, {"name": split.label, **split.values, **values})[1]
    return made


def catalogue(kind: str | None = None, *, no_plugins: bool = False) -> Any:
    """Every part that can be named; of one kind, their entries (name, provider, summary)."""
    found = door.catalogue(no_plugins=no_plugins)
    return found if kind is None else found.entries(kind)


# -- a run from its directory ------------------------------------------------------------------------------------


def reopen(
    run_dir: str | Path, catalogue_: door.Catalogue, *, steps: int | None = None, parts: Mapping[str, Any] | None = None
) -> tuple[Experiment, int]:
    """A run ready to go on from its newest whole checkpoint, and the step to train up to; see ``resume``."""
    folder, settings = _settings_of(run_dir, catalogue_, parts or {})
    experiment = assemble(settings, catalogue_, fresh=False)
    return experiment, _go_on(experiment, folder, steps)


def _go_on(experiment: Experiment, folder: Path, steps: int | None = None) -> int:
    """Put an experiment where its run directory says that it is; the step to train up to."""
    run_, screen = experiment.run, Display(0, 0, quiet=True)
    run_.dir = folder
    total = steps or total_steps(run_.settings)
    with experiment.ranks.speaking():
        if experiment.ranks.lead:
            experiment.lock = Lock(folder, screen.warn)
            try:
                checkpoints = folder / "checkpoints"
                saved = checkpoint.newest(checkpoints, set_aside=True) if checkpoint.found(checkpoints) else None
                if saved is None:  # stopped before its first checkpoint: the seed gives the same run again
                    screen.warn(f"warning: {folder} has no checkpoint: it begins again at step 0, from its seed")
                    if run_.settings.init_from is not None:
                        adopt(run_, run_.settings.init_from)
                else:
                    total = steps or int(saved.numbers["until"])
                    if total < saved.step:
                        more = f"give --steps {saved.step + 1} or more"
                        raise errors.SettingsError(f"{folder} is at step {saved.step} already: {more}")
                    if steps is None and (wanted := total_steps(run_.settings)) > total:
                        screen.warn(
                            f"warning: {folder} is trained up to step {total}, as it was begun or resumed last; its "
                            f"config.yaml says {wanted}: give --steps {wanted} to go that far"
                        )
                    _same_run(folder, saved.numbers, run_)
                    for line in saved.passed_over:
                        screen.warn(f"warning: {line}: going on from step {saved.step}")
                    run_.state.load(saved.tensors, saved.numbers)
                    run_.sums = loop.read_sums(saved.numbers)
            except BaseException:
                experiment.lock.release()
                raise
        experiment.ranks.share(run_.state)
        return int(experiment.ranks.told(total))


def begin(experiment: Experiment) -> int:
    """Make the run's directory, or find the one that these processes began before torchrun started them again.

    Returns:
        The step to train up to.

    Raises:
        RunError: as ``open_directory``.
    """
    ranks = experiment.ranks
    with ranks.speaking():
        found = _begun(Path(experiment.run.settings.logdir)) if ranks.lead and restarted() else None
        if ranks.lead and found is None:
            open_directory(experiment)
            found = experiment.run.dir
        again = ranks.told(experiment.lock is None)
        folder = Path(ranks.told(str(found)))
        if again:
            return _go_on(experiment, folder)
        experiment.run.dir = folder
        ranks.share(experiment.run.state)
        return total_steps(experiment.run.settings)


def _begun(logdir: Path) -> Path | None:
    """The run directory that an earlier start of this call of torchrun made."""
    for file in sorted(logdir.glob("[!.]*/environment.json"), key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            if json.loads(file.read_text()).get("launch") == launch():
                return file.parent
        except (OSError, ValueError):  # another run's, which is none of our business
            continue
    return None


def _same_run(folder: Path, was: Mapping[str, Any], run_: Run) -> None:
    """Refuse to go on with other settings or data than a run was trained with; note other versions.

    Raises:
        SettingsError: a setting that moves the weights differs; CheckpointError: the data do.
    """
    now = json.loads(json.dumps(run_.identity))  # lists for tuples, as they are read back
    before, after = _flat(was.get("settings", {})), _flat(now["settings"])
    changed = [
        f"{key} was {before[key]} and is {after.get(key, 'gone')}"
        for key in before
        # a parameter that a newer version added is at its default; an object's address says nothing
        if before[key] != after.get(key)
        and (key in after or key.endswith(".name"))
        and " at 0x" not in str(before[key])
    ]
    new = [key for key in after if key not in before and key.endswith(".name")]
    changed += [f"{key} was not there and is {after[key]}" for key in new]
    if changed and before:
        raise errors.SettingsError(
            f"{folder}/config.yaml is not what the run was trained with: {'; '.join(changed)}: put that back, or start "
            f"another run from its networks with: ganzoo run --init-from {folder}"
        )
    numbers = {"size": "samples", "shape": "numbers a sample", "classes": "classes", "digest": "", "content": ""}
    for key, said in numbers.items():
        then, today = was.get("data", {}).get(key), now["data"].get(key)
        if then != today and then is not None and today is not None:
            differs = f"it had {then} {said}, and has {today}" if said else "its samples are not the same"
            raise errors.CheckpointError(
                f"{folder} was trained on other data: {differs}; give the data it was trained on, or start another run "
                f"from its networks with: ganzoo run --init-from {folder}"
            )
    versions = was.get("versions", {})
    for key, current in now["versions"].items():
        if versions.get(key, current) != current:
            run_.warnings.append(
                f"{key} was {versions[key]} and is {current}: training goes on, but not bit for bit as it would have"
            )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that move the weights, one level deep: ``{"loss.name": "hinge", "r1.gamma": 10}``."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if key in FREE:
            continue
        parts = value if isinstance(value, list) and all(isinstance(item, Mapping) for item in value) else [value]
        for part_ in parts:
            if isinstance(part_, Mapping):
                owner = f"{key}.{part_['name']}" if part_ is not value else key
                found.update({f"{owner}.{name}": each for name, each in part_.items()})
            else:
                found[key] = part_
    return found


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


def reload(
    run_dir: str | Path,
    catalogue_: door.Catalogue,
    parts: Mapping[str, Any] | None = None,
    *,
    which: str | int = "newest",
) -> Run:
    """A run as it is on disk; see ``load``."""
    from ganzoo.disk.record import read

    folder, settings = _settings_of(run_dir, catalogue_, parts or {})
    saved = checkpoint.chosen(folder / "checkpoints", which)
    was = dict(saved.numbers["spec"])
    condition = was.pop("condition_shape")
    spec = Spec(shape=tuple(was.pop("shape")), condition_shape=None if condition is None else tuple(condition), **was)
    made = build(settings, gather(settings, catalogue_), spec)
    made.dir = folder
    made.warnings += saved.passed_over
    made.state.load(saved.tensors, saved.numbers)
    for line in read(folder / "metrics.jsonl"):
        made.metrics.update({k: math.nan if v is None else v for k, v in line.items() if k not in ("step", "images")})
    return made


def _settings_of(run_dir: str | Path, catalogue_: door.Catalogue, parts: Mapping[str, Any]) -> tuple[Path, Settings]:
    folder = Path(run_dir)
    config = folder / "config.yaml"
    try:
        file, made = folder.is_file(), config.is_file()
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be read ({error.strerror}): give a run directory that can") from error
    if file:
        raise errors.RunError(f"{folder} is a file, and was not opened: give the run directory that `ganzoo run` made")
    if not made:
        raise errors.RunError(f"{folder} is no run directory: it has no config.yaml; give one that `ganzoo run` made")
    return folder, resolve(catalogue_.presets(), config=config, given=parts)


# -- assembly ----------------------------------------------------------------------------------------------------


@hardware.room("there is no memory for the networks and the data: give a smaller --arch or less data")
def assemble(settings: Settings, catalogue_: door.Catalogue, *, fresh: bool = True) -> Experiment:
    """Parts, data, nets, optimizers and game, ready to train; every rule across parts is looked at here.

    Args:
        settings: all of them.
        catalogue_: where parts come from.
        fresh: the run begins here, with the networks of ``init_from`` if any; a checkpoint is not loaded on top.

    Raises:
        GanzooError: whatever cannot be found, made or put together.
    """
    cast_ = gather(settings, catalogue_)
    device = hardware.device(settings.device)
    precision = hardware.precision(settings.precision, device)
    pieces = settings.accumulate * int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % pieces:
        less, more = (pieces * max(1, n) for n in (settings.batch_size // pieces, settings.batch_size // pieces + 1))
        raise errors.SettingsError(
            f"a batch of {settings.batch_size} cannot be cut into {pieces} equal pieces ("
            f"{pieces // settings.accumulate} processes, --accumulate {settings.accumulate}): give --batch-size "
            f"{' or '.join(map(str, sorted({less, more})))}"
        )
    ranks = join(device)
    with ranks.speaking():
        return _assembled(settings, catalogue_, cast_, device, precision, ranks, fresh)


def _assembled(
    settings: Settings,
    catalogue_: door.Catalogue,
    cast_: Parts,
    device: torch.device,
    precision: hardware.Precision,
    ranks: Ranks,
    fresh: bool,
) -> Experiment:
    with _kept_random_state():
        dataset = cast_.data.dataset()
        source = feed.feed(dataset, cast_.labels["data"], settings.batch_size, settings.seed, device, precision.dtype)
        source.share(settings.accumulate * ranks.world, ranks.rank * settings.accumulate, settings.accumulate)
        classes = cast_.architecture.classes(source.classes)
        source.with_labels = classes > 0
        spec = Spec(
            shape=source.shape,
            latent_dim=settings.latent_dim,
            classes=classes,
            condition_shape=source.condition_shape,
        )
        run_ = build(settings, cast_, spec)
        if source.condition_shape is not None or any(metric.pairs for metric in cast_.metrics.values()):
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
    game = Game(
        run_.state,
        (cast_.labels["arch"], cast_.architecture),
        (cast_.labels["loss"], cast_.loss),
        cast_.regularizers,
        source,
        batch_size=settings.batch_size,
        latent_dim=settings.latent_dim,
        seed=settings.seed,
        device=device,
        dtype=precision.dtype,
        autocast=precision.autocast,
        skips=settings.on_nonfinite == "skip",
        accumulate=settings.accumulate,
        peers=ranks,
    )
    if game.pieces > 1:
        game.statistics = statistics({**game.modules, **run_.state.modules})
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
    _choose_precision(run_, game, source, ranks)
    run_.identity = {
        "settings": plain_settings(run_),
        "data": source.fingerprint(),
        "versions": {
            "ganzoo": version("ganzoo"),
            "torch": torch.__version__,
            "the number of processes": ranks.world,
            **cast_.providers,
        },
    }
    return Experiment(run_, game, source, catalogue_, ranks)


def _choose_precision(run_: Run, game: Game, source: feed.Feed, ranks: Ranks) -> None:
    """Settle ``auto``: bf16 where a step is faster with it, here and now; what was chosen is the run's from then on.

    A small step on a CPU, and a deterministic run, are not worth finding out: fp32.
    """
    if run_.settings.precision != "auto":
        return
    times = 0.0
    if hardware.has_bf16(run_.device) and not run_.settings.deterministic and ranks.lead:
        cost = hardware.flops(run_.parts.architecture, run_.state.networks, run_.spec, run_.settings.batch_size)
        if run_.device.type != "cpu" or cost >= hardware.SMALL_STEP:
            times = loop.probe(run_, game, source)
    times = ranks.told(times)
    name: Literal["bf16", "fp32"] = "bf16" if times > hardware.WORTHWHILE else "fp32"
    game.autocast = hardware.precision(name, run_.device).autocast
    run_.settings = replace(run_.settings, precision=name)
    if times:
        run_.choices.append(f"precision {name}: a step in bf16 is {times:.2f} times as fast as in fp32 here")


def gather(settings: Settings, catalogue_: door.Catalogue) -> Parts:
    """The parts that the settings name, validated, each a copy of its own."""
    labels: dict[str, str] = {}
    providers: dict[str, str] = {}
    addresses: dict[str, str] = {}

    def one(setting: str, given: Any) -> tuple[str, Any]:
        kind = PART_SETTINGS[setting]
        entry, made = catalogue_.make(kind, given)
        label = catalogue_.words(entry) if entry else type(made).__name__
        addresses[f"{kind} {label}"] = entry.address if entry and not entry.builtin else label
        where = f"{entry.provider} ({entry.distribution} {entry.version})" if entry else "python object"
        providers[f"{kind} {label}"] = where
        return label, words.at(made)

    def single(setting: str, given: Any) -> Any:
        label, made = one(setting, given)
        labels[setting] = words.spelled(label, made)
        return label, made

    def many(setting: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for given in getattr(settings, setting):
            label, made = one(setting, given)
            if label in found:
                raise errors.Incompatible(f"{label} is named twice: name it once")
            found[label] = made
        labels[setting] = " ".join(words.spelled(label, made) for label, made in found.items()) or "none"
        return found

    _, architecture = single("arch", settings.arch)
    loss_label, loss = single("loss", settings.loss)
    _, schedule = single("schedule", settings.schedule)
    data_label, data = single("data", settings.data)
    single("optimizer", settings.optimizer)
    optimizers: dict[Player, Any] = {}
    for player in PLAYERS:
        own = getattr(settings, f"{player[0]}_optimizer")
        optimizers[player] = single(f"{player[0]}_optimizer", settings.optimizer if own is None else own)[1]
    gathered = Parts(
        architecture,
        loss,
        many("regularizers"),
        schedule,
        data,
        many("metrics"),
        optimizers,
        labels,
        providers,
        addresses,
    )
    labels["loss_name"], labels["data_name"] = loss_label, data_label
    return gathered


def build(settings: Settings, cast_: Parts, spec: Spec) -> Run:
    """Nets, prepared by the regularizers, with their optimizers: a run at step 0, a function of the seed."""
    device = hardware.device(settings.device)
    precision = hardware.precision(settings.precision, device)
    with _kept_random_state():
        torch.manual_seed(mix(settings.seed, "init"))
        made = cast_.architecture.build(spec)
        if settings.batch_norm == "sync":
            made = Networks(*map(synchronised, made))
        networks = Networks(*(hardware.settle(net, device, precision.dtype).train() for net in made))
        modules: dict[str, nn.Module] = {}
        for label, regularizer in cast_.regularizers.items():
            module = regularizer.prepare(networks, spec)
            if module is not None:
                modules[label] = hardware.settle(module, device, precision.dtype)
                object.__setattr__(regularizer, "module", modules[label])
    optimizers = {}
    for player in PLAYERS:
        trained = list(getattr(networks, player).parameters())
        for label, module in modules.items():
            if cast_.regularizers[label].trained_by == player:
                trained += module.parameters()
        optimizers[player] = cast_.optimizers[player].build(trained)
    with _kept_random_state():
        own = cast_.schedule.prepare(networks, spec)
    if own is not None:
        modules["schedule"] = hardware.settle(own, device, precision.dtype)
        object.__setattr__(cast_.schedule, "module", modules["schedule"])
    state = State(networks, optimizers, modules, settings.ema)
    return Run(None, settings, cast_, spec, state, device, precision.dtype)


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


def other(run_: Run, named: str, catalogue_: door.Catalogue, count: int) -> Batch:
    """Up to so many samples of other data, at the run's size and channels where the data takes these.

    Raises:
        GanzooError: the data cannot be found, made or read.
    """
    split = words.split(named)
    known = words.parameters(catalogue_.load(catalogue_.find("data", split.label)))
    shape = run_.spec.shape
    fitting = {"size": shape[-1], "channels": shape[0]} if len(shape) == 3 else {}
    values = {**{key: value for key, value in fitting.items() if key in known}, **split.values}
    data: Any = catalogue_.make("data", {"name": split.label, **values})[1]
    source = feed.feed(data.dataset(), split.label, 1, run_.settings.seed, run_.device, run_.dtype)
    return source.look(min(count, source.size))


def total_steps(settings: Settings) -> int:
    """Steps to train: as told, or as many as see that many images."""
    if settings.images is not None:
        return math.ceil(settings.images / settings.batch_size)
    if settings.steps is None:
        raise errors.SettingsError("nothing says how long to train: give --steps or --images")
    return settings.steps


# -- the rules across parts --------------------------------------------------------------------------------------


def check(cast_: Parts, networks: Networks, spec: Spec) -> list[str]:
    """Refuse what cannot go together; return a line for each thing that probably should not.

    Raises:
        Incompatible: one line that says why, and what to use instead.
    """
    loss = cast_.labels["loss_name"]
    cast_.loss.check(spec, cast_.architecture.outputs(spec))
    for label, metric in cast_.metrics.items():
        if metric.pairs and spec.condition_shape is None:
            raise errors.Incompatible(
                f"metric {label} compares pairs, and data {cast_.labels['data_name']} gives no condition to make a "
                f"sample for: use data of pairs, or leave {label} out"
            )
    for label, regularizer in cast_.regularizers.items():
        regularizer.check(spec, cast_.architecture.outputs(spec))
        if regularizer.defines("targets") and not cast_.loss.has_targets:
            raise errors.Incompatible(
                f"{label} moves the targets of a loss, and loss {loss} has none: use a loss with targets, such as "
                f"sgan or lsgan, or leave {label} out"
            )
    sloped: list[tuple[str, Loss | Regularizer]] = [(f"loss {loss}", cast_.loss), *cast_.regularizers.items()]
    for label, part_ in sloped:
        if part_.per_sample_gradients and (mixing := _mixing(networks.discriminator)):
            raise errors.Incompatible(
                f"{label} takes a gradient per sample, and {mixing} in the discriminator mixes samples: use another "
                f"normalisation there (layer, instance or none), or leave {label} out"
            )
    if cast_.schedule.uses_shared_backward:
        _check_shared(cast_, networks)
    warnings = []
    if not cast_.loss.bounded and not any(r.constrains_discriminator for r in cast_.regularizers.values()):
        warnings.append(
            f"loss {loss} is unbounded below and nothing constrains the discriminator: scores will grow without end; "
            "add sn, r1, wgan-gp or weight-clip"
        )
    return warnings


def _check_shared(cast_: Parts, networks: Networks) -> None:
    """Refuse a shared backward where the generator's gradient is not one with the discriminator's, sample by sample."""
    why = None
    if not cast_.loss.supports_shared_backward:
        why = f"loss {cast_.labels['loss_name']} does not give both players one gradient up to a factor"
    if mixing := _mixing(networks.discriminator):
        why = f"{mixing} in the discriminator mixes samples"
    for label, regularizer in cast_.regularizers.items():
        paid_by = regularizer.defines("generator_penalty") and "generator" in regularizer.paid_by
        if paid_by or regularizer.defines("joint_penalty") or regularizer.defines("select_samples"):
            why = f"{label} gives the generator a gradient of its own"
    if why is not None:
        raise errors.Incompatible(
            f"{why}, so schedule {words.split(cast_.labels['schedule']).label} cannot take both players' from one "
            "backward pass: leave out its shared=true"
        )


def _mixing(network: nn.Module) -> str | None:
    """The name of a layer whose output for one sample depends on the others, or None."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) or getattr(module, "mixes_samples", False):
            return type(module).__name__
    return None


# -- before training ---------------------------------------------------------------------------------------------


def description(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """What would be trained, a line each: parts with their providers, shapes, sizes, memory."""
    run_, source = experiment.run, experiment.feed
    labels = run_.parts.labels
    for setting, kind in PART_SETTINGS.items():
        names = [words.split(word).label for word in labels[setting].split(" ")] if labels[setting] != "none" else []
        brought = ", ".join(dict.fromkeys(run_.parts.providers[f"{kind} {name}"] for name in names))
        yield setting, f"{labels[setting]}  from {brought}" if brought else labels[setting]
    classes = f", {source.classes} classes" if source.classes else ""
    given = "given to the nets" if run_.spec.classes else "not given to the nets"
    yield "samples", f"{source.size:,} of {_shape(source.shape)}{classes}{f' ({given})' if classes else ''}"
    yield "noise", f"{run_.spec.latent_dim} numbers from N(0, 1)"
    for player in PLAYERS:
        count = sum(p.numel() for p in getattr(run_.state.networks, player).parameters())
        yield player, f"{count:,} parameters"
    yield "steps", f"{total_steps(run_.settings):,} of batch {run_.settings.batch_size}, seed {run_.settings.seed}"
    yield "runs on", "; ".join([f"{run_.device}, {run_.settings.precision}", *run_.choices])
    fixed, each = loop.memory(run_, experiment.game, source)
    most = fixed + each * run_.settings.batch_size // experiment.game.pieces
    yield "memory", f"about {most / 2**20:,.0f} MiB on top of torch and the data"
    yield "records", f"a directory in {run_.settings.logdir}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


# -- the run directory -------------------------------------------------------------------------------------------


def open_directory(experiment: Experiment) -> None:
    """Make the run's directory, and write what it is: config, command, environment. Nothing is ever overwritten.

    Raises:
        RunError: the name is taken, leaves the log directory, or the place cannot be written.
    """
    run_ = experiment.run
    settings, logdir = run_.settings, Path(run_.settings.logdir)
    try:
        logdir.mkdir(parents=True, exist_ok=True)
        if settings.name is not None:
            if not NAME.fullmatch(settings.name) or len(settings.name) > LONGEST_NAME:
                raise errors.RunError(
                    f"--name {words.shown(settings.name)!r} is not a name of letters, digits, '.', '_' and '-', "
                    f"{LONGEST_NAME} at most"
                )
            if (logdir / settings.name).exists():
                raise _exists(logdir / settings.name)
        _sweep(logdir)
        draft = logdir / f".{uuid4().hex}"  # what bears a run's name is whole, and can be resumed
        try:
            draft.mkdir()
            (draft / "config.yaml").write_text(as_yaml(run_), encoding="utf-8")
            (draft / "command.txt").write_text(" ".join(map(_quoted, sys.argv)) + "\n", encoding="utf-8")
            (draft / "environment.json").write_text(json.dumps(environment(experiment), indent=1) + "\n")
            for written in (draft / "config.yaml", draft):
                checkpoint.disk.sync(written)
            folder = _named(draft, settings.name, _slug(run_.parts))
            checkpoint.disk.sync(logdir)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise errors.RunError(
            f"log directory {logdir} cannot be written ({error.strerror}): give another --logdir"
        ) from error
    run_.dir = folder
    experiment.lock = Lock(folder, Display(0, 0, quiet=True).warn)


def _sweep(logdir: Path) -> None:
    """Remove what is left of directories that were never named: their makers were killed."""
    for left in logdir.glob(".*"):
        if re.fullmatch(r"\.[0-9a-f]{32}", left.name) and time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)


def as_yaml(run_: Run) -> str:
    """The settings, resolved, as a config file."""
    import yaml

    text = yaml.safe_dump(plain_settings(run_), sort_keys=False, allow_unicode=True)
    return f"# A ganzoo run, with every setting; start another like it with: ganzoo run --config FILE\n{text}"


def plain_settings(run_: Run) -> dict[str, Any]:
    """The settings, resolved, as plain data: every part with every parameter."""
    cast_ = run_.parts
    plain: dict[str, Any] = words.plain(run_.settings)

    def named(setting: str, made: Part, label: str = "") -> dict[str, Any]:
        label = label or words.split(cast_.labels[setting]).label
        return {"name": cast_.addresses[f"{PART_SETTINGS[setting]} {label}"], **words.plain(made)}

    chosen: dict[str, Part] = {
        "arch": cast_.architecture,
        "loss": cast_.loss,
        "schedule": cast_.schedule,
        "data": cast_.data,
        "d_optimizer": cast_.optimizers["discriminator"],
        "g_optimizer": cast_.optimizers["generator"],
    }
    plain.update({setting: named(setting, made) for setting, made in chosen.items()})
    plain["optimizer"] = plain["g_optimizer"]
    if plain["d_optimizer"] == plain["g_optimizer"]:  # one for both, in one place, so that -o optimizer.lr reaches both
        plain["d_optimizer"] = plain["g_optimizer"] = None
    plain["regularizers"] = [named("regularizers", r, label) for label, r in cast_.regularizers.items()]
    plain["metrics"] = [named("metrics", m, label) for label, m in cast_.metrics.items()]
    return plain


def environment(experiment: Experiment) -> dict[str, Any]:
    """Versions, device and plugin distributions of a run."""
    device = experiment.run.device
    return {
        "ganzoo": version("ganzoo"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "processes": experiment.ranks.world,
        "launch": launch(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "parts": experiment.run.parts.providers,
        "plugins": [str(plugin.source) for plugin in experiment.catalogue.plugins if not plugin.builtin],
    }


def _named(draft: Path, name: str | None, slug: str) -> Path:
    """Give a run directory its name, or ``00007-slug``, the next free number; two runs that start at once get two."""
    while True:
        taken = [int(match[1]) for p in draft.parent.iterdir() if (match := re.match(r"(\d{5,})-", p.name))]
        folder = draft.with_name(name or f"{max(taken, default=-1) + 1:05d}-{slug}")
        try:
            return draft.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if name:
                raise _exists(folder) from error


def _exists(folder: Path) -> errors.RunError:
    return errors.RunError(f"{folder} exists: give another --name, or go on with: ganzoo resume {folder}")


def _slug(cast_: Parts) -> str:
    names = [words.split(cast_.labels[s]).name for s in ("arch", "loss")]
    names += [label.rpartition("/")[2] for label in cast_.regularizers]
    names += [words.split(cast_.labels[s]).name for s in ("schedule", "data")]
    return "-".join(names)[:120]


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def train(experiment: Experiment, total: int | None = None, *, quiet: bool = False) -> Run:
    """Train an experiment in its directory, up to a step (as its settings say, unless told)."""
    steps = total_steps(experiment.run.settings) if total is None else total
    run_, ranks = experiment.run, experiment.ranks
    try:
        with ranks.speaking():
            loop.train(
                run_, experiment.game, experiment.feed, steps, experiment.catalogue.events(), quiet=quiet, ranks=ranks
            )
    finally:
        if experiment.lock is not None:
            experiment.lock.release()
        leave()
    return run_


def _kept_random_state() -> Any:
    """A context that leaves the caller's random state as it was."""
    return torch.random.fork_rng(devices=range(torch.cuda.device_count()))
