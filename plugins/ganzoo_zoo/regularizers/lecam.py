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

    With running means a_R of real and a_F of fake scores:

    Formula:
        weight * (mean (r - a_F)^2 + mean (a_R - f)^2)                    squared
        weight * (mean relu(r - a_F)^2 + mean relu(a_R - f)^2)            one-sided

    Args:
        weight: the paper's lambda; 0.3 at most for BigGAN nets, 3e-7 for StyleGAN2's in its experiments.
        decay: of the running means, an update of the discriminator.
        form: squared as in the paper, or one-sided as in its code: fakes above the real mean, and real samples below
            the fake one, are left alone.

    Notes:
        The means begin at the first batch, where code begins at a constant and waits for them to forget it; a mean is
        taken before the penalty looks at it, and carries no gradient. Both are saved with the run. With WGAN's loss the
        penalty bounds it below (it is a LeCam divergence then).

    Source:
        Tseng et al. 2021, Regularizing generative adversarial networks under limited data, arXiv:2104.03310,
        equation 4.
    """

    weight: Annotated[float, Ge(0)] = 0.1
    decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    form: Literal["squared", "one-sided"] = "squared"

    constrains_discriminator: ClassVar[bool] = True

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Two means, and how many batches they saw."""
        return Means()

    def observe(self, player: str, s: ganzoo.Scores) -> None:
        """Move the means towards this batch."""
        if player == "discriminator":
            self.module.follow(s.real.mean(), s.fake.mean(), self.decay)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared distance of the scores from the mean of the other kind."""
        real, fake = (mean.to(s.real.dtype) for mean in (self.module.real, self.module.fake))
        above, below = s.real - fake, real - s.fake
        if self.form == "one-sided":
            above, below = above.relu(), below.relu()
        penalty: Tensor = self.weight * (above.square().mean() + below.square().mean())
        return penalty


class Means(nn.Module):
    """Running means of real and fake scores."""

    real: Tensor
    fake: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("real", "fake", "seen"):
            self.register_buffer(name, torch.zeros(()))

    def follow(self, real: Tensor, fake: Tensor, decay: float) -> None:
        """Move by 1 - decay, and the first time the whole way."""
        share = torch.where(self.seen == 0, 1.0, 1 - decay)
        self.real.lerp_(real.to(self.real.dtype), share)
        self.fake.lerp_(fake.to(self.fake.dtype), share)
        self.seen += 1
