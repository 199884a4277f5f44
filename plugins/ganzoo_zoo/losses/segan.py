"""The multi-scale loss of adversarial segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor


class SegAN(ganzoo.Loss):
    """SegAN loss (adversarial segmentation, multi-scale L1): the critic looks for where predicted masks differ.

    With f_i(x, m) the critic's i-th map of features of the photo x seen through the mask m, the photo itself being the
    first, S(x) in (0, 1) the predicted mask and y the true mask:

    Formula:
        L = mean over i of mean |f_i(x, S(x)) - f_i(x, y)|                  (layers=mean)
        L_D = -weight L,   L_G = weight L + dice * mean (1 - 2 sum S y / (sum S^2 + sum y^2)) + l1 * mean |S - y|

    Args:
        weight: weight of the multi-scale term in both players' losses, at least 0. At 0 the critic has no task.
        layers: mean: each map of features counts alike (the paper). concatenated: all maps are a single long vector, in
            which the first two maps are multiplied by 1, the last map by 4 and the maps between by 2 (the authors'
            code). The mean is over the plain count of numbers.
        dice: weight of the segmentor's soft Dice term, at least 0 (1 in the authors' code).
        l1: weight of the mean absolute difference of masks, at least 0 (0 in the paper). With weight=0 the term is the
            baseline without a critic.
        eps: number added to both parts of the Dice fraction, at least 0, so that two empty masks agree.

    Raises:
        Incompatible: the data gives no condition (the photo), or the discriminator no features.

    Notes:
        The loss does not read the critic's logits. The critic's loss is unbounded below: use ``weight-clip:value=0.05``
        as the paper does. The authors' code adds no eps, so that an empty mask, predicted empty, is 0/0. The predicted
        mask that the critic sees is soft, not thresholded.

    Source:
        Xue, Xu, Zhang, Long and Huang 2018, SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image
        Segmentation, arXiv:1706.01805, equations 2 and 3.

    Example:
        The first map differs by 1 and the second by 3, on average by 2.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_output={"features": [torch.zeros(1, 4), torch.zeros(1, 2)]},
        ...                   fake_output={"features": [torch.ones(1, 4), torch.full((1, 2), 3.0)]},
        ...                   fake_images=torch.zeros(1, 1, 2, 2))
        >>> loss = ganzoo.part("loss", "segan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(-2.), tensor(2.))
    """

    weight: Annotated[float, Ge(0)] = 1.0
    layers: Literal["mean", "concatenated"] = "mean"
    dice: Annotated[float, Ge(0)] = 0.0
    l1: Annotated[float, Ge(0)] = 0.0
    eps: Annotated[float, Ge(0)] = 1e-6

    bounded: ClassVar[bool] = False
    reads_scores: ClassVar[bool] = False

    def check(self, spec: ganzoo.Spec) -> None:
        """Require pairs from the data and features from the discriminator."""
        if "condition" not in spec.inputs:
            raise Incompatible(
                "segan compares a photo's predicted mask with its true one, and this data has no pairs: use data such "
                "as pairs or digits-masks"
            )
        if "features" not in spec.outputs:
            raise Incompatible(
                "segan compares the discriminator's features, and this one gives only logits: use an architecture "
                "such as segan"
            )

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the distance of features."""
        return -self.weight * self.distance(s)

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The distance of features, plus the terms on the masks."""
        loss: Tensor = self.weight * self.distance(s)
        if self.dice or self.l1:
            p, y = ((masks.flatten(1) + 1) / 2 for masks in (s.fake_images, s.real_images))
            overlap = (2 * (p * y).sum(1) + self.eps) / (p.square().sum(1) + y.square().sum(1) + self.eps)
            loss = loss + self.dice * (1 - overlap.mean()) + self.l1 * (p - y).abs().mean()
        return loss

    def distance(self, s: ganzoo.Scores) -> Tensor:
        """The mean absolute difference of features over all scales.

        Args:
            s: the round.
        """
        pairs, dtype = zip(s.fake_output["features"], s.real_output["features"], strict=True), s.fake_images.dtype
        gaps = [(fake.to(dtype) - real.to(dtype)).abs() for fake, real in pairs]
        if self.layers == "mean":
            times = [1 / (len(gaps) * gap.numel()) for gap in gaps]
        else:
            factors = [1, 1, *[2] * (len(gaps) - 3), 4][-len(gaps) :]
            # The authors' code multiplies the maps by the factors and divides by the plain count of their numbers.
            whole = sum(gap.numel() for gap in gaps)
            times = [factor / whole for factor in factors]
        return torch.stack([k * gap.sum() for k, gap in zip(times, gaps, strict=True)]).sum()
