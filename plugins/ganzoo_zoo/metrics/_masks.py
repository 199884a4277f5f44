"""How far two masks agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def overlap(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many pixels two masks share, and how many pixels each mask has.

    Args:
        real: (N, ...) true masks in [-1, 1]. A pixel above 0 is inside of the mask.
        fake: (N, ...) predicted masks in [-1, 1].

    Returns:
        (N,) pixels in both masks, (N,) pixels in the true mask, (N,) pixels in the predicted mask.

    Example:
        >>> import torch
        >>> [t.tolist() for t in overlap(torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, -1.0, -1.0]]))]
        [[1], [2], [1]]
    """
    y, p = (masks.flatten(1) > 0 for masks in (real, fake))
    return (y & p).sum(1), y.sum(1), p.sum(1)
