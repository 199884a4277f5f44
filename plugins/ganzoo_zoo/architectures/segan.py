"""A segmentation network, and a critic that sees photos through masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.dimensions import CONV
from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm
from ganzoo_zoo.architectures.layers.resampling import UpConv
from ganzoo_zoo.architectures.options import ladder


class SegAN(ganzoo.Architecture):
    """Segmentation networks (SegAN, U-Net): the generator predicts a photo's mask, the critic sees both together.

    The photo x is the condition, and a mask m in [0, 1] is the sample 2m - 1 in [-1, 1].

    Formula:
        S(x): convolutions 4x4 of stride 2, norm, LeakyReLU(0.2), to 4x4; then x2 by x2 back, each map beside that of
              its size on the way down, the photo itself beside the last; sigmoid
        C(x, m): of x m, every channel of the photo seen through every channel of the mask: convolutions 4x4 of stride
              2, norm, LeakyReLU(0.2), to 4x4, each giving features; one logit from the last

    Args:
        width: channels of the maps nearest to the photo, at least 1. The channels double downwards, up to eight times.
        norm: norm in the segmentor: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the critic. batch is the paper's. Penalties on the gradient of each sample require another norm.

    Raises:
        Incompatible: data without a condition, photo and mask of different sizes, or sides that are no base from 2 to 7
            times a power of two.

    Notes:
        The networks use no noise: a photo has a single mask. The loss segan compares the critic's features, the first
        of which is x m. Other losses use the logit, and make the networks a conditional GAN.

    Source: Xue et al., SegAN, 2018, arXiv 1706.01805, section 2.2; Ronneberger, Fischer and Brox, U-Net, 2015,
        arXiv 1505.04597.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "segan:width=4")
        >>> part.norm, part.d_norm
        ('batch', 'batch')
    """

    width: Annotated[int, Ge(1)] = 32
    norm: NormName = "batch"
    d_norm: NormName = "batch"

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the segmentor.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        return Segmentor(self._photo(spec)[0], self.widths(spec), spec.shape[0], self.norm)

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the critic.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        return Critic(
            self._photo(spec)[0] * spec.shape[0], self.widths(spec), ladder("segan", spec.shape).base, self.d_norm
        )

    def _photo(self, spec: ganzoo.Spec) -> tuple[int, ...]:
        """The shape of a photo."""
        photos = spec.inputs.get("condition")
        if photos is None:
            raise Incompatible(
                "segan predicts the mask of a photo, and this data gives no photo as a condition: use data of pairs, "
                "such as pairs or digits-masks"
            )
        if len(photos.shape) != 3 or photos.shape[1:] != spec.shape[1:]:
            raise Incompatible(
                f"segan wants a photo and a mask of one size, and this data gives {photos.shape} and "
                f"{spec.shape}: set the data's size"
            )
        return photos.shape

    def widths(self, spec: ganzoo.Spec) -> list[int]:
        """The channels of the maps from half the sides down to the base.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        return [self.width * min(8, 2**i) for i in range(ladder("segan", spec.shape).doublings)]

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """Masks of the photos; the noise is not looked at."""
        masks: Tensor = generator(batch["condition"])
        return masks

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """What the critic says of photos seen through masks."""
        photo, mask = batch["condition"], (images + 1) / 2
        return discriminator((mask[:, :, None] * photo[:, None]).flatten(1, 2))

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the critic's features.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        channels, sizes = self._photo(spec)[0] * spec.shape[0], ladder("segan", spec.shape).sizes[::-1]
        widths = [channels, *self.widths(spec)]
        return {"features": [(width, *size) for width, size in zip(widths, sizes, strict=True)]}


class Segmentor(nn.Module):
    """The segmentor: (N, C, H, W) photos -> (N, masks, H, W) in [-1, 1].

    Args:
        photo: channels of the photo.
        widths: channels of the maps from half the sides down to the base.
        masks: channels of the mask.
        norm_: norm before each ReLU.
    """

    def __init__(self, photo: int, widths: list[int], masks: int, norm_: NormName) -> None:
        super().__init__()
        bias = not has_shift(norm_)
        self.down = _steps_down([photo, *widths], norm_)
        beside = [photo, *widths[:-1]][::-1]  # channels that come over from the way down
        inputs, self.up = widths[-1], nn.ModuleList()
        for outputs, skipped in zip([*widths[-2::-1], widths[0]], beside, strict=True):
            self.up.append(nn.Sequential(UpConv(inputs, outputs, bias=bias), norm(norm_, outputs), nn.ReLU()))
            inputs = outputs + skipped
        self.last = nn.Conv2d(inputs, masks, 3, padding=1)

    def forward(self, photo: Tensor) -> Tensor:
        """Predict masks.

        Args:
            photo: (N, C, H, W).

        Returns:
            (N, masks, H, W) in [-1, 1].
        """
        kept, x = [], photo
        for layer in self.down:
            kept.append(x)
            x = layer(x)
        for layer in self.up:
            x = torch.cat([layer(x), kept.pop()], 1)
        return torch.tanh(self.last(x) / 2)  # 2 sigmoid(x) - 1


class Critic(nn.Module):
    """The critic: (N, C, H, W) photos seen through masks -> logits, and features from the pixels to the base.

    Args:
        channels: of the photos seen through masks.
        widths: channels of the maps from half the sides down to the base.
        base: sides of the smallest maps.
        norm_: norm after each convolution but the first.
    """

    def __init__(self, channels: int, widths: list[int], base: tuple[int, ...], norm_: NormName) -> None:
        super().__init__()
        self.layers = _steps_down([channels, *widths], norm_)
        self.head = CONV[2](widths[-1], 1, base)

    def forward(self, seen: Tensor) -> dict[str, Any]:
        """Judge photos seen through masks.

        Args:
            seen: (N, C, H, W).

        Returns:
            ``logits`` (N,) and ``features``, each computed from the features before.
        """
        features = [seen]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return {"logits": self.head(features[-1]).flatten(), "features": features}


def _steps_down(channels: list[int], norm_: NormName) -> nn.ModuleList:
    """Layers that halve the side, each to the next number of channels. The first has no norm."""
    steps = nn.ModuleList()
    for i, (inputs, outputs) in enumerate(pairwise(channels)):
        convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not has_shift(norm_))
        steps.append(nn.Sequential(convolution, norm(norm_ if i else "none", outputs), nn.LeakyReLU(0.2)))
    return steps
