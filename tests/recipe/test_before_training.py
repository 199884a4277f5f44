"""What is wrong is said before training, and a dry run makes no step."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.training import probe

SMALL: dict[str, Any] = {
    "arch": "mlp:width=4",
    "data": "ring",
    "steps": 2,
    "batch_size": 8,
    "latent_dim": 2,
    "samples": 4,
    "device": "cpu",
    "quiet": True,
}


class Vector(ganzoo.Loss):
    """A loss without a mean."""

    def discriminator(self, s: Any) -> Any:
        return s.fake - s.real

    def generator(self, s: Any) -> Any:
        return -s.fake


class Number(ganzoo.Loss):
    """A loss that is a Python number."""

    def discriminator(self, s: Any) -> Any:
        return 1.0

    def generator(self, s: Any) -> Any:
        return 1.0


class Slopes(ganzoo.Regularizer):
    """A penalty without a mean."""

    def discriminator_penalty(self, s: Any) -> Any:
        return s.fake


class List(ganzoo.Metric):
    """A metric that returns no mapping."""

    def score(self, real: Any, fake: Any, data: Any) -> Any:
        return 0.5


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"loss": Vector()}, r"loss Vector returned a tensor of shape \(8,\): return a scalar, such as the mean"),
        ({"loss": Number()}, "loss Number returned a float: return a scalar tensor"),
        ({"regularizers": [Slopes()]}, r"regularizer Slopes returned a tensor of shape \(8,\)"),
    ],
)
@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_a_value_that_is_no_scalar_names_the_part(tmp_path: Path, parts: Any, said: str, schedule: str) -> None:
    with pytest.raises(errors.PartError, match=said):
        ganzoo.run(**{**SMALL, "regularizers": None, "schedule": schedule, **parts}, logdir=str(tmp_path))


@pytest.mark.parametrize(
    ("metric", "data", "said"),
    [("modes", "digits:size=8", "needs data with known modes"), (List(), "ring", "metric List gave a float")],
)
def test_a_metric_that_cannot_score_is_refused_before_there_is_a_run(
    tmp_path: Path, metric: Any, data: str, said: str
) -> None:
    with pytest.raises(errors.GanzooError, match=said):
        ganzoo.run(**{**SMALL, "data": data, "metrics": [metric]}, logdir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_dry_run_makes_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trial(*arguments: Any) -> float:
        raise AssertionError("a dry run tried the precision")

    monkeypatch.setattr(probe, "probe", trial)
    monkeypatch.setattr("ganzoo.recipe.assemble.hardware.SMALL_STEP", 0)
    words = ["--arch", "mlp:width=4", "--data", "ring", "--batch-size", "8", "--logdir", str(tmp_path)]
    assert main(["run", "-n", "--device", "cpu", *words]) == 0
    assert "bf16 where a trial finds bf16 faster" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert torch.is_grad_enabled()


def test_the_estimate_of_the_memory_keeps_nothing(tmp_path: Path) -> None:
    """It is made when memory ran out too, and a smaller run in the same process needs what the first one had."""
    made = Bench(tmp_path, arch="mlp", regularizers="r1").assembled("a")
    weights = [weakref.ref(parameter) for parameter in made.run.state.networks.generator.parameters()]
    probe.memory(made.run, made.game, made.feed)
    del made
    gc.collect()
    assert [weight() for weight in weights] == [None] * len(weights)
