"""Softened targets for the discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Le

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class LabelSmoothing(ganzoo.Regularizer):
    """Label smoothing (one-sided, soft or noisy labels): the discriminator is to call a real sample 0.9, not 1.

    Formula:
        constant:  t_r = real,                     t_f = fake
        random:    t_r ~ U(real, 2 - real),        t_f = fake        one draw a sample and round
        With t_r = 0.9 and cross-entropy the best score where only real samples are is log 9, no longer infinite.

    Args:
        real: target of real samples, from 0 to 1. In random mode the lower end of a range around 1.
        fake: target of fake samples, from 0 to 1. One-sided smoothing leaves the target at 0.
        mode: ``constant``, or ``random``, drawn anew for each sample.

    Notes:
        The part serves losses with targets (sgan, sgan-saturating, lsgan, and hinge:targets=margin). The generator's
        loss keeps its own target. Random targets have the mean 1, so that the expected gradient is that of hard labels:
        random targets add gradient noise and no smoothing, and targets above 1 leave the cross-entropy unbounded below.
        A fake target above 0 draws the best discriminator towards where the generator is already. "How to train a GAN"
        has noisy labels of another kind: real targets from 0.7 to 1.2, fake targets from 0 to 0.3, and labels that are
        flipped now and then. The part draws real targets alone and flips none.

    Source:
        Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498, section 3.4;
        the random range: Chintala et al. 2016, How to train a GAN.

    Example:
        >>> import ganzoo
        >>> ganzoo.part("regularizer", "label-smoothing").targets(ganzoo.Scores(), 1.0, 0.0)
        (0.9, 0.0)
    """

    real: Annotated[float, Ge(0), Le(1)] = 0.9
    fake: Annotated[float, Ge(0), Le(1)] = 0.0
    mode: Literal["constant", "random"] = "constant"

    def targets(
        self, s: ganzoo.Scores, real: Tensor | float, fake: Tensor | float
    ) -> tuple[Tensor | float, Tensor | float]:
        """The softened targets, in place of the targets given."""
        if self.mode == "constant":
            return self.real, self.fake
        return torch.empty_like(s.real).uniform_(self.real, 2 - self.real), self.fake
