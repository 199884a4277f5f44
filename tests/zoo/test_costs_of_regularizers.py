"""What a regularizer adds to a step, in operations, and when a lazy penalty is paid."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

import ganzoo
from ganzoo.speed.hardware import Flops

SIZES: dict[str, Any] = {"arch": "dcgan:width=8", "data": "digits:size=32"}


def flops(made: Any) -> int:
    made.game.begin(0, 0.0)
    with Flops() as counter:
        made.run.parts.schedule.step(made.game)
    return counter.total


def pass_of_the_discriminator(made: Any) -> int:
    images = torch.zeros(8, 1, 32, 32)
    with torch.no_grad(), Flops() as counter:
        made.game.judge(images, ganzoo.Batch())
    return counter.total


@pytest.mark.parametrize(
    ("named", "most"),
    [
        ("r2", 3),
        ("r1r2", 6),
        ("wgan-div", 6),
        ("drift", 0),
        ("lecam", 0),
        ("top-k", 0),
        ("clip-gradient", 0),
        ("wgan-lp", 6),
        ("cr", 3),
        ("instance-noise", 0),
        ("diffaugment", 0),
        ("ada", 0.3),
    ],
)
def test_what_a_part_costs_in_passes_of_the_discriminator(experiment, named, most):
    plain, with_it = experiment(loss="sgan", **SIZES), experiment(loss="sgan", regularizers=[named], **SIZES)
    extra = flops(with_it) - flops(plain)
    assert extra <= most * pass_of_the_discriminator(plain)
    assert extra >= 0 or named == "top-k"


LAZY = [
    "r2",
    "r1r2",
    "wgan-lp",
    "zero-gp",
    "dragan",
    "wgan-div",
    "gradient-penalty",
    "drift",
    "lecam",
    "sn-penalty",
    "orthogonal",
    "consensus",
    "path-length",
    "cr",
    "bcr",
    "zcr",
]


@pytest.mark.parametrize("named", LAZY)
@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_a_penalty_that_is_not_due_costs_nothing(experiment, named, schedule):
    settings = {"loss": "sgan", "schedule": schedule, "precision": "fp64"}
    plain, lazy = experiment(**settings), experiment(regularizers=[f"{named}:every=3"], **settings)
    costs = []
    for step in range(4):
        lazy.game.begin(step, 0.0)
        with Flops() as counter:
            lazy.run.parts.schedule.step(lazy.game)
        costs.append(counter.total)
    base = flops(plain)
    assert costs[1:3] == [base] * 2
    assert costs[0] == costs[3]
    assert costs[0] > base or named in ("drift", "lecam")


@pytest.mark.parametrize("named", LAZY)
def test_a_lazy_penalty_weighs_its_interval(experiment, named):
    made = experiment(precision="fp64", loss="sgan", regularizers=[f"{named}:every=4"])
    game, regularizer = made.game, made.run.parts.regularizers[named]
    players = [p for p in ("discriminator", "generator") if named in game.penalties[p]]
    assert players
    for player in players:
        game.begin(0, 0.0)
        s = game.round()
        loss = getattr(game, f"{player}_loss")(s)
        bare, penalty = game.scalars[f"loss/{player}"], game.scalars[f"penalty/{named}"]
        assert_close(loss.detach() - bare, 4 * penalty, atol=1e-9, rtol=1e-9)
        assert penalty.abs() > 0 or named == "wgan-lp"  # whose slopes are below one
        assert regularizer.every == 4
        game.close()


# -- all of them -----------------------------------------------------------------------------------------------------

NEW = [*LAZY, "top-k", "clip-gradient", "diffaugment", "ada"]


@pytest.mark.parametrize("named", NEW)
def test_no_step_waits_for_the_device(experiment, monkeypatch, named):
    made = experiment(loss="sgan", regularizers=[named])
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)  # optimizers make their state at the first step
    count = 0

    def counting(original):
        def counted(tensor, *args, **kw):
            nonlocal count
            count += 1
            return original(tensor, *args, **kw)

        return counted

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name)))
    made.game.begin(1, 0.0)
    made.run.parts.schedule.step(made.game)
    made.game.log_reports()
    made.game.pop_scalars()
    assert count == 0
