"""The average of the generator's weights: a decay with a warm-up, or a half-life in images."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from ganzoo.errors import SettingsError
from ganzoo.step.average import Averaging
from ganzoo.training.steps import advance, set_scheduled_numbers


def test_a_half_life_in_images_is_the_decay_of_the_stylegan_code() -> None:
    assert 1 - Averaging(32, None, 10_000).weight(updates=5) == pytest.approx(0.997784, abs=1e-6)
    assert 1 - Averaging(64, None, 10_000).weight(updates=5) == pytest.approx(0.995574, abs=1e-6)
    assert 1 - Averaging(512, None, 5e6).weight(updates=5) == pytest.approx(0.99993, abs=1e-5)


def test_a_half_life_of_zero_copies_the_weights() -> None:
    assert Averaging(8, None, 0.0).weight(updates=3) == 1.0


def test_a_ramp_up_bounds_the_half_life_by_a_share_of_the_images() -> None:
    rule = Averaging(64, None, 500_000, 0.05)
    assert rule.weight(updates=100) == pytest.approx(1 - 0.5 ** (64 / 320))
    assert rule.weight(updates=1_000_000) == pytest.approx(1 - 0.5 ** (64 / 500_000))


def test_the_average_begins_late_as_in_the_code_of_biggan() -> None:
    rule = Averaging(64, 0.9999, start=2000)
    assert [rule.weight(updates=t) for t in (1, 2000)] == [1.0, 1.0]
    assert rule.weight(updates=2001) == pytest.approx(1 - 2002 / 2011)
    assert rule.weight(updates=1_000_000) == pytest.approx(1e-4)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_the_uniform_average_is_the_mean_of_the_weights_since_its_start(experiment: Any, start: int) -> None:
    made = experiment(ema_form="uniform", ema_start=start, precision="fp64", arch="dcgan:width=4,norm=none")
    seen = []
    for _ in range(6):
        advance(made.run, made.game, 6)
        seen.append([p.detach().clone() for p in made.run.generator.parameters()])
    means = [torch.stack(some).mean(0) for some in zip(*seen[max(start, 1) - 1 :], strict=True)]
    assert_close([*made.run.state.ema.parameters()], means, rtol=1e-12, atol=1e-13)


def test_the_half_life_follows_the_run(experiment: Any) -> None:
    made = experiment(ema_half_life="100..300")
    assert made.run.settings.ema is None
    for progress, half_life in ((0.0, 100), (0.5, 200), (1.0, 300)):
        set_scheduled_numbers(made.run, progress)
        assert made.run.state.ema_weight() == pytest.approx(1 - 0.5 ** (8 / half_life))


def test_the_decay_follows_the_run(experiment: Any) -> None:
    made = experiment(ema="0.5..0.9")
    made.run.state.counters.updates["generator"] = 1000
    for progress, decay in ((0.0, 0.5), (1.0, 0.9)):
        set_scheduled_numbers(made.run, progress)
        assert made.run.state.ema_weight() == pytest.approx(1 - decay)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ema": 0.9, "ema_half_life": 100}, "ema and ema_half_life both say how the average is made"),
        ({"ema_rampup": 0.1}, "ema_rampup bounds a half-life, and none is given"),
        ({"ema_half_life": -1}, "ema_half_life=-1 is not"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(experiment: Any, given: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        experiment(**given)
