"""The energy GAN: its loss, its entropy term, and who is trained by it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import ganzoo
from ganzoo.cli import main
from ganzoo.words import bind


def energies(real: list[float], fake: list[float]) -> ganzoo.Scores:
    return ganzoo.Scores(real=-torch.tensor(real), fake=-torch.tensor(fake))


def test_energy_falls_on_data_and_rises_on_samples() -> None:
    loss: Any = ganzoo.part("loss", "meg")
    s = energies([1.0, 3.0], [0.5, -2.0])
    assert float(loss.discriminator(s)) == pytest.approx(2.0 + 0.75)  # mean U(x) - mean U(G z)
    assert float(loss.generator(s)) == pytest.approx(-0.75)  # mean U(G z)
    assert float(loss.discriminator(energies([0.7, 0.7], [0.7, 0.7]))) == pytest.approx(0)
    assert loss.energy_based
    assert not loss.bounded
    assert not ganzoo.part("loss", "hinge").energy_based  # type: ignore[attr-defined]  # losses have it


def prepared(words: str, net: nn.Module) -> Any:
    bound = bind(ganzoo.part("regularizer", words))
    bound.values["module"] = net
    return bound.part


class Told(nn.Module):
    """T(x, z) = scale * [x holds z]: it knows which pairs belong together."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, both: torch.Tensor) -> torch.Tensor:
        x, z = both.chunk(2, 1)
        return self.scale * (2.0 * (x == z).all(1).double() - 1.0)


@pytest.mark.parametrize("shuffle", ["dimensions", "rows"])
def test_a_blind_statistic_knows_minus_two_log_two(shuffle: str) -> None:
    z = torch.randn(6, 3, dtype=torch.float64)
    s = ganzoo.Scores(fake_images=z.clone(), latent=z)
    for weight in (1.0, 0.5):
        blind = prepared(f"entropy:shuffle={shuffle},weight={weight}", Told(0.0))
        assert float(blind.generator_penalty(s)) == pytest.approx(weight * 2 * math.log(2))


def test_a_knowing_statistic_pays_nothing_and_rows_may_fall_to_themselves() -> None:
    torch.manual_seed(0)
    z = torch.randn(64, 8, dtype=torch.float64)
    s = ganzoo.Scores(fake_images=z.clone(), latent=z)
    assert float(prepared("entropy", Told(30.0)).generator_penalty(s)) < 1e-10
    two = ganzoo.Scores(fake_images=z[:2].clone(), latent=z[:2])
    rows = {float(prepared("entropy:shuffle=rows", Told(30.0)).generator_penalty(two)) > 1 for _ in range(20)}
    assert rows == {True, False}


def test_noise_is_dealt_out_anew_and_none_is_lost() -> None:
    seen: list[torch.Tensor] = []

    class Watch(nn.Module):
        def forward(self, both: torch.Tensor) -> torch.Tensor:
            seen.append(both)
            return both.sum(1)

    z = torch.randn(32, 4)
    s = ganzoo.Scores(fake_images=torch.zeros(32, 1), latent=z)
    for shuffle, whole in (("dimensions", False), ("rows", True)):
        prepared(f"entropy:shuffle={shuffle}", Watch()).generator_penalty(s)
        dealt = seen[-1][32:, 1:]
        assert_close(dealt.sort(0).values, z.sort(0).values)
        assert not torch.equal(dealt, z)
        rows = [any(torch.equal(row, other) for other in z) for row in dealt]
        assert all(rows) == whole


def test_the_generator_trains_the_statistic_and_the_discriminator_does_not_feel_it(experiment: Any) -> None:
    made = experiment(loss="meg", regularizers=["entropy:width=8"])
    game, state = made.game, made.run.state
    module = state.modules["entropy"]
    mine = {id(p) for p in module.parameters()}
    assert mine <= {id(p) for p in game.parameters["generator"]}
    assert not mine & {id(p) for p in game.parameters["discriminator"]}
    before = [p.clone() for p in module.parameters()]
    critic = [p.clone() for p in made.run.discriminator.parameters()]
    game.begin(0, 0.0)
    game.update(generator=game.generator_loss(game.round()))
    assert any(not torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(made.run.discriminator.parameters(), critic, strict=True))
    assert "part-entropy" in state.tensors()


def test_the_entropy_term_spreads_the_samples_of_a_generator_that_has_no_other_aim(experiment: Any) -> None:
    def spread(weight: float) -> float:
        words = [f"entropy:weight={weight},width=32"]
        made = experiment(
            loss="meg",
            arch="mlp:width=16,depth=1",
            data="ring:points=64",
            regularizers=words,
            latent_dim=2,
            optimizer="adam:lr=1e-2",
            batch_size=64,
        )
        game = made.game
        for p in made.run.discriminator.parameters():
            p.detach().zero_()
        for step in range(60):
            game.begin(step, 0.0)
            game.update(generator=game.generator_loss(game.round()))
        return float(made.run.sample(200, source="generator").std(0).mean())

    assert spread(1.0) > 2 * spread(0.0)


def test_a_resumed_run_goes_on_with_the_statistic_that_it_had(tmp_path: Path) -> None:
    words = [
        "run",
        "--arch",
        "mlp:width=8,depth=1",
        "--loss",
        "meg",
        "-r",
        "entropy:width=8",
        "-r",
        "r1:gamma=0.2",
        "-q",
        "--optimizer",
        "adam:lr=1e-3",
        "--batch-size",
        "8",
        "--latent-dim",
        "4",
        "--samples",
        "4",
        "--logdir",
        str(tmp_path),
        "--name",
    ]
    assert main([*words, "whole", "--steps", "6"]) == 0
    assert main([*words, "halves", "--steps", "3"]) == 0
    assert main(["resume", str(tmp_path / "halves"), "--steps", "6", "-q"]) == 0
    whole, halves = (ganzoo.load(tmp_path / name).state.tensors() for name in ("whole", "halves"))
    assert "part-entropy" in whole
    for group, named in whole.items():
        for name, value in named.items():
            assert torch.equal(value, halves[group][name]), f"{group} {name}"
