"""Softened targets for the discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Le

import ganzoo
from ganzoo_zoo.regularizers._adaptive import used

if TYPE_CHECKING:
    from torch import Tensor


class LabelSmoothing(ganzoo.Regularizer):
    """Label smoothing (one-sided, soft, noisy, flipped labels): the discriminator is to call a real sample 0.9, not 1.

    Formula:
        constant:  t_r = real,                     t_f = fake
        random:    t_r ~ U(real, real_to),         t_f ~ U(fake, fake_to)        one draw a sample and round
        flip:      a sample takes the target of the other kind with probability flip
        With t_r = 0.9 and cross-entropy the best score where only real samples are is log 9, no longer infinite.

    Args:
        real: target of real samples, from 0 to 1. In random mode the lower end of the range.
        fake: target of fake samples, from 0 to 1. One-sided smoothing leaves the target at 0. In random mode the lower
            end of the range.
        mode: ``constant``, or ``random``, drawn anew for each sample.
        real_to: upper end of the range of real targets in random mode, from 0 to 2. The default is 2 - real, a range
            around 1.
        fake_to: upper end of the range of fake targets in random mode, from 0 to 1. The default is fake: no range.
        flip: probability, from 0 to 1, that a sample takes the target of the other kind, a draw a sample and round.

    Notes:
        The part serves losses with targets (sgan, sgan-saturating, lsgan, and hinge:targets=margin). The generator's
        loss keeps its own target. "How to train a GAN" has noisy labels:
        ``label-smoothing:mode=random,real=0.7,real_to=1.2,fake_to=0.3,flip=0.05``, where the list itself gives no
        share of flips. Random real targets with the mean 1 have the expected gradient of hard labels: they add
        gradient noise and no smoothing, and targets above 1 leave the cross-entropy unbounded below. A share of flips
        has the expected gradient of targets 1 - flip and flip. A fake target above 0, and so a flip too, draws the best
        discriminator towards where the generator is already.

    Source:
        Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498, section 3.4;
        ranges and flips: Chintala et al. 2016, How to train a GAN, point 6.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("regularizer", "label-smoothing").targets(ganzoo.Scores(), 1.0, 0.0)
        (0.9, 0.0)
    """

    real: Annotated[float, Ge(0), Le(1)] = 0.9
    fake: Annotated[float, Ge(0), Le(1)] = 0.0
    mode: Literal["constant", "random"] = "constant"
    real_to: Annotated[float, Ge(0), Le(2)] | None = None
    fake_to: Annotated[float, Ge(0), Le(1)] | None = None
    flip: Annotated[float, Ge(0), Le(1)] = 0.0

    def __post_init__(self) -> None:
        if self.mode == "constant" and not (self.real_to is None and self.fake_to is None):
            raise ValueError("real_to and fake_to are ends of ranges: give mode=random too")

    def targets(
        self, s: ganzoo.Scores, real: Tensor | float, fake: Tensor | float
    ) -> tuple[Tensor | float, Tensor | float]:
        """The softened targets, in place of the targets given."""
        t_r: Tensor | float = self.real
        t_f: Tensor | float = self.fake
        if self.mode == "random":
            t_r = between(self.real, 2 - self.real if self.real_to is None else self.real_to, s.real)
            t_f = self.fake if self.fake_to is None else between(self.fake, self.fake_to, s.fake)
        if not used(self.flip):
            return t_r, t_f
        return swapped(t_r, t_f, self.flip, s.real), swapped(t_f, t_r, self.flip, s.fake)


def between(low: float | Tensor, high: float | Tensor, scores: Tensor) -> Tensor:
    """Draws from U(low, high), (N,).

    Args:
        low: lower end.
        high: upper end.
        scores: (N,), whose number, device and type the draws have.
    """
    return torch.rand_like(scores) * (high - low) + low


def swapped(own: float | Tensor, other: float | Tensor, share: float | Tensor, scores: Tensor) -> Tensor:
    """Targets of which each is the other with a probability, (N,).

    Args:
        own: the targets, a number or (N,).
        other: what a target becomes, a number or (N,).
        share: the probability.
        scores: (N,), whose number, device and type the targets have.
    """
    chosen = (torch.rand_like(scores) < share).to(scores.dtype)
    return own + chosen * (other - own)
