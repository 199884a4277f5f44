"""The residual networks of R3GAN: grouped convolutions, no norm, no attention, no trick."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers.conditioning import ClassProjection, concat_labels
from ganzoo_zoo.architectures.layers.heads import Heads, InnerProductDiscriminator
from ganzoo_zoo.architectures.layers.resampling import BinomialDown, BinomialUp
from ganzoo_zoo.architectures.options import Tapered

SLOPE = 0.2
"""The slope of LeakyReLU below zero, in both networks."""

GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""The gain with which LeakyReLU keeps the mean square of its input."""


class R3GAN(Tapered):
    """The modernised residual networks of R3GAN: images of any number of channels.

    Formula:
        block: x + W3 a(b2 + W2 a(b1 + W1 x)),  W1 1x1 to twice the channels, W2 3x3 in groups, W3 1x1, a LeakyReLU(0.2)
        G: a learned 4x4 map scaled per channel by a linear map of z, blocks, then x2 by x2: 1x1, [1, 3, 3, 1], blocks
        D: the mirror image, to a 4x4 convolution per channel and a linear map

    Args:
        width: channels of the widest maps, those of 4x4. The paper has 768, and 1536 for ImageNet.
        wide_to: side of the largest maps with ``width`` channels. Each doubling beyond halves the channels, as the
            paper's nets for FFHQ do beyond 32.
        blocks: residual blocks at each side.
        expansion: factor of the channels inside a block.
        group: channels of a group of the 3x3 convolutions. The paper has 16, and 32 for ImageNet.
        conditional: how both networks use the label. G concatenates a linear map of the one-hot label, as long as the
            noise, to the noise in every form but none. projection: the logit of D is the inner product of the last
            linear map and a learned vector of the class, as in the paper. concat: one-hot planes beside the image.
            heads: a last layer per class in D. auto: heads where the data has labels, else none.
        embedding: make D an encoder to a vector of this length, or of the length of the noise (latent), whose average
            is the logit. 0 for a logit alone.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples that are no images of a size that the networks make, conditional networks for data without
            labels, or data with a condition.

    Notes:
        The paper's nets for CIFAR-10 are ``r3gan:width=768``. No convolution and no linear layer has a bias: the biases
        are those before an activation. Weights start at N(0, gain^2 / fan_in), inside a block with the gain
        sqrt(2 / 1.04) L^(-1/4) for L blocks in the network, and W3 = 0: every block starts as the identity. The output
        of G has no tanh. The authors' code upsamples and downsamples with [1, 3, 3, 1], where the paper says bilinear.

    Source: Y. Huang, A. Gokaslan, V. Kuleshov, J. Tompkin, The GAN is dead; long live the GAN! A modern GAN baseline,
        2024, arXiv 2501.05441, sections 3 and 4, and the authors' code, github.com/brownvc/R3GAN.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "r3gan:width=8").build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
        >>> images = nets.generator(torch.randn(2, 5))
        >>> images.shape, nets.discriminator(images).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2]))
    """

    width: Annotated[int, Ge(2)] = 96
    wide_to: Annotated[int, Ge(4)] = 32
    blocks: Annotated[int, Ge(1)] = 2
    expansion: Annotated[int, Ge(1)] = 2
    group: Annotated[int, Ge(1)] = 16

    def outputs(self, spec: ganzoo.Spec) -> dict[str, Sequence[tuple[int, ...]]]:
        """The shapes of the embedding, of the maps after each stage and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        height, width = spec.shape[1:]
        maps: list[tuple[int, ...]] = [
            (channels, height >> i, width >> i) for i, channels in enumerate(self.widths(spec.shape)[::-1])
        ]
        return {**super().outputs(spec), **self.auxiliary_outputs(spec, maps)}

    @property
    def makers(self) -> tuple[Callable[..., nn.Module], Callable[..., nn.Module]]:
        """The classes of the generator and of the discriminator."""
        return Generator, Discriminator

    def stage_blocks(self, channels: int, count: int) -> list[nn.Module]:
        """The residual blocks at a side.

        Args:
            channels: of the maps.
            count: residual blocks in the whole network.
        """
        inner = self.expansion * channels
        groups = inner // math.gcd(inner, self.group)
        return [ResidualBlock(channels, inner, groups, GAIN * count**-0.25) for _ in range(self.blocks)]


class BiasedActivation(nn.Module):
    """A bias per channel, then LeakyReLU(0.2).

    Args:
        channels: of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add the bias and apply the activation.

        Args:
            x: (N, C, H, W).
        """
        return nn.functional.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], SLOPE)


class ResidualBlock(nn.Module):
    """x + W3 a(b2 + W2 a(b1 + W1 x)), without an activation after the sum.

    Args:
        channels: of the input and the output.
        inner: channels between the convolutions.
        groups: of the 3x3 convolution.
        gain: of the initial weights of W1 and W2.
    """

    def __init__(self, channels: int, inner: int, groups: int, gain: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            scaled(nn.Conv2d(channels, inner, 1, bias=False), gain),
            BiasedActivation(inner),
            scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=groups, bias=False), gain),
            BiasedActivation(inner),
            scaled(nn.Conv2d(inner, channels, 1, bias=False), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the input.

        Args:
            x: (N, C, H, W).
        """
        y: Tensor = x + self.layers(x)
        return y


