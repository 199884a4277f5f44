"""The residual networks of WGAN-GP and SNGAN, for images, sequences and volumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.conditioning import (
    ConditionalName,
    LabelledLayer,
    LabelledSequential,
    concat_labels,
)
from ganzoo_zoo.architectures.layers.dimensions import CONV
from ganzoo_zoo.architectures.layers.initial_weights import equalise, initialise
from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm
from ganzoo_zoo.architectures.layers.resampling import DownsampleName, UpsampleName, upsampling
from ganzoo_zoo.architectures.options import DIMENSIONS, Attention, Auxiliary, Ladder, check_attention, ladder
from ganzoo_zoo.architectures.residual import DownBlock, Pooling, ResidualDiscriminator


class ResNet(Auxiliary):
    """Residual networks (ResNet of SNGAN and WGAN-GP): images, sequences or volumes of any number of channels.

    Formula:
        up-block:   h = x2(conv1(x)) + conv3(ReLU(norm(upconv3(ReLU(norm(x))))))
        down-block: h = conv1(pool(x)) + pool(conv3(ReLU(norm(conv3(ReLU(norm(x)))))))
        G: linear -> base, such as 4x4, up-blocks to the sides of the sample, norm, ReLU, conv3, tanh
        D: down-blocks to twice the base (to the base after a single doubling), two blocks that keep the size, ReLU,
           pooling over space, linear

    Args:
        width: channels of D. G has twice as many. Maps larger than 32x32 have fewer channels, in inverse proportion to
            their side, so that every block costs about the same.
        norm: norm in the generator: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the discriminator's blocks but the first. none, instance, layer and pixel treat each sample
            separately, as penalties on the gradient of each sample require. batch and switchable do not.
        pooling: how D reduces its last maps to a vector: sum (SNGAN) or mean (WGAN-GP).
        upsample: nearest (nearest x2, then a 3x3 convolution), transposed (4x4 of stride 2), pixel-shuffle (a 3x3
            convolution to four times the channels, started by ICNR without checkerboard) or binomial (x2 with the
            filter [1, 3, 3, 1], then a 3x3 convolution). The shortcut is always nearest.
        downsample: strided (4x4 of stride 2), pool (a 3x3 convolution, then 2x2 average pooling, as in the papers) or
            binomial (a 3x3 convolution, then the filter [1, 3, 3, 1]). The shortcut always averages.
        conditional: how both networks use the label. concat: one-hot, beside the noise in G and as constant planes
            beside the image in D. projection: a scale and a shift per class in each norm of G, an inner product of
            features and class in D. heads: G as with projection, a last layer per class in D. auto: projection
            where the data has labels, else none. With norm none or pixel, which have no scale, G concatenates the
            label.
        attention: shorter sides of the maps after which both networks have self-attention, none for no attention.
        minibatch_stddev: append to D's pooled features how much the samples of a group of four differ.
        equalised: store all weights with variance 1 and rescale them at each use (equalised learning rate).
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples whose sides are no base from 2 to 7 times a power of two, conditional networks for data
            without labels, data with a condition, or attention at maps that are not there.

    Notes:
        Samples are sequences (C, L), images (C, H, W) or volumes (C, D, H, W). Each side is a base times the same power
        of two, and the shorter side has a base of 2 to 7: 32x32 images begin at 4x4, 48x48 at 3x3, 64x96 at 4x6.
        At 32x32 and width 128 the networks are the CIFAR networks of SNGAN: G with 4x4x256 and three up-blocks, D with
        four blocks of 128 channels, of which the first two halve the side. WGAN-GP's CIFAR networks have 128 channels
        in G too, so that G here, which is always twice as wide as D, is not exactly theirs.
        The first block of D has neither norm nor ReLU before its first convolution, since a ReLU there would hide all
        negative pixels. Weights are Glorot uniform, with gain sqrt(2) in the residual branches and 1 elsewhere. The
        shortcuts pool before and upsample after their convolution, which costs less and gives the same result.
        SNGAN's conditional networks are ``conditional=projection``, SAGAN's have ``attention=32`` for 64x64 images.

    Source: T. Miyato et al., Spectral normalization for GANs, 2018, arXiv 1802.05957, appendix B.4, table 4;
        I. Gulrajani et al., Improved training of Wasserstein GANs, 2017, arXiv 1704.00028, appendix F. Projection: T.
        Miyato, M. Koyama, 2018, arXiv 1802.05637. Attention: H. Zhang et al., 2018, arXiv 1805.08318.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "resnet:width=4").build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
        >>> images = nets.generator(torch.randn(2, 5))
        >>> images.shape, nets.discriminator(images).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2]))
    """

    width: Annotated[int, Ge(1)] = 128
    norm: NormName = "batch"
    d_norm: NormName = "none"
    pooling: Pooling = "sum"
    upsample: UpsampleName = "nearest"
    downsample: DownsampleName = "pool"
    attention: Attention | None = None
    minibatch_stddev: bool = False
    equalised: bool = False

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("resnet", spec)
        steps = ladder("resnet", spec.shape, DIMENSIONS)
        net = Generator(
            spec.latent_dim,
            [_narrowed(2 * self.width, 4 * 2**i) for i in range(steps.doublings + 1)],
            spec.shape[0],
            steps,
            classes=classes,
            conditional=self.conditional,
            norm_=self.norm,
            upsample=self.upsample,
            attention=self._attention(spec),
        )
        if self.equalised:
            equalise(net, partial(_gain, net))
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.check_condition("resnet", spec)
        steps = ladder("resnet", spec.shape, DIMENSIONS)
        halvings, down = self._down(steps.doublings)
        net = ResidualDiscriminator(
            spec.shape[0],
            down,
            halvings,
            steps,
            self.heads(spec),
            norm_=self.d_norm,
            downsample=self.downsample,
            attention=self._attention(spec),
            stddev=self.minibatch_stddev,
            pooling=self.pooling,
        )
        initialise_resnet(net)
        if self.equalised:
            equalise(net, partial(_gain, net))
        return net

    def _attention(self, spec: ganzoo.Spec) -> frozenset[int]:
        """The shorter sides of the maps after which self-attention follows."""
        steps = ladder("resnet", spec.shape, DIMENSIONS)
        halvings, _ = self._down(steps.doublings)
        sizes = steps.sizes[1:][-1 - halvings : -1]  # G's first block doubles the base, and D's last halving ends here
        return check_attention("resnet", self.attention, [min(size) for size in sizes])

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the maps after each block and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        steps = ladder("resnet", spec.shape, DIMENSIONS)
        halvings, down = self._down(steps.doublings)
        sizes = [steps.sizes[-1 - min(i + 1, halvings)] for i in range(len(down))]
        return self.auxiliary_outputs(spec, [(width, *size) for width, size in zip(down, sizes, strict=True)])

    def _down(self, n: int) -> tuple[int, list[int]]:
        """How many blocks of D halve the side, and the channels of all blocks."""
        halvings = max(1, n - 1)
        return halvings, [_narrowed(self.width, 2 ** (n + 1 - i)) for i in range(halvings)] + 2 * [self.width]


def _narrowed(width: int, side: int) -> int:
    """The channels of maps of that side: above 32x32 in inverse proportion to the side."""
    return max(1, width * 32 // max(32, side))


class UpBlock(LabelledLayer):
    """A residual block that doubles the side of its maps.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        norm_: norm before each ReLU.
        upsample: how the branch doubles the side.
        classes: number of classes whose scale and shift in the norms are separate, 0 for none.
        dims: dimensions of a map.
    """

    def __init__(
        self, inputs: int, outputs: int, norm_: NormName, upsample: UpsampleName, classes: int = 0, dims: int = 2
    ) -> None:
        super().__init__()
        self.branch = LabelledSequential(
            norm(norm_, inputs, classes, dims),
            nn.ReLU(),
            upsampling(upsample, inputs, outputs, bias=True, dims=dims),
            norm(norm_, outputs, classes, dims),
            nn.ReLU(),
            CONV[dims](outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Sequential(CONV[dims](inputs, outputs, 1), nn.Upsample(scale_factor=2.0, mode="nearest"))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Add the branch to the shortcut.

        Args:
            x: (N, C, H, W).
            labels: (N,) class numbers, or None.

        Returns:
            (N, C', 2H, 2W).
        """
        h: Tensor = self.branch(x, labels) + self.shortcut(x)
        return h


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, *S), with the sides S of a sequence, an image or a volume.

    Args:
        latent: length of the noise.
        widths: channels of the maps from the base up to the sides of the samples.
        channels: of the samples.
        steps: the sizes of the maps.
        classes: number of classes, 0 without labels.
        conditional: how the labels enter.
        norm_: norm before each ReLU.
        upsample: how the sides are doubled.
        attention: shorter sides of the maps after whose block self-attention follows.
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
        blocks: list[nn.Module] = []
        for size, (inputs, outputs) in zip(steps.sizes[1:], pairwise(widths), strict=True):
            blocks.append(UpBlock(inputs, outputs, norm_, upsample, by_norm, steps.dims))
            if min(size) in attention:
                blocks.append(SelfAttention(outputs, steps.dims))
        self.layers = LabelledSequential(
            nn.Linear(latent + self.concatenated, widths[0] * math.prod(steps.base)),
            nn.Unflatten(1, (widths[0], *steps.base)),
            *blocks,
            norm(norm_, widths[-1], dims=steps.dims),  # for all classes alike, as in SNGAN's code
            nn.ReLU(),
            CONV[steps.dims](widths[-1], channels, 3, padding=1),
            nn.Tanh(),
        )
        initialise_resnet(self)

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


def initialise_resnet(net: nn.Module) -> None:
    """Draw Glorot-uniform weights, with gain sqrt(2) for the convolutions of residual branches.

    Args:
        net: the network, changed in place.
    """
    initialise(net, nn.init.xavier_uniform_)
    for block in net.modules():
        if isinstance(block, UpBlock | DownBlock):
            initialise(block.branch, partial(nn.init.xavier_uniform_, gain=math.sqrt(2.0)))


def _gain(net: nn.Module, layer: nn.Module) -> float:
    """The gain of a layer under an equalised learning rate, the same as at the start without."""
    blocks = [m for m in net.modules() if isinstance(m, UpBlock | DownBlock)]
    return math.sqrt(2.0) if any(layer in list(block.branch) for block in blocks) else 1.0
