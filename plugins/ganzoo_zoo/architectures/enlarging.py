"""Super-resolution: residual networks that enlarge pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import init

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm
from ganzoo_zoo.architectures.layers.patches import beside
from ganzoo_zoo.architectures.layers.resampling import upsampling
from ganzoo_zoo.architectures.pictures import by_terms_alone, condition, pictures
from ganzoo_zoo.architectures.unet import Added


class Enlarging(ganzoo.Architecture):
    """Architectures that enlarge the condition, with the discriminator of SRGAN.

    Args:
        width: channels of the maps, at least 1.
        blocks: residual blocks, at least 1.
        upsample: how maps are doubled: pixel-shuffle (with ICNR) or nearest.
        residual: whether the network adds to the condition, enlarged by bicubic interpolation, in place of making the
            picture from nothing.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.
        d_width: channels of the discriminator's first map, at least 1.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_condition: whether the discriminator sees the condition beside the picture.
    """

    width: Annotated[int, Ge(1)] = 64
    blocks: Annotated[int, Ge(1)] = 16
    upsample: Literal["pixel-shuffle", "nearest"] = "pixel-shuffle"
    residual: bool = False
    alone: Annotated[float, Ge(0), Le(1)] = 0.0
    d_width: Annotated[int, Ge(1)] = 64
    d_norm: NormName = "batch"
    d_condition: bool = False

    def doublings(self, name: str, spec: ganzoo.Spec) -> int:
        """How often the condition is doubled.

        Args:
            name: of the architecture, for messages.
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: data without a condition, or samples that are not 1, 2, 4, ... times as large.
        """
        _, height, width = condition(name, spec, same_size=False)
        times, rest = divmod(spec.shape[1], height)
        if rest or spec.shape[2] != times * width or times & (times - 1) or not times:
            raise Incompatible(
                f"{name} enlarges pictures 1, 2, 4 or 8 times, and this data gives a condition of {height}x{width} for "
                f"{spec.shape[1]}x{spec.shape[2]}: set the data's factor"
            )
        if self.residual and spec.inputs["condition"].shape[0] != spec.shape[0]:
            raise Incompatible(
                f"{name} with residual=true adds to the condition, and this data gives {spec.shape[0]} channels for "
                f"{spec.inputs['condition'].shape[0]}: leave residual=true out"
            )
        if len(spec.inputs) > 1:
            raise Incompatible(f"{name} takes the condition alone, and this data gives {', '.join(spec.inputs)}")
        return times.bit_length() - 1

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: the samples are no pictures.
        """
        found = pictures("the discriminator of SRGAN", spec)
        seen = found if self.d_condition else {}
        channels = spec.shape[0] + sum(shape[0] for shape in seen.values())
        net = Judge(channels, spec.shape[1:], self.d_width, self.d_norm)
        initialise(net, init.kaiming_normal_)
        return net

    def learning(self, progress: float) -> ganzoo.Learning:
        """The generator alone, by its terms, in the first part of the run.

        Args:
            progress: 0 at the first step of the run, 1 at the last.
        """
        return by_terms_alone(self.alone, progress) or ganzoo.Learning()

    def side_multiple(self, spec: ganzoo.Spec) -> int:
        """1: any height and width can be enlarged.

        Args:
            spec: shapes that the networks are built for.
        """
        return 1

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """Enlarged pictures; the noise is not looked at."""
        made: Tensor = generator(batch["condition"])
        return made

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Tensor:
        """One logit an image."""
        logits: Tensor = discriminator(beside(images, [batch["condition"]]) if self.d_condition else images)
        return logits


