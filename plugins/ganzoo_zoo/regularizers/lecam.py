"""Scores anchored to the running mean of the other kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Lt
from torch import nn

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class LeCam(ganzoo.Regularizer):
    """LeCam regularization (limited data): real scores are drawn to the average fake score, and fake to the real.

    With running means a_R of real and a_F of fake scores, m_t the mean score of the batch in update t:

    Formula:
        a = (1 - decay) sum_s decay^(t - s) m_s / (1 - decay^t)
        weight * (mean (r - a_F)^2 + mean (a_R - f)^2)                    squared
        weight * (mean relu(r - a_F)^2 + mean relu(a_R - f)^2)            one-sided

    Args:
        weight: the paper's lambda, at least 0. The paper has 0.3 at most for BigGAN nets (0.3 in the authors' scripts
            for CIFAR) and 3e-7 for StyleGAN2's.
        decay: decay of the running means in each update of the discriminator, from 0 to below 1.
        form: ``squared`` as in the paper, or ``one-sided`` as in the authors' code: fakes above the real mean, and real
            samples below the fake mean, cost nothing.

    Notes:
        The means are debiased, as in the authors' code for StyleGAN2: the first batches do not outweigh later batches.
        A mean is moved before the penalty reads the mean, and carries no gradient. Both means are saved with the run.
        With WGAN's loss the penalty bounds the loss below, which is a LeCam divergence then.

    Source:
        Tseng et al. 2021, Regularizing generative adversarial networks under limited data, arXiv:2104.03310,
        equation 4.

    Example:
        After a first batch with real scores of 2 and fake scores of -1 both distances are 3, and 0.3 (9 + 9) = 5.4.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "lecam"))
        >>> bound.values["module"] = bound.part.prepare(None, None)
        >>> s = ganzoo.Scores(real=torch.full((4,), 2.0), fake=torch.full((4,), -1.0))
        >>> bound.part.observe("discriminator", s)
        >>> bound.part.discriminator_penalty(s)
        tensor(5.4000)
    """

    weight: Annotated[float, Ge(0)] = 0.3
    decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    form: Literal["squared", "one-sided"] = "squared"

    constrains_discriminator: ClassVar[bool] = True

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Two means, and the share of the scores in the means."""
        return Means()

    def observe(self, player: str, s: ganzoo.Scores) -> None:
        """Move the means towards the batch."""
        if player == "discriminator":
            self.module.follow(s.real.mean(), s.fake.mean(), self.decay)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared distance of the scores from the mean of the other kind."""
        real, fake = (anchor.to(s.real.dtype) for anchor in self.module.anchors())
        above, below = s.real - fake, real - s.fake
        if self.form == "one-sided":
            above, below = above.relu(), below.relu()
        penalty: Tensor = self.weight * (above.square().mean() + below.square().mean())
        return penalty


class Means(nn.Module):
    """Running means of real and fake scores that begin at zero, and the share of the scores in them."""

    real: Tensor
    fake: Tensor
    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("real", "fake", "share"):
            self.register_buffer(name, torch.zeros(()))

    def follow(self, real: Tensor, fake: Tensor, decay: float) -> None:
        """Move each mean by a share of 1 - decay.

        Args:
            real: mean real score of a batch.
            fake: mean fake score of a batch.
            decay: share of the old mean that is kept.
        """
        self.real.lerp_(real.to(self.real.dtype), 1 - decay)
        self.fake.lerp_(fake.to(self.fake.dtype), 1 - decay)
        self.share.lerp_(torch.ones_like(self.share), 1 - decay)  # 1 - decay^t after t updates

    def anchors(self) -> tuple[Tensor, Tensor]:
        """The means without the zero that they began at, of real and of fake scores."""
        # Adam's debiasing. Without a first update 0/0 would be NaN: the anchors are then 0.
        share = torch.where(self.share == 0, 1.0, self.share)
        return self.real / share, self.fake / share
