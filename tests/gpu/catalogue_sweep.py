"""The compositions of the sweep, derived from the catalogue: a new part is swept by itself.

Each part is tried as it is, and once for each option: every choice of a parameter, every switch, the next whole number,
every float as a course over the run. A part that the usual base does not suit takes the first base that suits it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness import NEEDS_FILES, smallest

import ganzoo
from ganzoo import words

BASES: tuple[dict[str, Any], ...] = (
    {},
    {"loss": "sgan"},
    {"arch": "dcgan:width=4,auxiliary=true"},
    {"arch": "dcgan:width=4,embedding=latent"},
    {"arch": "mlp", "data": "ring"},
    {"arch": "segan:width=4,d_norm=none", "data": "digits-masks:size=16"},
    {"arch": "resnet:width=8", "data": "digits:size=32"},
    {"arch": "segan:width=4,d_norm=none", "data": "digits-masks:size=32"},
)
"""Surroundings of a part, tried in turn until one suits the part."""

USUAL: dict[str, Any] = {"loss": "hinge", "schedule": "alternating"}

SCHEDULES = ("onestep", "alternating")

SETTINGS: tuple[dict[str, Any], ...] = (
    {"ema": 0},
    {"accumulate": 2},
    {"on_nonfinite": "skip"},
    {"deterministic": True},
    {"precision": "bf16"},
    {"precision": "fp64"},
    {"batch_norm": "sync"},
    {"precision": "bf16", "regularizers": ["r1:every=2", "sn"], "schedule": "onestep"},
    {"accumulate": 2, "regularizers": ["r1:every=2", "sn"], "on_nonfinite": "skip"},
    {"precision": "fp64", "regularizers": ["wgan-gp", "ada"]},
    {"schedule": "onestep", "regularizers": ["r1:gamma=0.1..1,every=2", "sn", "ada", "instance-noise:sigma=0.1..0"]},
)
"""Settings that change a step, and parts that meet in one step."""


def named(kind: str) -> list[str]:
    """The names of the parts of a kind that the project brings."""
    return sorted(entry.name for entry in ganzoo.catalogue(kind, no_plugins=True) if entry.builtin)


WHOLE = {"pggan": "channel_base=64,channel_max=8,start=8"}
"""Networks that grow, whole from the first step. A new phase is a new recording, before which the host waits."""


def architectures() -> tuple[dict[str, Any], ...]:
    """Every architecture, small, as the surroundings of a part that only certain networks suit."""
    small = {arch: WHOLE.get(arch) or smallest(arch) for arch in named("architecture")}
    return tuple({"arch": f"{arch}:{small[arch]}", "data": "digits:size=32"} for arch in small)


@dataclass(frozen=True)
class Composition:
    """What one run of the sweep is made of.

    Attributes:
        name: for reports.
        settings: that are the point of the composition.
        bases: surroundings, the first that suits is taken.
        plain: whether some base must suit; an option may be one that the rules refuse.
        preset: settings to start from.
    """

    name: str
    settings: dict[str, Any]
    bases: tuple[dict[str, Any], ...] = (*BASES, *architectures())
    plain: bool = True
    preset: str | None = None

    def __str__(self) -> str:
        return self.name


def options(kind: str, name: str) -> list[str]:
    """The part with each of its options, as words without the part's name."""
    catalogue = ganzoo.catalogue()
    found, courses = list[str](), list[str]()
    for key, parameter in words.parameters(catalogue.load(catalogue.find(kind, name))).items():
        default = parameter.default
        if parameter.choices:
            found += [f"{key}={choice}" for choice in parameter.choices if choice != parameter.default_text]
        elif isinstance(default, bool):
            found.append(f"{key}={str(not default).lower()}")
        elif key == "every":
            found.append("every=2")
        elif isinstance(default, int) and key != "width":
            found.append(f"{key}={default + 1 if default else 2}")
        elif parameter.can_follow and isinstance(default, float):
            courses.append(f"{key}={default:g}..{default / 2 if default else 0.5:g}")
    if courses:
        found.append(",".join(courses))
        found += courses if len(courses) > 1 else []
    return found


FETCHED = ("lpips", "perceptual", "style")
"""Regularizers that read the published weights of a network, which tests do not fetch."""


def compositions() -> Iterator[Composition]:
    """All of them."""
    for loss, schedule in itertools.product(named("loss"), SCHEDULES):
        yield Composition(f"loss {loss}, {schedule}", {"loss": loss, "schedule": schedule})
    for regularizer, schedule in itertools.product(sorted({*named("regularizer")} - {*FETCHED}), SCHEDULES):
        yield Composition(
            f"regularizer {regularizer}, {schedule}", {"regularizers": [regularizer], "schedule": schedule}
        )
    for schedule in named("schedule"):
        for regularizers in ([], ["sn"], ["r1:every=2"]):
            yield Composition(
                f"schedule {schedule} {'+'.join(regularizers)}".strip(),
                {"schedule": schedule, "regularizers": regularizers},
            )
    for kind, setting in (("loss", "loss"), ("regularizer", "regularizers"), ("schedule", "schedule")):
        for name in sorted({*named(kind)} - {*FETCHED}):
            for option in options(kind, name):
                value = f"{name}:{option}"
                yield Composition(
                    f"{kind} {value}",
                    {"schedule": "onestep", setting: [value] if kind == "regularizer" else value},
                    plain=False,
                )
    for arch in named("architecture"):
        small = WHOLE.get(arch) or smallest(arch)
        suited = tuple({k: v for k, v in base.items() if k != "arch"} for base in BASES)
        for option in ("", *options("architecture", arch)):
            value = ",".join(each for each in (small, option) if each)
            name = f"{arch}:{value}" if value else arch
            yield Composition(f"architecture {name}", {"arch": name}, suited, plain=not option)
    for optimizer in named("optimizer"):
        for option in ("", *options("optimizer", optimizer)):
            name = f"{optimizer}:{option}" if option else optimizer
            yield Composition(f"optimizer {name}", {"optimizer": name}, plain=not option)
    for data in named("data"):
        # data that are downloaded or given as a folder are not here: their batches are like those of other data
        if data.startswith(("digits", "ring", "grid")):
            small = "size=16" if data == "digits-masks" else ""
            yield Composition(f"data {data}", {"data": f"{data}:{small}" if small else data})
    for settings in SETTINGS:
        name = " ".join(f"{key}={value}" for key, value in settings.items())
        yield Composition(f"settings {name}", settings)
    # coarse-to-refine freezes a stage in the middle: a new recording, before which the host waits
    for preset in sorted({*ganzoo.catalogue().presets()} - NEEDS_FILES - {"coarse-to-refine"}):
        yield Composition(f"preset {preset}", {}, ({}, *BASES[5:]), preset=preset)
