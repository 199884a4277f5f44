"""SGA and CGD: against dense matrices of second derivatives in float64, and on the real game."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import ganzoo
from ganzoo import lab
from ganzoo.errors import Incompatible
from ganzoo.training.steps import advance

PLAYERS = ("discriminator", "generator")


class Smooth(ganzoo.Game):
    """A game of general sum with two parameters of the discriminator's and three numbers of the generator's."""

    def __init__(self, seed: int, rates: tuple[float, float] = (0.3, 0.7)) -> None:
        torch.manual_seed(seed)
        shapes = {"discriminator": [(2,), (2, 1)], "generator": [(3,)]}
        self.parameters = {
            player: [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in some]
            for player, some in shapes.items()
        }
        self.mix = torch.randn(2, 7, 7, dtype=torch.float64)
        self.rates = dict(zip(PLAYERS, rates, strict=True))
        self.along: dict[str, list[torch.Tensor]] = {}

    def losses(self, w):
        return [((m @ w).tanh() * w).sum() + 0.1 * w.pow(4).sum() for m in self.mix]

    def point(self):
        return torch.cat([p.flatten() for player in PLAYERS for p in self.parameters[player]])

    def round(self, *players):
        return ganzoo.Scores()

    def differentiate(self, s):
        losses = self.losses(self.point())
        return {
            player: torch.autograd.grad(loss, self.parameters[player], create_graph=True)
            for player, loss in zip(PLAYERS, losses, strict=True)
        }

    def learning_rate(self, player):
        return self.rates[player]

    def move(self, along):
        self.along = {player: [d.clone() for d in some] for player, some in along.items()}

    def dense(self):
        """The gradient v of both players, and its derivative H, by 4 and 3 numbers."""
        w = self.point().detach().requires_grad_()
        slopes = [torch.autograd.grad(loss, w, create_graph=True)[0] for loss in self.losses(w)]
        v = torch.cat([slopes[0][:4], slopes[1][4:]])
        rows = [torch.autograd.grad(each, w, retain_graph=True)[0] for each in v]
        return v.detach(), torch.stack(rows)


def moved(words, seed, **how):
    game = Smooth(seed, **how)
    ganzoo.part("schedule", words).step(game)
    assert [d.shape for player in PLAYERS for d in game.along[player]] == [(2,), (2, 1), (3,)]
    return torch.cat([d.flatten() for player in PLAYERS for d in game.along[player]]), *game.dense()


@pytest.mark.parametrize("seed", range(8))
def test_the_symplectic_adjustment(seed):
    plain, v, h = moved("sga:align=false,weight=0.7", seed)
    assert_close(plain, v + 0.7 * (h - h.T).T @ v / 2, rtol=1e-12, atol=1e-12)
    aligned, *_ = moved("sga:weight=0.7", seed)
    slope, turned = h.T @ v, (h - h.T).T @ v / 2
    sign = torch.sign((v @ slope) * (turned @ slope) / 7 + 0.1)
    assert_close(aligned, v + 0.7 * sign * turned, rtol=1e-12, atol=1e-12)


def test_some_adjustments_have_the_other_sign():
    signs = []
    for seed in range(8):
        found, v, h = moved("sga", seed)
        signs.append(float(torch.sign((found - v) @ ((h - h.T).T @ v))))
    assert {*signs} == {1.0, -1.0}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("words", "rates"), [("cgd:iterations=3", (0.3, 0.7)), ("cgd:iterations=3,rate=0.4", (0.4, 0.4))]
)
def test_the_moves_of_cgd_answer_each_other(seed, words, rates):
    """The four and three moves (x, y) solve the equations of both players at once. Three steps solve for y."""
    found, v, h = moved(words, seed)
    mixed = torch.zeros(7, 7, dtype=torch.float64)
    mixed[:4, 4:], mixed[4:, :4] = rates[1] * h[:4, 4:], rates[0] * h[4:, :4]
    assert_close(found, torch.linalg.solve(torch.eye(7, dtype=torch.float64) + mixed, v), rtol=1e-8, atol=1e-9)


def test_more_iterations_of_cgd_come_nearer():
    gaps = []
    for iterations in (1, 2, 3):
        found, v, h = moved(f"cgd:iterations={iterations},rate=0.6", 1)
        mixed = torch.zeros(7, 7, dtype=torch.float64)
        mixed[:4, 4:], mixed[4:, :4] = 0.6 * h[:4, 4:], 0.6 * h[4:, :4]
        y = torch.linalg.solve(torch.eye(7, dtype=torch.float64) + mixed, v)[4:]
        gaps.append(float((found[4:] - y).norm()))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-10


@pytest.mark.parametrize("words", ["cgd", "sga:align=false", "cgd:rate=0.5"])
@pytest.mark.parametrize("regularizers", [[], ["r1:gamma=1"]], ids=str)
def test_on_the_dirac_gan_the_step_is_the_closed_form(words, regularizers):
    found = lab.dirac(loss="wgan", schedule=words, regularizers=regularizers, steps=1, batch_size=2)
    assert found.theory is not None
    assert np.abs(found.eigenvalues) == pytest.approx(np.abs(found.theory), abs=1e-6)
    assert max(np.abs(found.eigenvalues)) < 1


@pytest.mark.parametrize("words", ["cgd:iterations=2", "sga", "lookahead:k=2,of=sga"])
@pytest.mark.parametrize("regularizers", [["sn"], ["r1:gamma=1,every=2", "clip-gradient"]], ids=str)
def test_they_train_networks_and_count_both_moves(experiment, words, regularizers):
    made = experiment(loss="sgan", schedule=words, regularizers=regularizers, optimizer="sgd:lr=0.01")
    before = [p.detach().clone() for net in made.run.state.networks for p in net.parameters()]
    for step in range(3):
        advance(made.run, made.game, step + 5)
    after = [p.detach() for net in made.run.state.networks for p in net.parameters()]
    assert all(p.isfinite().all() for p in after)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True) if a.dim() > 1)
    assert made.run.state.counters.updates == {"discriminator": 3, "generator": 3}


def test_without_rates_cgd_is_simultaneous_descent(experiment):
    ends = []
    for words in ("cgd:rate=1e-12", "onestep"):
        made = experiment(loss="sgan", schedule=words, optimizer="sgd:lr=0.01", precision="fp64")
        advance(made.run, made.game, 5)
        ends.append([p.detach() for net in made.run.state.networks for p in net.parameters()])
    assert_close(*ends, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("words", ["cgd", "sga", "lookahead:of=cgd", "unrolled:order=second"])
def test_a_batch_in_pieces_is_refused(experiment, words):
    with pytest.raises(Incompatible, match=f"schedule {words} differentiates the whole batch's gradient: train it in"):
        experiment(loss="sgan", schedule=words, accumulate=2)


def test_a_schedule_that_does_not_say_that_it_needs_the_whole_batch_is_refused_in_its_step(experiment):
    class Mine(ganzoo.Schedule):
        def step(self, game):
            game.differentiate(game.round())

    made = experiment(loss="sgan", schedule=Mine(), accumulate=2)
    with pytest.raises(Incompatible, match="differentiates gradients needs the whole batch"):
        advance(made.run, made.game, 5)


@pytest.mark.parametrize("loss", ["wgan", "hinge"])
@pytest.mark.parametrize("schedule", ["cgd", "sga"])
def test_gradients_that_do_not_depend_on_the_weights_add_nothing(experiment, schedule, loss):
    """That of the last bias under a linear loss is constant, and has no graph."""
    made = experiment(arch="mlp:width=4", data="ring", loss=loss, regularizers=None, schedule=schedule, steps=3)
    for _ in range(3):
        advance(made.run, made.game, 3)
    assert all(bool(value.isfinite().all()) for value in made.run.generator.parameters())
