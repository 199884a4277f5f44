"""Both players' gradients from one backward pass: the same as from two, for less, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from harness import state_of

import ganzoo
from ganzoo import errors
from ganzoo.parts import Batch
from ganzoo.speed import hardware
from ganzoo.training.steps import advance

LOSSES = ["wgan", "hinge-linear", "lsgan", "lsgan:fake=-1,aim=0", "sgan", "sgan-saturating"]
WITH: list[dict[str, Any]] = [
    {"regularizers": ["sn"]},
    {"regularizers": ["r1:gamma=1,every=2", "instance-noise:sigma=0.1"]},
    {"regularizers": ["wgan-gp", "sn"]},  # a penalty that has to do with the fakes
    {"regularizers": ["label-smoothing"], "loss": "sgan"},
    {"arch": "dcgan:width=4,conditional=concat", "loss": "lsgan", "schedule": "onestep:weight=0.5"},
]


def steps(made: Any, count: int = 3) -> dict[str, torch.Tensor]:
    for _ in range(count):
        advance(made.run, made.game, count)
        assert not made.game.nonfinite
    return state_of(made)


@pytest.mark.parametrize("settings", [*({"loss": loss} for loss in LOSSES), *WITH], ids=str)
def test_the_update_is_that_of_two_passes(experiment: Any, settings: dict[str, Any]) -> None:
    """Weights, statistics and optimizers, to 1e-6 and far below: only the order of products differs."""
    given = {"precision": "fp64", "loss": "wgan", "schedule": "onestep", **settings}
    words = given["schedule"] + ("," if ":" in given["schedule"] else ":") + "shared=true"
    expected = steps(experiment(**given))
    for name, value in steps(experiment(**{**given, "schedule": words})).items():
        torch.testing.assert_close(value, expected[name], atol=1e-9, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_in_single_precision_too(experiment: Any) -> None:
    """By SGD, whose moves are the gradients: to 1e-6 of their size."""
    given = {"precision": "fp32", "loss": "sgan", "optimizer": "sgd:lr=1"}
    two, one = experiment(**given), experiment(**given, schedule="onestep:shared=true")
    before = state_of(two)
    expected = steps(two, 1)
    for name, value in steps(one, 1).items():
        if name.startswith(("generator/", "discriminator/")) and value.is_floating_point():
            move = (expected[name] - before[name]).abs().max()
            assert (value - expected[name]).abs().max() <= 1e-6 * max(1.0, float(move)), name


def test_costs_3g_and_6d(experiment: Any) -> None:
    made = experiment(
        loss="wgan", schedule="onestep:shared=true", data="digits:size=16", arch="dcgan:width=8,norm=none"
    )
    run = made.run
    latent = torch.randn(8, 4)
    with torch.no_grad(), hardware.Flops() as g:
        images = run.parts.architecture.generate(run.generator, Batch(latent=latent))
    with torch.no_grad(), hardware.Flops() as d:
        run.parts.architecture.judge(run.discriminator, images, Batch())
    with hardware.Flops() as step:
        advance(run, made.game, 1)
    # the discriminator's first layer has its slope by the fakes in any case; by the reals nobody asks for it
    assert step.total <= 3 * g.total + 6 * d.total
    assert step.total >= 3 * g.total + 5 * d.total


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"loss": "hinge"}, "loss hinge does not give both players one gradient up to a factor"),
        ({"loss": "ragan"}, "loss ragan does not give"),
        ({"loss": "wgan", "arch": "dcgan:width=4,d_norm=batch", "data": "digits:size=16"}, "BatchNorm2d in the discr"),
        ({"loss": "wgan", "arch": "dcgan:width=4,minibatch_stddev=true"}, "MinibatchStddev in the discriminator mixes"),
        ({"loss": "wgan", "regularizers": ["top-k"]}, "top-k gives the generator a gradient of its own"),
        ({"loss": "wgan", "regularizers": ["consensus"]}, "consensus gives the generator a gradient of its own"),
    ],
)
def test_where_it_is_not_exact_it_is_refused(experiment: Any, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(errors.Incompatible, match=f"^{why}.*: leave out its shared=true$"):
        experiment(schedule="onestep:shared=true", **settings)


class Far(ganzoo.Loss):
    """Standard GAN with scores far to one side."""

    supports_shared_backward = True
    by: float = -60.0

    def discriminator(self, s: ganzoo.Scores) -> torch.Tensor:
        return torch.nn.functional.softplus(s.fake + self.by).mean() + torch.nn.functional.softplus(-s.real).mean()

    def generator(self, s: ganzoo.Scores) -> torch.Tensor:
        return torch.nn.functional.softplus(-s.fake - self.by).mean()


def test_out_of_range_nobody_moves(experiment: Any) -> None:
    """At a score of -60 the discriminator's slope is 1e-26 of the generator's: no move, rather than a wrong one."""
    made = experiment(loss=Far(), schedule="onestep:shared=true")
    before = {name: p.clone() for name, p in made.run.generator.named_parameters()}
    advance(made.run, made.game, 1)
    assert made.game.nonfinite
    assert all(p.equal(before[name]) for name, p in made.run.generator.named_parameters())
    near = experiment(loss=Far(by=-20.0), schedule="onestep:shared=true")
    advance(near.run, near.game, 1)
    assert not near.game.nonfinite
