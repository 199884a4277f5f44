"""The convolutional nets of DCGAN, from 8x8 to 256x256."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers import (
    Auxiliary,
    Embedding,
    MinibatchDiscrimination,
    MinibatchStddev,
    NormName,
    UpsampleName,
    doublings,
    initialise,
    judgement,
    norm,
    shifts,
    upsampling,
    with_labels,
)


class DCGAN(Auxiliary, Embedding):
    """Deep convolutional networks (DCGAN): square images of any number of channels, from 8x8 to 256x256.

    Formula:
        G: linear -> 4x4, then x2 by x2: convolution, norm, ReLU; channels halve to ``width``; the last gives tanh
        D: convolutions 4x4 of stride 2, norm, LeakyReLU(0.2), to 4x4; channels double from ``width``; the last gives
           one logit

    Args:
        width: channels of the maps nearest to the image (the paper's ngf and ndf), an eighth of the widest.
        norm: norm in the generator: none, batch, instance, layer, pixel.
        d_norm: norm in the discriminator. none, instance, layer and pixel treat each sample by itself, so that
            penalties on each sample's gradient mean something; batch does not.
        upsample: nearest (nearest x2, then a 3x3 convolution), transposed (4x4 of stride 2, as in the paper), or
            pixel-shuffle (a 3x3 convolution to four times the channels, begun by ICNR without checkerboard).
        conditional: give both nets the label, one-hot: beside the noise in G, as constant planes beside the image in D.
        minibatch_stddev: show D how much the samples of a group of four differ, one more map before its last layer.
        minibatch_discrimination: number of learned kernels by which D compares a sample with the rest of its batch.
        embedding: make D an encoder to so many numbers, or to as many as the noise has (latent), whose average is the
            logit; 0 for a logit alone.
        auxiliary: have D tell its features and, on labelled data, the class, which only G is then given.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples that are not square images with a side of 8, 16, 32, 64, 128 or 256; conditional nets,
            and data without labels; data with a condition.

    Notes:
        For a side of 2^(n+2), the maps at 4x4 have ``width * min(8, 2^(n-1))`` channels. The output of G and the first
        and last convolution of D have no norm.
        The paper's own nets are ``dcgan:d_norm=batch,upsample=transposed``. A net whose norm has a shift of its own
        (batch, instance, layer) has no biases, as there. Weights start at N(0, 0.02^2), batch norm's scales at
        N(1, 0.02^2). minibatch_stddev groups a batch that four does not divide by three, two or one; it and
        minibatch_discrimination make a sample's logit depend on the others of its batch.

    Source: A. Radford, L. Metz, S. Chintala, Unsupervised representation learning with deep convolutional GANs, 2015,
        arXiv 1511.06434, section 3. Upsampling: A. Odena et al., Deconvolution and checkerboard artifacts, 2016; W. Shi
        et al., 2016, arXiv 1609.05158; A. Aitken et al., 2017, arXiv 1707.02937. Minibatch stddev: T. Karras et al.,
        2018, arXiv 1710.10196, section 3. Minibatch discrimination: T. Salimans et al., 2016, arXiv 1606.03498.
    """

    width: Annotated[int, Ge(1)] = 64
    norm: NormName = "batch"
    d_norm: NormName = "none"
    upsample: UpsampleName = "nearest"
    minibatch_stddev: bool = False
    minibatch_discrimination: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint and self.embedding:
            raise ValueError("joint=true and embedding each make the logit: give one of them")

    def outputs(self, spec: ganzoo.Spec) -> dict[str, Sequence[tuple[int, ...]]]:
        """The embedding, the maps after each activation, the class logits, where they are asked for."""
        side, n = spec.shape[-1], doublings("dcgan", spec.shape)
        widths = [self.width * min(8, 2**i) for i in range(n)]
        maps: list[tuple[int, ...]] = [(w, side >> (i + 1), side >> (i + 1)) for i, w in enumerate(widths)]
        return {**super().outputs(spec), **self.told(spec, maps)}

    def build(self, spec: ganzoo.Spec) -> ganzoo.Networks:
        """Make the two players."""
        classes = self.checked("dcgan", spec)
        widths = [self.width * min(8, 2**i) for i in range(doublings("dcgan", spec.shape))]
        channels = spec.shape[0]
        return ganzoo.Networks(
            Generator(
                spec.latent_dim, widths[::-1], channels, classes=classes, norm_=self.norm, upsample=self.upsample
            ),
            Discriminator(
                channels,
                widths,
                classes=0 if self.auxiliary else classes,
                norm_=self.d_norm,
                stddev=self.minibatch_stddev,
                kernels=self.minibatch_discrimination,
                embedding=self.embedded(spec),
                told=classes if self.auxiliary else None,
                joint=self.joint,
            ),
        )


class Generator(nn.Module):
    """(N, latent_dim) -> (N, C, H, W); ``widths`` are the channels from 4x4 up to half the side."""

    def __init__(
        self, latent: int, widths: list[int], channels: int, *, classes: int, norm_: NormName, upsample: UpsampleName
    ) -> None:
        super().__init__()
        self.classes = classes
        bias = not shifts(norm_)
        layers: list[nn.Module] = [
            nn.Linear(latent + classes, widths[0] * 16, bias=bias),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for inputs, outputs in pairwise([*widths, channels]):
            layers += [norm(norm_, inputs), nn.ReLU(), upsampling(upsample, inputs, outputs, bias=bias)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        initialise_dcgan(self)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images from noise (and labels)."""
        images: Tensor = self.layers(with_labels(latent, labels, self.classes))
        return images


class Discriminator(nn.Module):
    """(N, C, H, W) -> (N,) logits, with their embedding; ``widths`` are the channels from half the side to 4x4."""

    def __init__(
        self,
        channels: int,
        widths: list[int],
        *,
        classes: int,
        norm_: NormName,
        stddev: bool,
        kernels: int,
        embedding: int,
        told: int | None = None,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.embedding, self.joint = classes, embedding, joint
        self.tells = told is not None
        bias = not shifts(norm_)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([channels + classes, *widths])):
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias))
            layers += [norm(norm_ if i else "none", outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        # The last layer's linear map of [features, stddev, nearness] is the sum of one map of each.
        self.stddev = MinibatchStddev() if stddev else nn.Identity()
        size = embedding or (told if joint and told else 1)
        self.head = nn.Conv2d(widths[-1] + stddev, size, 4, bias=bias)
        self.nearness_head = nn.Linear(kernels, size, bias=False) if kernels else None
        self.class_head = nn.Linear(widths[-1] * 16, told, bias=bias) if told and not joint else None
        initialise_dcgan(self)
        self.nearness = MinibatchDiscrimination(widths[-1] * 16, kernels) if kernels else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Any]:
        """Logits of images (and labels), and what else it is to tell."""
        features, maps = with_labels(images, labels, self.classes), []
        for layer in self.layers:
            features = layer(features)
            if self.tells and isinstance(layer, nn.LeakyReLU):
                maps.append(features)
        last: Tensor = self.head(self.stddev(features)).flatten(1)
        if self.nearness is not None and self.nearness_head is not None:
            last = last + self.nearness_head(self.nearness(features.flatten(1)))
        judged = judgement(last, self.embedding, joint=self.joint)
        if not self.tells:
            return judged
        told: dict[str, Any] = dict(judged) if isinstance(judged, dict) else {"logits": judged}
        if self.class_head is not None:
            told["class_logits"] = self.class_head(features.flatten(1))
        return {**told, "features": maps}


def initialise_dcgan(net: nn.Module) -> None:
    """Weights at N(0, 0.02^2), batch norm's scales at N(1, 0.02^2)."""
    initialise(net, partial(nn.init.normal_, mean=0.0, std=0.02))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
