"""The networks of FastGAN, for a few hundred images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.growing import Size, level_sizes
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import NormName, norm

G_WIDTHS = (16.0, 8.0, 4.0, 2.0, 2.0, 1.0, 0.5, 0.25, 0.125)
"""Channels of the generator's maps by level (4x4, 8x8, ...), as multiples of the width."""

D_WIDTHS = (16.0, 16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125)
"""Channels of the discriminator's table by level, as multiples of the width."""

DECODER_WIDTHS = (2.0, 1.0, 1.0, 0.5)
"""Channels of a decoder's maps after each doubling of 8x8, as multiples of the width."""


class FastGAN(ganzoo.Architecture):
    """Networks for a few hundred images (FastGAN): skip-layer excitation, and a discriminator that reconstructs.

    Formula:
        G: transposed convolution to 4x4, then x2 by x2: nearest, convolution, norm, gated linear unit. Each map is
           multiplied by gates, one a channel, that a smaller map computes (skip-layer excitation)
        D: residual blocks of stride 2 down to 8x8, with the same excitation, and 5x5 logits. A second, plain chain
           judges the image of half the side. Three decoders make small images of D's maps: the whole image from each
           chain, and a quarter of the image

    Args:
        width: the paper's ngf and ndf, a sixteenth of the widest maps.
        norm: norm in the generator: none, batch, instance, layer or pixel.
        d_norm: norm in the discriminator and the decoders. none, instance, layer and pixel treat each sample
            separately, as penalties on the gradient of each sample require. batch does not.
        excitation: doublings between the map that computes gates and the map that is multiplied in G. The paper's
            networks have four. Images of 32x32 need three or fewer.
        noise: whether noise is added to every second map of G, with a strength that is learned from 0. The noise is
            fresh in training, and constant in evaluation.
        reconstructs: whether D has the decoders. The part ``reconstruction`` trains the decoders.

    Raises:
        Incompatible: samples that are no images, whose sides cannot be halved to 4 to 16, or of less than 32 pixels, or
            data with a condition.

    Notes:
        D returns ``reconstructions`` and ``originals`` for real batches alone, as the authors train the decoders on
        real images alone. The quarter of the image is drawn anew for each batch.
        The authors' G makes the image of 128x128 pixels for D's second chain by a layer of its own, 3 ``width``
        weights. Here, D resizes each image, as the authors' code does with single images. Otherwise the published
        networks for images of 256 to 1024 pixels are these networks with ``sn:players=both``. The published networks
        have 256 noise numbers.

    Source: B. Liu, Y. Zhu, K. Song, A. Elgammal, Towards faster and stabilized GAN training for high-fidelity few-shot
        image synthesis, 2021, arXiv 2101.04775, section 3, and the authors' code, odegeasslbc/FastGAN-pytorch.

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "fastgan:width=8").build(ganzoo.Spec(shape=(3, 64, 64), latent_dim=5))
        >>> images = nets.generator(torch.randn(2, 5))
        >>> images.shape, nets.discriminator(images).shape
        (torch.Size([2, 3, 64, 64]), torch.Size([2, 1, 50]))
    """

    width: Annotated[int, Ge(1)] = 64
    norm: NormName = "batch"
    d_norm: NormName = "batch"
    excitation: Annotated[int, Ge(1)] = 4
    noise: bool = True
    reconstructs: bool = True

    def sizes(self, spec: ganzoo.Spec) -> list[Size]:
        """Height and width of the maps of each level.

        Args:
            spec: shape of the samples.

        Raises:
            Incompatible: see the class.
        """
        if spec.inputs:
            raise Incompatible(
                f"fastgan makes samples from noise alone, and this data gives {', '.join(spec.inputs)}: use an "
                "architecture that takes what the data gives"
            )
        sizes = level_sizes("fastgan", spec.shape)
        if len(sizes) < 4:
            raise Incompatible(
                f"fastgan makes images of at least 32 pixels a side, and this data gives "
                f"{'x'.join(map(str, spec.shape))}: set the data's size=32"
            )
        return sizes

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the small images: the whole image from each chain, and a quarter of the image.

        Args:
            spec: shape of the samples.
        """
        if not self.reconstructs:
            return {}
        height, width = self.sizes(spec)[1]
        scale = 2 ** decoder_doublings(len(self.sizes(spec)))
        shape = (spec.shape[0], height * scale, width * scale)
        return {"reconstructions": [shape] * 3, "originals": [shape] * 3}

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape and noise that the network is built for.

        Raises:
            Incompatible: see the class.
        """
        return Generator(self, spec.latent_dim, self.sizes(spec), spec.shape[0])

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape that the network is built for.

        Raises:
            Incompatible: see the class.
        """
        return Discriminator(self, self.sizes(spec), spec.shape[0])

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge images, and reconstruct the images of a real batch.

        Args:
            discriminator: the network.
            images: (N, C, H, W).
            batch: a batch with ``images`` is a real batch.

        Returns:
            (N, 1, L) logits, or a mapping with ``logits``, ``reconstructions`` and ``originals``.
        """
        return discriminator(images, reconstruct=self.reconstructs and "images" in batch)


