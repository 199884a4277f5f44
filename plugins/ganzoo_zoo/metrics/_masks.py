"""How far two masks agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def overlap(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) sizes of each pair's intersection, of its true mask and of its predicted one, above 0 in [-1, 1]."""
    y, p = (masks.flatten(1) > 0 for masks in (real, fake))
    return (y & p).sum(1), y.sum(1), p.sum(1)
