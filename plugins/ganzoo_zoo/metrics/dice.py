"""Dice, the overlap of masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch

import ganzoo

from ._masks import overlap

if TYPE_CHECKING:
    from torch import Tensor


class Dice(ganzoo.Metric):
    """Dice coefficient (F1, Sorensen-Dice): how far predicted masks overlap the true ones, on held-out pairs.

    Formula:
        dice = mean over pairs of 2 |P and Y| / (|P| + |Y|),  P and Y where a mask is above 1/2 (0 in [-1, 1])

    Raises:
        Incompatible: the data gives no condition, or holds no pairs out.

    Notes:
        1 is perfect, and what two empty masks get; 0 is no overlap. It is the mean over images, not the overlap of all
        pixels together. With the IoU of a pair, dice = 2 iou / (1 + iou).

    Source: L. R. Dice, Measures of the amount of ecologic association between species, Ecology 26(3), 1945
    """

    pairs: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, bool | None]] = {"dice": True}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """``dice``, of masks (N, *shape) that belong together."""
        both, y, p = overlap(real, fake)
        return {"dice": float(torch.where(y + p > 0, 2 * both / (y + p).clamp(min=1), 1.0).mean())}
