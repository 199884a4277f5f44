"""The convolutional networks of DCGAN, for images, sequences and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.batch_statistics import MinibatchDiscrimination, MinibatchStddev
from ganzoo_zoo.architectures.layers.conditioning import (
    ClassProjection,
    ConditionalName,
    LabelledSequential,
    concat_labels,
)
from ganzoo_zoo.architectures.layers.dimensions import CONV
from ganzoo_zoo.architectures.layers.heads import HeadedDiscriminator, Heads
from ganzoo_zoo.architectures.layers.initial_weights import equalise, initialise
from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm
from ganzoo_zoo.architectures.layers.resampling import DownsampleName, UpsampleName, downsampling, upsampling
from ganzoo_zoo.architectures.options import (
    DIMENSIONS,
    Attention,
    Headed,
    Ladder,
    check_attention,
    ladder,
)


class DCGAN(Headed):
    """Deep convolutional networks (DCGAN): images, sequences or volumes of any number of channels.

    Formula:
        G: linear -> base, such as 4x4, then x2 by x2: norm, ReLU, convolution; channels halve to ``width``; the last
           gives tanh
        D: convolutions of stride 2, norm, LeakyReLU(0.2), to the base; channels double from ``width``; the last layer
           gives a logit

    Args:
        width: channels of the maps nearest to the image (the paper's ngf and ndf), an eighth of the widest maps.
        norm: norm in the generator: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the discriminator. none, instance, layer and pixel treat each sample separately, as penalties on
            the gradient of each sample require. batch and switchable do not.
        upsample: nearest (nearest x2, then a 3x3 convolution), transposed (4x4 of stride 2), pixel-shuffle (a 3x3
            convolution to four times the channels, started by ICNR without checkerboard) or binomial (x2 with the
            filter [1, 3, 3, 1], then a 3x3 convolution).
        downsample: strided (4x4 of stride 2, as in the paper), pool (a 3x3 convolution, then 2x2 average pooling) or
            binomial (a 3x3 convolution, then the filter [1, 3, 3, 1]).
        conditional: how both networks use the label. concat: one-hot, beside the noise in G and as constant planes
            beside the image in D. projection: a scale and a shift per class in each norm of G, an inner product of
            features and class in D. heads: G as with projection, a last layer per class in D. auto: projection
            where the data has labels, else none. With norm none or pixel, which have no scale, G concatenates the
            label.
        attention: shorter sides of the maps after which both networks have self-attention, none for no attention.
        equalised: store all weights with variance 1 and rescale them at each use (equalised learning rate).
        minibatch_stddev: append to D's last maps how much the samples of a group of four differ.
        minibatch_discrimination: number of learned kernels by which D compares a sample with the rest of its batch.
        embedding: make D an encoder to a vector of this length, or of the length of the noise (latent), whose average
            is the logit. 0 for a logit alone.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples whose sides are no base from 2 to 7 times a power of two, conditional networks for data
            without labels, data with a condition, or attention at maps that are not there.

    Notes:
        Samples are sequences (C, L), images (C, H, W) or volumes (C, D, H, W). Each side is a base times the same power
        of two, and the shorter side has a base of 2 to 7: 64x64 images begin at 4x4, 48x48 at 3x3, 64x96 at 4x6. With n
        doublings, the maps at the base have ``width * min(8, 2^(n-1))`` channels. The output of G and the first and
        last convolution of D have no norm.
        The nets that are commonly called DCGAN, of its authors' Torch code and of PyTorch's example, are
        ``dcgan:d_norm=batch,upsample=transposed``. The authors' first code has 5x5 kernels, uniform noise and a weight
        decay. Networks whose norm has a shift of its own (batch, instance, layer) have no biases, as in PyTorch's
        example, and the head for the logit has none either. The head for classes has a bias, as in the codes of ACGAN.
        Weights start at N(0, 0.02^2), the scales of batch norm at N(1, 0.02^2). minibatch_stddev groups a batch that
        four does not divide by three, two or one. minibatch_stddev and minibatch_discrimination make the logit of a
        sample depend on the other samples.

    Source: A. Radford, L. Metz, S. Chintala, Unsupervised representation learning with deep convolutional GANs, 2015,
        arXiv 1511.06434, section 3. Minibatch stddev and equalised learning rate: T. Karras et al., 2018, arXiv
        1710.10196, sections 3 and 4.1. Minibatch discrimination: T. Salimans et al., 2016, arXiv 1606.03498.
        Projection: T. Miyato, M. Koyama, 2018, arXiv 1802.05637. Attention: H. Zhang et al., 2018, arXiv 1805.08318.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "dcgan:width=4").build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
        >>> images = nets.generator(torch.randn(2, 5))
        >>> images.shape, nets.discriminator(images).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2]))
    """

    width: Annotated[int, Ge(1)] = 64
    norm: NormName = "batch"
    d_norm: NormName = "none"
    upsample: UpsampleName = "nearest"
    downsample: DownsampleName = "strided"
    attention: Attention | None = None
    equalised: bool = False
    minibatch_stddev: bool = False
    minibatch_discrimination: Annotated[int, Ge(0)] = 0

    def outputs(self, spec: ganzoo.Spec) -> dict[str, Sequence[tuple[int, ...]]]:
        """The shapes of the embedding, of the maps after each activation and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        sizes = ladder("dcgan", spec.shape, DIMENSIONS).sizes[-2::-1]
        maps = [(width, *size) for width, size in zip(self._widths(spec), sizes, strict=True)]
        return {**super().outputs(spec), **self.auxiliary_outputs(spec, maps)}

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("dcgan", spec)
        net = Generator(
            spec.latent_dim,
            self._widths(spec)[::-1],
            spec.shape[0],
            ladder("dcgan", spec.shape, DIMENSIONS),
            classes=classes,
            conditional=self.conditional,
            norm_=self.norm,
            upsample=self.upsample,
            attention=self._attention(spec),
        )
        if self.equalised:
            equalise(net, net.gain)
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.check_condition("dcgan", spec)
        net = Discriminator(
            spec.shape[0],
            self._widths(spec),
            ladder("dcgan", spec.shape, DIMENSIONS),
            self.heads(spec, self.embedding_size(spec)),
            norm_=self.d_norm,
            downsample=self.downsample,
            attention=self._attention(spec),
            stddev=self.minibatch_stddev,
            kernels=self.minibatch_discrimination,
        )
        if self.equalised:
            equalise(net, net.gain)
        return net

    def _widths(self, spec: ganzoo.Spec) -> list[int]:
        """The channels of the maps from half the sides of the samples down to the base."""
        return [self.width * min(8, 2**i) for i in range(ladder("dcgan", spec.shape, DIMENSIONS).doublings)]

    def _attention(self, spec: ganzoo.Spec) -> frozenset[int]:
        """The shorter sides of the maps after which self-attention follows."""
        sizes = ladder("dcgan", spec.shape, DIMENSIONS).sizes
        return check_attention("dcgan", self.attention, [min(size) for size in sizes[:-1]])


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, *S), with the sides S of a sequence, an image or a volume.

    Args:
        latent: length of the noise.
        widths: channels of the maps from the base up to half the sides of the samples.
        channels: of the samples.
        steps: the sizes of the maps.
        classes: number of classes, 0 without labels.
        conditional: how the labels enter.
        norm_: norm before each ReLU.
        upsample: how the sides are doubled.
        attention: shorter sides of the maps after whose ReLU self-attention follows.
    """

    def __init__(
        self,
        latent: int,
        widths: list[int],
        channels: int,
        steps: Ladder,
        *,
        classes: int,
        conditional: ConditionalName,
        norm_: NormName,
        upsample: UpsampleName,
        attention: frozenset[int],
    ) -> None:
        super().__init__()
        by_norm = classes if conditional not in ("none", "concat") and has_shift(norm_) else 0
        self.concatenated = classes - by_norm
        bias = not has_shift(norm_)
        layers: list[nn.Module] = [
            nn.Linear(latent + self.concatenated, widths[0] * math.prod(steps.base), bias=bias),
            nn.Unflatten(1, (widths[0], *steps.base)),
        ]
        for size, (inputs, outputs) in zip(steps.sizes, pairwise([*widths, channels]), strict=False):
            layers += [norm(norm_, inputs, by_norm, steps.dims), nn.ReLU()]
            if min(size) in attention:
                layers.append(SelfAttention(inputs, steps.dims))
            layers.append(upsampling(upsample, inputs, outputs, bias=bias, dims=steps.dims))
        self.layers = LabelledSequential(*layers, nn.Tanh())
        initialise_dcgan(self)

    def gain(self, layer: nn.Module) -> float:
        """The gain of a layer under an equalised learning rate: sqrt(2) before a ReLU, else 1.

        Args:
            layer: a convolution or a linear layer of the network.
        """
        inside_attention = any(layer in list(m.modules()) for m in self.layers if isinstance(m, SelfAttention))
        return 1.0 if layer is self.layers[-2] or inside_attention else math.sqrt(2.0)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make samples.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.

        Returns:
            (N, C, *S) in [-1, 1].
        """
        images: Tensor = self.layers(concat_labels(latent, labels, self.concatenated), labels)
        return images


