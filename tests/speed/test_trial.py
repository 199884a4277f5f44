"""The tolerances of the trial of a recorded step follow from the operations of the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganzoo.parts import PLAYERS, Networks
from ganzoo.speed.trial import UNMOVED, Roundoff, rounding, tolerance, tolerance_of_moves
from ganzoo.training.steps import advance

HALF = torch.finfo(torch.float32).eps / 2


def test_additions_and_layers_are_counted() -> None:
    nets = Networks(nn.Conv2d(3, 8, 4), nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)))
    forwards_and_back = 2 * ((3 + 8) * 16 + 5 + 7)
    assert rounding(nets, 100, Roundoff(1.0)) == pytest.approx((forwards_and_back + 100) ** 0.5)
    assert rounding(nets, 100, Roundoff(0.0, 1.0)) == pytest.approx((4 * 2) ** 0.5)


@pytest.mark.parametrize("terms", [100, 10_000])
def test_two_orders_of_a_sum_lie_apart_as_derived(terms: int) -> None:
    """Both are made one addition at a time in float32. An addition rounds by ``HALF`` at most, and mostly by less."""
    numbers = np.random.default_rng(0).standard_normal((300, terms), dtype=np.float32)
    there, back = (np.add.accumulate(each, axis=1)[:, -1] for each in (numbers, numbers[:, ::-1]))
    found = np.linalg.norm(there - back) / np.linalg.norm(numbers.astype(float).sum(1))
    assert 0.1 < found / (HALF * terms**0.5) < 1


def gradients(made: Any) -> dict[str, list[Tensor]]:
    """The gradients of both players at the point where the run stands."""
    made.game.begin(made.run.step, 0.0)
    s = made.game.round()
    losses = {"discriminator": made.game.discriminator_loss(s), "generator": made.game.generator_loss(s)}
    return {player: list(taken.grads) for player, taken in made.game.gradients(losses).items()}


@pytest.mark.parametrize("arch", ["mlp", "dcgan:width=8"])
def test_float32_is_nearer_to_float64_than_the_tolerance(experiment: Any, arch: str) -> None:
    """The whole gradient, with a penalty and with kinks; and the tolerance is not larger than the rounding needs."""
    settings: dict[str, Any] = {"arch": arch, "loss": "hinge", "regularizers": ["r1"], "data": "digits:size=16"}
    coarse, exact = experiment(**settings, precision="fp32"), experiment(**settings, precision="fp64")
    for _ in range(2):  # from the optimizers' first step on
        advance(coarse.run, coarse.game, 10)
    for mine, theirs in zip(coarse.run.state.networks, exact.run.state.networks, strict=True):
        theirs.load_state_dict(mine.state_dict())
    exact.run.state.counters.set(coarse.run.state.counters)
    batch, latents = coarse.game.environment.feed.reals(0), coarse.game.host.latents()
    for made, dtype in ((coarse, torch.float32), (exact, torch.float64)):
        both = batch.map(lambda t, dtype=dtype: t.to(dtype)), latents.map(lambda t, dtype=dtype: t.to(dtype))
        made.game.host.reals = lambda *_, both=both: both[0]
        made.game.host.latents = lambda both=both: both[1]
    error = rounding(coarse.run.state.networks, 8 * 16 * 16, Roundoff(HALF))
    ours, theirs = gradients(coarse), gradients(exact)
    for player in PLAYERS:
        apart = sum(float((a.double() - b).square().sum()) for a, b in zip(ours[player], theirs[player], strict=True))
        length = sum(float(b.square().sum()) for b in theirs[player])
        assert error / 100 < (apart / length) ** 0.5 < tolerance(error)


def test_moves_of_adam_have_a_bound_of_their_own() -> None:
    assert tolerance_of_moves(2e-3, [torch.zeros(10, 10)]) == pytest.approx(0.08)
    assert tolerance_of_moves(0.0, [torch.zeros(99, 2), torch.zeros(2)]) == pytest.approx((2 * 0.01) ** 0.5)
    assert tolerance_of_moves(1.0, [torch.zeros(3)]) == UNMOVED < 1
