"""The laboratory: hand-computed steps, eigenvalues in closed form, and who converges."""

from __future__ import annotations

import math
from typing import Annotated

import pytest
import torch
from annotated_types import Ge

import ganzoo
from ganzoo import errors, lab

H = 0.1


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


# Each player's gradient at (theta, psi), by hand: the real score is psi * 0 = 0, the fake one is psi * theta.
HANDS = {
    "wgan": (lambda t, p: t, lambda t, p: -p),
    "sgan": (lambda t, p: t * sigmoid(p * t), lambda t, p: -p * sigmoid(-p * t)),
    "sgan-saturating": (lambda t, p: t * sigmoid(p * t), lambda t, p: -p * sigmoid(p * t)),
    "hinge": (lambda t, p: t if p * t > -1 else 0.0, lambda t, p: -p),
    "rpgan": (lambda t, p: t * sigmoid(p * t), lambda t, p: -p * sigmoid(-p * t)),
}


@pytest.mark.parametrize("loss", HANDS)
@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
@pytest.mark.parametrize("gamma", [None, 0.5])
def test_the_first_steps_are_those_made_by_hand(loss, schedule, gamma):
    regularizers = [] if gamma is None else [f"r1:gamma={gamma}"]
    found = lab.dirac(loss=loss, schedule=schedule, regularizers=regularizers, steps=3, start=(0.8, -0.3), batch_size=4)
    slope, pull = HANDS[loss]
    theta, psi = 0.8, -0.3
    for step in range(4):
        assert found.theta[step] == pytest.approx(theta, abs=1e-12)
        assert found.psi[step] == pytest.approx(psi, abs=1e-12)
        new = psi - H * (slope(theta, psi) + (gamma or 0.0) * psi)
        theta -= H * pull(theta, psi if schedule == "onestep" else new)
        psi = new
    assert found.radius[0] == math.hypot(0.8, -0.3)
    assert found.steps == 3


def test_weight_clipping_and_an_optimizer_with_memory_are_the_real_ones():
    found = lab.dirac(loss="wgan", regularizers=["weight-clip:value=0.25"], steps=2, start=(1.0, 1.0), batch_size=2)
    assert found.psi[1:] == pytest.approx((0.25, 0.14))
    assert found.theta == pytest.approx((1.0, 1.1, 1.125))
    momentum = lab.dirac(loss="wgan", optimizer="sgd:lr=0.5,momentum=0.9", steps=2, start=(1.0, 1.0), batch_size=2)
    assert momentum.theta == pytest.approx((1.0, 1.5, 1.5 + 0.5 * (0.9 + 0.5)))  # the second gradient is -psi = -0.5
    assert momentum.lr == 0.5


def modulus(found):
    return [abs(value) for value in found.eigenvalues]


