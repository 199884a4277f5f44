"""The residual discriminator of ResNet, SAGAN and BigGAN."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.batch_statistics import MinibatchStddev
from ganzoo_zoo.architectures.layers.conditioning import ClassProjection
from ganzoo_zoo.architectures.layers.dimensions import AVERAGE_POOL, CONV
from ganzoo_zoo.architectures.layers.heads import HeadedDiscriminator, Heads
from ganzoo_zoo.architectures.layers.norms import NormName, norm
from ganzoo_zoo.architectures.layers.resampling import DownsampleName, downsampling
from ganzoo_zoo.architectures.options import Ladder

Pooling = Literal["sum", "mean"]


class DownBlock(nn.Module):
    """A residual block that halves the side of its maps, or keeps the side.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        norm_: norm before each ReLU.
        halve: whether the side is halved.
        first: whether the block reads the image. Such a block has neither norm nor ReLU before its first convolution.
        wide: whether the hidden maps are as wide as the output, as in BigGAN. Otherwise they are as wide as the input,
            except in the first block.
        downsample: how the branch halves the side.
        dims: dimensions of a map.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm_: NormName,
        *,
        halve: bool,
        first: bool = False,
        wide: bool = False,
        downsample: DownsampleName = "pool",
        dims: int = 2,
    ) -> None:
        super().__init__()
        before = [] if first else [norm(norm_, inputs, dims=dims), nn.ReLU()]
        hidden, conv = outputs if first or wide else inputs, CONV[dims]
        last = (
            downsampling(downsample, hidden, outputs, bias=True, dims=dims)
            if halve
            else conv(hidden, outputs, 3, padding=1)
        )
        self.branch = nn.Sequential(
            *before,
            conv(inputs, hidden, 3, padding=1),
            norm("none" if first else norm_, hidden, dims=dims),
            nn.ReLU(),
            last,
        )
        # Average pooling and a 1x1 convolution commute: pooling first costs a quarter.
        shortcut: list[nn.Module] = [AVERAGE_POOL[dims](2)] if halve else []
        if halve or inputs != outputs:
            shortcut.append(conv(inputs, outputs, 1))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the shortcut.

        Args:
            x: (N, C, *S).

        Returns:
            (N, C', *S/2), or (N, C', *S).
        """
        h: Tensor = self.branch(x) + self.shortcut(x)
        return h


class ResidualDiscriminator(HeadedDiscriminator):
    """The discriminator: (N, C, *S) -> (N,) logits, or a mapping with logits.

    Args:
        channels: of the samples.
        widths: channels after each block.
        halvings: number of blocks that halve the sides, the first ones.
        steps: the sizes of the maps.
        heads: inputs and outputs of the discriminator.
        norm_: norm before each ReLU.
        downsample: how the sides are halved.
        attention: shorter sides of the maps after whose block self-attention follows.
        stddev: whether the standard deviation over groups of samples is appended to the pooled features.
        pooling: how the last maps become a vector.
        wide: whether the hidden maps of a block are as wide as its output, as in BigGAN.
    """

    features_after = DownBlock

    def __init__(
        self,
        channels: int,
        widths: list[int],
        halvings: int,
        steps: Ladder,
        heads: Heads,
        *,
        norm_: NormName,
        downsample: DownsampleName,
        attention: frozenset[int],
        stddev: bool,
        pooling: Pooling = "sum",
        wide: bool = False,
    ) -> None:
        super().__init__(heads)
        self.pooling = pooling
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([channels + heads.concatenated, *widths])):
            halve, dims = i < halvings, steps.dims
            block = DownBlock(
                inputs, outputs, norm_, halve=halve, first=i == 0, wide=wide, downsample=downsample, dims=dims
            )
            layers.append(block)
            if halve and min(steps.sizes[-2 - i]) in attention:
                layers.append(SelfAttention(outputs, dims))
        self.layers = nn.Sequential(*layers, nn.ReLU())
        self.stddev = MinibatchStddev() if stddev else nn.Identity()
        self.head = nn.Linear(widths[-1] + stddev, heads.size)
        self.class_head = nn.Linear(widths[-1], heads.class_logits) if heads.class_logits else None
        self.projection = ClassProjection(heads.projected, widths[-1]) if heads.projected else None

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The vectors that the last layer reads.

        Args:
            images: (N, C, *S).
            labels: (N,) class numbers, or None.

        Returns:
            (N, width).
        """
        return self.summary(self.maps(images, labels)[0])

    def summary(self, maps: Tensor) -> Tensor:
        """(N, C, *S) -> (N, C): the maps, summed or averaged over space."""
        return pooled(maps, self.pooling)

    def last(self, summary: Tensor) -> Tensor:
        """The logit, or the class logits, of the pooled maps."""
        last: Tensor = self.head(self.stddev(summary))
        return last


def pooled(maps: Tensor, pooling: Pooling) -> Tensor:
    """Sum or average maps over space.

    Args:
        maps: (N, C, *S).
        pooling: sum or mean.

    Returns:
        (N, C).

    Example:
        >>> import torch
        >>> pooled(torch.ones(1, 2, 4, 4), "sum").tolist()
        [[16.0, 16.0]]
    """
    flat = maps.flatten(2)
    return flat.sum(2) if pooling == "sum" else flat.mean(2)
