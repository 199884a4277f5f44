"""Mean absolute and mean squared difference of a fake and of the real sample of the same condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ._terms import Term, Where, mean

if TYPE_CHECKING:
    from torch import Tensor


class L1(Term):
    """L1 (reconstruction, pix2pix): the mean absolute difference of each fake from the real sample of its condition.

    Formula:
        L_G <- L_G + weight mean |x - x'|

    Args:
        weight: factor of the term, at least 0. pix2pix has 100 for pixels in [-1, 1].
        where: the region: all, the hole of the mask, or the known part. The mean is over the region of each picture.
        stage: the stages that the term reads, such as ``stage=coarse,refined``. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, or without a mask where the term looks at a region.

    Source: Isola et al., Image-to-image translation with conditional adversarial networks, 2017, arXiv:1611.07004,
        equation 3.

    Example:
        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_images=torch.tensor([[[[1.0, 0.0]]]]), fake_images=torch.zeros(1, 1, 1, 2))
        >>> ganzoo.part("regularizer", "l1:weight=100").generator_penalty(s)
        tensor(50.)
    """

    weight: Annotated[float, Ge(0)] = 100.0
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def value(self, fake: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
        """The mean absolute difference."""
        return mean((fake - real).abs(), region)


class L2(Term):
    """L2 (reconstruction, MSE): the mean squared difference of each fake from the real sample of its condition.

    Formula:
        L_G <- L_G + weight mean (x - x')^2

    Args:
        weight: factor of the term, at least 0.
        where: the region: all, the hole of the mask, or the known part. The mean is over the region of each picture.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, or without a mask where the term looks at a region.

    Source: Ledig et al., Photo-realistic single image super-resolution using a GAN, 2017, arXiv:1609.04802, equation 4;
        Pathak et al., Context encoders, 2016, arXiv:1604.07379, equation 1.

    Example:
        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_images=torch.tensor([[[[1.0, 0.0]]]]), fake_images=torch.zeros(1, 1, 1, 2))
        >>> ganzoo.part("regularizer", "l2").generator_penalty(s)
        tensor(0.5000)
    """

    weight: Annotated[float, Ge(0)] = 1.0
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def value(self, fake: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
        """The mean squared difference."""
        return mean((fake - real).square(), region)