class TestEigenvalues:
    def test_simultaneous_descent_is_outside_the_circle(self):
        found = lab.dirac(loss="wgan", steps=1, batch_size=2, lr=0.2)
        assert found.eigenvalues == pytest.approx((1 + 0.2j, 1 - 0.2j), abs=1e-6)
        assert found.theory == pytest.approx((1 + 0.2j, 1 - 0.2j), abs=1e-12)

    def test_alternating_descent_is_on_it(self):
        found = lab.dirac(loss="sgan", schedule="alternating", steps=1, batch_size=2, lr=0.2)
        assert modulus(found) == pytest.approx([1, 1], abs=1e-6)  # trace 2 - (h/2)^2, determinant 1
        assert found.eigenvalues[0].real == pytest.approx(1 - 0.1**2 / 2, abs=1e-6)

    @pytest.mark.parametrize(
        ("loss", "regularizers", "schedule"),
        [
            ("sgan-saturating", ["r1:gamma=0.3"], "onestep"),
            ("rpgan", ["r1:gamma=3"], "alternating:discriminator_steps=3"),
            ("hinge", ["r1:gamma=0.3"], "onestep:weight=2"),
            ("wgan", ["weight-clip:value=0.5"], "alternating"),
            ("lsgan:fake=-1,real=1,aim=1", ["r1:gamma=1"], "onestep"),
            ("wgan", [], "extragradient"),
            ("hinge", ["r1:gamma=1"], "extragradient"),
        ],
    )
    def test_they_are_those_of_theory(self, loss, regularizers, schedule):
        found = lab.dirac(loss=loss, regularizers=regularizers, schedule=schedule, steps=1, batch_size=4)
        assert found.theory is not None
        assert found.eigenvalues == pytest.approx(found.theory, abs=1e-6)

    @pytest.mark.parametrize("words", ["r2:gamma=0.5", "r1r2:gamma=0.25", "consensus:weight=0.5"])
    @pytest.mark.parametrize("loss", ["wgan", "sgan"])
    def test_of_other_penalties_too(self, words, loss):
        found = lab.dirac(loss=loss, regularizers=[words], steps=1, batch_size=4)
        assert found.eigenvalues == pytest.approx(found.theory, abs=1e-6)
        assert max(modulus(found)) < 1

    def test_consensus_on_the_bilinear_game_as_published(self):
        found = lab.dirac(loss="wgan", regularizers=["consensus:weight=2"], steps=1, batch_size=2)
        assert found.eigenvalues == pytest.approx((1 - H * 2 + H * 1j, 1 - H * 2 - H * 1j), abs=1e-6)

    def test_r1_has_the_real_part_of_the_paper(self):
        found = lab.dirac(loss="wgan", regularizers=["r1:gamma=1"], steps=1, batch_size=2)
        assert found.eigenvalues[0] == pytest.approx(1 - H * (1 - math.sqrt(3) * 1j) / 2, abs=1e-6)

    def test_instance_noise_up_to_its_own_noise(self):
        found = lab.dirac(loss="sgan", regularizers=["instance-noise:sigma=1"], steps=1, batch_size=4096)
        assert found.theory[0] == pytest.approx(1 - H * (0.5 - 1j * math.sqrt(0.75)) / 2, abs=1e-12)
        assert found.eigenvalues == pytest.approx(found.theory, abs=2e-3)

    def test_of_a_lazy_penalty_they_are_of_a_period(self):
        found = lab.dirac(loss="wgan", regularizers=["r1:gamma=1,every=4"], steps=1, batch_size=2)
        first = torch.tensor([[1.0, H], [-H, 1 - 4 * H]], dtype=torch.float64)
        rest = torch.tensor([[1.0, H], [-H, 1.0]], dtype=torch.float64)
        product = torch.linalg.matrix_power(rest, 3) @ first
        expected = sorted(torch.linalg.eigvals(product).tolist(), key=lambda v: (-v.imag, -v.real))
        assert found.period == 4
        assert found.theory is None
        assert found.eigenvalues == pytest.approx(expected, abs=1e-6)

    def test_lookahead_is_measured_from_where_its_slow_weights_are(self):
        found = lab.dirac(loss="wgan", schedule="lookahead:k=3,alpha=0.5,of=onestep", steps=1, batch_size=2)
        fast = complex(1, H) ** 3  # simultaneous descent multiplies theta + i psi, or its conjugate, by 1 +- i h
        assert found.period == 3
        assert found.eigenvalues == pytest.approx(((1 + fast) / 2, (1 + fast.conjugate()) / 2), abs=1e-6)
        assert abs(found.eigenvalues[0]) < 1

    def test_there_are_none_where_a_step_has_no_derivative(self):
        found = lab.dirac(loss="wgan", regularizers=["wgan-gp:weight=1"], steps=1, batch_size=2)
        assert found.eigenvalues is None
        assert found.plain()["modulus"] is None


CONVERGE = ["instance-noise:sigma=1", "r1:gamma=1", "r2:gamma=1", "consensus:weight=1"]


