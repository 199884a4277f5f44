"""The learned distance of pictures, as a term of the generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from torch import nn

import ganzoo
from ganzoo.errors import Incompatible

from ._features import distance_network, seen
from ._terms import Term, Where, fitted, mean

if TYPE_CHECKING:
    from torch import Tensor


class LPIPS(Term):
    """LPIPS (learned perceptual distance): fakes that people find like their real sample.

    With h_l the map of layer l of a network trained on ImageNet, each pixel's vector divided by its length, and w_l
    learned from people's judgements:

    Formula:
        L_G <- L_G + weight mean over pixels of sum_l w_l . (h_l(x) - h_l(x'))^2

    Args:
        weight: factor of the term, at least 0.
        network: vgg (for training, as the authors advise) or alex.
        weights: ``auto`` for torchvision's weights of vgg16 or alexnet, or a safetensors file or state dict of these.
        where: the region: all, the hole of the mask, or the known part. A feature sees pixels beyond the region.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, or samples that are no pictures.
        DataError: the weights are missing, unreadable, or those of another network.

    Notes:
        Pictures with a side below 64 pixels are enlarged first, as the networks halve the side up to five times. The
        learned weights w_l ship with torchmetrics. Other weights of the network than the published ones make
        another distance.

    Source: Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, 2018,
        arXiv:1801.03924, equation 1.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("regularizer", "lpips").network
        'vgg'
    """

    weight: Annotated[float, Ge(0)] = 1.0
    network: Literal["vgg", "alex"] = "vgg"
    weights: str = "auto"
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Make the frozen network, whose weights are read when the run is trained."""
        return distance_network("lpips", self.network, self.weights, spatial=self.where != "all")

    def check(self, spec: ganzoo.Spec) -> None:
        """Require pictures of 1 or 3 channels, and the weights of the network."""
        super().check(spec)
        if len(spec.shape) != 3 or spec.shape[0] not in (1, 3):
            raise Incompatible(
                f"lpips looks at pictures of 1 or 3 channels, and this data gives samples of shape {spec.shape}: leave "
                "lpips out"
            )
        self.module.load()

    def distances(self, real: Tensor, fake: Tensor) -> Tensor:
        """The distance of each pair of pictures, outside of a run.

        Args:
            real: (N, 1 or 3, H, W) in [-1, 1].
            fake: (N, 1 or 3, H, W), in the same order.

        Returns:
            (N,).

        Raises:
            DataError: the weights are missing, unreadable, or those of another network.
        """
        apart: Tensor = distance_network("lpips", self.network, self.weights)(seen(real), seen(fake))
        return apart.flatten()

    def value(self, fake: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
        """The mean distance."""
        apart: Tensor = self.module(*(seen(x) for x in (fake, real.detach())))
        return mean(apart, fitted(region, apart))
