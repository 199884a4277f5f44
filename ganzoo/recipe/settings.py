"""A run's settings: what there is to set, and who wins: defaults < preset < config file < words < ``-o key=value``.

The engine knows no part by name, so the defaults for parts are the preset called ``default``, which comes through the
plugin door like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt

from ganzoo import errors, words
from ganzoo.names import nearest
from ganzoo.parts import Part

CONFIG_BYTES = 1 << 20  # no honest config file is larger

PART_SETTINGS: Mapping[str, str] = {
    "arch": "architecture",
    "loss": "loss",
    "regularizers": "regularizer",
    "schedule": "schedule",
    "data": "data",
    "metrics": "metric",
    "optimizer": "optimizer",
    "d_optimizer": "optimizer",
    "g_optimizer": "optimizer",
}
"""The settings that name parts, and of which kind."""

MANY = frozenset({"regularizers", "metrics"})
OPTIONAL = frozenset({"d_optimizer", "g_optimizer"})


FREE = frozenset(
    {
        "data",
        "metrics",
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
"""The settings that may change when a run goes on: they do not move the weights; data is known by its fingerprint."""


class Settings(Part):
    """Everything that a run can be told.

    Args:
        arch: architecture: the two networks.
        loss: what each player minimises.
        regularizers: penalties, transforms, moved targets; any number.
        schedule: who moves when.
        data: where real samples come from.
        metrics: figures of merit, computed as often as samples are drawn; any number.
        optimizer: how both players move.
        d_optimizer: the discriminator's own, where it differs (two time-scales).
        g_optimizer: the generator's own, where it differs.
        batch_size: samples in a batch, of all processes together.
        accumulate: pieces that a process works its batch through in, one after another, to need less memory; the
            gradient is that of the whole batch, for losses that are means over samples.
        batch_norm: where several processes train: local normalises by each one's own samples, sync by all of them.
        latent_dim: size of the noise vector.
        steps: steps of the schedule.
        images: instead of steps: as many as see that many images, a batch a step.
        ema: decay of the generator's average, per update; 0 keeps none.
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
        init_from: a run directory whose networks and average to start from, to fine-tune them.
        threads: of the CPU; unless told, one for small nets and all cores for others.
        capture: on a GPU, make steps from CUDA graphs, which spares the host's work; steps that cannot be are made as
            written, and it is said why.
        compile: have torch compile whole steps (a minute for each kind of step, then faster); likewise.
        deterministic: only algorithms that give the same bits every time; on a GPU they are slower.
    """

    kind = "run"

    arch: Any
    loss: Any
    regularizers: Any = ()
    schedule: Any
    data: Any
    metrics: Any = ()
    optimizer: Any
    d_optimizer: Any = None
    g_optimizer: Any = None
    batch_size: Annotated[int, Ge(2)] = 64
    accumulate: Annotated[int, Ge(1)] = 1
    batch_norm: Literal["local", "sync"] = "local"
    latent_dim: Annotated[int, Ge(1)] = 64
    steps: Annotated[int, Ge(1)] | None = None
    images: Annotated[int, Ge(1)] | None = None
    ema: Annotated[float, Ge(0), Lt(1)] = 0.999
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
    threads: Annotated[int, Ge(1)] | None = None
    capture: bool = True
    compile: bool = False
    deterministic: bool = False


def resolve(
    presets: Mapping[str, Mapping[str, Any]],
    *,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Settings from all that was said: defaults < preset < config < words < overrides.

    Args:
        presets: settings by preset name; ``default`` is where everything starts.
        preset: the name of one of them.
        config: a YAML file, or its content.
        given: settings by name, as the command line or ``ganzoo.run`` takes them; ``None`` is "not said".
        overrides: ``loss.margin=2``, ``r1.gamma=5``, ``optimizer.lr=1e-4``, ``steps=100``.

    Raises:
        SettingsError: an unknown preset or setting, or a value that does not fit, in one line.
    """
    said: dict[str, Any] = dict(presets.get("default", {}))
    loaded = read_config(config) if isinstance(config, (str, Path)) else dict(config or {})
    preset = preset or loaded.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or preset not in presets:
            preset = words.shown(preset)
            known = ", ".join(sorted(presets))
            near = nearest(preset, presets)
            raise errors.SettingsError(f"there is no preset {preset!r}{near}; there are {known}")
        said.update(presets[preset])
    for layer in (loaded, {k: v for k, v in (given or {}).items() if v is not None}):
        if "steps" in layer or "images" in layer:  # the later word for how long wins over the earlier
            said.pop("steps", None)
            said.pop("images", None)
        said.update(layer)
    unknown = [key for key in said if key not in words.parameters(Settings)]
    if unknown:
        known_settings = words.parameters(Settings)
        raise errors.SettingsError(
            f"there is no setting {unknown[0]!r}{nearest(unknown[0], known_settings)}; "
            f"there are {', '.join(known_settings)}"
        )
    for name in PART_SETTINGS.keys() & said.keys():
        said[name] = _named(name, said[name])
    for override in overrides:
        _override(said, override)
    try:
        settings = words.make(Settings, "run", said)
    except errors.BadParameter as error:
        raise errors.SettingsError(str(error)) from error
    if settings.steps is not None and settings.images is not None:
        raise errors.SettingsError("steps and images both say how long to train: give one of them")
    return settings