class SRResNet(Enlarging):
    """SRResNet (super-resolution, SRGAN): residual blocks at the small size, then pixel shuffle.

    Formula:
        9x9, PReLU, ``blocks`` times x + (3x3, norm, PReLU, 3x3, norm), 3x3, norm, plus the first map, x2 by x2 with
        PReLU, 9x9

    Args:
        width: channels of the maps, at least 1.
        blocks: residual blocks, at least 1.
        norm: norm in the residual blocks: none, batch, instance, layer or pixel. The paper has batch.
        upsample: how maps are doubled: pixel-shuffle (with ICNR) or nearest.
        residual: whether the network adds to the condition, enlarged by bicubic interpolation, in place of making the
            picture from nothing.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.
        d_width: channels of the discriminator's first map, at least 1.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_condition: whether the discriminator sees the condition beside the picture.

    Raises:
        Incompatible: data without a condition, or samples that are not 1, 2, 4, ... times as large as the condition.

    Notes:
        The generator is fully convolutional. The discriminator judges pictures of one size: eight 3x3 convolutions,
        four of them of stride 2, and two linear layers. Its weights start as in ESRGAN's code.

    Source: Ledig et al., Photo-realistic single image super-resolution using a GAN, 2017, arXiv:1609.04802, figure 4;
        Aitken et al., Checkerboard artifact free sub-pixel convolution, 2017, arXiv:1707.02937.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "srresnet:width=4,blocks=1,d_width=4")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=1, inputs={"condition": ganzoo.TensorSpec((3, 8, 8))})
        >>> part.generate(part.build(spec).generator, ganzoo.Batch(condition=torch.zeros(1, 3, 5, 7))).shape
        torch.Size([1, 3, 10, 14])
    """

    norm: NormName = "batch"

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        doublings, width = self.doublings("srresnet", spec), self.width
        bias = not has_shift(self.norm)

        def normed() -> list[nn.Module]:
            return [nn.Conv2d(width, width, 3, padding=1, bias=bias), norm(self.norm, width)]

        blocks = [Added(nn.Sequential(*normed(), nn.PReLU(), *normed())) for _ in range(self.blocks)]
        middle = Added(nn.Sequential(*blocks, *normed()))
        up = [
            layer
            for _ in range(doublings)
            for layer in (upsampling(self.upsample, width, width, bias=True), nn.PReLU())
        ]
        net = nn.Sequential(
            nn.Conv2d(spec.inputs["condition"].shape[0], width, 9, padding=4),
            nn.PReLU(),
            middle,
            *up,
            nn.Conv2d(width, spec.shape[0], 9, padding=4),
        )
        initialise(net, lambda weight: init.kaiming_normal_(weight, a=0.25))
        return _enlarger(net, doublings, self.residual)


class RRDB(Enlarging):
    """RRDB (super-resolution, ESRGAN): dense blocks in residual blocks, without norms.

    Formula:
        dense(x) = x + 0.2 c_5,  c_i = 3x3 of (x, c_1, ..., c_{i-1}), with LeakyReLU(0.2) but for the last
        block(x) = x + 0.2 dense(dense(dense(x)))
        3x3, ``blocks`` blocks, 3x3, plus the first map, x2 by x2 with LeakyReLU, 3x3, LeakyReLU, 3x3

    Args:
        width: channels of the maps, at least 1.
        growth: channels that each convolution of a dense block adds, at least 1.
        blocks: residual blocks, at least 1. The paper has 23.
        upsample: how maps are doubled: pixel-shuffle (with ICNR) or nearest (ESRGAN's code).
        residual: whether the network adds to the condition, enlarged by bicubic interpolation, in place of making the
            picture from nothing.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.
        d_width: channels of the discriminator's first map, at least 1.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_condition: whether the discriminator sees the condition beside the picture.

    Raises:
        Incompatible: data without a condition, or samples that are not 1, 2, 4, ... times as large as the condition.

    Notes:
        The generator is fully convolutional. Weights start at a tenth of Kaiming's, as in the authors' code.

    Source: Wang et al., ESRGAN, 2018, arXiv:1809.00219, section 3.1 and figure 4.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "rrdb:width=4,growth=2,blocks=1,d_width=4")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=1, inputs={"condition": ganzoo.TensorSpec((3, 4, 4))})
        >>> part.generate(part.build(spec).generator, ganzoo.Batch(condition=torch.zeros(1, 3, 5, 7))).shape
        torch.Size([1, 3, 20, 28])
    """

    growth: Annotated[int, Ge(1)] = 32
    blocks: Annotated[int, Ge(1)] = 23
    upsample: Literal["pixel-shuffle", "nearest"] = "nearest"

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        doublings, width = self.doublings("rrdb", spec), self.width
        blocks = [Added(nn.Sequential(*(Dense(width, self.growth) for _ in range(3))), 0.2) for _ in range(self.blocks)]
        middle = Added(nn.Sequential(*blocks, nn.Conv2d(width, width, 3, padding=1)))
        up = [
            layer
            for _ in range(doublings)
            for layer in (upsampling(self.upsample, width, width, bias=True), nn.LeakyReLU(0.2))
        ]
        net = nn.Sequential(
            nn.Conv2d(spec.inputs["condition"].shape[0], width, 3, padding=1),
            middle,
            *up,
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, spec.shape[0], 3, padding=1),
        )
        initialise(net, lambda weight: init.kaiming_normal_(weight).mul_(0.1))
        return _enlarger(net, doublings, self.residual)


