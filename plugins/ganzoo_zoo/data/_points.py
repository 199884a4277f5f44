"""Points of a mixture of equal Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import TensorDataset

if TYPE_CHECKING:
    from torch import Tensor


def mixture(centres: Tensor, std: float, points: int) -> TensorDataset:
    """Points of a mixture of equal Gaussians, the same points in every run. The centres take turns.

    Args:
        centres: (K, D).
        std: standard deviation along each axis, above 0.
        points: number of points.

    Returns:
        A dataset of (points, D) float32.
    """
    noise = torch.randn(points, centres.shape[1], generator=torch.Generator().manual_seed(0))
    return TensorDataset(centres[torch.arange(points) % len(centres)] + std * noise)
