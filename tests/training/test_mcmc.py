"""Langevin walks, against their closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganzoo.errors import Incompatible, SettingsError
from ganzoo.training.mcmc import log_acceptance, walk


def bowl(z: Tensor) -> Tensor:
    """The energy of N(0, I)."""
    return z.square().sum(1) / 2


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("a", [0.01, 0.5, 1.3])
def test_log_acceptance_in_a_bowl_is_a_quarter_of_a_times_the_loss_of_length(a: float) -> None:
    z, there = (torch.randn(100, 3, generator=rng(k), dtype=torch.float64) for k in (0, 1))
    found = log_acceptance(z, there, bowl(z), bowl(there), z, there, a)
    assert_close(found, -a / 4 * (there.square().sum(1) - z.square().sum(1)), atol=1e-12, rtol=0)


def test_log_acceptance_is_of_the_proposal_that_is_drawn() -> None:
    """The density from torch's own normal density, for an energy whose slope is not linear."""
    a = 0.07
    z, there = (torch.randn(50, 2, generator=rng(k), dtype=torch.float64) for k in (0, 1))

    def energy(x: Tensor) -> Tensor:
        return (x**4).sum(1) / 4 + x.prod(1)

    def slope(x: Tensor) -> Tensor:
        return x**3 + x.flip(1)

    def log_q(to: Tensor, origin: Tensor) -> Tensor:
        return torch.distributions.Normal(origin - a * slope(origin), math.sqrt(2 * a)).log_prob(to).sum(1)

    due = energy(z) - energy(there) + log_q(z, there) - log_q(there, z)
    found = log_acceptance(z, there, energy(z), energy(there), slope(z), slope(there), a)
    assert_close(found, due, atol=1e-12, rtol=0)


@pytest.mark.parametrize("a", [0.1, 0.5, 1.0])
def test_unadjusted_walks_settle_at_the_variance_that_theory_says(a: float) -> None:
    start = torch.randn(20_000, 1, generator=rng(5), dtype=torch.float64)
    found = walk(bowl, start, math.ceil(8 / a), a, rng(), adjusted=False)
    assert found.accepted == 1.0
    due = 1 / (1 - a / 2)
    assert float(found.end.var()) == pytest.approx(due, rel=4 * math.sqrt(2 / 20_000))


@pytest.mark.parametrize("a", [0.5, 1.0])
def test_corrected_walks_keep_the_law_itself(a: float) -> None:
    start = torch.randn(20_000, 1, generator=rng(5), dtype=torch.float64)
    found = walk(bowl, start, math.ceil(8 / a), a, rng(), adjusted=True)
    assert 0.5 < found.accepted < 1
    assert float(found.end.var()) == pytest.approx(1, rel=4 * math.sqrt(2 / 20_000))
    assert float(found.end.pow(4).mean()) == pytest.approx(3, rel=0.1)


def test_a_corrected_walk_stays_where_the_energy_is_not_finite() -> None:
    def wall(z: Tensor) -> Tensor:
        return torch.where(z[:, 0] > 0, torch.full_like(z[:, 0], math.inf), bowl(z))

    end = walk(wall, -torch.rand(500, 1, generator=rng(), dtype=torch.float64), 50, 0.2, rng(), adjusted=True).end
    assert bool((end <= 0).all())


def test_a_walk_is_a_function_of_its_seed_and_leaves_the_start_alone() -> None:
    start = torch.randn(8, 2, generator=rng(), dtype=torch.float64)
    kept = start.clone()
    one, two, other = (walk(bowl, start, 10, 0.1, rng(seed), adjusted=True).end for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(start, kept)


def test_a_run_walks_down_its_own_energy(experiment: Any) -> None:
    run = experiment(loss="meg", regularizers=["entropy:width=8"]).run
    batch = run.latents(6)

    def energy(b: Any) -> Tensor:
        with torch.no_grad():
            return -run.discriminator(run.ema(b.latent))

    run.discriminator.eval()
    for p in run.discriminator.parameters():
        p.detach().mul_(20)  # steep enough for the slope to beat the noise
    moved, accepted = run.walk(batch, "langevin", steps=20, step_size=1e-4)
    assert accepted == 1.0
    assert energy(moved).mean() < energy(batch).mean()
    assert run.generator.training
    assert not run.ema.training
    far = batch.replace(latent=100 * batch.latent)
    calm, share = run.walk(far, "mala", steps=5, step_size=0.1, prior=True)
    assert 0 < share <= 1
    assert calm.latent.norm() < 0.7 * far.latent.norm()  # |z|^2 / 2 pulls the noise home
    assert run.generated(moved).shape == (6, *run.spec.shape)


def test_what_cannot_be_walked_is_refused_in_a_line(experiment: Any) -> None:
    hinge = experiment(loss="hinge").run
    with pytest.raises(Incompatible, match="does not make the discriminator an energy") as caught:
        hinge.walk(hinge.latents(2))
    assert "\n" not in str(caught.value)
    run = experiment(loss="meg").run
    for words, said in (
        ({"method": "gibbs"}, "not one of langevin, mala"),
        ({"steps": 0}, "steps >= 1"),
        ({"step_size": 0.0}, "step size > 0"),
        ({"step_size": math.nan}, "step size > 0"),
    ):
        with pytest.raises(SettingsError, match=said):
            run.walk(run.latents(2), **words)
