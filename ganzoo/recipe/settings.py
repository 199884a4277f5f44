"""The settings of a run, and the order of precedence: defaults < preset < config file < options < ``-o key=value``.

The engine knows no part by name. The defaults for parts are therefore a preset called ``default``, which a plugin
brings as any other preset.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias, TypedDict

from annotated_types import Ge, Gt, Le, Lt

from ganzoo import errors, words
from ganzoo.kinds import Kinds
from ganzoo.names import brief, nearest, user_path
from ganzoo.parts import Architecture, Data, Loss, Metric, Optimizer, Part, Regularizer, Schedule, Tracker
from ganzoo.words import NOT_A_PARAMETER, PartSpec, ScheduledNumber

if TYPE_CHECKING:
    from ganzoo.training.events import Events

CONFIG_BYTES = 1 << 16
"""The largest size of a config file in bytes: a second of PyYAML. A larger file is refused before the file is read."""

NUMBER_DIGITS = 400
"""The largest number of characters of a number in a config file. The longest float that is written out takes 309."""

MERGED_KEYS = 10_000
"""The largest number of keys that ``<<`` may bring into a config file. Merges of merges multiply without end."""

RESUME_MAY_CHANGE = frozenset(
    {
        "steps",
        "images",
        "device",
        "logdir",
        "name",
        "log_every",
        "sample_every",
        "samples",
        "checkpoint_every",
        "keep",
        "best",
        "on_nonfinite",
        "init_from",
        "capture",
    }
)
"""The settings that may differ when a run is resumed, because the weights do not depend on the settings.

``Setting.resume_may_change`` is the same fact about a setting that names parts.
"""


EXCLUSIVE = (("steps", "images"), ("ema", "ema_half_life"))
"""Pairs of settings of which a run has one. A later source of settings replaces both."""


class PartSource(Protocol):
    """The part of the catalogue's interface that a recipe needs."""

    @property
    def kinds(self) -> Kinds:
        """The kinds of parts, with the kinds of plugins."""

    def presets(self) -> Mapping[str, Mapping[str, object]]:
        """List the presets.

        Returns:
            The settings of each preset, by the preset's name.
        """

    def specify(self, kind: str, given: object) -> PartSpec | Part:
        """Parse the value of a setting.

        Args:
            kind: the kind of part.
            given: text, a mapping with ``name``, a spec, or a part that was made in Python.

        Returns:
            The spec, or the part that was made in Python.
        """

    def make(self, kind: str, given: object) -> tuple[PartSpec, Part]:
        """Make a validated part.

        Args:
            kind: the kind of part.
            given: a value that ``specify`` takes.

        Returns:
            The complete spec, and the part.
        """

    def names_with(self, kind: str, fact: str) -> Sequence[str]:
        """List the parts of a kind that have a fact.

        Args:
            kind: the kind of part.
            fact: an attribute of the contract, such as ``constrains_discriminator``.

        Returns:
            The names of the parts.
        """

    def events(self, parts: Mapping[str, Part]) -> Events:
        """Collect the plugins and parts that receive a run's events.

        Args:
            parts: the run's parts of further kinds, by ``"kind label"``.

        Returns:
            The object that passes events on.
        """

    @property
    def sources(self) -> Sequence[str]:
        """The entry points and files of the plugins that do not ship with ganzoo."""

    @property
    def plugin_files(self) -> Mapping[str, str]:
        """The absolute paths of the plugin files that the user named, by the name of the plugin."""


