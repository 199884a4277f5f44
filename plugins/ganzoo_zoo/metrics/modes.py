"""Modes covered, the figure of merit on mixtures whose modes are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch

import ganzoo
from ganzoo import errors

if TYPE_CHECKING:
    from torch import Tensor


class Modes(ganzoo.Metric):
    """Modes covered: how many modes of a known mixture are hit, how well, how evenly and how widely.

    Formula:
        high quality  |x - c| <= 3 std, c the nearest of the K centres
        modes         centres with at least one high-quality sample
        high_quality  share of all samples that are of high quality
        reverse_kl    sum_k q_k log(K q_k), q the shares of the centres among the high-quality samples
        jsd           1/2 sum_k q_k log(q_k / m_k) + 1/2 sum_k (1/K) log(1 / (K m_k)),  m_k = (q_k + 1/K) / 2
        spread        std of the high-quality samples about their mode's own mean, over that of the truth

    Raises:
        Incompatible: the data does not know its modes (``modes()``) or their width (``std``).

    Notes:
        A perfect generator scores all K modes and, in the plane, high_quality 1 - exp(-9/2) = 0.98889. Its spread is 1,
        since the truth is cut at 3 std too. Its reverse_kl is about (K-1) / 2n, since n samples are never quite even. A
        spread near 0 is collapse within modes, which the other figures do not show. jsd is the Jensen-Shannon
        divergence of the shares and of even shares, in nats: log 2 at most, where reverse_kl grows with K. Where no
        sample is of high quality, reverse_kl is log K and jsd is log 2, the largest values. Where no mode has two
        samples, spread is 0.

    Source: Srivastava et al., VEEGAN, 2017, arXiv:1705.07761, section 4.1; Lin et al., PacGAN, 2017,
        arXiv:1712.04086, section 4.1

    Example:
        A generator that makes two of the eight centres, and nothing else.

        >>> import ganzoo, torch
        >>> ring = ganzoo.part("data", "ring")
        >>> fake = ring.modes()[:2].repeat(50, 1)
        >>> figures = ganzoo.part("metric", "modes").score(fake, fake, ring)
        >>> {name: round(value, 3) for name, value in figures.items()}
        {'modes': 2.0, 'high_quality': 1.0, 'reverse_kl': 1.386, 'jsd': 0.38, 'spread': 0.0}
    """

    samples: ClassVar[int] = 2500
    figures: ClassVar[Mapping[str, bool | None]] = {
        "modes": True,
        "high_quality": True,
        "reverse_kl": False,
        "jsd": False,
        "spread": None,
    }

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figures ``modes``, ``high_quality``, ``reverse_kl``, ``jsd`` and ``spread``.

        Args:
            real: (N, *shape) samples of the data, which the figures do not use.
            fake: (N, *shape) samples of the generator.
            data: the data part, with ``modes()`` and ``std``.

        Raises:
            Incompatible: the data does not know its modes or their width.
        """
        centres, std = data.modes(), getattr(data, "std", None)
        if centres is None or std is None:
            raise errors.Incompatible(
                f"metric modes needs data with known modes, and {type(data).__name__} has none: "
                "use it with ring or grid, or give the data a modes() and a std"
            )
        centres, x = centres.flatten(1).double(), fake.flatten(1).double()
        count, dim = centres.shape
        distance, nearest = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
        good = distance <= 3 * std  # a sample that is not finite is not good
        x, nearest = x[good], nearest[good]
        hits = torch.bincount(nearest, minlength=count)
        hit = int((hits > 0).sum())

        share = hits.double() / max(len(x), 1)
        kl = float(torch.xlogy(share, count * share).sum()) if hit else math.log(count)

        means = torch.zeros_like(centres).index_add_(0, nearest, x) / hits.clamp(min=1)[:, None]
        freedom = dim * (len(x) - hit)  # each mode's mean is taken from the same samples
        variance = float((x - means[nearest]).square().sum()) / max(freedom, 1)
        return {
            "modes": float(hit),
            "high_quality": len(x) / max(len(fake), 1),
            "reverse_kl": kl,
            "jsd": jensen_shannon(share) if hit else math.log(2),
            "spread": math.sqrt(variance) / (std * _width_within(3.0, dim)),
        }


def jensen_shannon(share: Tensor) -> float:
    """The Jensen-Shannon divergence of the shares of modes and of even shares, in nats.

    Args:
        share: (K,) float64, shares that add up to 1.

    Example:
        >>> import torch
        >>> jensen_shannon(torch.tensor([0.5, 0.5], dtype=torch.float64))
        0.0
    """
    even = torch.full_like(share, 1 / len(share))
    middle = (share + even) / 2
    return float(sum((torch.xlogy(p, p) - torch.xlogy(p, middle)).sum() for p in (share, even)) / 2)


def _width_within(radius: float, dim: int) -> float:
    """The std along each axis of a standard normal distribution that is cut at a radius."""
    half, cut = torch.tensor(dim / 2, dtype=torch.float64), torch.tensor(radius**2 / 2, dtype=torch.float64)
    inside = torch.special.gammainc(half, cut)  # P(|n| <= radius)
    return math.sqrt(float(torch.special.gammainc(half + 1, cut) / inside))
