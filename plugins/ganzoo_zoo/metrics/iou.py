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
        A perfect prediction scores 1, as do two empty masks. Masks without a common pixel score 0. The figure is the
        mean over images. For a single pair, iou = dice / (2 - dice).

    Source: P. Jaccard, The distribution of the flora in the alpine zone, New Phytologist 11(2), 1912

    Example:
        >>> import ganzoo, torch
        >>> real, fake = torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, -1.0, -1.0]])
        >>> ganzoo.part("metric", "iou").score(real, fake, ganzoo.part("data", "digits-masks"))["iou"]
        0.5
    """

    pairs: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, bool | None]] = {"iou": True}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figure ``iou``.

        Args:
            real: (N, *shape) true masks in [-1, 1].
            fake: (N, *shape) predicted masks in [-1, 1], in the same order.
            data: the data part, which this metric does not use.
        """
        both, y, p = overlap(real, fake)
        union = y + p - both
        return {"iou": float(torch.where(union > 0, both / union.clamp(min=1), 1.0).mean())}