class Dense(nn.Module):
    """A residual dense block of five 3x3 convolutions, each of which sees the maps of all before.

    Args:
        width: channels of the input and the output.
        growth: channels that each of the first four convolutions adds.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(width + i * growth, width if i == 4 else growth, 3, padding=1) for i in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add a fifth of the last convolution.

        Args:
            x: (N, width, H, W).

        Returns:
            (N, width, H, W).
        """
        maps = [x]
        for layer in self.layers[:-1]:
            maps.append(F.leaky_relu(layer(torch.cat(maps, 1)), 0.2))
        made: Tensor = x + 0.2 * self.layers[-1](torch.cat(maps, 1))
        return made


class OnBicubic(nn.Module):
    """A network whose output is added to its input, enlarged by bicubic interpolation.

    Args:
        net: an enlarging network.
        factor: how many times the output is as large.
    """

    def __init__(self, net: nn.Module, factor: int) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', factor H, factor W).
        """
        made: Tensor = self.net(x)
        return made + (F.interpolate(x, scale_factor=float(self.factor), mode="bicubic") if self.factor > 1 else x)


class Judge(nn.Module):
    """SRGAN's discriminator: (N, C, H, W) -> (N,) logits.

    Args:
        channels: C.
        size: H and W.
        width: channels of the first map. Widths double up to eight times.
        norm_: norm after each convolution but the first.
    """

    def __init__(self, channels: int, size: tuple[int, ...], width: int, norm_: NormName) -> None:
        super().__init__()
        widths = [channels, *(width * k for k in (1, 1, 2, 2, 4, 4, 8, 8))]
        layers, side = list[nn.Module](), list(size)
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            name: NormName = norm_ if i else "none"
            layers += [
                nn.Conv2d(inputs, outputs, 3, 1 + i % 2, 1, bias=not has_shift(name)),
                norm(name, outputs),
                nn.LeakyReLU(0.2),
            ]
            side = [(n + 1) // 2 for n in side] if i % 2 else side
        self.features = nn.Sequential(*layers)
        inside = widths[-1] * side[0] * side[1]
        self.head = nn.Sequential(nn.Linear(inside, 16 * width), nn.LeakyReLU(0.2), nn.Linear(16 * width, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Judge pictures.

        Args:
            images: (N, C, H, W).

        Returns:
            (N,) logits.
        """
        logits: Tensor = self.head(self.features(images).flatten(1))
        return logits.flatten()


def _enlarger(net: nn.Module, doublings: int, residual: bool) -> nn.Module:
    return OnBicubic(net, 2**doublings) if residual else net
