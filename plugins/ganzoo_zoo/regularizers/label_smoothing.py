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
        real: target of real samples, and in random mode the lower end of its range around 1.
        fake: target of fake samples; one-sided smoothing leaves it at 0.
        mode: constant, or drawn anew for each sample.

    Notes:
        For losses with targets (sgan, sgan-saturating, lsgan, and hinge:targets=margin). The generator's loss keeps its
        own target. Random targets have the mean 1, so the expected gradient is that of hard labels: they add gradient
        noise and no smoothing, and targets above 1 leave the cross-entropy unbounded below. fake above 0 draws the best
        discriminator towards where the generator is already.

    Source:
        Salimans et al. 2016, Improved techniques for training GANs, arXiv:1606.03498, section 3.4;
        the random range: Chintala et al. 2016, How to train a GAN.
    """

    real: Annotated[float, Ge(0), Le(1)] = 0.9
    fake: Annotated[float, Ge(0), Le(1)] = 0.0
    mode: Literal["constant", "random"] = "constant"

    def targets(
        self, s: ganzoo.Scores, real: Tensor | float, fake: Tensor | float
    ) -> tuple[Tensor | float, Tensor | float]:
        """The softened targets, whatever they were."""
        if self.mode == "constant":
            return self.real, self.fake
        return torch.empty_like(s.real).uniform_(self.real, 2 - self.real), self.fake