class Settings(Part):
    """The settings of a run: the parts by setting, and everything else by a field of its own.

    Args:
        parts: the parts that each setting names; ``ganzoo.kinds`` declares these settings.
        batch_size: samples in a batch, of all processes together.
        accumulate: pieces that a process works its batch through in, one after another, to need less memory; the
            gradient is that of the whole batch, for losses that are means over samples.
        batch_norm: where several processes train: local normalises by each one's own samples, sync by all of them.
        latent_dim: size of the noise vector.
        noise: distribution of the noise: normal is N(0, 1), uniform is U(-1, 1), truncated is N(0, 1) cut off at 2.
        steps: steps of the schedule.
        images: instead of steps: as many as see that many images, a batch a step.
        ema: decay of the generator's average, per update; 0 keeps none. The decay is at most (1 + t) / (10 + t) after t
            updates.
        ema_half_life: instead of ema: real images after which the generator's average has forgotten half.
        ema_rampup: with ema_half_life: the half-life is at most this share of the images seen so far.
        ema_start: updates of the generator until which the average is the generator itself.
        ema_form: exponential forgets old weights by ema or ema_half_life; uniform is the plain mean of the weights
            since ema_start, whatever the decay.
        course: from 0 to 1 over the run: the way of all numbers that are given as course(a,b), from a to b.
        seed: of everything random; two runs of one seed on one device are the same, bit for bit.
        device: auto, cpu, cuda, cuda:N, xpu or mps; auto takes the GPU where there is one.
        precision: fp32, bf16 (the nets' passes; losses, penalties and weights stay fp32) or fp64; auto takes bf16
            where the device has it and a short trial says that a step is faster.
        logdir: where run directories are made.
        name: the run directory's name, instead of a number and the parts.
        log_every: steps between two lines of the records.
        sample_every: steps between two sample grids (and metrics).
        samples: images in a grid.
        checkpoint_every: steps between two checkpoints; the last step always makes one.
        keep: checkpoints kept.
        best: keep the best checkpoint too, by this figure of a metric, such as modes/high_quality.
        on_nonfinite: when a loss or gradient is NaN or infinite: stop; skip that step, as if it had not been made; or
            rollback to the last checkpoint and go on with other random numbers, three times at most between two.
        init_from: a run directory whose networks and average to start from, to fine-tune them. Its settings are taken
            too, metrics and regularizers among them, but for those that are given here.
        threads: of the CPU; unless told, one for small nets and all cores for others.
        capture: on a GPU, make steps from CUDA graphs, which spares the host's work; steps that cannot be are made as
            written, and it is said why.
        compile: have torch compile whole steps (a minute for each kind of step, then faster); likewise.
        deterministic: only algorithms that give the same bits every time; on a GPU they are slower.
    """

    kind = "run"

    parts: Mapping[str, tuple[PartSpec | Part, ...]] = field(default_factory=dict, metadata=NOT_A_PARAMETER)
    batch_size: Annotated[int, Ge(2)] = 64
    accumulate: Annotated[int, Ge(1)] = 1
    batch_norm: Literal["local", "sync"] = "local"
    latent_dim: Annotated[int, Ge(1)] = 64
    noise: Literal["normal", "uniform", "truncated"] = "normal"
    steps: Annotated[int, Ge(1), Lt(2**63)] | None = None
    images: Annotated[int, Ge(1), Lt(2**63)] | None = None
    ema: Annotated[float, Ge(0), Lt(1)] | None = 0.999
    ema_half_life: Annotated[float, Ge(0)] | None = None
    ema_rampup: Annotated[float, Gt(0)] | None = field(default=None, metadata={"read_once": True})
    ema_start: Annotated[int, Ge(0)] = 0
    ema_form: Literal["exponential", "uniform"] = "exponential"
    course: Annotated[float, Ge(0), Le(1)] = ScheduledNumber("cosine", 0.0, 1.0)
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp64"] = "auto"
    logdir: str = "runs"
    name: str | None = None
    log_every: Annotated[int, Ge(1)] = 20
    sample_every: Annotated[int, Ge(1)] = 250
    samples: Annotated[int, Ge(1), Le(1024)] = 64
    checkpoint_every: Annotated[int, Ge(1)] = 500
    keep: Annotated[int, Ge(1)] = 3
    best: str | None = None
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    init_from: str | None = None
    threads: Annotated[int, Ge(1), Le(4096)] | None = None
    capture: bool = True
    compile: bool = False
    deterministic: bool = False


Given: TypeAlias = str | Mapping[str, object] | PartSpec
"""The ways to name a part: text, a mapping with ``name``, or a spec. Each setting takes a part object too."""


class Items(Protocol):
    """Samples by number: a dataset of torch, a tensor, an array or a list."""

    def __getitem__(self, number: Any, /) -> Any:
        """A sample."""


