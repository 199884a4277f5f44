"""Norms over maps (N, C, H, W), chosen by name, with a scale and a shift per channel or per channel and class."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.conditioning import LabelledLayer, require_labels

NormName = Literal["none", "batch", "instance", "layer", "pixel"]


class PixelNorm(nn.Module):
    """Divides the vector of channels at each pixel by the root of its mean square.

    Formula:
        y = x / sqrt(mean over c of x_c^2 + 1e-8)

    Source: T. Karras et al., Progressive growing of GANs, 2018, arXiv 1710.10196, section 4.2.

    Example:
        >>> import torch
        >>> x = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
        >>> [round(v, 3) for v in PixelNorm()(x).flatten().tolist()]
        [0.849, 1.131]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the channels.

        Args:
            x: (N, C, ...) maps or vectors.

        Returns:
            A tensor of the same shape.
        """
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class ConditionalNorm(LabelledLayer):
    """A norm whose scale and shift of each channel depend on the class of the sample (conditional batch norm).

    Formula:
        y = scale[label] * norm(x) + shift[label],  at the start scale = 1 and shift = 0

    Args:
        norm: a norm over (N, C, H, W) without a scale and a shift of its own.
        channels: C.
        classes: number of classes.

    Notes:
        With equal rows the layer is the plain norm with an affine map. Scale and shift are parameters, not embedding
        layers: spectral normalisation of the generator must not divide the scales by their singular value.

    Source: H. de Vries et al., Modulating early visual processing by language, 2017, arXiv 1707.00683, section 3;
        T. Miyato and M. Koyama, cGANs with projection discriminator, 2018, arXiv 1802.05637, section 5.

    Example:
        >>> import torch
        >>> layer = ConditionalNorm(torch.nn.BatchNorm2d(2, affine=False), channels=2, classes=3)
        >>> layer(torch.randn(4, 2, 5, 5), torch.tensor([0, 2, 2, 1])).shape
        torch.Size([4, 2, 5, 5])
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise, then scale and shift by the class.

        Args:
            x: (N, C, H, W) maps.
            labels: (N,) class numbers from 0 to classes - 1.

        Returns:
            (N, C, H, W).

        Raises:
            TypeError: the labels are missing.
        """
        labels = require_labels(labels)
        scale, shift = F.embedding(labels, self.scale), F.embedding(labels, self.shift)
        h: Tensor = self.norm(x)
        return h * scale[:, :, None, None] + shift[:, :, None, None]


def norm(name: NormName, channels: int, classes: int = 0) -> nn.Module:
    """A norm over (N, C, H, W) by its name.

    ``layer`` is over (C, H, W) and ``instance`` is over (H, W), both of each sample, as group norms with a single group
    and with a single channel a group. All norms but ``batch`` treat each sample separately. No architecture here has
    maps below 4x4, so that instance norm always has 16 values.

    Args:
        name: none, batch, instance, layer or pixel.
        channels: C.
        classes: number of classes whose scale and shift are separate. 0 gives all samples the same scale and shift.
            ``none`` and ``pixel`` have neither a scale nor a shift and ignore the classes.

    Returns:
        The layer. With classes, the layer is a ``ConditionalNorm``, which takes labels beside the maps.

    Example:
        >>> norm("layer", 8)
        GroupNorm(1, 8, eps=1e-05, affine=True...)
    """
    affine = not classes
    layer: nn.Module
    match name:
        case "none":
            return nn.Identity()
        case "pixel":
            return PixelNorm()
        case "batch":
            layer = nn.BatchNorm2d(channels, affine=affine)
        case "instance":
            layer = nn.GroupNorm(channels, channels, affine=affine)
        case "layer":
            layer = nn.GroupNorm(1, channels, affine=affine)
    return ConditionalNorm(layer, channels, classes) if classes else layer


def has_shift(name: NormName) -> bool:
    """Whether the norm adds a shift of its own, so that a bias in the convolution before the norm has no effect.

    Args:
        name: none, batch, instance, layer or pixel.
    """
    return name in ("batch", "instance", "layer")
