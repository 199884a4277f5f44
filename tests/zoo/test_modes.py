from __future__ import annotations

import math

import pytest
import torch

from ganzoo import errors
from ganzoo_zoo.data.digits import Digits
from ganzoo_zoo.data.grid import Grid
from ganzoo_zoo.data.ring import Ring
from ganzoo_zoo.metrics.modes import Modes, _width_within

NOTHING = torch.empty(0, 2)


def test_a_perfect_generator_scores_what_the_closed_forms_say():
    ring, n = Ring(points=200_000), 200_000
    x = ring.modes()[torch.randint(8, (n,), generator=torch.Generator().manual_seed(1))]
    x = x + ring.std * torch.randn(n, 2, generator=torch.Generator().manual_seed(2))
    figures = Modes().score(NOTHING, x, ring)
    inside = 1 - math.exp(-4.5)
    assert figures["modes"] == 8
    assert figures["high_quality"] == pytest.approx(inside, abs=4 * math.sqrt(inside * (1 - inside) / n))
    assert figures["spread"] == pytest.approx(1, abs=0.01)
    assert 0 < figures["reverse_kl"] < 5 * 7 / (2 * n)  # its mean is (K - 1) / 2n


@pytest.mark.parametrize("data", [Ring(), Grid()])
def test_the_data_itself_is_perfect(data):
    x = data.dataset().tensors[0]
    figures = Modes().score(NOTHING, x, data)
    assert figures["modes"] == len(data.modes())
    assert figures["high_quality"] == pytest.approx(0.98889, abs=0.002)
    assert figures["spread"] == pytest.approx(1, abs=0.01)


def test_the_width_of_a_gaussian_cut_at_three_std_in_the_plane():
    assert _width_within(3.0, 2) == pytest.approx(math.sqrt(1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5))))
    assert _width_within(50.0, 5) == pytest.approx(1)


def test_collapse_onto_one_point():
    ring = Ring()
    figures = Modes().score(NOTHING, ring.modes()[:1].expand(100, 2), ring)
    assert figures == {
        "modes": 1,
        "high_quality": 1,
        "reverse_kl": pytest.approx(math.log(8)),
        "jsd": pytest.approx(math.log(16 / 9) / 2 + (math.log(2 / 9) / 8 + 7 * math.log(2) / 8) / 2, abs=1e-15),
        "spread": 0,
    }


def test_the_divergence_of_an_uneven_cover():
    ring = Ring(gaussians=4)
    figures = Modes().score(NOTHING, ring.modes()[[0, 0, 0, 1]], ring)
    assert figures["modes"] == 2
    assert figures["reverse_kl"] == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    assert figures["jsd"] == pytest.approx((0.75 * math.log(1.5) + 0.25 * math.log(2)) / 2)
    even = Modes().score(NOTHING, ring.modes(), ring)
    assert even == {"modes": 4, "high_quality": 1, "reverse_kl": pytest.approx(0), "jsd": pytest.approx(0), "spread": 0}


def test_the_border_of_high_quality():
    ring = Ring(std=0.01)
    out = torch.tensor([1.0, 0.0])
    x = ring.modes()[0] + torch.stack([out * 0.0299, out * 0.0301])
    assert Modes().score(NOTHING, x, ring)["high_quality"] == 0.5


def test_the_spread_is_about_each_modes_own_mean():
    ring = Ring(std=0.01)
    shift, step = torch.tensor([0.01, 0.0]), torch.tensor([0.0, 0.004])
    x = torch.cat([ring.modes() + shift + step, ring.modes() + shift - step])
    # each mode: two samples at +-0.004 on one of two axes; one sample a mode is spent on the mean
    assert Modes().score(NOTHING, x, ring)["spread"] == pytest.approx(0.4 / _width_within(3.0, 2), rel=1e-4)


def test_far_away_or_not_finite_samples_are_of_no_quality():
    ring = Ring()
    x = torch.tensor([[5.0, 5.0], [math.nan, 0.0], [math.inf, 0.0]])
    none = {"modes": 0, "high_quality": 0, "reverse_kl": pytest.approx(math.log(8)), "jsd": math.log(2), "spread": 0}
    assert Modes().score(NOTHING, x, ring) == none
    mixed = Modes().score(NOTHING, torch.cat([x, ring.modes()[:1]]), ring)
    assert (mixed["modes"], mixed["high_quality"]) == (1, 0.25)


def test_data_without_modes_is_refused_in_one_line():
    with pytest.raises(errors.Incompatible, match="Digits has none: use it with ring or grid") as caught:
        Modes().score(NOTHING, torch.zeros(4, 1, 8, 8), Digits())
    assert "\n" not in str(caught.value)
