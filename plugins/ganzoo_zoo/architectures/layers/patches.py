"""Discriminators that judge patches of pictures, beside what the pictures were made for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm

PatchForm = Literal["patch", "pixel", "free-form"]


class PatchDiscriminator(nn.Module):
    """PatchGAN: convolutions, each output of which is the logit of a patch.

    Formula:
        patch: layers times (4x4 of stride 2, norm, LeakyReLU 0.2), 4x4 of stride 1, norm, LeakyReLU, 4x4 to one logit
        pixel: 1x1, LeakyReLU, 1x1, norm, LeakyReLU, 1x1 to one logit
        free-form: layers times (5x5 of stride 2, LeakyReLU 0.2), where every channel of the last map is a logit

    Args:
        channels: of the picture and of all that stands beside the picture.
        form: patch, pixel or free-form.
        width: channels of the first map. Widths double from map to map, up to 8 times (free-form: 4 times).
        layers: convolutions of stride 2, at least 1. pixel has none.
        norm_: norm after each convolution but the first and the last. free-form has none.

    Source: Isola et al., Image-to-image translation with conditional adversarial networks (pix2pix), 2017,
        arXiv:1611.07004, section 3.2.2 and appendix 6.1.2; Yu et al., Free-form image inpainting with gated
        convolution, 2019, arXiv:1806.03589, section 3.3.

    Example:
        >>> import torch
        >>> PatchDiscriminator(3, "patch", 8, 2, "none")(torch.zeros(1, 3, 32, 32))["logits"].shape
        torch.Size([1, 1, 6, 6])
    """

    def __init__(self, channels: int, form: PatchForm, width: int, layers: int, norm_: NormName) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        if form == "free-form":
            widths = [channels, *(width * min(4, 2**i) for i in range(layers))]
            for i, (inputs, outputs) in enumerate(pairwise(widths)):
                convolution = nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)
                self.layers.append(nn.Sequential(convolution, nn.LeakyReLU(0.2)) if i < layers - 1 else convolution)
            self.head: nn.Module = nn.Identity()
            return
        if form == "pixel":
            steps = [(channels, width, 1, 1, 0), (width, 2 * width, 1, 1, 0)]
        else:
            widths = [channels, *(width * min(8, 2**i) for i in range(layers + 1))]
            steps = [(a, b, 4, 2 if i < layers else 1, 1) for i, (a, b) in enumerate(pairwise(widths))]
        for i, (inputs, outputs, kernel, stride, padding) in enumerate(steps):
            name: NormName = norm_ if i else "none"
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=not has_shift(name))
            self.layers.append(nn.Sequential(convolution, norm(name, outputs), nn.LeakyReLU(0.2)))
        self.head = nn.Conv2d(steps[-1][1], 1, 1 if form == "pixel" else 4, padding=0 if form == "pixel" else 1)

    def forward(self, images: Tensor) -> dict[str, Any]:
        """Judge patches.

        Args:
            images: (N, C, H, W).

        Returns:
            ``logits`` (N, K, h, w), and ``features``, the maps that the logits are computed from.
        """
        features, x = list[Tensor](), images
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return {"logits": self.head(x), "features": features}


class MultiScale(nn.Module):
    """Several discriminators of one kind, each for the pictures at half the size of the one before.

    Formula:
        x_0 = x,  x_{k+1} = the average of x_k over 3x3 at every second pixel, over the pixels inside of the picture

    Args:
        discriminators: networks that return ``logits`` and ``features``.

    Notes:
        Pixels outside do not count in the average, so that a constant picture stays constant.

    Source: Wang et al., High-resolution image synthesis with conditional GANs (pix2pixHD), 2018, arXiv:1711.11585,
        section 3.2.

    Example:
        >>> import torch
        >>> net = MultiScale([PatchDiscriminator(3, "patch", 4, 1, "none") for _ in range(2)])
        >>> [tuple(each.shape) for each in net(torch.zeros(1, 3, 16, 16))["logits"]]
        [(1, 1, 6, 6), (1, 1, 2, 2)]
    """

    def __init__(self, discriminators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, images: Tensor) -> dict[str, Any]:
        """Judge patches at all scales.

        Args:
            images: (N, C, H, W).

        Returns:
            ``logits``, one tensor for each scale, and the ``features`` of all scales.
        """
        logits, features = list[Tensor](), list[Tensor]()
        for k, discriminator in enumerate(self.discriminators):
            if k:
                images = halved(images)
            seen = discriminator(images)
            logits.append(seen["logits"])
            features += seen["features"]
        return {"logits": logits, "features": features}


def halved(images: Tensor) -> Tensor:
    """Pictures at half the size, as ``MultiScale`` makes them.

    Args:
        images: (N, C, H, W).

    Returns:
        (N, C, ceil(H / 2), ceil(W / 2)).

    Example:
        >>> import torch
        >>> halved(torch.ones(1, 1, 5, 5)).unique().tolist()
        [1.0]
    """
    return F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)


def receptive_field(form: PatchForm, layers: int) -> int:
    """The side in pixels of the patch that a logit sees.

    Args:
        form: as for ``PatchDiscriminator``.
        layers: convolutions of stride 2.

    Example:
        pix2pix's patches of 16, 34, 70 and 142 pixels, and single pixels.

        >>> [receptive_field("patch", layers) for layers in (1, 2, 3, 4)], receptive_field("pixel", 3)
        ([16, 34, 70, 142], 1)
    """
    if form == "pixel":
        return 1
    side = 1 if form == "free-form" else 7  # two 4x4 convolutions of stride 1
    for _ in range(layers):
        side = 2 * side + (3 if form == "free-form" else 2)
    return side


def smallest_side(form: PatchForm, layers: int, scales: int) -> int:
    """The smallest side of a picture for which every scale has a logit.

    Args:
        form: as for ``PatchDiscriminator``.
        layers: convolutions of stride 2.
        scales: number of scales.

    Example:
        >>> smallest_side("patch", 3, 1), smallest_side("pixel", 3, 2)
        (24, 1)
    """
    least = 3 * 2**layers if form == "patch" else 1
    for _ in range(scales - 1):
        least = 2 * least - 1
    return least


def beside(images: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Pictures with what they were made for as further channels, each brought to the size of the pictures.

    Args:
        images: (N, C, H, W).
        inputs: (N, C', h, w) each.

    Returns:
        (N, C + ..., H, W).

    Example:
        >>> import torch
        >>> beside(torch.zeros(1, 3, 8, 8), [torch.zeros(1, 1, 4, 4)]).shape
        torch.Size([1, 4, 8, 8])
    """
    size = images.shape[-2:]
    fitted = [x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest") for x in inputs]
    return torch.cat([images, *(x.to(images.dtype) for x in fitted)], 1)
