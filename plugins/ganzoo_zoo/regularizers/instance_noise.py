"""Noise on all samples that the discriminator sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class InstanceNoise(ganzoo.Regularizer):
    """Instance noise: white noise on real and fake samples alike, whose strength falls to nothing over the run.

    Formula:
        D sees x + sigma e,  e ~ N(0, I) drawn anew for each sample and pass

    Args:
        sigma: standard deviation, at least 0, in units of the samples' range [-1, 1]. A number, or a number that
            follows the run such as 0.1..0.

    Notes:
        Two distributions that do not overlap are at the largest Jensen-Shannon divergence, log 2, whatever their
        distance, and give no gradient. Blurred by the same noise the two overlap, and the divergence falls as the two
        come closer. Both kinds of samples get the noise in the moves of both players.

    Source:
        Sonderby et al. 2017, arXiv:1610.04490; Arjovsky and Bottou 2017, arXiv:1701.04862, section 3.

    Example:
        >>> import ganzoo, torch
        >>> noise = ganzoo.part("regularizer", "instance-noise:sigma=0")
        >>> noise.images(torch.tensor([[0.5]]), ganzoo.Scores())
        tensor([[0.5000]])
    """

    sigma: Annotated[float, Ge(0)] = ganzoo.ScheduledNumber("linear", 0.1, 0.0)

    def images(self, images: Tensor, s: ganzoo.Scores) -> Tensor:
        """The samples with noise."""
        return images + self.sigma * torch.randn_like(images)

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor:
        """sigma^2 times the curvature of the discriminator's loss, for psi: noise of the samples is noise of psi x."""
        return torch.tensor([[0.0, 0.0], [0.0, self.sigma * self.sigma * curvature]], dtype=jacobian.dtype)
