"""Points of a mixture of equal Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import TensorDataset

if TYPE_CHECKING:
    from torch import Tensor


def mixture(centres: Tensor, std: float, points: int) -> TensorDataset:
    """Points about (K, D) centres, each centre in turn; the same points at every call, whatever the run's seed."""
    noise = torch.randn(points, centres.shape[1], generator=torch.Generator().manual_seed(0))
    return TensorDataset(centres[torch.arange(points) % len(centres)] + std * noise)