class Discriminator(HeadedDiscriminator):
    """The discriminator: (N, C, *S) -> (N,) logits, or a mapping with logits.

    Args:
        channels: of the samples.
        widths: channels of the maps from half the sides of the samples down to the base.
        steps: the sizes of the maps.
        heads: inputs and outputs of the discriminator.
        norm_: norm after each convolution but the first.
        downsample: how the sides are halved.
        attention: shorter sides of the maps after whose activation self-attention follows.
        stddev: whether the standard deviation over groups of samples is appended to the last maps.
        kernels: number of kernels of minibatch discrimination, 0 for none.
    """

    features_after = nn.LeakyReLU

    def __init__(
        self,
        channels: int,
        widths: list[int],
        steps: Ladder,
        heads: Heads,
        *,
        norm_: NormName,
        downsample: DownsampleName,
        attention: frozenset[int],
        stddev: bool,
        kernels: int,
    ) -> None:
        super().__init__(heads)
        bias = not has_shift(norm_)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise([channels + heads.concatenated, *widths])):
            layers.append(downsampling(downsample, inputs, outputs, bias=bias, dims=steps.dims))
            layers += [norm(norm_ if i else "none", outputs, dims=steps.dims), nn.LeakyReLU(0.2)]
            if min(steps.sizes[-2 - i]) in attention:
                layers.append(SelfAttention(outputs, steps.dims))
        self.layers = nn.Sequential(*layers)
        features = widths[-1] * math.prod(steps.base)
        # The last layer's linear map of [features, stddev, nearness] is the sum of a map of each of the three.
        self.stddev = MinibatchStddev() if stddev else nn.Identity()
        self.head = CONV[steps.dims](widths[-1] + stddev, heads.size, steps.base, bias=bias)
        self.nearness_head = nn.Linear(kernels, heads.size, bias=False) if kernels else None
        self.class_head = nn.Linear(features, heads.class_logits) if heads.class_logits else None
        self.projection = ClassProjection(heads.projected, widths[-1]) if heads.projected else None
        initialise_dcgan(self)
        # Made last: the projections of minibatch discrimination keep their own initial weights.
        self.nearness = MinibatchDiscrimination(features, kernels) if kernels else None

    def gain(self, layer: nn.Module) -> float:
        """The gain of a layer under an equalised learning rate: sqrt(2) before an activation, else 1.

        Args:
            layer: a convolution or a linear layer of the network.
        """
        return math.sqrt(2.0) if layer in list(self.layers) else 1.0

    def last(self, summary: Tensor) -> Tensor:
        """The logit or the embedding, from the last maps and from what the batch shows."""
        last: Tensor = self.head(self.stddev(summary)).flatten(1)
        if self.nearness is not None and self.nearness_head is not None:
            # The samples of a new network nearly coincide, so that each nearness begins close to N - 1. Without this
            # constant the logits would begin there too, and saturate. The authors' code subtracts the first mean.
            last = last + self.nearness_head(self.nearness(summary.flatten(1)) - (len(summary) - 1))
        return last


def initialise_dcgan(net: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) and the scales of batch norm from N(1, 0.02^2).

    Args:
        net: the network, changed in place.
    """
    initialise(net, partial(nn.init.normal_, mean=0.0, std=0.02))
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
