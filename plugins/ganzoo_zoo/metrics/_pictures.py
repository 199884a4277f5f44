"""Pairs of pictures for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 64
"""Pairs that are compared at a time."""


def pairs(name: str, real: Tensor, fake: Tensor, least: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """Real and generated pictures in batches, in [-1, 1].

    Args:
        name: of the metric, for the message.
        real: (N, C, H, W).
        fake: (N, C, H, W), in the same order.
        least: the smallest side that the metric can compare.

    Raises:
        Incompatible: the samples are no pictures, or too small.

    Example:
        >>> import torch
        >>> [len(r) for r, f in pairs("l1", torch.zeros(70, 1, 2, 2), torch.zeros(70, 1, 2, 2))]
        [64, 6]
    """
    if real.dim() != 4 or min(real.shape[2:]) < least:
        raise Incompatible(
            f"metric {name} compares pictures of at least {least} pixels a side, and this run makes samples of shape "
            f"{tuple(real.shape[1:])}: leave {name} out"
        )
    for start in range(0, len(real), BATCH):
        rows = slice(start, start + BATCH)
        yield real[rows].clamp(-1, 1), fake[rows].clamp(-1, 1)
