"""The discriminator reconstructs real images from its maps."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor

import ganzoo
from ganzoo.errors import Incompatible


class Reconstruction(ganzoo.Regularizer):
    """Reconstruction penalty (FastGAN): the discriminator reconstructs real images from the discriminator's own maps.

    Formula:
        L_D <- L_D + weight sum_k mean |r_k - x_k|        l1
        L_D <- L_D + weight sum_k mean (r_k - x_k)^2      l2

    Args:
        weight: factor of the penalty, at least 0.
        distance: how an image r_k is compared with the original x_k.

    Raises:
        Incompatible: the discriminator reconstructs nothing.

    Notes:
        A map from which the image can be reconstructed describes the whole image. So a discriminator that learns from
        few images cannot rely on a few details.
        The penalty compares images as the discriminator sees the images, after augmentation. The authors' distance is
        LPIPS, the distance of features of a pretrained VGG network, whose weights are not a part of this package.

    Source:
        B. Liu et al. 2021, Towards faster and stabilized GAN training for high-fidelity few-shot image synthesis
        (FastGAN), arXiv:2101.04775, equation 4.

    Example:
        >>> import ganzoo, torch
        >>> output = {"reconstructions": [torch.zeros(2, 1, 4, 4)], "originals": [torch.ones(2, 1, 4, 4)]}
        >>> ganzoo.part("regularizer", "reconstruction").discriminator_penalty(ganzoo.Scores(real_output=output))
        tensor(1.)
    """

    weight: Annotated[float, Ge(0)] = 1.0
    distance: Literal["l1", "l2"] = "l1"

    def check(self, spec: ganzoo.Spec) -> None:
        """Require reconstructions from the discriminator.

        Args:
            spec: the outputs of the discriminator beside the logits.

        Raises:
            Incompatible: there are none.
        """
        if "reconstructions" not in spec.outputs or "originals" not in spec.outputs:
            raise Incompatible(
                "reconstruction compares images that the discriminator reconstructs, and this discriminator gives "
                "none: use nets that do, such as fastgan, or leave reconstruction out"
            )

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted sum of the distances.

        Args:
            s: the round.
        """
        total: Tensor | None = None
        for made, original in zip(s.real_output["reconstructions"], s.real_output["originals"], strict=True):
            apart = made.to(original.dtype) - original.detach()
            distance = apart.abs().mean() if self.distance == "l1" else apart.square().mean()
            total = distance if total is None else total + distance
        assert total is not None
        return self.weight * total