class PartsDict(TypedDict, total=False):
    """The settings that name parts, for the signatures of ``ganzoo.run`` and ``ganzoo.load``.

    A setting of a plugin's kind has no key in this type. Give the setting in ``config={...}``, or ignore the type
    checker's report.

    Attributes:
        arch: the two networks.
        d_arch: the architecture of the discriminator, where the discriminator is of another architecture.
        loss: the loss that each player minimizes.
        regularizers: penalties, transforms and changes of targets, any number.
        schedule: the order in which the players are updated.
        data: a data part, the path of a folder or archive of images, or a dataset of torch, a tensor, an array or a
            list of samples.
        metrics: figures of merit of generated samples, any number.
        optimizer: the optimizer of both players.
        d_optimizer: the optimizer of the discriminator, where the players' optimizers differ.
        g_optimizer: the optimizer of the generator, where the players' optimizers differ.
        log: the observers of the run: trackers such as csv.
        stop_when: the trackers that end the run early, such as early-stop, trouble and budget.
    """

    arch: Given | Architecture
    d_arch: Given | Architecture | None
    loss: Given | Loss
    regularizers: Given | Regularizer | Sequence[Given | Regularizer] | None
    schedule: Given | Schedule
    data: Given | Path | Data | Items
    metrics: Given | Metric | Sequence[Given | Metric] | None
    optimizer: Given | Optimizer
    d_optimizer: Given | Optimizer | None
    g_optimizer: Given | Optimizer | None
    log: Given | Tracker | Sequence[Given | Tracker] | None
    stop_when: Given | Tracker | Sequence[Given | Tracker] | None


class SettingsDict(PartsDict, total=False):
    """The settings of a run, for the signature of ``ganzoo.run``. ``Settings`` describes meaning and range of each.

    Attributes:
        batch_size, accumulate, batch_norm, latent_dim, noise: sizes, the statistics of batch normalisation, and the
            distribution of the noise.
        steps, images, seed, course: the length of the training, the random numbers, the way of scheduled numbers.
        ema, ema_half_life, ema_rampup, ema_start, ema_form: the generator's average.
        device, precision, threads, capture, compile, deterministic: the hardware and the way to use the hardware.
        logdir, name, log_every, sample_every, samples: the run directory and the records.
        checkpoint_every, keep, best: the checkpoints.
        on_nonfinite: the reaction to a loss or gradient that is not finite.
        init_from: the run directory to start from.
    """

    batch_size: int
    accumulate: int
    batch_norm: Literal["local", "sync"]
    latent_dim: int
    noise: Literal["normal", "uniform", "truncated"]
    steps: int | None
    images: int | None
    ema: float | str | None
    ema_half_life: float | str | None
    ema_rampup: float | None
    ema_start: int
    ema_form: Literal["exponential", "uniform"]
    course: float | str
    seed: int
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp64"]
    logdir: str | Path
    name: str | None
    log_every: int
    sample_every: int
    samples: int
    checkpoint_every: int
    keep: int
    best: str | None
    on_nonfinite: Literal["stop", "skip", "rollback"]
    init_from: str | Path | None
    threads: int | None
    capture: bool
    compile: bool
    deterministic: bool


