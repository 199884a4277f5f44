"""The residual networks of BigGAN, which are those of SAGAN with hierarchical noise and a shared class embedding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.conditioning import (
    ConditionalName,
    applied,
    concat_labels,
    one_hot,
    require_labels,
)
from ganzoo_zoo.architectures.layers.dimensions import CONV
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import LinearConditionalNorm, NormName, norm
from ganzoo_zoo.architectures.layers.resampling import DownsampleName, UpsampleName, upsampling
from ganzoo_zoo.architectures.options import DIMENSIONS, Attention, Auxiliary, Ladder, check_attention, ladder
from ganzoo_zoo.architectures.residual import ResidualDiscriminator

InitialName = Literal["orthogonal", "normal", "glorot"]

INITIAL: Mapping[str, Callable[[Tensor], object]] = {
    "orthogonal": nn.init.orthogonal_,
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),
    "glorot": nn.init.xavier_uniform_,
}
"""The distributions of initial weights by name."""

UP: Mapping[int, tuple[int, ...]] = {
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""Widths of G's maps from the base up to the image in multiples of ``width``, by the number of doublings."""

DOWN: Mapping[int, tuple[int, ...]] = {
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
"""Widths of D's maps after each block in multiples of ``width``, by the number of doublings."""

SMALL = 4
"""All maps of samples with fewer doublings, such as images of 32x32, have four times ``width`` channels."""


class SelfAttentive(Auxiliary):
    """Residual networks with self-attention, as in SAGAN and BigGAN. Base of both architectures.

    Args:
        width: channels of the maps at the size of the samples. Maps of 32x32 images have four times as many.
        norm: norm in the generator: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the discriminator's blocks but the first.
        upsample: nearest, transposed, pixel-shuffle or binomial. The shortcut is always nearest.
        downsample: pool, strided or binomial. The shortcut always averages.
        conditional: how both networks use the label: none, concat, projection, heads or auto.
        attention: shorter sides of the maps after which both networks have self-attention, auto for the paper's choice,
            none for no attention.
        minibatch_stddev: append to D's pooled features how much the samples of a group of four differ.
        initial: distribution of the weights at the start.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: the logit is the logsumexp of the class logits.
    """

    width: Annotated[int, Ge(1)] = 64
    norm: NormName = "batch"
    d_norm: NormName = "none"
    upsample: UpsampleName = "nearest"
    downsample: DownsampleName = "pool"
    conditional: ConditionalName = "projection"
    attention: Literal["auto"] | Attention | None = "auto"
    minibatch_stddev: bool = False
    initial: InitialName = "orthogonal"

    @property
    def noise_slots(self) -> bool:
        """Whether each block of G has a piece of the noise."""
        return False

    @property
    def embedding_length(self) -> int:
        """Length of the class embedding that all norms of G share. 0: each norm has a row per class."""
        return 0

    def usual_attention(self, side: int) -> int:
        """The side of the maps with self-attention in the paper.

        Args:
            side: the shorter side of the samples.
        """
        raise NotImplementedError

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        name, classes = type(self).__name__.lower(), self.check_condition(type(self).__name__.lower(), spec)
        steps = ladder(name, spec.shape, DIMENSIONS)
        if self.noise_slots and spec.latent_dim <= steps.doublings:
            raise Incompatible(
                f"{name} cuts the noise into {steps.doublings + 1} pieces for samples of this size, and the noise has "
                f"{spec.latent_dim} numbers: give --latent-dim {20 * (steps.doublings + 1)}, or hierarchical=false"
            )
        net = Generator(
            spec.latent_dim,
            [m * self.width for m in UP.get(steps.doublings, _many(UP, steps.doublings, steps.doublings + 1))],
            spec.shape[0],
            steps,
            classes=classes,
            conditional=self.conditional,
            norm_=self.norm,
            upsample=self.upsample,
            attention=self._attention(name, spec),
            shared=self.embedding_length,
            hierarchical=self.noise_slots,
        )
        self._initialise(net)
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        name = type(self).__name__.lower()
        self.check_condition(name, spec)
        steps, widths = ladder(name, spec.shape, DIMENSIONS), self._down(name, spec)
        net = ResidualDiscriminator(
            spec.shape[0],
            widths,
            halving_blocks(steps, widths),
            steps,
            self.heads(spec),
            norm_=self.d_norm,
            downsample=self.downsample,
            attention=self._attention(name, spec),
            stddev=self.minibatch_stddev,
            wide=True,
        )
        self._initialise(net)
        return net

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the maps after each block of D and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        name = type(self).__name__.lower()
        steps, widths = ladder(name, spec.shape, DIMENSIONS), self._down(name, spec)
        halvings = halving_blocks(steps, widths)
        sizes = [steps.sizes[-1 - min(i + 1, halvings)] for i in range(len(widths))]
        return self.auxiliary_outputs(spec, [(width, *size) for width, size in zip(widths, sizes, strict=True)])

    def _down(self, name: str, spec: ganzoo.Spec) -> list[int]:
        """The channels after each block of D."""
        n = ladder(name, spec.shape, DIMENSIONS).doublings
        return [m * self.width for m in DOWN.get(n, _many(DOWN, n, max(1, n - 1) + 2))]

    def _attention(self, name: str, spec: ganzoo.Spec) -> frozenset[int]:
        """The shorter sides of the maps after which self-attention follows."""
        steps = ladder(name, spec.shape, DIMENSIONS)
        halvings = halving_blocks(steps, self._down(name, spec))
        sizes = steps.sizes[1:][-1 - halvings : -1]  # G's first block doubles the base, and D's last halving ends here
        sides = [min(size) for size in sizes]
        if self.attention == "auto":
            return frozenset(sides) & {self.usual_attention(min(spec.shape[1:]))}
        return check_attention(name, self.attention, sides)

    def _initialise(self, net: nn.Module) -> None:
        initialise(net, INITIAL[self.initial])
        for rows in [m.shared for m in net.modules() if isinstance(m, Generator) and m.shared is not None]:
            INITIAL[self.initial](rows.data)


class BigGAN(SelfAttentive):
    """BigGAN's networks: wide residual networks with self-attention, hierarchical noise and a shared class embedding.

    Formula:
        z = (z_0, ..., z_B), one piece for the first layer and one for each of B up-blocks;  c_i = (shared[label], z_i)
        norm_i(x) = (1 + W c_i) x^ + V c_i, with x^ normalised over the batch
        up-block:   h = conv1(x2(x)) + conv3(ReLU(norm_i(upconv3(ReLU(norm_i(x))))))
        D(x, y) = w . h(x) + b + e_y . h(x), with h summed over space

    Args:
        width: channels of the maps at the size of the samples (the paper's ch): 96 in the paper. Maps of 32x32 images
            have four times as many, the smallest maps of larger images 16 times as many.
        norm: norm in the generator: none, batch, instance, layer, pixel or switchable.
        d_norm: norm in the discriminator's blocks but the first. none, instance, layer and pixel treat each sample
            separately, as penalties on the gradient of each sample require. batch and switchable do not.
        upsample: nearest (as in the paper), transposed, pixel-shuffle or binomial. The shortcut is always nearest.
        downsample: pool (as in the paper), strided or binomial. The shortcut always averages.
        conditional: how both networks use the label. concat: one-hot, beside the noise in G and as constant planes
            beside the image in D. projection: through the norms of G, an inner product of features and class in D.
            heads: G as with projection, a last layer per class in D. auto: heads where the data has labels, else none.
        attention: shorter sides of the maps after which both networks have self-attention, none for no attention. auto:
            64, as in the paper, where both networks have such maps, which 32x32 images lack.
        minibatch_stddev: append to D's pooled features how much the samples of a group of four differ.
        initial: weights at the start: orthogonal (as in the paper), normal (N(0, 0.02^2)) or glorot (uniform).
        hierarchical: give each block of G its own piece of the noise.
        shared: length of the class embedding that all norms of G share, 0 for a row per class in each norm.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples whose sides are no base from 2 to 7 times a power of two, conditional networks for data
            without labels, data with a condition, attention at maps that are not there, or less noise than pieces.

    Notes:
        Add ``--regularizer sn:players=both``, as in the paper. The shared embedding is a parameter, so that spectral
        normalisation leaves the embedding as is, as in the authors' code. Truncation is an option of sampling:
        ``ganzoo sample --truncation 0.5``. The noise is cut into equal pieces, and the first layer has the rest.
        At 128x128 with width 96, 120 numbers of noise, 1000 classes and attention at 64, G has 70.4 million parameters
        and D has 88.0 million, as in the paper. Biases start at 0, where the authors' code has torch's default.

    Source: A. Brock, J. Donahue, K. Simonyan, Large scale GAN training for high fidelity natural image synthesis, 2019,
        arXiv 1809.11096, section 3 and appendix B; the widths of 32x32 and 64x64 images and the wide blocks of D are
        those of the authors' code, BigGAN-PyTorch.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "biggan:width=2,attention=8").build(
        ...     ganzoo.Spec(shape=(3, 32, 32), latent_dim=20, classes=10))
        >>> labels = torch.tensor([3, 7])
        >>> images = nets.generator(torch.randn(2, 20), labels)
        >>> images.shape, nets.discriminator(images, labels).shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2]))
    """

    hierarchical: bool = True
    shared: Annotated[int, Ge(0)] = 128

    @property
    def noise_slots(self) -> bool:
        """Whether each block of G has a piece of the noise."""
        return self.hierarchical

    @property
    def embedding_length(self) -> int:
        """Length of the class embedding that all norms of G share. 0: each norm has a row per class."""
        return self.shared

    def usual_attention(self, side: int) -> int:
        """The side of the maps with self-attention in the paper: 64.

        Args:
            side: the shorter side of the samples.
        """
        return 64


def _many(table: Mapping[int, tuple[int, ...]], doublings: int, count: int) -> tuple[int, ...]:
    """The widths for samples that the paper's tables lack: small samples, and samples larger than 512x512."""
    if doublings < min(table):
        return (SMALL,) * count
    most, more = table[max(table)], doublings - max(table)
    return (*most, *(1,) * more) if table is UP else (*(1,) * more, *most)


def halving_blocks(steps: Ladder, widths: Sequence[int]) -> int:
    """The number of D's blocks that halve the sides, the first blocks.

    Args:
        steps: the sizes of the maps.
        widths: channels after each block.

    Example:
        >>> halving_blocks(Ladder((4, 4), 5), [1, 2, 4, 8, 16, 16])
        5
    """
    return min(steps.doublings, len(widths) - 1) if steps.doublings >= min(DOWN) else len(widths) - 2


class UpBlock(nn.Module):
    """A residual block that doubles the sides of its maps, with norms that depend on a condition.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        norms: makes a norm for a number of channels.
        upsample: how the branch doubles the sides.
        dims: dimensions of a map.
    """

    def __init__(
        self, inputs: int, outputs: int, norms: Callable[[int], nn.Module], upsample: UpsampleName, dims: int
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = norms(inputs), norms(outputs)
        self.conv1 = upsampling(upsample, inputs, outputs, bias=True, dims=dims)
        self.conv2 = CONV[dims](outputs, outputs, 3, padding=1)
        # A 1x1 convolution and nearest upsampling commute: the convolution first costs a quarter.
        self.shortcut = nn.Sequential(CONV[dims](inputs, outputs, 1), nn.Upsample(scale_factor=2.0, mode="nearest"))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Add the branch to the shortcut.

        Args:
            x: (N, C, *S).
            condition: what the norms take: (N, E) vectors, (N,) class numbers, or None.

        Returns:
            (N, C', *2S).
        """
        h = self.conv1(F.relu(applied(self.norm1, x, condition)))
        h = self.conv2(F.relu(applied(self.norm2, h, condition)))
        made: Tensor = h + self.shortcut(x)
        return made


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
        shared: length of the class embedding that the norms share, 0 for a row per class in each norm.
        hierarchical: whether each block has its own piece of the noise.
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
        shared: int,
        hierarchical: bool,
    ) -> None:
        super().__init__()
        self.by_norm = classes if conditional in ("projection", "heads", "auto") else 0
        self.concatenated = classes - self.by_norm
        piece = latent // (steps.doublings + 1) if hierarchical else 0
        self.pieces = [latent - steps.doublings * piece, *[piece] * steps.doublings]
        self.shared = nn.Parameter(torch.empty(classes, shared)) if self.by_norm and shared else None
        self.vectors = hierarchical or self.shared is not None
        length = piece + ((shared if self.shared is not None else self.by_norm) if self.by_norm else 0)

        def norms(width: int) -> nn.Module:
            if self.vectors:
                return LinearConditionalNorm(norm(norm_, width, dims=steps.dims, affine=False), width, length)
            return norm(norm_, width, self.by_norm, steps.dims)

        self.first = nn.Linear(self.pieces[0] + self.concatenated, widths[0] * math.prod(steps.base))
        self.base = (widths[0], *steps.base)
        self.blocks = nn.ModuleList(
            UpBlock(inputs, outputs, norms, upsample, steps.dims) for inputs, outputs in pairwise(widths)
        )
        self.attention = nn.ModuleList(
            SelfAttention(width, steps.dims) if min(size) in attention else nn.Identity()
            for size, width in zip(steps.sizes[1:], widths[1:], strict=True)
        )
        self.last = nn.Sequential(
            norm(norm_, widths[-1], dims=steps.dims),
            nn.ReLU(),
            CONV[steps.dims](widths[-1], channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make samples.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.

        Returns:
            (N, C, *S) in [-1, 1].
        """
        first, *pieces = torch.split(latent, self.pieces, 1)
        h = self.first(concat_labels(first, labels, self.concatenated)).unflatten(1, self.base)
        for block, attend, piece in zip(self.blocks, self.attention, pieces, strict=True):
            h = attend(block(h, self.condition(labels, piece)))
        images: Tensor = self.last(h)
        return images

    def condition(self, labels: Tensor | None, piece: Tensor) -> Tensor | None:
        """What the norms of a block take: a vector, the class numbers, or nothing.

        Args:
            labels: (N,) class numbers, or None.
            piece: (N, P), the block's piece of the noise, P = 0 without hierarchical noise.

        Returns:
            (N, E), (N,) or None.
        """
        if not self.vectors:
            return require_labels(labels) if self.by_norm else None
        if not self.by_norm:
            return piece
        known = require_labels(labels)
        rows = one_hot(known, self.by_norm, piece.dtype) if self.shared is None else F.embedding(known, self.shared)
        return torch.cat([rows, piece], 1)
