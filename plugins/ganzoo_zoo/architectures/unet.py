"""Encoder and decoder with skips, and the residual form: a picture for each picture."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor, nn
from torch.nn import init

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import NormName, has_shift, norm
from ganzoo_zoo.architectures.layers.resampling import UpsampleName, upsampling
from ganzoo_zoo.architectures.pictures import Patches, condition, pictures

MOST_LEVELS = 8


class UNet(Patches):
    """U-Net and residual generator for translation (pix2pix, image to image), with a PatchGAN discriminator.

    The condition and all further inputs, such as a mask, are the channels of the generator's input.

    Formula:
        unet: convolutions 4x4 of stride 2, norm, LeakyReLU(0.2), then x2 by x2 back (norm, dropout in the first three
              levels, ReLU), each map beside that of its size on the way down, tanh
        residual: 7x7, two 3x3 of stride 2, ``blocks`` residual blocks of two 3x3, x2 twice, 7x7, tanh, all with norm
              and ReLU, and reflected borders

    Args:
        form: unet (pix2pix) or residual (the generator of Johnson et al. and of CycleGAN).
        width: channels of the first map, at least 1. Widths double downwards, up to eight times (residual: four times).
        levels: halvings of unet, from 1 to 8. auto halves as often as the sides allow, to 8 times at most.
        blocks: residual blocks, at least 1. CycleGAN has 6 for 128 pixels and 9 for 256.
        norm: norm in the generator: none, batch, instance, layer or pixel.
        dropout: share of zeros in the first three levels up, from 0 to below 1. The dropout is the only noise.
        upsample: transposed (pix2pix), nearest, pixel-shuffle or binomial.
        d_form: patch (pix2pix), pixel (1x1 convolutions) or free-form (5x5 of stride 2, all outputs are logits).
        d_width: channels of the discriminator's first map, at least 1.
        d_layers: convolutions of stride 2 in the discriminator, at least 1. A logit of ``patch`` sees 16, 34, 70 or
            142 pixels for 1, 2, 3 or 4.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_scales: discriminators, at least 1, each for pictures at half the size of the one before.
        d_condition: whether the discriminator sees the condition beside the picture.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.

    Raises:
        Incompatible: data without a condition of the samples' size, or sides that cannot be halved so often.

    Notes:
        Both forms are fully convolutional: height and width of a picture may be any multiple of 2 to the number of
        halvings (residual: of 4). Samples are drawn without dropout, where pix2pix keeps the dropout on.
        Maps of a single pixel have no norm, which would make them constant.

    Source: Isola et al., Image-to-image translation with conditional adversarial networks, 2017, arXiv:1611.07004,
        appendix 6.1; Johnson et al., Perceptual losses for real-time style transfer, 2016, arXiv:1603.08155,
        supplement; Zhu et al., CycleGAN, 2017, arXiv:1703.10593, appendix 7.2.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "unet:width=4,d_width=4,d_layers=1")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=1, inputs={"condition": ganzoo.TensorSpec((1, 16, 16))})
        >>> part.generate(part.build(spec).generator, ganzoo.Batch(condition=torch.zeros(2, 1, 32, 48))).shape
        torch.Size([2, 3, 32, 48])
    """

    form: Literal["unet", "residual"] = "unet"
    width: Annotated[int, Ge(1)] = 64
    levels: Annotated[int, Ge(1), Le(MOST_LEVELS)] | Literal["auto"] = "auto"
    blocks: Annotated[int, Ge(1)] = 9
    norm: NormName = "batch"
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5
    upsample: UpsampleName = "transposed"

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator, with weights from N(0, 0.02).

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        condition("unet", spec)
        channels = sum(shape[0] for shape in pictures("unet", spec).values())
        multiple = self.side_multiple(spec)
        if any(side % multiple for side in spec.shape[1:]):
            raise Incompatible(
                f"unet wants sides that are multiples of {multiple}, and this data gives "
                f"{'x'.join(map(str, spec.shape[1:]))}: set the data's size, or give fewer levels"
            )
        smallest = min(spec.shape[1:]) // multiple
        if self.form == "unet":
            widths = [self.width * min(8, 2**i) for i in range(multiple.bit_length() - 1)]
            generator: nn.Module = Skips(
                channels, widths, spec.shape[0], self.norm, self.dropout, self.upsample, smallest
            )
        else:
            generator = Residual(channels, self.width, spec.shape[0], self.blocks, self.norm, self.upsample)
        initialise(generator, lambda weight: init.normal_(weight, 0.0, 0.02))
        return generator

    def side_multiple(self, spec: ganzoo.Spec) -> int:
        """2 to the number of halvings.

        Args:
            spec: shapes that the networks are built for.
        """
        if self.form == "residual":
            return 4
        if self.levels != "auto":
            return int(2**self.levels)
        halvings = [(side & -side).bit_length() - 1 for side in spec.shape[1:]]
        return int(2 ** max(1, min(MOST_LEVELS, *halvings)))

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """Pictures from all inputs in the order of their names; the noise is not looked at."""
        inputs = batch.inputs
        made: Tensor = generator(torch.cat([inputs[name] for name in sorted(inputs)], 1))
        return made


class Skips(nn.Module):
    """pix2pix's generator: (N, C, H, W) -> (N, outputs, H, W) in [-1, 1].

    Args:
        inputs: C.
        widths: channels of the maps downwards, one for each halving.
        outputs: channels of the picture.
        norm_: norm of the maps.
        dropout: share of zeros in the first three levels up.
        upsample: how maps are doubled.
        smallest: the side of the smallest map. A map of a single pixel has no norm.
    """

    def __init__(
        self,
        inputs: int,
        widths: list[int],
        outputs: int,
        norm_: NormName,
        dropout: float,
        upsample: UpsampleName,
        smallest: int,
    ) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before, last = inputs, len(widths) - 1
        for i, channels in enumerate(widths):
            name: NormName = "none" if i == 0 or (i == last and smallest == 1) else norm_
            down = [nn.Conv2d(before, channels, 4, stride=2, padding=1, bias=not has_shift(name)), norm(name, channels)]
            self.down.append(nn.Sequential(*([nn.LeakyReLU(0.2)] if i else []), *down))
            before = channels
        for i in range(last, -1, -1):
            entering = widths[i] * (1 if i == last else 2)
            if i:
                layers = [upsampling(upsample, entering, widths[i - 1], bias=not has_shift(norm_))]
                layers += [norm(norm_, widths[i - 1])]
                # pix2pix drops in the three levels below the innermost one, which has none in its code.
                layers += [nn.Dropout(dropout)] if dropout and last - 3 <= i < last else []
            else:
                layers = [upsampling(upsample, entering, outputs, bias=True), nn.Tanh()]
            self.up.append(nn.Sequential(nn.ReLU(), *layers))

    def forward(self, x: Tensor) -> Tensor:
        """Make a picture.

        Args:
            x: (N, C, H, W), H and W multiples of 2 to the number of halvings.

        Returns:
            (N, outputs, H, W) in [-1, 1].
        """
        kept = list[Tensor]()
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        kept.pop()
        for layer in self.up:
            x = layer(x)
            if kept:
                x = torch.cat([x, kept.pop()], 1)
        return x


class Residual(nn.Module):
    """The residual generator: (N, C, H, W) -> (N, outputs, H, W) in [-1, 1].

    Args:
        inputs: C.
        width: channels of the first and the last maps.
        outputs: channels of the picture.
        blocks: residual blocks.
        norm_: norm of the maps.
        upsample: how maps are doubled.
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, blocks: int, norm_: NormName, upsample: UpsampleName
    ) -> None:
        super().__init__()
        bias, wide = not has_shift(norm_), 4 * width

        def convolution(a: int, b: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")
            return [layer, norm(norm_, b)]

        layers = [*convolution(inputs, width, 7), nn.ReLU(), *convolution(width, 2 * width, 3, 2), nn.ReLU()]
        layers += [*convolution(2 * width, wide, 3, 2), nn.ReLU()]
        for _ in range(blocks):
            layers.append(Added(nn.Sequential(*convolution(wide, wide, 3), nn.ReLU(), *convolution(wide, wide, 3))))
        layers += [upsampling(upsample, wide, 2 * width, bias=bias), norm(norm_, 2 * width), nn.ReLU()]
        layers += [upsampling(upsample, 2 * width, width, bias=bias), norm(norm_, width), nn.ReLU()]
        layers += [nn.Conv2d(width, outputs, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Make a picture.

        Args:
            x: (N, C, H, W), H and W multiples of 4.

        Returns:
            (N, outputs, H, W) in [-1, 1].
        """
        made: Tensor = self.layers(x)
        return made


class Added(nn.Module):
    """A residual connection: x + f(x).

    Args:
        f: a network from maps to maps of the same shape.
        scale: factor of f(x).

    Example:
        >>> import torch
        >>> Added(nn.Identity(), 0.5)(torch.ones(1)).tolist()
        [1.5]
    """

    def __init__(self, f: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.f, self.scale = f, scale

    def forward(self, x: Tensor) -> Tensor:
        """Add.

        Args:
            x: maps.

        Returns:
            Maps of the same shape.
        """
        made: Tensor = x + (self.f(x) if self.scale == 1.0 else self.scale * self.f(x))
        return made