def _named(setting: str, value: Any) -> Any:
    """A part setting as mappings ``{"name": ..., key: value}`` (or part objects), one or a tuple."""
    if setting in MANY:
        items = [value] if not isinstance(value, (list, tuple, type(None))) else list(value or ())
        return tuple(as_mapping(item) for item in items if item != "none")
    if value is None or value == "none":
        if setting in OPTIONAL:
            return None
        kind = PART_SETTINGS[setting]
        raise errors.SettingsError(f"{setting} cannot be none: name one, as `ganzoo list {kind}` shows them")
    return as_mapping(value)


def as_mapping(value: Any) -> Part | dict[str, Any]:
    """A part as it may be named (words, a mapping, an object) in one form: an object, or a mapping with ``name``."""
    if isinstance(value, Part):
        return value
    if isinstance(value, str):
        split = words.split(value)
        return {"name": split.label, **split.values}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {str(k): v for k, v in value.items()}
    said = words.shown(value)
    raise errors.SettingsError(f"{said} does not name a part: write name:key=value, or a mapping with a name")


def _override(said: dict[str, Any], override: str) -> None:
    """Apply ``part.key=value`` or ``setting=value``, where part is a setting, a kind or a part's name."""
    target, equals, value = override.partition("=")
    owner, dot, key = target.strip().rpartition(".")
    if not equals or not key:
        raise errors.SettingsError(f"-o {override!r} is not part.key=value, such as -o loss.margin=2 or -o r1.gamma=5")
    if not dot:
        if key in PART_SETTINGS:
            said[key] = _named(key, value)
            return
        if key not in words.parameters(Settings):
            raise errors.SettingsError(
                f"-o {override!r}: there is no setting {key!r}{nearest(key, words.parameters(Settings))}"
            )
        if key in ("steps", "images"):
            said.pop("steps", None)
            said.pop("images", None)
        said[key] = value
        return
    named: list[tuple[str, dict[str, Any]]] = [
        (setting, part)
        for setting in PART_SETTINGS
        for part in (said.get(setting) if setting in MANY else [said.get(setting)]) or ()
        if isinstance(part, dict)
    ]
    hits = [part for setting, part in named if owner in (setting, part["name"], part["name"].rpartition("/")[2])]
    if not hits:  # a kind: "regularizer.every", where one part of it is used
        hits = [part for setting, part in named if owner == PART_SETTINGS[setting] and setting not in OPTIONAL]
    if len(hits) != 1:
        owners = sorted({setting for setting, _ in named if setting not in MANY} | {part["name"] for _, part in named})
        why = "is used twice" if hits else "is no part of this run"
        near = nearest(owner, owners)
        raise errors.SettingsError(f"-o {override!r}: {owner} {why}{near}; there are {', '.join(owners)}")
    hits[0][key] = value


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file, as plain data: loaded safely, at most 1 MiB, no key twice.

    Raises:
        SettingsError: the file is missing, too large, not YAML, or not a mapping of settings.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain data only, and no key twice: PyYAML itself lets the last one win in silence."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = key_node.tag, key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node)
                if key in seen:
                    said = f"{key_node.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, said, key_node.start_mark)
                seen.add(key)
            return super().construct_mapping(node, deep=deep)

    path = Path(path)
    try:
        if path.stat().st_size > CONFIG_BYTES:
            raise errors.SettingsError(f"config {path} is larger than {CONFIG_BYTES >> 20} MiB: that is no config file")
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except OSError as error:
        raise errors.SettingsError(f"config {path} cannot be read: {error.strerror}") from error
    except errors.SettingsError:
        raise
    except Exception as error:  # PyYAML's own, and whatever its constructors raise for dates and numbers that are none
        raise errors.SettingsError(f"config {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise errors.SettingsError(f"config {path} is not a mapping of settings, such as `loss: hinge`")
    return loaded
