"""Points between two latents."""

from __future__ import annotations

import torch
from torch import Tensor

ALMOST = 1e-6
"""The sine of an angle below which two directions count as equal, so that ``slerp`` is a straight line."""


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Interpolate on the great circle between two directions, and linearly between the two lengths.

    Formula:
        slerp(a, b; t) = r ((sin((1 - t) v) / sin v) a/|a| + (sin(t v) / sin v) b/|b|),
        v the angle between a and b,  r = (1 - t) |a| + t |b|

    A straight line between two draws of N(0, I) passes through short vectors, which N(0, I) nearly never gives. The
    great circle keeps the length.

    Args:
        a: (..., D), the vectors at t = 0.
        b: (..., D), the vectors at t = 1.
        t: the position, from 0 to 1.

    Returns:
        (..., D).

    Source: K. Shoemake, Animating rotation with quaternion curves, 1985, and T. White, Sampling generative networks,
        2016, arXiv 1609.04468.

    Example:
        >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
        tensor([0.7071, 0.7071])
    """
    lengths = [x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in (a, b)]
    u, v = a / lengths[0], b / lengths[1]
    angle = torch.acos((u * v).sum(-1, keepdim=True).clamp(-1, 1))
    sine = torch.sin(angle)
    first = torch.where(
        sine > ALMOST, torch.sin((1 - t) * angle) / sine.clamp(min=ALMOST), torch.full_like(sine, 1 - t)
    )
    second = torch.where(sine > ALMOST, torch.sin(t * angle) / sine.clamp(min=ALMOST), torch.full_like(sine, t))
    made: Tensor = ((1 - t) * lengths[0] + t * lengths[1]) * (first * u + second * v)
    return made
