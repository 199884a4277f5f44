"""Schedules on the bilinear game, where each move has a closed form."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

import ganzoo
from ganzoo.errors import BadParameter

H = 0.1


class Bilinear(ganzoo.Game):
    """L_D = -psi theta, L_G = psi theta, both by gradient descent at the rate H."""

    def __init__(self):
        self.psi, self.theta = (tensor(1.0, dtype=torch.float64, requires_grad=True) for _ in range(2))
        self.rounds, self.moves = [], []

    def round(self, *players):
        self.rounds.append(not players or "generator" in players)
        return ganzoo.Scores()

    def discriminator_loss(self, s):
        return -self.psi * self.theta

    def generator_loss(self, s):
        return self.psi * self.theta

    def update(self, *, discriminator=None, generator=None):
        pairs = [(w, loss) for w, loss in ((self.psi, discriminator), (self.theta, generator)) if loss is not None]
        slopes = [torch.autograd.grad(loss, w)[0] for w, loss in pairs]
        with torch.no_grad():
            for (w, _), slope in zip(pairs, slopes, strict=True):
                w.sub_(H * slope)
        self.moves.append("".join(name for name, loss in (("D", discriminator), ("G", generator)) if loss is not None))


def played(words):
    game = Bilinear()
    ganzoo.part("schedule", words).step(game)
    return game


def test_onestep_is_simultaneous_descent():
    game = played("onestep")
    assert (game.psi.item(), game.theta.item()) == (1 + H, 1 - H)  # both gradients at the old point
    assert game.moves == ["DG"]
    assert game.rounds == [True]
    assert game.psi.item() ** 2 + game.theta.item() ** 2 == pytest.approx(2 * (1 + H**2))  # away from the equilibrium


@pytest.mark.parametrize("n", [1, 2, 5])
def test_alternating_answers_the_new_move(n):
    game = played(f"alternating:discriminator_steps={n}")
    assert game.psi.item() == pytest.approx(1 + n * H, abs=1e-15)
    assert game.theta.item() == pytest.approx(1 - H * (1 + n * H), abs=1e-15)
    assert game.moves == ["D"] * n + ["G"]
    assert game.rounds == [False] * n + [True]


def test_the_two_are_not_the_same_method():
    """Simultaneous descent spirals out of the bilinear game; 1:1 alternation stays on its orbit."""
    ends = {}
    for words in ("onestep", "alternating"):
        game = Bilinear()
        for _ in range(500):
            ganzoo.part("schedule", words).step(game)
        ends[words] = game.psi.item() ** 2 + game.theta.item() ** 2
    assert ends["onestep"] == pytest.approx(2 * (1 + H**2) ** 500)
    assert 1.5 < ends["alternating"] < 2.5


def test_steps_are_counted_from_one():
    with pytest.raises(BadParameter, match=r"discriminator_steps=0 is not a whole number >= 1"):
        ganzoo.part("schedule", "alternating:discriminator_steps=0")


def test_the_critic_of_wgan_makes_100_moves_at_the_start_and_now_and_then():
    part = ganzoo.part("schedule", "alternating:discriminator_steps=5,burst=100")
    moves = []
    for step in (0, 24, 25, 499, 500, 501, 1000):
        game = Bilinear()
        game.step_number = step
        part.step(game)
        moves.append(game.moves.count("D"))
        assert game.moves[-1] == "G"
    assert moves == [100, 100, 5, 5, 100, 5, 100]
    assert part.linear_step(torch.zeros(2, 2, dtype=torch.float64), 0.1) is None
    game = Bilinear()
    game.step_number = 500
    ganzoo.part("schedule", "alternating:burst=3,burst_first=0,burst_every=0").step(game)
    assert game.moves == ["D", "G"]
