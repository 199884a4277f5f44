"""Features of published networks: of a fake and of the real sample of the same condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible

from ._features import side_needed, vgg
from ._terms import Term, Where, fitted, mean

if TYPE_CHECKING:
    from torch import Tensor, nn


class FeatureTerm(Term):
    """A term on the features of a VGG of torchvision.

    Args:
        weight: factor of the term, at least 0.
        network: vgg16 or vgg19.
        layers: the layers that are compared, such as ``relu3_3``, or ``conv5_4`` for the map before its ReLU.
        layer_weights: the factor of each layer. A single number is the factor of all.
        distance: l1 or l2.
        weights: ``auto`` for torchvision's weights, or a safetensors file or state dict of the network.
        where: the region: all, the hole of the mask, or the known part.
        stage: the stages that the term reads. The values of several stages are added.
    """

    network: Literal["vgg16", "vgg19"] = "vgg16"
    layers: tuple[str, ...] = ("relu3_3",)
    layer_weights: tuple[float, ...] = (1.0,)
    distance: Literal["l1", "l2"] = "l2"
    weights: str = "auto"

    def __post_init__(self) -> None:
        if len(self.layer_weights) not in (1, len(self.layers)) or not self.layers:
            raise ValueError(
                f"layer_weights has {len(self.layer_weights)} numbers for {len(self.layers)} layers: give one for each "
                "layer, or one for all"
            )

    @property
    def name(self) -> str:
        """The name of the part, for messages."""
        return type(self).__name__.lower()

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Make the frozen network, whose weights are read when the run is trained."""
        return vgg(self.name, self.network, self.layers, self.weights)

    def check(self, spec: ganzoo.Spec) -> None:
        """Require pictures of 1 or 3 channels that are large enough, and the weights of the network."""
        super().check(spec)
        least = side_needed(self.layers)
        if len(spec.shape) != 3 or spec.shape[0] not in (1, 3) or min(spec.shape[1:]) < least:
            raise Incompatible(
                f"{self.name} looks at pictures of 1 or 3 channels and at least {least} pixels a side, and this data "
                f"gives samples of shape {spec.shape}: give other layers, or leave {self.name} out"
            )
        self.module.load()

    def value(self, fake: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
        """The weighted sum of the distances at the layers."""
        made, due = self.module(fake), self.module(real.detach())
        factors = self.layer_weights * (len(self.layers) if len(self.layer_weights) == 1 else 1)
        terms: list[Any] = [k * self.apart(x, y, region) for k, x, y in zip(factors, made, due, strict=True)]
        total: Tensor = sum(terms)
        return total

    def apart(self, made: Tensor, due: Tensor, region: Tensor | None) -> Tensor:
        """The distance at one layer.

        Args:
            made: (N, C, h, w) the features of fakes.
            due: (N, C, h, w) the features of real samples.
            region: (N, 1, H, W) at the size of the pictures, or None for everywhere.

        Returns:
            ().
        """
        raise NotImplementedError


class Perceptual(FeatureTerm):
    """Perceptual loss (VGG, content, feature reconstruction): fakes whose features are those of their real sample.

    With h_l the map of layer l of a VGG trained on ImageNet:

    Formula:
        L_G <- L_G + weight sum_l layer_weights_l mean |h_l(x) - h_l(x')|^p,  p = 2 for l2 and 1 for l1

    Args:
        weight: factor of the term, at least 0.
        network: vgg16 (Johnson) or vgg19 (SRGAN, pix2pixHD).
        layers: the layers that are compared, such as ``relu3_3``, or ``conv5_4`` for the map before its ReLU (ESRGAN).
        layer_weights: the factor of each layer. A single number is the factor of all.
        distance: l2 (Johnson, SRGAN) or l1 (pix2pixHD, ESRGAN).
        weights: ``auto`` for torchvision's weights, or a safetensors file or state dict of the network.
        where: the region: all, the hole of the mask, or the known part. A feature sees pixels beyond the region.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, or pictures that are too small for the layers.
        DataError: the weights are missing, unreadable, or those of another network.

    Notes:
        The network is normalised as ImageNet, frozen, and no part of a checkpoint. The gradient reaches the fakes
        alone. pix2pixHD has layers=relu1_1,relu2_1,relu3_1,relu4_1,relu5_1 of vgg19 with layer_weights=0.03125,0.0625,
        0.125,0.25,1 and distance=l1.

    Source: Johnson et al., Perceptual losses for real-time style transfer and super-resolution, 2016, arXiv:1603.08155,
        equation 2; Ledig et al., SRGAN, 2017, arXiv:1609.04802, equation 5.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("regularizer", "perceptual:network=vgg19,layers=relu5_4").layers
        ('relu5_4',)
    """

    weight: Annotated[float, Ge(0)] = 1.0
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def apart(self, made: Tensor, due: Tensor, region: Tensor | None) -> Tensor:
        """The mean absolute or squared difference of the maps."""
        gap = made - due
        return mean(gap.abs() if self.distance == "l1" else gap.square(), fitted(region, gap))


class Style(FeatureTerm):
    """Style loss (Gram matrices, texture): fakes whose features occur together as in their real sample.

    With F_l the map of layer l as a matrix (C, H W):

    Formula:
        G_l = F_l F_l^T / (C H W)
        L_G <- L_G + weight sum_l layer_weights_l d(G_l(x), G_l(x')),  d: the squared Frobenius norm of the difference
        (l2), or the mean absolute difference (l1)

    Args:
        weight: factor of the term, at least 0. fast-neural-style has 5, partial convolutions 120 with l1.
        network: vgg16 or vgg19.
        layers: the layers that are compared.
        layer_weights: the factor of each layer. A single number is the factor of all.
        distance: l2 or l1.
        weights: ``auto`` for torchvision's weights, or a safetensors file or state dict of the network.
        where: the region: all, the hole of the mask, or the known part. Features outside count as 0.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, or pictures that are too small for the layers.
        DataError: the weights are missing, unreadable, or those of another network.

    Source: Gatys et al., Image style transfer using convolutional neural networks, 2016; Johnson et al., 2016,
        arXiv:1603.08155, equations 3 and 4; Liu et al., partial convolutions, 2018, arXiv:1804.07723, equation 4.

    Example:
        >>> import torch
        >>> gram(torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 0.0]]).view(1, 2, 2, 2)).tolist()
        [[[3.75, 0.625], [0.625, 0.25]]]
    """

    weight: Annotated[float, Ge(0)] = 5.0
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def apart(self, made: Tensor, due: Tensor, region: Tensor | None) -> Tensor:
        """The distance of the Gram matrices, as a mean over the pictures."""
        seen = fitted(region, made)
        gap = gram(made if seen is None else made * seen) - gram(due if seen is None else due * seen)
        return gap.abs().mean() if self.distance == "l1" else gap.square().flatten(1).sum(1).mean()


def gram(maps: Tensor) -> Tensor:
    """The Gram matrix of each picture's features.

    Formula:
        G = F F^T / (C H W),  F the map as a matrix (C, H W)

    Args:
        maps: (N, C, H, W).

    Returns:
        (N, C, C).
    """
    rows = maps.flatten(2)
    return rows @ rows.transpose(1, 2) / (rows.shape[1] * rows.shape[2])
