"""Penalties on the slope of the scores: the family that R1, WGAN-GP, DRAGAN and others are presets of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt

import ganzoo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

Points = Literal["real", "fake", "both", "interpolates", "around"]

WATCHED: dict[str, frozenset[str]] = {
    "real": frozenset({"real"}),
    "fake": frozenset({"fake"}),
    "both": frozenset({"real", "fake"}),
}


class SlopePenalty(ganzoo.Regularizer):
    """Base of the penalties on the slope at each sample, which constrain the discriminator."""

    per_sample_gradients: ClassVar[bool] = True
    constrains_discriminator: ClassVar[bool] = True


class GradientPenalty(SlopePenalty):
    """Gradient penalty, in general (GP, 0-GP, 1-GP, LP): of any centre, points and power; R1 and WGAN-GP are presets.

    With g(x) = grad_x D(x) for each sample and |g| the length over all numbers of the sample:

    Formula:
        weight * mean (|g(x)| - centre)^power            two-sided
        weight * mean relu(|g(x)| - centre)^power        one-sided
        both: the mean over real samples plus the mean over fake samples
        over=max: max in place of mean, and weight * max |g(x)|^2 with centre 0 is max-GP

    Args:
        weight: factor of the penalty, at least 0.
        centre: length of slope that costs nothing, at least 0: 0 (flat) or 1 (WGAN-GP).
        sides: ``two``, or ``one``, where slopes below the centre cost nothing (Lipschitz penalty).
        points: samples at which the slope is taken: real, fake, both, interpolates (on the line between a real and a
            fake sample) or around (real samples with noise).
        on: slope of the logit, or of the probability sigmoid(D).
        power: power of the length, above 1. An even power of a zero-centred penalty needs no root.
        spread: noise of ``around``, above 0, in units of the standard deviation of the real batch.
        over: ``mean`` over the samples, or ``max``, the sample with the largest cost alone (max-GP).

    Notes:
        Slopes at real and fake samples come from the pass that judged the samples, before any augmentation.
        Interpolates and around cost another pass. A discriminator with BatchNorm has no gradient of a single sample. On
        the probability the penalty fades where the discriminator is sure (a factor of at most 1/4 on the slope).
        The Lipschitz constant is the largest slope, so that Lipschitz GANs penalise the largest slope of a batch alone:
        ``gradient-penalty:weight=0.1,over=max``, beside any loss with a rising and convex cost of scores. With
        ``--accumulate`` and several processes each micro-batch has its own largest slope. Presets: r1, r2, r1r2,
        wgan-gp, wgan-lp, zero-gp, dragan, wgan-div.

    Source:
        Gulrajani et al. 2017, arXiv:1704.00028; Mescheder et al. 2018, arXiv:1801.04406; Thanh-Tung et al. 2019,
        arXiv:1902.03984; Petzka et al. 2018, arXiv:1709.08894 (one-sided); Zhou et al. 2019, Lipschitz generative
        adversarial nets, arXiv:1902.05687, and the authors' code (max-GP).

    Example:
        D(x) = 3 x1 + 4 x2 has a slope of length 5 everywhere: 10 (5 - 1)^2 = 160.

        >>> import ganzoo, torch
        >>> def critic(x): return x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real_images=torch.ones(4, 2), fake_images=torch.zeros(4, 2), discriminator=critic)
        >>> ganzoo.part("regularizer", "gradient-penalty:centre=1").discriminator_penalty(s).round().item()
        160.0
    """

    weight: Annotated[float, Ge(0)] = 10.0
    centre: Annotated[float, Ge(0)] = 0.0
    sides: Literal["two", "one"] = "two"
    points: Points = "interpolates"
    on: Literal["logit", "probability"] = "logit"
    power: Annotated[float, Gt(1)] = 2.0
    spread: Annotated[float, Gt(0)] = 0.5
    over: Literal["mean", "max"] = "mean"

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images at which the slope is taken from the pass that judged them."""
        return WATCHED.get(self.points, frozenset())

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean power of the slopes' distance from the centre."""
        found = slopes(s, self.points, probability=self.on == "probability", spread=self.spread)
        costs = [excess(slope, self.centre, self.sides == "one", self.power) for slope in found]
        return self.weight * total(costs if self.over == "mean" else [cost.amax()[None] for cost in costs])


def slopes(s: ganzoo.Scores, points: Points, *, probability: bool = False, spread: float = 0.5) -> list[Tensor]:
    """The gradient of each score by the score's own sample, (N, *shape), at the points; two gradients for ``both``.

    Args:
        s: the round.
        points: samples at which the gradient is taken.
        probability: whether the gradient is that of sigmoid(D) in place of the logit.
        spread: noise of ``around``, in units of the standard deviation of the real batch.
    """
    if points in WATCHED:
        judged = {"real": (s.real, s.real_images)} if points != "fake" else {}
        if points != "real":
            judged["fake"] = s.fake, s.fake_images
    else:
        place = interpolates(s) if points == "interpolates" else around(s, spread)
        judged = {points: (s.judge(place), place)}
    found: list[Tensor] = []
    for scores, images in judged.values():
        added = (scores.sigmoid() if probability else scores).sum()
        # of the sum: a score depends on its own sample alone, so each sample gets the gradient of its own score
        found += torch.autograd.grad(added, images, create_graph=True)
    return found


def total(costs: Iterable[Tensor]) -> Tensor:
    """The sum of the mean costs.

    Args:
        costs: (N,) costs of samples, one tensor for each kind of points.
    """
    return torch.stack([cost.mean() for cost in costs]).sum()


def interpolates(s: ganzoo.Scores) -> Tensor:
    """Points on the lines between real and fake samples, a leaf that takes a gradient: one number e ~ U(0, 1) a sample.

    Args:
        s: the round.
    """
    real, fake = s.real_images.detach(), s.fake_images.detach()
    e = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    return (e * real + (1 - e) * fake).requires_grad_()


def around(s: ganzoo.Scores, spread: float) -> Tensor:
    """Real samples with normal noise, a leaf that takes a gradient.

    Args:
        s: the round.
        spread: standard deviation of the noise, in units of the standard deviation of the real batch.
    """
    real = s.real_images.detach()
    return (real + spread * real.std(correction=0) * torch.randn_like(real)).requires_grad_()


def excess(slope: Tensor, centre: float = 0.0, one_sided: bool = False, power: float = 2.0) -> Tensor:
    """The power of each slope's distance from the centre, (N,).

    Args:
        slope: (N, *shape) gradients.
        centre: length that costs nothing.
        one_sided: whether shorter slopes cost nothing either.
        power: power of the distance.

    Example:
        >>> import torch
        >>> excess(torch.tensor([[3.0, 4.0]]))
        tensor([25.])
    """
    squared = slope.flatten(1).square().sum(1)
    if centre == 0:
        # from the squared length, without a root where there need be none: its slope at zero is infinite
        return squared if power == 2 else (squared if power > 2 else squared + 1e-12).pow(power / 2)
    away = (squared + 1e-12).sqrt() - centre
    away = away.relu() if one_sided else away
    return away.square() if power == 2 else away.abs().pow(power)
