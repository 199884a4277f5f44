"""Optimizers, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn, tensor

import ganzoo
from ganzoo.errors import BadParameter

SLOPES = [0.3, -0.2, 0.5, 0.1]


def moved(words, slopes=SLOPES, scale=1.0):
    """Where a weight that starts at 1 is after these gradients."""
    w = nn.Parameter(tensor([1.0], dtype=torch.float64))
    optimizer = ganzoo.part("optimizer", words).build([w])
    for g in slopes:
        w.grad = tensor([g * scale], dtype=torch.float64)
        optimizer.step()
    return w.item()


@pytest.mark.parametrize(
    ("words", "b1", "b2"), [("adam:lr=0.01", 0.0, 0.9), ("adam:lr=0.01,betas=0.5,0.999", 0.5, 0.999)]
)
def test_adam(words, b1, b2):
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(SLOPES, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= 0.01 * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + 1e-8)
    assert moved(words) == pytest.approx(w, abs=1e-12)


def test_adam_and_sgd_with_a_negative_momentum():
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(SLOPES, 1):
        m, v = -0.5 * m + 1.5 * g, 0.9 * v + 0.1 * g * g
        w -= 0.01 * (m / (1 - (-0.5) ** t)) / (math.sqrt(v / (1 - 0.9**t)) + 1e-8)
    assert moved("adam:lr=0.01,betas=-0.5,0.9") == pytest.approx(w, abs=1e-12)
    w, b = 1.0, 0.0
    for g in SLOPES:
        b = -0.5 * b + g
        w -= 0.01 * b
    assert moved("sgd:lr=0.01,momentum=-0.5") == pytest.approx(w, abs=1e-12)
    with pytest.raises(BadParameter):
        ganzoo.part("optimizer", "sgd:momentum=-1")
    with pytest.raises(BadParameter, match="no momentum to look along"):
        ganzoo.part("optimizer", "sgd:momentum=-0.5,nesterov=true")


@pytest.mark.parametrize("b1", [0.0, 0.5])
def test_optimistic_adam(b1):
    w, m, v, before = 1.0, 0.0, 0.0, 0.0
    for t, g in enumerate(SLOPES, 1):
        m, v = b1 * m + (1 - b1) * g, 0.9 * v + 0.1 * g * g
        d = (m / (1 - b1**t)) / (math.sqrt(v / (1 - 0.9**t)) + 1e-8)
        w, before = w - 0.01 * (2 * d - before), d
    assert moved(f"optimistic-adam:lr=0.01,betas={b1},0.9") == pytest.approx(w, abs=1e-12)


def test_optimism_converges_in_the_bilinear_game_where_descent_spirals_out():
    """The game is min over theta, max over psi of theta psi. With a large eps Adam is plain descent at the rate 0.1."""
    ends = []
    for name in ("adam", "optimistic-adam"):
        words = f"{name}:lr=100,betas=0.0,0.9,eps=1000"
        theta, psi = (nn.Parameter(tensor([1.0], dtype=torch.float64)) for _ in range(2))
        moves = [ganzoo.part("optimizer", words).build([p]) for p in (theta, psi)]
        for _ in range(300):
            theta.grad, psi.grad = psi.detach().clone(), -theta.detach().clone()
            for each in moves:
                each.step()
        ends.append(math.hypot(theta.item(), psi.item()))
    assert ends[1] < 0.5
    assert ends[0] > 4


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_with_a_second_beta_that_changes_is_adam_told_of_the_beta_before_each_step(decay):
    torch.manual_seed(0)
    starts = [torch.ones(3, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)]
    mine, theirs = ([nn.Parameter(p.clone()) for p in starts] for _ in range(2))
    words = f"adam:lr=0.01,betas=0.5,0.9,beta2=0.9..0.99,weight_decay={decay}"
    a = ganzoo.part("optimizer", words).build(mine)
    b = torch.optim.Adam(theirs, lr=0.01, betas=(0.5, 0.9), weight_decay=decay)
    for beta2 in (0.9, 0.93, 0.96, 0.99):
        for p, q in zip(mine, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        a.param_groups[0]["beta2"] = beta2
        b.param_groups[0]["betas"] = (0.5, beta2)
        a.step()
        b.step()
    for p, q in zip(mine, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.99, 0.9])
def test_rmsprop(alpha):
    w, v = 1.0, 0.0
    for g in SLOPES:
        v = alpha * v + (1 - alpha) * g * g
        w -= 0.01 * g / (math.sqrt(v) + 1e-8)
    assert moved(f"rmsprop:lr=0.01,alpha={alpha}") == pytest.approx(w, abs=1e-12)


def test_rmsprop_with_a_momentum_that_begins_at_0():
    w = nn.Parameter(tensor([1.0], dtype=torch.float64))
    optimizer = ganzoo.part("optimizer", "rmsprop:lr=0.01,alpha=0.9").build([w])
    expected, v, b = 1.0, 0.0, 0.0
    for g, momentum in zip(SLOPES, (0.0, 0.2, 0.4, 0.0), strict=True):
        optimizer.param_groups[0]["momentum"] = momentum
        w.grad = tensor([g], dtype=torch.float64)
        optimizer.step()
        v = 0.9 * v + 0.1 * g * g
        step = g / (math.sqrt(v) + 1e-8)
        b = momentum * b + step if momentum else b
        expected -= 0.01 * (b if momentum else step)
    assert w.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov):
    w, b = 1.0, 0.0
    for g in SLOPES:
        b = 0.9 * b + g
        w -= 0.01 * (g + 0.9 * b if nesterov else b)
    assert moved(f"sgd:lr=0.01,momentum=0.9,nesterov={nesterov}") == pytest.approx(w, abs=1e-12)


def test_weight_decay_is_a_gradient():
    assert moved("sgd:lr=0.1,weight_decay=0.5", [0.0]) == pytest.approx(1 - 0.1 * 0.5)


def test_displacements_are_in_the_ratio_of_the_rates():
    assert (moved("sgd:lr=0.04") - 1) / (moved("sgd:lr=0.01") - 1) == pytest.approx(4)


def test_scaling_a_loss_scales_the_move_of_sgd_alone():
    for words, ratio in (("sgd:lr=0.01", 10), ("adam:lr=0.01", 1), ("rmsprop:lr=0.01", 1)):
        assert (moved(words, scale=10.0) - 1) / (moved(words) - 1) == pytest.approx(ratio, rel=1e-5)


def test_defaults_are_those_that_gans_are_trained_with():
    adam = ganzoo.part("optimizer", "adam")
    assert (adam.lr, adam.betas) == (2e-4, (0.0, 0.9))
    assert adam.build([nn.Parameter(torch.zeros(2))]).defaults["fused"]


def test_rates_may_end_at_zero_and_not_below():
    lr = ganzoo.part("optimizer", "adam:lr=2e-4..0").lr
    assert (lr.at(0), lr.at(1)) == (2e-4, 0)
    with pytest.raises(BadParameter, match="lr=-1"):
        ganzoo.part("optimizer", "adam:lr=-1")
    with pytest.raises(BadParameter, match=r"betas=0\.5,1"):
        ganzoo.part("optimizer", "adam:betas=0.5,1")


def test_nesterov_wants_momentum():
    with pytest.raises(BadParameter, match="nesterov=true has no momentum"):
        ganzoo.part("optimizer", "sgd:nesterov=true")
