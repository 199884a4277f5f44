"""The networks of PGGAN, which grow during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.growing import Growing, Point, Size, double, fade, level_sizes
from ganzoo_zoo.architectures.layers.batch_statistics import MinibatchStddev
from ganzoo_zoo.architectures.layers.conditioning import ClassProjection, LabelledSequential, concat_labels
from ganzoo_zoo.architectures.layers.heads import HeadedDiscriminator, Heads
from ganzoo_zoo.architectures.layers.initial_weights import equalise
from ganzoo_zoo.architectures.layers.norms import NormName, PixelNorm, has_shift, norm
from ganzoo_zoo.architectures.layers.resampling import DownConv, UpConv
from ganzoo_zoo.architectures.options import Auxiliary, Embedding


class PGGAN(Growing, Auxiliary, Embedding):
    """Progressively growing networks (PGGAN): the first samples are 4x4, and both networks double the side in phases.

    Formula:
        G: norm of the noise, transposed convolution to 4x4, convolution, then by doubling: nearest x2 and two
           convolutions. Each convolution is followed by LeakyReLU(0.2) and the pixel norm. A 1x1 convolution makes the
           image of each level
        D: the mirror: a 1x1 convolution reads the image of a level, then two convolutions and the mean of 2x2 pixels by
           halving, at 4x4 the standard deviation over the batch, a convolution and two linear layers

    Args:
        channel_base: channels times side of the maps. A level of side s has min(2 channel_base / s, channel_max)
            channels.
        channel_max: the largest number of channels.
        norm: norm in the generator: none, batch, instance, layer or pixel.
        equalised: store all weights with variance 1 and rescale the weights at each use (equalised learning rate).
        minibatch_stddev: append to D's last maps how much the samples of a group of four differ.
        conditional: how both networks use the label. concat: one-hot, beside the noise in G and as constant planes
            beside the image in D. projection: a scale and a shift per class in each norm of G, an inner product of
            features and class in D. heads: G as with projection, a last layer per class in D. auto: projection where
            the data has labels, else none. With norm none or pixel, which have no scale, G concatenates the label.
        embedding: make D an encoder to a vector of this length, or of the length of the noise (latent), whose average
            is the logit. 0 for a logit alone.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.
        start: smaller side of the samples in the first phase. The smaller side of the data means no growth.
        phase_images: real images a phase, 600000 in the paper. 0 takes phases of equal length, by ``grown_at``.
        grown_at: share of the run after which the networks are whole, where ``phase_images`` is 0.
        fresh_optimizers: whether the optimizers begin anew with each phase, as in the authors' code.

    Raises:
        Incompatible: samples that are no images or whose sides cannot be halved to 4 to 16, a ``start`` beyond the
            size of the samples, conditional networks for data without labels, or data with a condition.

    Notes:
        A level of side s has s = 4 2^i for square images. For other images s is 4 2^i too, where i counts the
        doublings. The published networks for 1024x1024 have 23.1 million parameters each.
        Penalties and augmentations see samples of the size of the phase. The authors' code upsamples all samples to
        full size before the discriminator, so that the slope in the gradient penalty is smaller there by the factor
        between the sides. The authors' code changes the batch size and, at 1024x1024, the learning rate with the
        level. Here both stay.
        The paper trains the standard deviation over the batch together with a gradient penalty, which takes the
        gradient of the summed scores. A warning says so.

    Source: T. Karras, T. Aila, S. Laine, J. Lehtinen, Progressive growing of GANs for improved quality, stability, and
        variation, 2018, arXiv 1710.10196, sections 2 to 4 and table 2. The classes of auxiliary nets and the fading of
        real samples are of the authors' code, github.com/tkarras/progressive_growing_of_gans.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "pggan:channel_max=8")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=5)
        >>> nets = part.build(spec)
        >>> batch = ganzoo.Batch(latent=torch.randn(2, 5))
        >>> part.generate(nets.generator, batch).shape
        torch.Size([2, 3, 16, 16])
        >>> part.generate(nets.generator, batch.at(part.stage(spec, progress=0.2, images=0))).shape
        torch.Size([2, 3, 8, 8])
    """

    channel_base: Annotated[int, Ge(1)] = 8192
    channel_max: Annotated[int, Ge(1)] = 512
    norm: NormName = "pixel"
    equalised: bool = True
    minibatch_stddev: bool = True

    def widths(self, levels: int) -> list[int]:
        """The channels of the maps of each level.

        Args:
            levels: number of levels.
        """
        return [max(1, min(self.channel_base >> (level + 1), self.channel_max)) for level in range(levels)]

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the embedding, of the maps after each level of the whole D, and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        sizes = level_sizes("pggan", spec.shape)
        widths = self.widths(len(sizes))
        maps: list[tuple[int, ...]] = [(widths[i], *sizes[i]) for i in reversed(range(len(sizes) - 1))]
        return {**super().outputs(spec), **self.auxiliary_outputs(spec, maps)}

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("pggan", spec)
        sizes = level_sizes("pggan", spec.shape)
        net = Generator(
            spec.latent_dim,
            self.widths(len(sizes)),
            sizes,
            spec.shape[0],
            first=self.first_level(sizes),
            classes=classes,
            by_norm=classes if self.conditional not in ("none", "concat") and has_shift(self.norm) else 0,
            norm_=self.norm,
        )
        initialise_by_gain(net, net.gain, equalised=self.equalised)
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.check_condition("pggan", spec)
        sizes = level_sizes("pggan", spec.shape)
        net = Discriminator(
            spec.shape[0],
            self.widths(len(sizes)),
            sizes,
            self.heads(spec, self.embedding_size(spec)),
            first=self.first_level(sizes),
            stddev=self.minibatch_stddev,
        )
        initialise_by_gain(net, net.gain, equalised=self.equalised)
        return net

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """Make images of the size of the batch's stage.

        Args:
            generator: the network.
            batch: noise and labels.

        Returns:
            (N, C, h, w).
        """
        assert isinstance(generator, Generator)
        images: Tensor = generator(batch.latent, batch.labels, self.point(generator.sizes, batch.stage))
        return images

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge images of the size of the batch's stage.

        Args:
            discriminator: the network.
            images: (N, C, h, w).
            batch: labels that belong to the images.

        Returns:
            (N,) logits, or a mapping with ``logits``.
        """
        assert isinstance(discriminator, Discriminator)
        labels = None if self.auxiliary else batch.labels
        return discriminator(images, labels, self.point(discriminator.sizes, batch.stage))


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, h, w).

    Args:
        latent: length of the noise.
        widths: channels of the maps of each level.
        sizes: height and width of the maps of each level.
        channels: of the images.
        first: the first level that makes images.
        classes: number of classes, 0 without labels.
        by_norm: number of classes that enter through norms, 0 where labels are concatenated to the noise.
        norm_: norm after each activation.
    """

    def __init__(
        self,
        latent: int,
        widths: Sequence[int],
        sizes: Sequence[Size],
        channels: int,
        *,
        first: int,
        classes: int,
        by_norm: int,
        norm_: NormName,
    ) -> None:
        super().__init__()
        self.sizes, self.first, self.concatenated = [*sizes], first, classes - by_norm

        def normed(layer: nn.Module, outputs: int) -> list[nn.Module]:
            return [layer, nn.LeakyReLU(0.2), norm(norm_, outputs, by_norm)]

        self.normalise = PixelNorm() if norm_ == "pixel" else nn.Identity()
        # On 1x1 maps a transposed convolution is a linear layer with one bias a channel.
        start = nn.ConvTranspose2d(latent + self.concatenated, widths[0], sizes[0])
        levels = [LabelledSequential(*normed(start, widths[0]), *normed(conv3(widths[0], widths[0]), widths[0]))]
        for inputs, outputs in pairwise(widths):
            levels.append(
                LabelledSequential(*normed(UpConv(inputs, outputs), outputs), *normed(conv3(outputs, outputs), outputs))
            )
        self.levels = nn.ModuleList(levels)
        self.to_image = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths[first:])

    def gain(self, layer: nn.Module) -> float:
        """The gain of a layer under an equalised learning rate: sqrt(2) before an activation, else 1.

        Args:
            layer: a convolution of the network.
        """
        return 1.0 if layer in list(self.to_image) else math.sqrt(2.0)

    def forward(self, latent: Tensor, labels: Tensor | None = None, point: Point | None = None) -> Tensor:
        """Make images.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.
            point: the layers that are in use. None uses the whole network.

        Returns:
            (N, C, h, w), in [-1, 1] where training went well: the last layer is linear.
        """
        level, blend = point or Point(len(self.levels) - 1)
        x = self.normalise(concat_labels(latent, labels, self.concatenated))[:, :, None, None]
        before = x
        for layers in self.levels[: level + 1]:
            before, x = x, layers(x, labels)
        number = level - self.first
        images: Tensor = self.to_image[number](x)
        return images if blend is None else fade(double(self.to_image[number - 1](before)), images, blend)


class Discriminator(HeadedDiscriminator):
    """The discriminator: (N, C, h, w) -> (N,) logits, or a mapping with logits.

    Args:
        channels: of the images.
        widths: channels of the maps of each level.
        sizes: height and width of the maps of each level.
        heads: inputs and outputs of the discriminator.
        first: the first level that reads images.
        stddev: whether the standard deviation over groups of samples is appended to the last maps.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], sizes: Sequence[Size], heads: Heads, *, first: int, stddev: bool
    ) -> None:
        super().__init__(heads)
        self.sizes, self.first = [*sizes], first
        height, width = sizes[0]
        self.from_image = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels + heads.concatenated, outputs, 1), nn.LeakyReLU(0.2))
            for outputs in widths[first:]
        )
        self.levels = nn.ModuleList(
            nn.Sequential(conv3(inputs, inputs), nn.LeakyReLU(0.2), DownConv(inputs, outputs), nn.LeakyReLU(0.2))
            for outputs, inputs in pairwise(widths)
        )
        self.end = nn.Sequential(
            MinibatchStddev() if stddev else nn.Identity(),
            conv3(widths[0] + stddev, widths[0]),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(widths[0] * height * width, widths[0]),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Linear(widths[0], heads.size)
        self.class_head = nn.Linear(widths[0], heads.class_logits) if heads.class_logits else None
        self.projection = ClassProjection(heads.projected, widths[0]) if heads.projected else None

    def gain(self, layer: nn.Module) -> float:
        """The gain of a layer under an equalised learning rate: sqrt(2) before an activation, else 1.

        Args:
            layer: a convolution or a linear layer of the network.
        """
        return 1.0 if layer in (self.head, self.class_head, self.projection) else math.sqrt(2.0)

    def forward(self, images: Tensor, labels: Tensor | None = None, point: Point | None = None) -> Any:
        """Judge images.

        Args:
            images: (N, C, h, w).
            labels: (N,) class numbers, or None.
            point: the layers that are in use. None uses the whole network.

        Returns:
            (N,) logits, or a mapping with ``logits`` and what ``heads`` asks for beside them.
        """
        level, blend = point or Point(len(self.levels))
        given = concat_labels(images, labels, self.heads.concatenated)
        x, features = self.from_image[level - self.first](given), []
        for number in reversed(range(level)):
            x = self.levels[number](x)
            if blend is not None and number == level - 1:
                x = fade(self.from_image[number - self.first](nn.functional.avg_pool2d(given, 2)), x, blend)
            features.append(x)
        return self.judged(x, features or [x], labels)  # in the first phase the maps are the smallest from the start

    def summary(self, maps: Tensor) -> Tensor:
        """The features before the last layer.

        Args:
            maps: (N, C, H, W), the smallest maps.

        Returns:
            (N, C).
        """
        features: Tensor = self.end(maps)
        return features

    def last(self, summary: Tensor) -> Tensor:
        """The logit or the embedding.

        Args:
            summary: (N, C).

        Returns:
            (N, ``heads.size``).
        """
        last: Tensor = self.head(summary)
        return last


def conv3(inputs: int, outputs: int) -> nn.Module:
    """A 3x3 convolution that keeps the side.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
    """
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def initialise_by_gain(net: nn.Module, gain: Callable[[nn.Module], float], *, equalised: bool) -> None:
    """Draw weights so that layers use weights from N(0, gain^2 / fan_in), and set biases to zero.

    Args:
        net: the network, changed in place.
        gain: the gain of a layer: sqrt(2) before an activation, else 1.
        equalised: whether the weights are stored with variance 1 and rescaled at each use.
    """
    equalise(net, gain)
    if not equalised:
        for layer in list(net.modules()):
            if nn.utils.parametrize.is_parametrized(layer, "weight"):
                nn.utils.parametrize.remove_parametrizations(layer, "weight")