def resolve(
    source: PartSource,
    *,
    preset: str | None = None,
    config: str | Path | Mapping[str, object] | None = None,
    given: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Combine settings: defaults < preset < config < given < overrides. The text of every part is parsed once.

    Args:
        source: the catalogue, for presets and kinds. The preset ``default`` holds the defaults.
        preset: the name of a preset.
        config: a YAML file, or the content of the file as a mapping.
        given: settings by name, from the command line or ``ganzoo.run``. None means "not given".
        overrides: single values: ``loss.margin=2``, ``r1.gamma=5``, ``optimizer.lr=1e-4``, ``steps=100``.

    Returns:
        The validated settings. The function ``assemble`` looks up and validates the parts.

    Raises:
        SettingsError: a preset or setting is unknown, or a value does not fit.
    """
    presets = source.presets()
    chosen: dict[str, object] = {**presets.get("default", {}), **_of_run((given or {}).get("init_from"))}
    loaded = read_config(config) if isinstance(config, (str, Path)) else dict(config or {})
    wanted = preset or loaded.pop("preset", None)
    if wanted is not None:
        if not isinstance(wanted, str) or wanted not in presets:
            name = brief(wanted)
            known = ", ".join(sorted(presets))
            raise errors.SettingsError(f"there is no preset {name!r}{nearest(name, presets)}; there are {known}")
        chosen.update(presets[wanted])
    for layer in (loaded, {k: v for k, v in (given or {}).items() if v is not None}):
        for pair in EXCLUSIVE:  # the two settings of a pair exclude each other: the later layer wins
            if any(layer.get(name) is not None for name in pair):
                for name in pair:
                    chosen.pop(name, None)
        chosen.update({name: str(value) if isinstance(value, Path) else value for name, value in layer.items()})
    names = [*source.kinds.settings, *words.parameters(Settings)]
    for name in chosen:
        if name not in names:
            raise errors.SettingsError(
                f"there is no setting {name!r}{nearest(name, names)}; there are {', '.join(names)}"
            )
    parts = {setting: _specified(source, setting, chosen.pop(setting, None)) for setting in source.kinds.settings}
    _number(source, parts)
    for override in overrides:
        _override(source, parts, chosen, override)
        _number(source, parts)
    if chosen.get("ema_half_life") is not None:
        if chosen.get("ema") is not None:
            raise errors.SettingsError("ema and ema_half_life both say how the average is made: give one of them")
        chosen["ema"] = None
    elif chosen.get("ema_rampup") is not None:
        raise errors.SettingsError("ema_rampup bounds a half-life, and none is given: give ema_half_life too")
    for name in ("logdir", "init_from"):
        if isinstance(chosen.get(name), str):
            chosen[name] = path = os.path.expanduser(str(chosen[name]))  # noqa: PTH111  # see ``user_path``
            if path.startswith("~"):  # a folder of this name would be made in the current directory
                user = path.partition("/")[0]
                raise errors.SettingsError(
                    f"{name}={brief(path)}: there is no user {user[1:]}: write ./{user} for a folder"
                )
    try:
        settings = words.make(Settings, "run", chosen)
    except errors.BadParameter as error:
        raise errors.SettingsError(str(error)) from error
    if settings.steps is not None and settings.images is not None:
        raise errors.SettingsError("steps and images both say how long to train: give one of them")
    return replace(settings, parts=parts)


NOT_TAKEN = frozenset({"name", "init_from", "logdir", "device", "preset"})
"""The settings that a run does not take over from the run that ``init_from`` names."""


def split_init_from(text: str | Path) -> tuple[Path, bool]:
    """Split the value of ``init_from``.

    Args:
        text: ``RUN`` or ``RUN:partial``.

    Returns:
        The run directory, and whether to load only the tensors that fit.

    Example:
        >>> split_init_from("runs/a:partial")
        (PosixPath('runs/a'), True)
    """
    whole = str(text)
    path = whole.removesuffix(":partial")
    partial = path != whole and not user_path(whole).exists()
    return user_path(path if partial else whole), partial


def _of_run(init_from: object) -> dict[str, object]:
    """The settings of the run that a new run starts from, where the user names one."""
    if not isinstance(init_from, str | Path):
        return {}
    config = split_init_from(init_from)[0] / "config.yaml"
    if not config.is_file():
        raise errors.RunError(f"--init-from {init_from} is no run directory: it has no config.yaml")
    return {name: value for name, value in read_config(config).items() if name not in NOT_TAKEN}


def _specified(source: PartSource, name: str, value: object) -> tuple[PartSpec | Part, ...]:
    """Parse the value of a setting: a single part, or any number of parts where the setting takes many."""
    setting, kind = source.kinds.settings[name], source.kinds.of_setting[name]
    if setting.many:
        items = list(value or ()) if isinstance(value, (list, tuple, type(None))) else [value]
        return tuple(source.specify(kind, item) for item in items if item != "none")
    if value is None or (isinstance(value, str) and value == "none"):
        if setting.optional:
            return ()
        raise errors.SettingsError(f"{name} cannot be none: name one, as `ganzoo list {kind}` shows them")
    return (source.specify(kind, value),)


def _number(source: PartSource, parts: dict[str, tuple[PartSpec | Part, ...]]) -> None:
    """Number the parts that are named several times, so that an override can name each of them."""
    for kind in source.kinds.values():
        several = [setting.name for setting in kind.settings if setting.many]
        specs = [each for name in several for each in parts[name] if isinstance(each, PartSpec)]
        labelled = iter(words.numbered(specs))
        for name in several:
            parts[name] = tuple(next(labelled) if isinstance(each, PartSpec) else each for each in parts[name])


def _override(
    source: PartSource, parts: dict[str, tuple[PartSpec | Part, ...]], chosen: dict[str, object], override: str
) -> None:
    """Apply ``part.key=value`` or ``setting=value``. The owner of a key is a setting, a kind or the name of a part.

    ``part.of.key=value`` sets a parameter of the part that is the parameter ``of``.
    """
    target, equals, value = override.partition("=")
    owner, dot, key = target.strip().rpartition(".")
    if not equals or not key:
        raise errors.SettingsError(f"-o {override!r} is not part.key=value, such as -o loss.margin=2 or -o r1.gamma=5")
    if not dot:
        if key in parts:
            parts[key] = _specified(source, key, value)
            return
        if key not in words.parameters(Settings):
            near = nearest(key, [*parts, *words.parameters(Settings)])
            raise errors.SettingsError(f"-o {override!r}: there is no setting {key!r}{near}")
        for pair in EXCLUSIVE:
            if key in pair:
                for name in pair:
                    chosen.pop(name, None)
        chosen[key] = value
        return
    named = [
        (setting, i, spec)
        for setting, specs in parts.items()
        for i, spec in enumerate(specs)
        if isinstance(spec, PartSpec)  # the parameters of a part that was made in Python stay as they are
    ]

    def owners_called(owner: str) -> list[tuple[str, int]]:
        labelled = [(setting, i) for setting, i, spec in named if owner in (setting, spec.label)]
        return labelled or [(setting, i) for setting, i, spec in named if owner == spec.name]

    hits = owners_called(owner)
    settings = source.kinds.settings
    path = [key]
    while not hits and "." in owner and owner.rpartition(".")[0]:  # "arch.of.width": a parameter of an inner part
        owner, _, step = owner.rpartition(".")
        path.insert(0, step)
        hits = owners_called(owner)
    if not hits:  # a kind: "regularizer.every", where the run has one part of the kind
        hits = [(setting, i) for setting, i, spec in named if owner == spec.kind and not settings[setting].default]
    if len(hits) != 1:
        owners = sorted({s for s, _, _ in named if not settings[s].many} | {spec.label for _, _, spec in named})
        why = "is used twice" if hits else "is no part of this run"
        near = nearest(owner, owners)
        raise errors.SettingsError(f"-o {override!r}: {owner} {why}{near}; there are {', '.join(owners)}")
    setting, at = hits[0]
    spec = next(spec for name, i, spec in named if (name, i) == (setting, at))
    changed = spec.with_inner(path, value)
    if changed is None:
        inner = ".".join(path[:-1])
        raise errors.SettingsError(
            f"-o {override!r}: {spec.label} is not given {inner} as a part, so {key} has no owner: "
            f"give {inner}=NAME first"
        )
    parts[setting] = (*parts[setting][:at], changed, *parts[setting][at + 1 :])


def read_config(path: str | Path) -> dict[str, object]:
    """Read a YAML file of settings. The file is loaded as plain data, so that reading runs no code.

    Args:
        path: the file, of at most 1 MiB. No key may be given twice.

    Returns:
        The settings by name.

    Raises:
        SettingsError: the file is missing, too large, not YAML, or not a mapping of settings.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """A loader of plain data that refuses a repeated key. PyYAML takes the last value without a warning."""

        merged = 0

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            merges = any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value)
            super().flatten_mapping(node)
            self.merged += len(node.value) if merges else 0
            if self.merged > MERGED_KEYS:
                raise yaml.constructor.ConstructorError(None, None, "<< brings too many keys", node.start_mark)

        def construct_number(self, node: yaml.ScalarNode) -> int | float:
            # Python reads thousands of digits in a time that grows with the square, and cannot print the number.
            if len(node.value) > NUMBER_DIGITS:
                said = f"a number of {len(node.value)} characters"
                raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
            whole = node.tag == "tag:yaml.org,2002:int"
            return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
            seen = set()
            for key_node, _ in node.value:
                key = key_node.tag, key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node)
                if key in seen:
                    said = f"{key_node.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, said, key_node.start_mark)
                seen.add(key)
            return super().construct_mapping(node, deep=deep)

    for tag in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", Loader.construct_number)
    path = user_path(path)
    try:
        with path.open("rb") as file:  # a device such as /dev/zero has no size, and no end
            content = file.read(CONFIG_BYTES + 1)
        if len(content) > CONFIG_BYTES:
            raise errors.SettingsError(f"config {path} is larger than {CONFIG_BYTES >> 10} KiB: that is no config file")
        loaded = yaml.load(content.decode(), Loader=Loader)
    except OSError as error:
        raise errors.SettingsError(f"config {path} cannot be read: {error.strerror}") from error
    except errors.SettingsError:
        raise
    except (
        Exception
    ) as error:  # errors of PyYAML, and the errors that constructors raise for impossible dates and numbers
        raise errors.SettingsError(f"config {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise errors.SettingsError(f"config {path} is not a mapping of settings, such as `loss: hinge`")
    return loaded
