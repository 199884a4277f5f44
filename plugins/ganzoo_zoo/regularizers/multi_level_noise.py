"""Noise on the samples that a generator makes at several depths, the more noise the earlier the sample."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

import ganzoo
from ganzoo.errors import Incompatible


class MultiLevelNoise(ganzoo.Regularizer):
    """Multi-level noise-perturbed guidance (MNG, GAT): the earlier a sample is made, the more noise the sample gets.

    Formula:
        level k of K, from 0: x_k <- (1 - t_k) x_k + t_k e_k,  t_k = 1 - least^(1 - k / (K - 1)) + 0.01,  e_k ~ N(0, 1)
        e_k t_k = (1 - t_k) / (1 - t_(k+1)) e_(k+1) t_(k+1) + fresh noise: the noise of a level adds to the noise of the
        level after

    Args:
        levels: K, as of the architecture. The channels of a sample are cut into K equal groups.
        least: share of the sample that is left at the first level, above 0 and at most 1.

    Raises:
        Incompatible: the samples are no images.

    Notes:
        D sees coarse structure alone at the first levels, so that the first layers of G learn coarse structure. The
        schedule is of the authors' code. The paper writes alpha_k x_k + sqrt(1 - alpha_k^2) e_k with exponential
        alpha_k.

    Source:
        S. Hyun, M. Lee, J.-P. Heo 2025, Scalable GANs with Transformers, arXiv:2509.24935, section 3, and the authors'
        code, losses/Rp_PT_loss.py.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("regularizer", "multi-level-noise:levels=2")
        >>> seen = part.images(torch.ones(1000, 2, 4, 4), ganzoo.Scores())
        >>> [round(v, 1) for v in seen.mean((0, 2, 3)).tolist()], [round(v, 1) for v in seen.std((0, 2, 3)).tolist()]
        ([0.1, 1.0], [0.9, 0.0])
    """

    levels: Annotated[int, Ge(1)] = 4
    least: Annotated[float, Gt(0), Le(1)] = 0.125

    def check(self, spec: ganzoo.Spec) -> None:
        """Require images.

        Args:
            spec: shape of the samples.

        Raises:
            Incompatible: the samples are no images.
        """
        if len(spec.shape) != 3:
            raise Incompatible(
                f"multi-level-noise perturbs images, and samples are of shape {spec.shape}: leave multi-level-noise out"
            )

    def shares(self) -> list[float]:
        """t_k, the share of noise at each level."""
        last = max(1, self.levels - 1)
        return [1.0 - self.least ** (1.0 - k / last) + 1e-2 for k in range(self.levels)]

    def images(self, images: Tensor, s: ganzoo.Scores) -> Tensor:
        """The perturbed samples.

        Args:
            images: (N, K C, H, W), or (N, C, H, W) where the levels are not along the channels, which stays.
            s: the round.

        Returns:
            A tensor of the same shape.
        """
        if self.levels == 1 or images.shape[1] % self.levels:
            return images
        levels, shares = images.chunk(self.levels, 1), self.shares()
        noise, before, seen = torch.zeros_like(levels[0]), 0.0, list[Tensor]()
        for level, share in zip(reversed(levels), reversed(shares), strict=True):
            decay = (1.0 - share) / (1.0 - before)
            fresh = math.sqrt(max(0.0, share**2 - (before * decay) ** 2))
            noise = noise * decay + fresh * torch.randn_like(level)
            seen.append((1.0 - share) * level + noise)
            before = share
        return torch.cat(seen[::-1], 1)
