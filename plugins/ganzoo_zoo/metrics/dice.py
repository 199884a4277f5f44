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
        A perfect prediction scores 1, as do two empty masks. Masks without a common pixel score 0. The figure is the
        mean over images, not the overlap of all pixels together. For a single pair, dice = 2 iou / (1 + iou).

    Source: L. R. Dice, Measures of the amount of ecologic association between species, Ecology 26(3), 1945

    Example:
        >>> import ganzoo, torch
        >>> real, fake = torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, -1.0, -1.0]])
        >>> dice = ganzoo.part("metric", "dice").score(real, fake, ganzoo.part("data", "digits-masks"))["dice"]
        >>> round(dice, 3)
        0.667
    """

    pairs: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, bool | None]] = {"dice": True}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figure ``dice``.

        Args:
            real: (N, *shape) true masks in [-1, 1].
            fake: (N, *shape) predicted masks in [-1, 1], in the same order.
            data: the data part, which this metric does not use.
        """
        both, y, p = overlap(real, fake)
        return {"dice": float(torch.where(y + p > 0, 2 * both / (y + p).clamp(min=1), 1.0).mean())}