class Gate(nn.Module):
    """Gated linear unit: half of the channels, each multiplied by the sigmoid of a channel of the other half."""

    def forward(self, x: Tensor) -> Tensor:
        """Gate.

        Args:
            x: (N, 2C, H, W).

        Returns:
            (N, C, H, W).
        """
        return F.glu(x, 1)


class AddedNoise(nn.Module):
    """Noise that is added to maps, one number a pixel, with a learned strength.

    Args:
        size: height and width of the maps.
    """

    constant: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(1))
        self.register_buffer("constant", torch.randn(1, 1, *size))

    def forward(self, x: Tensor) -> Tensor:
        """Add noise.

        Args:
            x: (N, C, H, W).

        Returns:
            A tensor of the same shape.
        """
        noise = torch.randn_like(x[:, :1]) if self.training else self.constant.to(x.dtype)
        return x + self.strength.to(x.dtype) * noise


class Excitation(nn.Module):
    """Multiplies maps by gates, one a channel, that smaller maps compute (skip-layer excitation).

    Formula:
        y = x * sigmoid(conv1(SiLU(conv4(pool4(x_small)))))

    Args:
        inputs: channels of the smaller maps.
        outputs: channels of the maps that are multiplied.

    Source: B. Liu et al., 2021, arXiv 2101.04775, section 3.1.

    Example:
        >>> import torch
        >>> Excitation(3, 5)(torch.randn(2, 3, 4, 4), torch.randn(2, 5, 16, 16)).shape
        torch.Size([2, 5, 16, 16])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 4, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """Multiply.

        Args:
            small: (N, inputs, h, w), the maps that compute the gates.
            large: (N, outputs, H, W).

        Returns:
            (N, outputs, H, W).
        """
        gates = torch.sigmoid(self.second(F.silu(self.first(F.adaptive_avg_pool2d(small, 4)))))
        return large * gates


def up_block(inputs: int, outputs: int, norm_: NormName, noise: Size | None = None, *, twice: bool) -> nn.Sequential:
    """Nearest x2, then one or two of: convolution, noise, norm, gated linear unit.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        norm_: the norm.
        noise: height and width of the output where noise is added, None without noise.
        twice: whether there are two convolutions.
    """
    layers: list[nn.Module] = [nn.UpsamplingNearest2d(scale_factor=2)]
    for channels in [inputs, outputs][: 1 + twice]:
        layers.append(nn.Conv2d(channels, 2 * outputs, 3, padding=1, bias=False))
        layers += [AddedNoise(noise)] if noise is not None and twice else []
        layers += [norm(norm_, 2 * outputs), Gate()]
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, H, W).

    Args:
        part: width, norm, excitation and noise.
        latent: length of the noise.
        sizes: height and width of the maps of each level.
        channels: of the images.
    """

    def __init__(self, part: FastGAN, latent: int, sizes: Sequence[Size], channels: int) -> None:
        super().__init__()
        widths = [max(1, int(part.width * share)) for share in table(G_WIDTHS, len(sizes))]
        self.doublings = part.excitation
        self.start = nn.Sequential(
            nn.ConvTranspose2d(latent, 2 * widths[0], sizes[0], bias=False), norm(part.norm, 2 * widths[0]), Gate()
        )
        self.levels = nn.ModuleList(
            up_block(widths[i - 1], widths[i], part.norm, sizes[i] if part.noise else None, twice=i % 2 == 1)
            for i in range(1, len(sizes))
        )
        # The last level of images of 1024 pixels is not multiplied.
        self.excitations = nn.ModuleDict(
            {
                str(i): Excitation(widths[i - part.excitation], widths[i])
                for i in range(part.excitation, min(len(sizes), 8))
            }
        )
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1, bias=False)
        initialise_fastgan(self)

    def forward(self, latent: Tensor) -> Tensor:
        """Make images.

        Args:
            latent: (N, latent_dim) noise.

        Returns:
            (N, C, H, W) in [-1, 1].
        """
        maps: list[Tensor] = [self.start(latent[:, :, None, None])]
        for i, level in enumerate(self.levels, 1):
            x = level(maps[-1])
            if str(i) in self.excitations:
                x = self.excitations[str(i)](maps[i - self.doublings], x)
            maps.append(x)
        return torch.tanh(self.to_image(maps[-1]))


