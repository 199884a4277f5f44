"""The hinge loss of SNGAN, SAGAN and BigGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt
from torch.nn.functional import relu

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Hinge(ganzoo.Loss):
    """Hinge loss (SNGAN, SAGAN, BigGAN): scores beyond the margin are right enough and teach no more.

    With real scores r, fake scores f and margin m:

    Formula:
        L_D = mean relu(m - r) + mean relu(m + f)
        L_G = -mean f
        At m = 1 the best discriminator is sign(p - q) and L_D = 2 - 2 TV(p, q).

    Args:
        margin: score beyond which a sample is told apart well enough, in units of the logit.
        targets: none, or margin: a target t, 1 for real and 0 for fake unless label smoothing moved it, moves that
            side's margin: t m for real samples, (1 - t) m for fakes.

    Notes:
        Real is high. Code that calls the score an energy has real low: it is the same loss at (-r, -f). Some code
        halves L_D; here the two means are summed. The hinge has no targets of its own: ``hinge:targets=margin`` is one
        way to read them, which draws the best real score from m to t m.

    Source:
        Lim and Ye 2017, Geometric GAN, arXiv:1705.02894; Tran et al. 2017, arXiv:1702.08896;
        Miyato et al. 2018, arXiv:1802.05957, equations 16 and 17.
    """

    margin: Annotated[float, Gt(0)] = 1.0
    targets: Literal["none", "margin"] = "none"

    @property
    def has_targets(self) -> bool:
        """The loss reads targets with ``targets=margin``."""
        return self.targets == "margin"

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """How far real scores fall short of the margin, and fake scores of minus the margin."""
        real: Tensor | float = self.margin
        fake: Tensor | float = self.margin
        if self.targets == "margin":
            real, fake = s.real_target * self.margin, (1 - s.fake_target) * self.margin
        return relu(real - s.real).mean() + relu(fake + s.fake).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Fake scores, to be raised without end."""
        return -s.fake.mean()
