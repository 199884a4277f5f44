"""The networks of StyleGAN2 and StyleGAN2-ADA: styles from a mapping network scale the weights of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import SettingsError
from ganzoo_zoo.architectures.layers.batch_statistics import MinibatchStddev
from ganzoo_zoo.architectures.layers.conditioning import concat_labels
from ganzoo_zoo.architectures.layers.heads import Heads, InnerProductDiscriminator
from ganzoo_zoo.architectures.layers.initial_weights import equalised
from ganzoo_zoo.architectures.layers.modulation import MappedProjection, MappingNetwork, ModulatedConv, activated
from ganzoo_zoo.architectures.layers.resampling import BinomialBlur, BinomialDown, BinomialUp
from ganzoo_zoo.architectures.options import Tapered

FormName = Literal["skip", "residual", "plain"]
NoiseName = Literal["random", "constant", "none"]


class StyleGAN2(Tapered):
    """Style-based networks (StyleGAN2, StyleGAN2-ADA): images of any number of channels.

    Formula:
        G: w = mapping(z), a learned 4x4 map, then x2 by x2: modulated 3x3 convolutions, noise, LeakyReLU(0.2)
        D: 1x1 convolution, then by halving two 3x3 convolutions, at 4x4 the deviation over groups of samples

    Args:
        width: channels of the widest maps, those of 4x4. The paper has 512.
        wide_to: side of the largest maps with ``width`` channels. Each doubling beyond halves the channels. The
            paper's config F has 64, the code's smaller nets for 256x256 have 32.
        style: length of the styles w and of the hidden layers of the mapping network, 0 for ``width``.
        mapping: layers of the mapping network of G.
        mapping_rate: factor of the learning rate of the mapping network of G.
        form: how G makes the image. skip: the sum of an image from each side, upsampled (the paper's choice). residual:
            blocks with a shortcut, and an image from the largest maps. plain: the largest maps alone.
        d_form: the same for D. skip: each side reads the downsampled image. residual is the paper's choice.
        noise: the noise that is added to the maps of G. random: fresh in training, and constant in evaluation.
            constant: the same map for all samples. none: no noise.
        mixing: probability with which a batch in training has the styles of other noise from a random layer on.
        mean_decay: share of the tracked mean of w that a batch leaves. Truncation draws w to this mean.
        minibatch_stddev: samples in a group whose deviation is appended to D's last maps, 0 for no such channel.
        conditional: how both networks use the label. The mapping network of G is given the embedded label in every form
            but none. projection: the logit is the inner product of D's last features and the class, mapped by a network
            of its own, as in the authors' code. concat: one-hot planes beside the image. heads: a last layer per class.
            auto: heads where the data has labels, else none.
        embedding: make D an encoder to a vector of this length, or of the length of the noise (latent), whose average
            is the logit. 0 for a logit alone.
        auxiliary: D returns its features and, on labelled data, class logits. Only G is given the label then.
        joint: with auxiliary, K + 1 classes: no head for the logit, which is the logsumexp of the class logits.

    Raises:
        Incompatible: samples that are no images of a size that the networks make, conditional networks for data without
            labels, or data with a condition.
        SettingsError: a truncation psi outside [-1, 1].

    Notes:
        Config F of the paper is ``stylegan2:width=512`` with 512 noise numbers. All weights have an equalised
        learning rate. Convolutions that change the side are filtered with [1, 3, 3, 1]. The output of G has no tanh. A
        truncation psi gives w' = mean + psi (w - mean) in all layers. The authors' code clamps activations at 256 for
        float16, which bfloat16 does without.

    Source: T. Karras et al., Analyzing and improving the image quality of StyleGAN, 2020, arXiv 1912.04958; Training
        generative adversarial networks with limited data, 2020, arXiv 2006.06676; the authors' code,
        github.com/NVlabs/stylegan2-ada-pytorch.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "stylegan2:width=8,mapping=2")
        >>> nets = part.build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
        >>> images = nets.generator(torch.randn(2, 5))
        >>> images.shape, nets.discriminator(images).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2]))
    """

    width: Annotated[int, Ge(2)] = 64
    wide_to: Annotated[int, Ge(4)] = 64
    style: Annotated[int, Ge(0)] = 0
    mapping: Annotated[int, Ge(1)] = 8
    mapping_rate: Annotated[float, Gt(0)] = 0.01
    form: FormName = "skip"
    d_form: FormName = "residual"
    noise: NoiseName = "random"
    mixing: Annotated[float, Ge(0), Le(1)] = 0.9
    mean_decay: Annotated[float, Gt(0), Lt(1)] = 0.995
    minibatch_stddev: Annotated[int, Ge(0)] = 4

    style_space: ClassVar[str] = "w"

    def styles(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """The points of w, (N, L, D), a vector for each of L layers. In training, ``mixing`` mixes the layers.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and the labels of conditional networks.
        """
        styles: Tensor = generator.styles(batch.latent, batch.labels)  # type: ignore[operator]
        return styles

    def synthesize(self, generator: nn.Module, styles: Tensor, batch: ganzoo.Batch) -> Tensor:
        """Images, (N, C, H, W), from points of w.

        Args:
            generator: the generator, or the generator's average.
            styles: (N, D), or (N, L, D) with a vector for each layer.
            batch: not read.
        """
        images: Tensor = generator.synthesize(styles)  # type: ignore[operator]
        return images

    def truncate(self, generator: nn.Module, styles: Tensor, truncation: float) -> Tensor:
        """Points of w nearer to the tracked mean (truncation trick).

        Formula:
            w' = mean + psi (w - mean)

        Args:
            generator: the generator, or the generator's average.
            styles: (N, D) or (N, L, D).
            truncation: psi, from -1 (the opposite of each sample) over 0 (the mean sample) to 1 (no change).

        Raises:
            SettingsError: psi is outside the range.
        """
        if not -1 <= truncation <= 1:
            raise SettingsError(f"truncation psi {truncation:g} is no number from -1 to 1: give a number such as 0.7")
        mean: Tensor = generator.mapping.mean  # type: ignore[assignment]
        return mean + truncation * (styles - mean)

    def outputs(self, spec: ganzoo.Spec) -> dict[str, Sequence[tuple[int, ...]]]:
        """The shapes of the embedding, of the maps after each halving and of the class logits.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Returns:
            Only what the options ask for, by name.
        """
        height, width = spec.shape[1:]
        maps: list[tuple[int, ...]] = [
            (channels, height >> i, width >> i) for i, channels in enumerate(self.widths(spec.shape)[-2::-1], start=1)
        ]
        return {**super().outputs(spec), **self.auxiliary_outputs(spec, maps)}

    @property
    def makers(self) -> tuple[Callable[..., nn.Module], Callable[..., nn.Module]]:
        """The classes of the generator and of the discriminator."""
        return Generator, Discriminator


class StyledConv(nn.Module):
    """A modulated 3x3 convolution, noise, a bias and LeakyReLU(0.2) times sqrt(2).

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        style: length of the style.
        side: height and width of the output, for the constant noise.
        noise: random, constant or none.
        up: whether the side is doubled.
    """

    constant: Tensor

    def __init__(
        self, inputs: int, outputs: int, style: int, side: tuple[int, ...], *, noise: NoiseName, up: bool = False
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, up=up)
        self.noise = noise
        if noise != "none":
            self.strength = nn.Parameter(torch.zeros(()))
            self.register_buffer("constant", torch.randn(side))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, gain: float = 1.0) -> Tensor:
        """Convolve, add noise and activate.

        Args:
            x: (N, C, H, W).
            style: (N, style).
            gain: factor of the output.

        Returns:
            (N, C', H, W), with ``up`` (N, C', 2H, 2W).
        """
        x = self.conv(x, style)
        if self.noise != "none":
            fresh = self.noise == "random" and self.training
            noise = torch.randn_like(x[:, :1]) if fresh else self.constant.to(x.dtype)
            x = x + noise * self.strength.to(x.dtype)
        return activated(x + self.bias.to(x.dtype)[:, None, None], gain)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the channels of the image, without demodulation.

    Args:
        inputs: channels of the input.
        channels: of the image.
        style: length of the style.
    """

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, channels, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Make an image of maps.

        Args:
            x: (N, C, H, W).
            style: (N, style).
        """
        image: Tensor = self.conv(x, style) + self.bias.to(x.dtype)[:, None, None]
        return image


class SynthesisBlock(nn.Module):
    """The layers at a side.

    Args:
        part: the architecture with its options.
        inputs: channels at half the side, 0 at the smallest side.
        outputs: channels at this side.
        channels: of the image, 0 where the side makes no image.
        style: length of the style.
        side: height and width of the maps.
    """

    def __init__(
        self, part: StyleGAN2, inputs: int, outputs: int, channels: int, style: int, side: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.up = StyledConv(inputs, outputs, style, side, noise=part.noise, up=True) if inputs else None
        self.conv = StyledConv(outputs, outputs, style, side, noise=part.noise)
        self.image = ToImage(outputs, channels, style) if channels else None
        shortcut = bool(inputs) and part.form == "residual"
        self.shortcut = (
            nn.Sequential(equalised(nn.Conv2d(inputs, outputs, 1, bias=False)), BinomialUp()) if shortcut else None
        )

    @property
    def convolutions(self) -> int:
        """Styled convolutions, each with a style of its own."""
        return 1 if self.up is None else 2

    def forward(self, x: Tensor, styles: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Apply the layers.

        Args:
            x: (N, C, H, W), the maps at half the side, or the learned map.
            styles: (N, style) for each convolution, then for the image.

        Returns:
            The maps, and the image of the side where the side makes an image.
        """
        if self.up is None:
            x = self.conv(x, styles[0])
        elif self.shortcut is None:
            x = self.conv(self.up(x, styles[0]), styles[1])
        else:  # both addends have half the variance, so that the sum keeps the variance
            half = math.sqrt(0.5)
            x = half * self.shortcut(x) + self.conv(self.up(x, styles[0]), styles[1], half)
        return x, None if self.image is None else self.image(x, styles[self.convolutions])


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
        self, part: StyleGAN2, latent: int, widths: list[int], channels: int, base: tuple[int, ...], classes: int
    ) -> None:
        super().__init__()
        self.mixing = part.mixing
        style = part.style or part.width
        self.mapping = MappingNetwork(
            latent, classes, style, layers=part.mapping, rate=part.mapping_rate, decay=part.mean_decay
        )
        self.constant = nn.Parameter(torch.randn(widths[0], *base))
        self.upsample = BinomialUp()
        blocks = []
        for i, (inputs, outputs) in enumerate(pairwise([0, *widths])):
            imaged = part.form == "skip" or i == len(widths) - 1
            side = tuple(each << i for each in base)
            blocks.append(SynthesisBlock(part, inputs, outputs, channels if imaged else 0, style, side))
        self.blocks = nn.ModuleList(blocks)
        # The convolution after an image shares the style of the image. Only the last image has a style of its own.
        self.convolutions = [block.convolutions for block in blocks]
        self.count = sum(self.convolutions) + 1

    def styles(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise to styles. In training, a batch is mixed with probability ``mixing``.

        Args:
            latent: (N, latent_dim).
            labels: (N,) class numbers, or None.

        Returns:
            (N, L, style), a style for each layer.
        """
        styles: Tensor = self.mapping(latent, labels)[:, None].expand(-1, self.count, -1)
        if not self.training or not self.mixing:
            return styles
        other = self.mapping(torch.randn_like(latent), labels, track=False)[:, None]
        # Drawn and compared on the device: a number on the host would make the step wait, and stop its capture.
        cutoff = torch.randint(1, self.count, (), device=latent.device)
        mixed = torch.rand((), device=latent.device) < self.mixing
        late = torch.arange(self.count, device=latent.device) >= cutoff
        return torch.where((late & mixed)[:, None], other, styles)

    def synthesize(self, styles: Tensor) -> Tensor:
        """Make images of styles.

        Args:
            styles: (N, style), or (N, L, style) with a style for each layer.

        Returns:
            (N, C, H, W).
        """
        if styles.ndim == 2:
            styles = styles[:, None].expand(-1, self.count, -1)
        each = styles.unbind(1)
        x = self.constant.to(styles.dtype).expand(len(styles), -1, -1, -1)
        images: Tensor | None = None
        first = 0
        for block, convolutions in zip(self.blocks, self.convolutions, strict=True):
            x, image = block(x, each[first : first + convolutions + 1])
            images = image if images is None else self.upsample(images) + image
            first += convolutions
        assert images is not None
        return images

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make images.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.

        Returns:
            (N, C, H, W).
        """
        return self.synthesize(self.styles(latent, labels))


class Activated(nn.Module):
    """LeakyReLU(0.2) times sqrt(2) after a layer.

    Args:
        layer: the layer.
        gain: factor of the output.
    """

    def __init__(self, layer: nn.Module, gain: float = 1.0) -> None:
        super().__init__()
        self.layer, self.gain = layer, gain

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer and the activation.

        Args:
            x: the input of the layer.
        """
        return activated(self.layer(x), self.gain)


class Halving(nn.Module):
    """Two 3x3 convolutions, of which the second halves the side after the filter [1, 3, 3, 1].

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        residual: whether a filtered 1x1 convolution is the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, *, residual: bool) -> None:
        super().__init__()
        gain = math.sqrt(0.5) if residual else 1.0
        self.layers = nn.Sequential(
            Activated(equalised(nn.Conv2d(inputs, inputs, 3, padding=1))),
            BinomialBlur(padding=2, gain=1.0),
            Activated(equalised(nn.Conv2d(inputs, outputs, 3, stride=2)), gain),
        )
        self.shortcut = (
            nn.Sequential(BinomialDown(), equalised(nn.Conv2d(inputs, outputs, 1, bias=False), gain=gain))
            if residual
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Halve the side.

        Args:
            x: (N, C, H, W), H and W even.

        Returns:
            (N, C', H/2, W/2).
        """
        y: Tensor = self.layers(x)
        return y if self.shortcut is None else y + self.shortcut(x)


class Discriminator(InnerProductDiscriminator):
    """The discriminator: (N, C, H, W) -> (N,) logits, or a mapping with logits.

    Args:
        part: the architecture with its options.
        channels: of the images.
        widths: channels of the maps from the side of the images to the smallest side.
        base: height and width of the smallest maps.
        heads: inputs and outputs of the discriminator.
    """

    features_after = Halving

    def __init__(self, part: StyleGAN2, channels: int, widths: list[int], base: tuple[int, ...], heads: Heads) -> None:
        super().__init__(heads)
        last, inputs = widths[-1], channels + heads.concatenated
        read = widths if part.d_form == "skip" else widths[:1]
        self.readers = nn.ModuleList(Activated(equalised(nn.Conv2d(inputs, width, 1))) for width in read)
        self.halve = BinomialDown()
        self.layers = nn.Sequential(*(Halving(a, b, residual=part.d_form == "residual") for a, b in pairwise(widths)))
        group = part.minibatch_stddev
        self.stddev = MinibatchStddev(group) if group else nn.Identity()
        self.conv = Activated(equalised(nn.Conv2d(last + bool(group), last, 3, padding=1)))
        self.hidden = Activated(equalised(nn.Linear(last * math.prod(base), last)))
        self.output = equalised(nn.Linear(last, last if heads.projected else heads.size))
        self.class_head = equalised(nn.Linear(last, heads.class_logits)) if heads.class_logits else None
        # In the authors' code this network always has eight layers, whatever the network of G has.
        self.projection = MappedProjection(heads.projected, last) if heads.projected else None
        # The logit with labels is the inner product alone. An embedding needs a last layer of its own.
        self.embedding = equalised(nn.Linear(last, heads.size)) if heads.projected and heads.embedding else None

    def maps(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Apply the layers down to the smallest side.

        Args:
            images: (N, C, H, W).
            labels: (N,) class numbers, or None.

        Returns:
            The last maps, and the maps after each halving.
        """
        images = concat_labels(images, labels, self.heads.concatenated)
        x: Tensor = self.readers[0](images)
        features = []
        for i, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if len(self.readers) > 1:
                images = self.halve(images)
                x = x + self.readers[i](images)
            features.append(x)
        return x, features

    @property
    def final(self) -> nn.Module:
        """The final linear layer."""
        return self.output

    def vectors(self, maps: Tensor) -> Tensor:
        """The vectors that the final layer reads."""
        h: Tensor = self.hidden(self.conv(self.stddev(maps)).flatten(1))
        return h
