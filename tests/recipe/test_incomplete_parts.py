"""Parts that lack a method, or whose methods do nothing or return something else: one line with the part's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import errors

SMALL: dict[str, Any] = {
    "arch": "mlp:width=4",
    "data": "ring",
    "regularizers": None,
    "steps": 2,
    "batch_size": 4,
    "samples": 4,
    "precision": "fp32",
    "quiet": True,
}


class HalfLoss(ganzoo.Loss):
    def discriminator(self, s: ganzoo.Scores) -> torch.Tensor:
        return s.fake.mean()

    def genrator(self, s: ganzoo.Scores) -> torch.Tensor:
        return -s.fake.mean()


class Detached(ganzoo.Loss):
    def discriminator(self, s: ganzoo.Scores) -> torch.Tensor:
        return s.fake.mean().detach()

    def generator(self, s: ganzoo.Scores) -> torch.Tensor:
        return -s.fake.mean()


class NoStep(ganzoo.Schedule):
    def stepp(self, game: ganzoo.Game) -> None:
        """A misspelt name."""


class Idle(ganzoo.Schedule):
    def step(self, game: ganzoo.Game) -> None:
        """No round."""


class OthersRound(ganzoo.Schedule):
    def step(self, game: ganzoo.Game) -> None:
        game.update(generator=game.generator_loss(game.round("discriminator")))


class Misspelt(ganzoo.Schedule):
    def step(self, game: ganzoo.Game) -> None:
        misspelt: Any = "genrator"
        game.round(misspelt)


class NoPenalty(ganzoo.Regularizer):
    def discriminator_penality(self, s: ganzoo.Scores) -> torch.Tensor:
        return s.real.mean()


class NoEvent(ganzoo.Tracker):
    def step_record(self, run: Any) -> None:
        """A misspelt name."""


class NoDataset(ganzoo.Data):
    """No method."""


class NoBuild(ganzoo.Optimizer):
    """No method."""


class NoneBuilt(ganzoo.Optimizer):
    def build(self, parameters: Any) -> Any:
        return None


class NoScore(ganzoo.Metric):
    """No method."""


class NoNets(ganzoo.Architecture):
    def generator(self, spec: ganzoo.Spec) -> torch.nn.Module:
        return torch.nn.Linear(1, 1)


class NoneNets(ganzoo.Architecture):
    def generator(self, spec: ganzoo.Spec) -> Any:
        return None

    def discriminator(self, spec: ganzoo.Spec) -> torch.nn.Module:
        return torch.nn.Linear(2, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": HalfLoss()}, "loss HalfLoss defines no method generator; it defines discriminator, genrator"),
        ({"loss": Detached()}, "the discriminator's loss depends on no weight of the discriminator"),
        ({"schedule": NoStep()}, "schedule NoStep defines no method step; it defines stepp"),
        ({"schedule": Idle()}, "the step plays no round: call game.round"),
        ({"schedule": OthersRound()}, "the generator's loss depends on no weight of the generator"),
        ({"schedule": Misspelt()}, r"'genrator' is no player \(did you mean 'generator'\?\)"),
        (
            {"regularizers": [NoPenalty()]},
            "NoPenalty defines no method of its kind .*; it defines discriminator_penality",
        ),
        ({"log": [NoEvent()]}, "tracker NoEvent defines no method of its kind .*; it defines step_record"),
        ({"data": NoDataset()}, "data NoDataset defines no method dataset"),
        ({"optimizer": NoBuild()}, "optimizer NoBuild defines no method build"),
        ({"optimizer": NoneBuilt()}, r"optimizer NoneBuilt: build\(\) gave a NoneType: return a torch.optim.Optimizer"),
        ({"metrics": [NoScore()]}, r"metric NoScore defines no method of its kind \(score, evaluate\)"),
        ({"arch": NoNets()}, "architecture NoNets defines no method discriminator; it defines generator"),
        ({"arch": NoneNets()}, r"architecture NoneNets: generator\(\) gave a NoneType: return a torch.nn.Module"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_part_and_what_it_lacks_are_named(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.PartError, match=said):
        ganzoo.run(**{**SMALL, **given}, logdir=tmp_path)
