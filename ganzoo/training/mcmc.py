"""Langevin dynamics: noise that walks down an energy, unadjusted (ULA) or with Metropolis's correction (MALA).

With the proposal z' = z - a grad E(z) + sqrt(2a) e, e ~ N(0, I), and the density q of z',
log q(z'|z) = -|z' - z + a grad E(z)|^2 / (4a) + constant, the corrected walk moves with probability
min(1, exp(E(z) - E(z') + log q(z|z') - log q(z'|z))), else stays, and keeps exp(-E) exactly. The unadjusted walk moves
always, and keeps a law that is off by a term in a: for E = z^2/2 the variance is 1 / (1 - a/2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]
"""(N, D) -> (N,), the energy of each row."""


@dataclass
class Walk:
    """The result of a walk.

    Attributes:
        end: (N, D), the last point of each chain.
        accepted: share of the proposals that were accepted, 1 for the unadjusted walk.
    """

    end: Tensor
    accepted: float


def walk(
    energy: Energy, start: Tensor, steps: int, step_size: float, noise: torch.Generator, *, adjusted: bool
) -> Walk:
    """Walk each row of ``start`` along an energy.

    Args:
        energy: the function to walk down.
        start: (N, D).
        steps: proposals of a chain.
        step_size: a. A step is a times the slope, and noise of variance 2a.
        noise: on the CPU, where chains are drawn alike for every device.
        adjusted: correct by Metropolis and Hastings.

    Returns:
        The ends of the chains and the share of accepted proposals.
    """
    z, taken = start.detach(), torch.zeros((), device=start.device)
    e, slope = _slope(energy, z)
    for _ in range(steps):
        kick = torch.randn(z.shape, generator=noise, dtype=torch.float64).to(z)
        there = z - step_size * slope + (2 * step_size) ** 0.5 * kick
        e_there, slope_there = _slope(energy, there)
        if adjusted:
            chance = log_acceptance(z, there, e, e_there, slope, slope_there, step_size)
            luck = torch.rand(len(z), generator=noise, dtype=torch.float64).to(z)
            moves = luck.log() < chance  # a proposal of no finite energy is not taken
        else:
            moves = torch.ones_like(e, dtype=torch.bool)
        taken += moves.double().mean().to(taken)
        z, slope = (torch.where(moves[:, None], new, old) for new, old in ((there, z), (slope_there, slope)))
        e = torch.where(moves, e_there, e)
    return Walk(z, float(taken) / max(1, steps))


def log_acceptance(
    z: Tensor, there: Tensor, e: Tensor, e_there: Tensor, slope: Tensor, slope_there: Tensor, step_size: float
) -> Tensor:
    """The logarithm of the probability to accept a proposal, before the minimum with 0.

    Formula:
        E(z) - E(z') + log q(z|z') - log q(z'|z)

    Args:
        z: (N, D), the points.
        there: (N, D), the proposals z'.
        e: (N,), the energies of the points.
        e_there: (N,), the energies of the proposals.
        slope: (N, D), the gradients of the energy at the points.
        slope_there: (N, D), the gradients of the energy at the proposals.
        step_size: a.

    Returns:
        (N,).
    """
    forth = (there - z + step_size * slope).square().sum(1)
    back = (z - there + step_size * slope_there).square().sum(1)
    return e - e_there + (forth - back) / (4 * step_size)


def _slope(energy: Energy, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        e = energy(z)
        (slope,) = torch.autograd.grad(e.sum(), z)  # of the sum: the energy of a row depends on no other row
    return e.detach(), slope.detach()