@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_without_help_the_players_orbit_or_diverge(schedule):
    verdicts = [lab.dirac(loss=loss, schedule=schedule, steps=250, batch_size=2).verdict for loss in ("sgan", "hinge")]
    assert set(verdicts) <= {"orbits", "diverges"}
    assert lab.dirac(loss="wgan", schedule=schedule, batch_size=2, steps=250).verdict == (
        "diverges" if schedule == "onestep" else "orbits"
    )


@pytest.mark.parametrize("words", ["weight-clip:value=0.5", "wgan-gp:weight=1"])
def test_neither_clipping_nor_the_unit_gradient_penalty_converges(words):
    assert lab.dirac(loss="wgan", regularizers=[words], steps=250, batch_size=2).verdict in ("orbits", "diverges")


@pytest.mark.parametrize("words", CONVERGE)
def test_what_makes_them_converge(words):
    found = lab.dirac(loss="sgan", regularizers=[words], steps=300)
    assert found.verdict == "converged"
    assert found.last < 0.05 * found.radius[0]
    assert max(modulus(found)) < 1


def test_far_away_it_stops():
    found = lab.dirac(loss="wgan", lr=3.0, steps=200, batch_size=2)
    assert found.verdict == "diverges"
    assert found.steps < 20
    assert found.last == math.inf
    assert found.plain()["radius"] is None


class Spring(ganzoo.Regularizer):
    """A penalty of one's own: it pulls psi to 0.

    Args:
        weight: how hard.
    """

    weight: Annotated[float, Ge(0)] = 1.0

    def discriminator_penalty(self, s):
        return self.weight / 2 * s.judge(torch.ones_like(s.real_images)).mean() ** 2


def test_parts_of_ones_own_are_examined_as_objects():
    found = lab.dirac(loss="wgan", regularizers=[Spring(weight=1.0)], steps=300, batch_size=2)
    assert found.verdict == "converged"
    assert found.theory is None
    assert found.eigenvalues[0] == pytest.approx(1 - H * (1 - math.sqrt(3) * 1j) / 2, abs=1e-6)


def test_the_table_lays_out_all_with_all_and_says_what_is_refused():
    rows = [*lab.table(["wgan", "sgan"], ["none", "label-smoothing", "r1:gamma=1 + weight-clip"], ["onestep"], steps=2)]
    assert [(row.loss, row.verdict == "refused") for row in rows] == [
        ("wgan", False),
        ("wgan", True),
        ("wgan", False),
        ("sgan", False),
        ("sgan", False),
        ("sgan", False),
    ]
    assert "moves the targets" in rows[1].notes[0]
    assert math.isnan(rows[1].last)
    assert rows[2].regularizers == "r1:gamma=1.0 weight-clip"
    assert "unbounded below" in rows[0].notes[0]


def test_the_table_of_its_own_has_what_the_catalogue_has():
    known = ganzoo.catalogue()
    for kind, named in (("loss", lab.LOSSES), ("regularizer", lab.REGULARIZERS), ("schedule", lab.SCHEDULES)):
        assert lab._present(known, kind, named) == list(named)
    assert lab._present(known, "loss", ["nothing-of-the-kind", "sgan"]) == ["sgan"]


def test_it_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = lab.dirac(loss="sgan", regularizers=["instance-noise:sigma=1"], steps=3, batch_size=8)
    assert torch.rand(2).equal(expected)
    assert lab.dirac(loss="sgan", regularizers=["instance-noise:sigma=1"], steps=3, batch_size=8) == first
    other = lab.dirac(loss="sgan", regularizers=["instance-noise:sigma=1"], steps=3, batch_size=8, seed=1)
    assert other.psi != first.psi


def test_a_wrong_name_is_one_line():
    with pytest.raises(errors.UnknownPart, match=r"no loss is named 'sgam' \(did you mean 'sgan'\?\)"):
        lab.dirac(loss="sgam")
    with pytest.raises(errors.BadParameter, match="has no parameter 'gama'"):
        lab.dirac(regularizers=["r1:gama=1"])
