"""Augmentation whose strength follows the discriminator's overfitting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Ge, Le
from torch import nn

import ganzoo
from ganzoo_zoo.regularizers._adaptive import Adaptive, Probability, used
from ganzoo_zoo.regularizers._augment import GREY, about, bands, coloured, cut_out, filtered, images_only, warped

if TYPE_CHECKING:
    from torch import Tensor


class ADA(Adaptive):
    """Adaptive discriminator augmentation (ADA, StyleGAN2-ADA): augments as often as overfitting asks for.

    Formula:
        D sees T(x): each transform of T is made with probability p, a draw a sample and pass
        every ``interval`` updates of D:  p <- max(0, p + sign(r_t - target) N interval / (1000 kimg)),
        r_t = mean sign(r) of real scores since then: 1/2 and less where D does not know its samples by heart

    Args:
        target: aim for r_t, from -1 to 1.
        interval: updates of the discriminator between two changes of p, at least 1.
        kimg: thousands of real images in which p can go from 0 to 1, above 0.
        start: p at the first step, from 0 to 1.
        p: the probability, from 0 to 1, where p is fixed or scheduled (p=0..0.55) and does not follow overfitting.
        pipeline: transforms: b (flips, quarter turns, whole-pixel shifts), bg (and scaling, turning, stretching,
            shifting by parts of pixels), bgc (and brightness, contrast, inversion, hue, saturation).
        colour: factor of p for the transforms of colour, from 0 to 1.
        filter: factor of p for a change of each of four bands of frequencies, from 0 to 1.
        noise: factor of p for white noise, whose standard deviation is |N(0, 0.1^2)|, from 0 to 1.
        cutout: factor of p for a square of half the side that is set to 0 (grey), from 0 to 1.

    Raises:
        Incompatible: samples are not images of one or three channels.

    Notes:
        As long as p is below 0.8 the transforms do not leak into the fakes. p lives on the device, in the run's state,
        and is in the records as parts/ada/p. Geometry is a single bilinear resampling with mirrored borders, which can
        be differentiated twice, for penalties. Flips, quarter turns and whole-pixel shifts are exact. The authors'
        resampling has longer filters: white noise shifted by half a pixel keeps a standard deviation of 0.50 by
        bilinear resampling and 0.78 by the authors', while smooth images differ by 0.02 at most. Labels are left
        unchanged. The authors' pipelines are bgc (the default), bgcf (``filter=1``), bgcfn (``filter=1,noise=1``) and
        bgcfnc (``filter=1,noise=1,cutout=1``). The bands are 0 to 1/8, 1/8 to 1/4, 1/4 to 1/2 and 1/2 to 1 of the
        highest frequency. Each band in turn has a gain 2^N(0, 1) with probability p, and all gains are divided so that
        images whose power falls as that of natural images keep their power under the gain of one band.

    Source:
        Karras et al. 2020, Training generative adversarial networks with limited data, arXiv:2006.06676, section 3 and
        appendix B.

    Example:
        All real scores are positive, so that r_t = 1 and p moves by 100 images / 1000 in the first update.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "ada:interval=1,kimg=1"))
        >>> bound.values["module"] = bound.part.prepare(None, None)
        >>> bound.part.observe("discriminator", ganzoo.Scores(real=torch.ones(100)))
        >>> bound.part.report()
        {'p': tensor(0.1000), 'r_t': tensor(1.)}
    """

    pipeline: Literal["b", "bg", "bgc"] = "bgc"
    colour: Annotated[float, Ge(0), Le(1)] = 1.0
    filter: Annotated[float, Ge(0), Le(1)] = 0.0
    noise: Annotated[float, Ge(0), Le(1)] = 0.0
    cutout: Annotated[float, Ge(0), Le(1)] = 0.0

    def check(self, spec: ganzoo.Spec) -> None:
        """Require grey or coloured images."""
        images_only("ada", spec, (1, 3))

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The probability, the signs since its last change, and the bands of frequencies."""
        module = Probability(self.start)
        # Kept on the device, and not saved: a copy from the host would make the step wait.
        module.register_buffer("bands", bands(), persistent=False)
        return module

    def images(self, images: Tensor, s: ganzoo.Scores) -> Tensor:
        """The augmented images."""
        p = self.probability(images)
        draw = Draw(images, p)
        images = warped(images, draw.geometry(fine="g" in self.pipeline))
        if "c" in self.pipeline:
            images = coloured(images, Draw(images, p * self.colour).colour())
        if used(self.filter):
            images = filtered(images, Draw(images, p * self.filter).gains(), self.module.bands)
        if used(self.noise):
            draw = Draw(images, p * self.noise)
            std = draw.happens(draw.normal(0.1).abs(), 0.0)
            images = images + std.view(-1, 1, 1, 1) * torch.randn_like(images)
        if used(self.cutout):
            kept = torch.rand(len(images), 1, 1, 1, device=images.device) >= p * self.cutout
            images = torch.where(kept, images, cut_out(images))
        return images