class DownBlock(nn.Module):
    """Halves the side: the mean of two convolutions of stride 2 in all, and of average pooling with a 1x1 convolution.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        norm_: norm after each convolution.
    """

    def __init__(self, inputs: int, outputs: int, norm_: NormName) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False),
            norm(norm_, outputs),
            nn.LeakyReLU(0.2),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            norm(norm_, outputs),
            nn.LeakyReLU(0.2),
        )
        self.direct = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False), norm(norm_, outputs), nn.LeakyReLU(0.2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Halve.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', H/2, W/2).
        """
        halved: Tensor = (self.main(x) + self.direct(x)) / 2
        return halved


class Discriminator(nn.Module):
    """The discriminator: (N, C, H, W) -> (N, 1, L) logits, or a mapping with logits.

    Args:
        part: width, norm, and whether there are decoders.
        sizes: height and width of the maps of each level.
        channels: of the images.
    """

    def __init__(self, part: FastGAN, sizes: Sequence[Size], channels: int) -> None:
        super().__init__()
        table_ = [max(1, int(part.width * share)) for share in table(D_WIDTHS, len(sizes) + 1)]
        norm_, last = part.d_norm, len(sizes) - 1
        # The maps of 256 pixels a side, or of the images where the images are smaller. Larger images are halved first.
        top = min(last, 6)
        first: list[nn.Module] = []
        if last == top:
            first = [nn.Conv2d(channels, table_[top + 1], 3, 1, 1, bias=False), nn.LeakyReLU(0.2)]
        inputs = channels
        for i in range(last, top, -1):
            first.append(nn.Conv2d(inputs, table_[i], 4, 2, 1, bias=False))
            first += [nn.LeakyReLU(0.2)] if i == last else [norm(norm_, table_[i]), nn.LeakyReLU(0.2)]
            inputs = table_[i]
        self.first = nn.Sequential(*first)
        self.downs = nn.ModuleList(DownBlock(table_[i + 1], table_[i], norm_) for i in range(top, 1, -1))
        self.excitations = nn.ModuleDict({str(i): Excitation(table_[i + 4], table_[i + 1]) for i in range(1, top - 2)})
        self.head = nn.Sequential(
            nn.Conv2d(table_[2], table_[1], 1, bias=False),
            norm(norm_, table_[1]),
            nn.LeakyReLU(0.2),
            nn.Conv2d(table_[1], 1, 4, bias=False),
        )
        # The second chain reads images of 128 pixels a side, or of half the side where the images are smaller.
        self.small_size = sizes[min(last - 1, 5)]
        small = min(last - 1, 5)
        chain: list[nn.Module] = [nn.Conv2d(channels, table_[small + 1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for i in range(small, 2, -1):
            chain += [nn.Conv2d(table_[i + 1], table_[i], 4, 2, 1, bias=False), norm(norm_, table_[i])]
            chain.append(nn.LeakyReLU(0.2))
        self.small = nn.Sequential(*chain)
        self.small_head = nn.Conv2d(table_[3], 1, 4, bias=False)
        self.decoders = nn.ModuleList()
        if part.reconstructs:
            doublings = decoder_doublings(len(sizes))
            of = partial(decoder, part=part, doublings=doublings, channels=channels)
            self.decoders += [of(table_[2], sizes[1]), of(table_[3], sizes[1]), of(table_[3], sizes[1])]
        self.decoded = (sizes[1][0] << decoder_doublings(len(sizes)), sizes[1][1] << decoder_doublings(len(sizes)))
        initialise_fastgan(self)

    def forward(self, images: Tensor, reconstruct: bool = False) -> Tensor | dict[str, Any]:
        """Judge images.

        Args:
            images: (N, C, H, W).
            reconstruct: whether the decoders are used.

        Returns:
            (N, 1, L) logits, or a mapping with ``logits``, ``reconstructions`` and ``originals``.
        """
        x, maps = self.first(images), dict[int, Tensor]()
        top = len(self.downs) + 1
        maps[top] = x
        for i, down in zip(range(top - 1, 0, -1), self.downs, strict=True):
            x = down(x)
            if str(i) in self.excitations:
                x = self.excitations[str(i)](maps[i + 3], x)
            maps[i] = x
        small = self.small(F.interpolate(images, size=self.small_size))
        logits = torch.cat([self.head(maps[1]).flatten(2), self.small_head(small).flatten(2)], 2)
        if not reconstruct:
            return logits
        quarter = torch.randint(4, (1,), device=images.device)
        part = quarters(maps[2]).index_select(0, quarter).squeeze(0)
        whole = F.interpolate(images, size=self.decoded)
        of_part = F.interpolate(quarters(images).index_select(0, quarter).squeeze(0), size=self.decoded)
        made = [net(x) for net, x in zip(self.decoders, (maps[1], small, part), strict=True)]
        return {"logits": logits, "reconstructions": made, "originals": [whole, whole, of_part]}


def decoder(inputs: int, size: Size, part: FastGAN, doublings: int, channels: int) -> nn.Sequential:
    """A decoder: maps are pooled to the size of the second level, then doubled.

    Args:
        inputs: channels of the maps.
        size: height and width of the second level, 8x8 for square images.
        part: width and norm.
        doublings: how often the side is doubled.
        channels: of the images.
    """
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(size)]
    for share in DECODER_WIDTHS[:doublings]:
        outputs = max(1, int(part.width * share))
        layers.append(up_block(inputs, outputs, part.d_norm, twice=False))
        inputs = outputs
    return nn.Sequential(*layers, nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.Tanh())


def decoder_doublings(levels: int) -> int:
    """How often a decoder doubles 8x8: to half the side of the images, and to 128 pixels at most.

    Args:
        levels: number of levels of the networks.
    """
    return min(4, levels - 3)


def table(shares: Sequence[float], levels: int) -> list[float]:
    """The widths of the levels. Levels beyond the table halve the width.

    Args:
        shares: widths by level.
        levels: number of levels.
    """
    return [shares[i] if i < len(shares) else shares[-1] / 2 ** (i - len(shares) + 1) for i in range(levels)]


def quarters(x: Tensor) -> Tensor:
    """The four quarters of maps: top left, top right, bottom left, bottom right.

    Args:
        x: (N, C, H, W).

    Returns:
        (4, N, C, H/2, W/2).
    """
    height, width = x.shape[2] // 2, x.shape[3] // 2
    return torch.stack(
        [
            x[:, :, :height, :width],
            x[:, :, :height, width : 2 * width],
            x[:, :, height : 2 * height, :width],
            x[:, :, height : 2 * height, width : 2 * width],
        ]
    )


def initialise_fastgan(net: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) and the scales of batch norm from N(1, 0.02^2).

    Args:
        net: the network, changed in place.
    """
    initialise(net, partial(nn.init.normal_, mean=0.0, std=0.02))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
