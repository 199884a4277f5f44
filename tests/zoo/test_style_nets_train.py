"""r3gan and stylegan2 train under each penalty, in each precision, with labels, and against each other."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ganzoo.training.steps import advance

R3GAN = "r3gan:width=4,blocks=1,group=2"
STYLEGAN2 = "stylegan2:width=4,style=3,mapping=1"


def trained(experiment: Any, steps: int = 2, **settings: Any) -> dict[str, float]:
    """The scalars of the last of a few steps, all finite."""
    made = experiment(**{"data": "digits:size=8", "batch_size": 4, "loss": "sgan", **settings})
    for _ in range(steps):
        advance(made.run, made.game, steps)
        scalars = {tag: float(value) for tag, value in made.game.pop_scalars().items()}
        assert all(map(math.isfinite, scalars.values())), scalars
    return scalars


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("arch", [R3GAN, STYLEGAN2])
def test_every_penalty_is_paid_in_every_precision(experiment: Any, arch: str, precision: str) -> None:
    penalties = ["r1", "wgan-gp", "path-length"]
    scalars = trained(experiment, arch=arch, precision=precision, regularizers=[*penalties, "sn", "ada:p=0.5"])
    assert {f"penalty/{name}" for name in penalties} <= scalars.keys()


@pytest.mark.parametrize("conditional", ["concat", "projection", "heads"])
@pytest.mark.parametrize("arch", [R3GAN, STYLEGAN2])
def test_labels_enter_in_every_form(experiment: Any, arch: str, conditional: str) -> None:
    trained(experiment, arch=f"{arch},conditional={conditional}", regularizers=["r1"], loss="rpgan")


@pytest.mark.parametrize(("arch", "d_arch"), [(STYLEGAN2, R3GAN), (R3GAN, STYLEGAN2)])
def test_each_plays_against_the_other(experiment: Any, arch: str, d_arch: str) -> None:
    settings = {"regularizers": ["r1r2", "path-length"], "loss": "rpgan", "accumulate": 2}
    trained(experiment, arch=f"{arch},conditional=projection", d_arch=f"{d_arch},conditional=projection", **settings)


@pytest.mark.parametrize("arch", [R3GAN, STYLEGAN2])
def test_sizes_that_are_no_power_of_two(experiment: Any, arch: str) -> None:
    trained(experiment, steps=1, arch=arch, data="digits:size=12", regularizers=["path-length"])
