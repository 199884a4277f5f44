"""The residual nets of WGAN-GP and SNGAN, from 8x8 to 256x256."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers import (
    Auxiliary,
    DownConv,
    NormName,
    UpsampleName,
    doublings,
    initialise,
    judgement,
    norm,
    upsampling,
    with_labels,
)

Pooling = Literal["sum", "mean"]


class ResNet(Auxiliary):
    """Residual networks (ResNet of SNGAN and WGAN-GP): square images of any number of channels, from 8x8 to 256x256.

    Formula:
        up-block:   h = x2(conv1(x)) + conv3(ReLU(norm(upconv3(ReLU(norm(x))))))
        down-block: h = conv1(pool(x)) + pool(conv3(ReLU(norm(conv3(ReLU(norm(x)))))))
        G: linear -> 4x4, up-blocks to the side, norm, ReLU, conv3, tanh
        D: down-blocks to 8x8 (4x4 for 8x8 images), two blocks that keep the size, ReLU, pooling over space, linear

    Args:
        width: channels of D; G has twice as many. Maps larger than 32x32 have fewer, in inverse proportion to their
            side, so that every block costs about the same.
        norm: norm in the generator: none, batch, instance, layer, pixel.
        d_norm: norm in the discriminator's blocks but the first. none, instance, layer and pixel treat each sample by
            itself, so that penalties on each sample's gradient mean something; batch does not.
        pooling: how D takes its last maps together: sum (SNGAN) or mean (WGAN-GP).
        upsample: nearest (nearest x2, then a 3x3 convolution), transposed (4x4 of stride 2), or pixel-shuffle (a 3x3
            convolution to four times the channels, begun by ICNR without checkerboard). The shortcut is always nearest.
        conditional: give both nets the label, one-hot: beside the noise in G, as constant planes beside the image in D.
        auxiliary: have D tell its features and, on labelled data, the class, which only G is then given.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples that are not square images with a side of 8, 16, 32, 64, 128 or 256; conditional nets,
            and data without labels; data with a condition.

    Notes:
        At 32x32 and width 128 these are the CIFAR nets of SNGAN: G with 4x4x256 and three up-blocks, D with four blocks
        of 128 of which the first two halve.
        The first block of D has neither norm nor ReLU before its first convolution: a ReLU there would hide all
        negative pixels. Weights are Glorot uniform, with gain sqrt(2) in the residual branches and 1 elsewhere. Pooling
        and x2 of a shortcut are done where the map is small, which changes nothing but the cost.

    Source: T. Miyato et al., Spectral normalization for GANs, 2018, arXiv 1802.05957, appendix B.4, table 4;
        I. Gulrajani et al., Improved training of Wasserstein GANs, 2017, arXiv 1704.00028, appendix F.
    """

    width: Annotated[int, Ge(1)] = 128
    norm: NormName = "batch"
    d_norm: NormName = "none"
    pooling: Pooling = "sum"
    upsample: UpsampleName = "nearest"

    def build(self, spec: ganzoo.Spec) -> ganzoo.Networks:
        """Make the two players."""
        classes = self.checked("resnet", spec)
        n = doublings("resnet", spec.shape)
        channels = spec.shape[0]
        up = [_narrowed(2 * self.width, 4 * 2**i) for i in range(n + 1)]
        halvings, down = self._down(n)
        return ganzoo.Networks(
            Generator(spec.latent_dim, up, channels, classes=classes, norm_=self.norm, upsample=self.upsample),
            Discriminator(
                channels,
                down,
                halvings,
                classes=0 if self.auxiliary else classes,
                norm_=self.d_norm,
                pooling=self.pooling,
                told=classes if self.auxiliary else None,
                joint=self.joint,
            ),
        )

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The maps after each block and the class logits, where they are asked for."""
        halvings, down = self._down(doublings("resnet", spec.shape))
        sides = [spec.shape[-1] >> min(i + 1, halvings) for i in range(len(down))]
        return self.told(spec, [(width, side, side) for width, side in zip(down, sides, strict=True)])

    def _down(self, n: int) -> tuple[int, list[int]]:
        """How many blocks of D halve the side, and the channels of all."""
        halvings = max(1, n - 1)
        return halvings, [_narrowed(self.width, 2 ** (n + 1 - i)) for i in range(halvings)] + 2 * [self.width]