class Draw:
    """The transforms of a batch: the identity, unless a draw with probability p says otherwise.

    Args:
        images: (N, C, H, W) the images to be transformed.
        p: (): the probability of each transform.
    """

    def __init__(self, images: Tensor, p: Tensor) -> None:
        self.p = p
        self.height, self.width = images.shape[2:]
        self.like: dict[str, Any] = {"device": images.device, "dtype": images.dtype}
        self.count = len(images)

    def happens(self, value: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        """The value with probability p, and otherwise a number that changes nothing.

        Args:
            value: (N,) parameter of a transform.
            otherwise: parameter of the identity.
            p: probability, the draw's own where none is given.
        """
        return torch.where(torch.rand(self.count, **self.like) < (self.p if p is None else p), value, otherwise)

    def normal(self, std: float) -> Tensor:
        """Draw N numbers from a normal distribution.

        Args:
            std: the standard deviation.
        """
        return std * torch.randn(self.count, **self.like)

    def uniform(self, low: float, high: float) -> Tensor:
        """Draw N numbers from a uniform distribution.

        Args:
            low: the smallest number.
            high: the largest number.
        """
        return low + (high - low) * torch.rand(self.count, **self.like)

    def one_of(self, count: int) -> Tensor:
        """Draw N whole numbers.

        Args:
            count: the numbers are below ``count``.
        """
        return torch.randint(count, (self.count,), device=self.like["device"]).to(self.like["dtype"])

    def geometry(self, *, fine: bool) -> Tensor:
        """(N, 2, 3) maps from a pixel to the place that the pixel is read from.

        Args:
            fine: whether to scale, turn, stretch and shift by parts of pixels too.
        """
        zero, one = torch.zeros(self.count, **self.like), torch.ones(self.count, **self.like)

        def scaled(x: Tensor, y: Tensor) -> Tensor:
            return _rows([x, zero, zero], [zero, y, zero], [zero, zero, one])

        def turned(angle: Tensor, *, quarters: bool = False) -> Tensor:
            cos, sin = angle.cos(), angle.sin()
            if quarters:  # cos(pi/2) is 6e-17 in floating point, which would blur whole shifts
                cos, sin = cos.round(), sin.round()
            return _rows([cos, -sin, zero], [sin, cos, zero], [zero, zero, one])

        def moved(x: Tensor, y: Tensor) -> Tensor:
            return _rows([one, zero, x * self.width], [zero, one, y * self.height], [zero, zero, one])

        def pixels(share: Tensor, side: int) -> Tensor:
            return (share * side).round() / side

        # A map goes from output to input: the factor of the last transform acts on a pixel first. So each new factor
        # stands on the right, as in the authors' code (G_inv @ new).
        map_ = scaled(self.happens(1 - 2 * self.one_of(2), 1.0), one)
        map_ = map_ @ turned(self.happens(self.one_of(4) * math.pi / 2, 0.0), quarters=True)
        shift = [pixels(self.uniform(-0.125, 0.125), side) for side in (self.width, self.height)]
        chosen = self.happens(one, 0.0)
        map_ = map_ @ moved(shift[0] * chosen, shift[1] * chosen)
        if fine:
            size = self.happens(self.normal(0.2).exp2(), 1.0)
            map_ = map_ @ scaled(size, size)
            # two turns, before and after stretching, of which one at least is made with probability p
            half = 1 - (1 - self.p).sqrt()
            map_ = map_ @ turned(self.happens(self.uniform(-math.pi, math.pi), 0.0, half))
            stretch = self.happens(self.normal(0.2).exp2(), 1.0)
            map_ = map_ @ scaled(stretch, 1 / stretch)
            map_ = map_ @ turned(self.happens(self.uniform(-math.pi, math.pi), 0.0, half))
            chosen = self.happens(one, 0.0)
            map_ = map_ @ moved(self.normal(0.125) * chosen, self.normal(0.125) * chosen)
        return map_[:, :2]

    def gains(self) -> Tensor:
        """(N, 4) gains of the bands of frequencies, from low to high."""
        power = torch.ones(4, **self.like)
        power[:1] = 10.0  # the lowest band of natural images has ten times the power of each other band
        power = power / power.sum()
        gains = torch.ones(self.count, 4, **self.like)
        for band in range(4):
            alone = torch.ones(self.count, 4, **self.like)
            alone[:, band] = self.happens(self.normal(1.0).exp2(), 1.0)
            gains = gains * alone / (power * alone.square()).sum(1, keepdim=True).sqrt()
        return gains

    def colour(self) -> Tensor:
        """(N, 4, 4) maps of (red, green, blue, 1)."""
        eye = torch.eye(4, **self.like)
        flat = eye.clone()
        flat[3:, 3:] = 0.0  # into a slice: a number into a single element would wait for the device
        axis = torch.full((3,), GREY, **self.like)
        grey = torch.zeros(4, 4, **self.like)
        grey[:3, :3] = torch.outer(axis, axis)
        shift = torch.zeros(4, 4, **self.like)
        shift[:3, 3] = 1.0

        def by(numbers: Tensor) -> Tensor:
            return numbers.view(-1, 1, 1)

        map_ = eye + by(self.happens(self.normal(0.2), 0.0)) * shift
        map_ = (eye + (by(self.happens(self.normal(0.5).exp2(), 1.0)) - 1) * flat) @ map_
        map_ = (eye - 2 * by(self.happens(self.one_of(2), 0.0)) * grey) @ map_
        map_ = about(axis, self.happens(self.uniform(-math.pi, math.pi), 0.0)) @ map_
        strength = by(self.happens(self.normal(1.0).exp2(), 1.0))
        return (eye + (strength - 1) * (flat - grey)) @ map_


def _rows(*rows: list[Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)
