"""Intersection over union, the overlap of masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch

import ganzoo

from ._masks import overlap

if TYPE_CHECKING:
    from torch import Tensor


class IoU(ganzoo.Metric):
    """Intersection over union (IoU, Jaccard index): how far predicted masks overlap the true ones, on held-out pairs.

    Formula:
        iou = mean over pairs of |P and Y| / |P or Y|,  P and Y where a mask is above 1/2 (0 in [-1, 1])

    Raises:
        Incompatible: the data gives no condition, or holds no pairs out.

    Notes:
        1 is perfect, and what two empty masks get; 0 is no overlap. It is the mean over images. With the Dice
        coefficient of a pair, iou = dice / (2 - dice).

    Source: P. Jaccard, The distribution of the flora in the alpine zone, New Phytologist 11(2), 1912
    """

    pairs: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, bool | None]] = {"iou": True}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """``iou``, of masks (N, *shape) that belong together."""
        both, y, p = overlap(real, fake)
        union = y + p - both
        return {"iou": float(torch.where(union > 0, both / union.clamp(min=1), 1.0).mean())}