def _narrowed(width: int, side: int) -> int:
    return max(1, width * 32 // max(32, side))


class UpBlock(nn.Module):
    """A residual block that doubles the side of its maps."""

    def __init__(self, inputs: int, outputs: int, norm_: NormName, upsample: UpsampleName) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            norm(norm_, inputs),
            nn.ReLU(),
            upsampling(upsample, inputs, outputs, bias=True),
            norm(norm_, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2.0, mode="nearest"))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        h: Tensor = self.branch(x) + self.shortcut(x)
        return h


class DownBlock(nn.Module):
    """A residual block that halves the side of its maps, or keeps it; the first of a net is not pre-activated."""

    def __init__(self, inputs: int, outputs: int, norm_: NormName, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        before = [] if first else [norm(norm_, inputs), nn.ReLU()]
        hidden = outputs if first else inputs
        self.branch = nn.Sequential(
            *before,
            nn.Conv2d(inputs, hidden, 3, padding=1),
            norm("none" if first else norm_, hidden),
            nn.ReLU(),
            DownConv(hidden, outputs) if halve else nn.Conv2d(hidden, outputs, 3, padding=1),
        )
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if halve else []
        if halve or inputs != outputs:
            shortcut.append(nn.Conv2d(inputs, outputs, 1))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/2, W/2), or (N, C', H, W)."""
        h: Tensor = self.branch(x) + self.shortcut(x)
        return h


class Generator(nn.Module):
    """(N, latent_dim) -> (N, C, H, W); ``widths`` are the channels at 4x4, 8x8, ... up to the side."""

    def __init__(
        self, latent: int, widths: list[int], channels: int, *, classes: int, norm_: NormName, upsample: UpsampleName
    ) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(latent + classes, widths[0] * 16),
            nn.Unflatten(1, (widths[0], 4, 4)),
            *(UpBlock(i, o, norm_, upsample) for i, o in pairwise(widths)),
            norm(norm_, widths[-1]),
            nn.ReLU(),
            nn.Conv2d(widths[-1], channels, 3, padding=1),
            nn.Tanh(),
        )
        initialise_resnet(self)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images from noise (and labels)."""
        images: Tensor = self.layers(with_labels(latent, labels, self.classes))
        return images


class Discriminator(nn.Module):
    """(N, C, H, W) -> (N,) logits; the first ``halvings`` blocks halve the side."""

    def __init__(
        self,
        channels: int,
        widths: list[int],
        halvings: int,
        *,
        classes: int,
        norm_: NormName,
        pooling: Pooling,
        told: int | None = None,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.pooling, self.joint = classes, pooling, joint
        self.tells = told is not None
        self.layers = nn.Sequential(
            *(
                DownBlock(c, w, norm_, halve=i < halvings, first=i == 0)
                for i, (c, w) in enumerate(pairwise([channels + classes, *widths]))
            ),
            nn.ReLU(),
        )
        self.head = nn.Linear(widths[-1], told if joint and told else 1)
        self.class_head = nn.Linear(widths[-1], told) if told and not joint else None
        initialise_resnet(self)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, width): what the last layer judges."""
        return pooled(self._maps(images, labels)[-1], self.pooling)

    def _maps(self, images: Tensor, labels: Tensor | None) -> list[Tensor]:
        """After each layer."""
        maps = [with_labels(images, labels, self.classes)]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Any]:
        """Logits of images (and labels), and what else it is to tell."""
        *blocks, last = self._maps(images, labels)
        features = pooled(last, self.pooling)
        judged = judgement(self.head(features), 0, joint=self.joint)
        if not self.tells:
            return judged
        told: dict[str, Any] = dict(judged) if isinstance(judged, dict) else {"logits": judged}
        if self.class_head is not None:
            told["class_logits"] = self.class_head(features)
        return {**told, "features": blocks}


def pooled(maps: Tensor, pooling: Pooling) -> Tensor:
    """(N, C, H, W) -> (N, C), summed or averaged over space."""
    return maps.sum((2, 3)) if pooling == "sum" else maps.mean((2, 3))


def initialise_resnet(net: nn.Module) -> None:
    """Glorot uniform, with gain sqrt(2) for the convolutions of residual branches."""
    initialise(net, nn.init.xavier_uniform_)
    for block in net.modules():
        if isinstance(block, UpBlock | DownBlock):
            initialise(block.branch, partial(nn.init.xavier_uniform_, gain=math.sqrt(2.0)))
