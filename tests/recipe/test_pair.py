"""The discriminator of an architecture of its own: ``--d-arch``."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import ganzoo
from ganzoo import errors
from ganzoo.recipe.pair import Pair
from ganzoo.words import ScheduledNumber

NAMES = sorted(entry.name for entry in ganzoo.catalogue("architecture") if entry.builtin)

SMALL = {"width": "4", "depth": "1", "channel_max": "4", "d_width": "4", "d_layers": "1", "blocks": "1", "growth": "2"}
"""Small values of the parameters that make a net large, where an architecture has them."""

WORDS = {
    "gat": "gat:width=8,depth=2,levels=1,heads=1,projection_size=8",
    "multiscale": "multiscale:of=dcgan,width=4,scales=2",
    "packed": "packed:of=dcgan,width=4",
}
"""The words of small architectures that the table above does not make small."""

FALLING = ScheduledNumber("linear", 1.0, 0.0)


class Scaled(ganzoo.Architecture):
    """Networks with a number that follows the run.

    Args:
        scale: a number.
    """

    scale: float = 1.0

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        return nn.Sequential(nn.Linear(spec.latent_dim, 64), nn.Unflatten(1, spec.shape))

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))


TRIED = ({"data": "digits:size=16"}, {"data": "digits-masks:size=16"}, {"data": "digits:size=32"})
"""Samples from noise alone, samples that are made for a photo, and samples that are large enough for every net."""


def small(name: str) -> str:
    """The words of an architecture with small networks."""
    if name in WORDS:
        return WORDS[name]
    parameters = ganzoo.part("architecture", name).__dataclass_fields__
    given = ",".join(f"{key}={value}" for key, value in SMALL.items() if key in parameters)
    return f"{name}:{given}" if given else name


def play(made: Any, steps: int = 1) -> dict[str, float]:
    for step in range(steps):
        made.game.begin(step, step / steps)
        made.run.parts.schedule.step(made.game)
    return {tag: float(value) for tag, value in made.game.pop_scalars().items()}


def pairs() -> list[Any]:
    """All pairs. Those of neighbours in the list and those with the first convolutional net are tried every time."""
    found = []
    for (i, arch), (k, d_arch) in product(enumerate(NAMES), enumerate(NAMES)):
        often = (k - i) % len(NAMES) in (0, 1) or "dcgan" in (arch, d_arch)
        found.append(pytest.param(arch, d_arch, marks=[] if often else pytest.mark.soak))
    return found


@pytest.mark.parametrize(("arch", "d_arch"), pairs())
def test_every_pair_of_the_catalogue_trains_or_says_why_not(experiment: Any, arch: str, d_arch: str) -> None:
    refusals = []
    for data in TRIED:
        try:
            made = experiment(arch=small(arch), d_arch=small(d_arch), batch_size=4, **data)
        except errors.Incompatible as refusal:
            assert "\n" not in str(refusal)
            refusals.append(str(refusal))
            continue
        seen = play(made)
        assert all(map(math.isfinite, seen.values())), seen
        assert {"loss/discriminator", "loss/generator"} <= seen.keys()
        return
    assert arch != d_arch, f"{arch} builds for none of the samples: {refusals}"


def test_the_nets_are_those_of_the_two_architectures(experiment: Any) -> None:
    made = experiment(arch="dcgan:width=4", d_arch="resnet:width=8")
    other = experiment(arch="resnet:width=8").run.state.networks
    assert type(made.run.state.networks.discriminator) is type(other.discriminator)
    assert type(made.run.state.networks.generator) is not type(other.generator)
    assert made.run.parts.labels["d_arch"] == "resnet:width=8"
    alone = experiment(arch="dcgan:width=4")
    assert all(
        a.equal(b) for a, b in zip(made.run.generator.parameters(), alone.run.generator.parameters(), strict=True)
    )


def test_one_architecture_is_written_once(experiment: Any) -> None:
    same = experiment(arch="dcgan:width=4", d_arch="dcgan:width=4").run
    assert same.identity["settings"]["d_arch"] is None
    assert type(same.parts.architecture).__name__ == "DCGAN"
    other = experiment(arch="dcgan:width=4", d_arch="dcgan:width=8").run
    assert other.identity["settings"]["d_arch"]["width"] == 8


def test_what_the_loss_reads_is_asked_of_the_discriminators_architecture(experiment: Any) -> None:
    play(experiment(loss="acgan", arch="dcgan:width=4,conditional=concat", d_arch="resnet:width=8,auxiliary=true"))
    with pytest.raises(errors.Incompatible, match="acgan") as caught:
        experiment(loss="acgan", arch="resnet:width=8,auxiliary=true", d_arch="dcgan:width=4")
    assert "\n" not in str(caught.value)
    play(experiment(loss="ogan", arch="resnet:width=8", d_arch="dcgan:width=4,embedding=latent"))


@pytest.mark.parametrize("regularizer", ["feature-matching", "r1", "sn"])
def test_regularizers_see_the_discriminators_architecture(experiment: Any, regularizer: str) -> None:
    seen = play(experiment(arch="mlp:width=8", d_arch="dcgan:width=4,auxiliary=true", regularizers=[regularizer]))
    assert all(map(math.isfinite, seen.values()))


@pytest.mark.parametrize(
    ("arch", "d_arch"),
    [
        ("dcgan:width=4,conditional=projection", "resnet:width=8"),
        ("dcgan:width=4", "resnet:width=8,conditional=projection"),
        ("dcgan:width=4,conditional=concat", "mlp:width=8,conditional=concat"),
    ],
)
def test_labels_reach_the_nets_that_ask_for_classes(experiment: Any, arch: str, d_arch: str) -> None:
    made = experiment(arch=arch, d_arch=d_arch)
    assert made.run.spec.classes == 10
    play(made, 2)
    assert made.run.sample(4).shape == (4, 1, 8, 8)


def test_labels_that_are_asked_for_and_absent(experiment: Any) -> None:
    with pytest.raises(errors.Incompatible, match="conditional nets need labels"):
        experiment(arch="mlp:width=8", d_arch="mlp:conditional=concat", data="ring")


def test_the_pair_has_the_whole_contract() -> None:
    """A method that the contract gains must be sent to one of the two architectures."""
    contract = {name for name in vars(ganzoo.Architecture) if not name.startswith("_")} - {
        "kind",
        "build",
        "must_define",
    }
    assert contract <= vars(Pair).keys()


def test_build_is_not_defined_by_an_architecture() -> None:
    with pytest.raises(TypeError, match=r"defines build: define generator\(spec\) and discriminator\(spec\)"):

        class Old(ganzoo.Architecture):
            def build(self, spec: ganzoo.Spec) -> ganzoo.Networks:  # type: ignore[misc]
                raise AssertionError


def test_numbers_that_follow_the_run_are_bound(experiment: Any) -> None:
    made = experiment(arch=Scaled(scale=1.0), d_arch=Scaled(scale=FALLING))
    made.run.parts.bound["d_arch"].set_progress(0.5)
    assert made.run.parts.architecture.d_arch.scale == 0.5
    assert made.run.parts.architecture.arch.scale == 1.0


def test_from_the_command_line_and_resumed(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "arch": "dcgan:width=4",
        "d_arch": "resnet:width=8",
        "data": "digits:size=8",
        "batch_size": 4,
        "latent_dim": 4,
        "samples": 4,
        "device": "cpu",
        "logdir": tmp_path,
        "precision": "fp32",
        "optimizer": "adam:lr=1e-3",  # no number follows the run, so that two steps begin as three do
    }
    whole = ganzoo.run(**given, steps=3, name="whole", quiet=True)
    half = ganzoo.run(**given, steps=2, quiet=True)
    assert half.dir.name.startswith("00000-dcgan-resnet-")
    assert yaml.safe_load((half.dir / "config.yaml").read_text())["d_arch"]["name"] == "resnet"
    resumed = ganzoo.resume(half.dir, steps=3, quiet=True)
    assert all(
        a.equal(b)
        for net, other in zip(whole.state.networks, resumed.state.networks, strict=True)
        for a, b in zip(net.parameters(), other.parameters(), strict=True)
    )
    loaded = ganzoo.load(half.dir)
    assert torch.equal(loaded.sample(2), resumed.sample(2))
