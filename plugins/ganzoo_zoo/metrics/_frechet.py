"""The Frechet distance of two Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def frechet(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Compute the squared Frechet distance of two Gaussians.

    Formula:
        |m_a - m_b|^2 + tr c_a + tr c_b - 2 tr (c_a^(1/2) c_b c_a^(1/2))^(1/2)

    Args:
        a: ``mean`` (D,) and ``covariance`` (D, D).
        b: as ``a``.

    Returns:
        The distance, at least 0.

    Example:
        >>> a = {"mean": torch.zeros(2).double(), "covariance": torch.eye(2).double()}
        >>> b = {"mean": torch.tensor([3.0, 0.0]).double(), "covariance": 4 * torch.eye(2).double()}
        >>> frechet(a, b)
        11.0
    """
    (m_a, c_a), (m_b, c_b) = ((each["mean"].cpu(), each["covariance"].cpu()) for each in (a, b))
    values, vectors = torch.linalg.eigh(c_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c_b @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float((m_a - m_b).square().sum() + c_a.trace() + c_b.trace() - 2 * cross))
