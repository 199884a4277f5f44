"""Gather the parts that the settings of a run name, each bound to the values of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from ganzoo import errors, words
from ganzoo.parts import PLAYERS, Architecture, Data, Loss, Metric, Optimizer, Part, Player, Regularizer, Schedule
from ganzoo.recipe import origins
from ganzoo.recipe.pair import Pair
from ganzoo.recipe.settings import PartSource, Settings
from ganzoo.training.parts import Parts
from ganzoo.words import Bound, PartSpec

PartT = TypeVar("PartT", bound=Part)


def gather(settings: Settings, catalogue: PartSource, missing: Mapping[tuple[str, str], str] | None = None) -> Parts:
    """Look up and validate the parts that the settings name.

    Args:
        settings: the settings of the run.
        catalogue: the source in which the parts are looked up.
        missing: parts that are not looked up, by setting and label, each with the reason. The reason is raised as an
            error where such a part is used.

    Returns:
        The parts. Each part is a copy, bound to the values of this run.

    Raises:
        GanzooError: a part is unknown, a value does not fit, or a part is named twice with the same parameters.
    """
    made = _made(settings, catalogue, missing or {})
    specs: dict[str, tuple[PartSpec, ...]] = {}
    bound: dict[str, Bound[Part]] = {}

    def many(setting: str, contract: type[PartT]) -> dict[str, PartT]:
        found: dict[str, PartT] = {}
        specs[setting] = tuple(spec for spec, _ in made[setting])
        for spec, part in made[setting]:
            if isinstance(part, origins.Missing):
                found[spec.label] = cast(PartT, part)
                continue
            assert isinstance(part, contract)
            key = f"{spec.kind} {spec.label}" if catalogue.kinds.settings[setting].many else setting
            tied = words.bind(part, settings.course)
            bound[key], found[spec.label] = tied, tied.part
        return found

    def one(setting: str, contract: type[PartT]) -> PartT:
        (part,) = many(setting, contract).values()
        return part

    architecture, d_architecture, loss = one("arch", Architecture), one("d_arch", Architecture), one("loss", Loss)
    if words.unbound(architecture) != words.unbound(d_architecture):
        (arch,), (d_arch,) = specs["arch"], specs["d_arch"]
        architecture = Pair(arch=architecture, d_arch=d_architecture, names=(arch.reference, d_arch.reference))
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


def _made(
    settings: Settings, catalogue: PartSource, missing: Mapping[tuple[str, str], str]
) -> dict[str, list[tuple[PartSpec, Part | origins.Missing]]]:
    """Make the parts of every setting. A part that is named again with other parameters has a number in its label."""
    made: dict[str, list[tuple[PartSpec, Part | origins.Missing]]] = {}
    for setting, declared in catalogue.kinds.settings.items():
        owner = setting if settings.parts.get(setting, ()) else declared.default
        made[setting] = []
        for each in settings.parts.get(owner, ()):
            if isinstance(each, PartSpec) and (owner, each.label) in missing:
                made[setting].append((each, origins.Missing(missing[owner, each.label])))
                continue
            expected = catalogue.kinds.of_setting[setting]
            spec, part = catalogue.make(expected, each)
            if lacks := part.what_is_missing():
                raise errors.PartError(
                    f"{expected} {spec.reference} {lacks}: define it, and `ganzoo check` tries the part"
                )
            if declared.many and any(other == part for _, other in made[setting]):
                raise errors.Incompatible(
                    f"{spec.reference} is named twice with the same parameters: name it once, or give one of the two "
                    "another parameter"
                )
            made[setting].append((spec, part))
    for kind in catalogue.kinds.values():
        several = [setting.name for setting in kind.settings if setting.many]
        labelled = iter(words.numbered([spec for name in several for spec, _ in made[name]]))
        for name in several:
            made[name] = [(next(labelled), part) for _, part in made[name]]
    return made