class Stage(nn.Sequential):
    """The change of side, and the blocks at the new side."""


class GenerativeBasis(nn.Module):
    """A learned map whose channels are scaled by a linear map of the noise.

    Args:
        latent: length of the noise, with the label.
        channels: of the map.
        base: height and width of the map.
    """

    def __init__(self, latent: int, channels: int, base: tuple[int, ...]) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, *base))
        self.linear = scaled(nn.Linear(latent, channels, bias=False), 1.0)

    def forward(self, latent: Tensor) -> Tensor:
        """Scale the map.

        Args:
            latent: (N, latent).

        Returns:
            (N, C, *base).
        """
        scale: Tensor = self.linear(latent)
        return self.basis.to(scale.dtype) * scale[:, :, None, None]


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, H, W), without a bound on the output.

    Args:
        part: the architecture with its options.
        latent: length of the noise.
        widths: channels of the maps from the smallest side to the side of the images.
        channels: of the images.
        base: height and width of the smallest maps.
        classes: number of classes, 0 without labels.
    """

    def __init__(
        self, part: R3GAN, latent: int, widths: list[int], channels: int, base: tuple[int, ...], classes: int
    ) -> None:
        super().__init__()
        count = part.blocks * len(widths)
        self.classes = classes
        # The embedding is a linear map of the one-hot label: its variance counts the classes as inputs.
        self.label = scaled(nn.Linear(classes, latent, bias=False), 1.0) if classes else None
        stages: list[nn.Module] = []
        for i, width in enumerate(widths):
            if i == 0:
                first: list[nn.Module] = [GenerativeBasis(latent * (2 if classes else 1), width, base)]
            else:
                first = [*matched(widths[i - 1], width), BinomialUp()]
            stages.append(Stage(*first, *part.stage_blocks(width, count)))
        self.layers = nn.Sequential(*stages, scaled(nn.Conv2d(widths[-1], channels, 1, bias=False), 1.0))

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make images.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.

        Returns:
            (N, C, H, W).
        """
        if self.label is not None:
            hot = concat_labels(latent, labels, self.classes)[:, latent.shape[1] :]
            latent = torch.cat([latent, self.label(hot).to(latent.dtype)], 1)
        images: Tensor = self.layers(latent)
        return images


class Discriminator(InnerProductDiscriminator):
    """The discriminator: (N, C, H, W) -> (N,) logits, or a mapping with logits.

    Args:
        part: the architecture with its options.
        channels: of the images.
        widths: channels of the maps from the side of the images to the smallest side.
        base: height and width of the smallest maps.
        heads: inputs and outputs of the discriminator.
    """

    features_after = Stage

    def __init__(self, part: R3GAN, channels: int, widths: list[int], base: tuple[int, ...], heads: Heads) -> None:
        super().__init__(heads)
        count, last = part.blocks * len(widths), widths[-1]
        inputs = channels + heads.concatenated
        stages: list[nn.Module] = [scaled(nn.Conv2d(inputs, widths[0], 1, bias=False), 1.0)]
        for i, width in enumerate(widths):
            first = [BinomialDown(), *matched(widths[i - 1], width)] if i else []
            stages.append(Stage(*first, *part.stage_blocks(width, count)))
        self.layers = nn.Sequential(*stages)
        self.basis = scaled(nn.Conv2d(last, last, (base[0], base[1]), groups=last, bias=False), 1.0)
        self.linear = scaled(nn.Linear(last, last if heads.projected else heads.size, bias=False), 1.0)
        self.class_head = scaled(nn.Linear(last, heads.class_logits, bias=False), 1.0) if heads.class_logits else None
        self.projection = ClassProjection(heads.projected, last) if heads.projected else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=1 / math.sqrt(last * heads.projected))
        # The paper's logit with labels is the inner product alone. An embedding needs a last layer of its own.
        own = heads.projected and heads.embedding
        self.embedding = scaled(nn.Linear(last, heads.size, bias=False), 1.0) if own else None

    @property
    def final(self) -> nn.Module:
        """The final linear layer."""
        return self.linear

    def vectors(self, maps: Tensor) -> Tensor:
        """The vectors that the final layer reads."""
        h: Tensor = self.basis(maps).flatten(1)
        return h


def matched(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1x1 convolution where the channels change, and nothing where the channels stay.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
    """
    return [] if inputs == outputs else [scaled(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0)]


def scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Module:
    """A layer with weights from N(0, gain^2 / fan_in).

    Args:
        layer: the layer, changed in place.
        gain: factor of the standard deviation.

    Example:
        >>> layer = scaled(torch.nn.Linear(100, 1000, bias=False), 2.0)
        >>> round(layer.weight.std().item(), 1)
        0.2
    """
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    return layer
