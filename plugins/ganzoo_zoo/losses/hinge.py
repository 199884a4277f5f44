"""The hinge loss of SNGAN, SAGAN and BigGAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt
from torch.nn.functional import relu

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Hinge(ganzoo.Loss):
    """Hinge loss (SNGAN, SAGAN, BigGAN): samples whose scores are beyond the margin give no gradient.

    With real scores r, fake scores f and margin m:

    Formula:
        L_D = mean relu(m - r) + mean relu(m + f)
        L_G = -mean f
        At m = 1 the best discriminator is sign(p - q) and L_D = 2 - 2 TV(p, q).

    Args:
        margin: score beyond which a sample costs the discriminator nothing. Above 0, in units of the logit.
        targets: how the discriminator's loss reads targets. ``none`` ignores targets. ``margin`` scales the margins:
            with a target t (1 for real and 0 for fake samples, unless label smoothing moved the target) the margin of
            real samples is t m and the margin of fakes is (1 - t) m.

    Notes:
        Real samples score high. Code that calls the score an energy has low real scores, and is the same loss at (-r,
        -f). Some code halves L_D. Here the two means are summed. The hinge has no targets of its own:
        ``hinge:targets=margin`` is a reading that moves the best real score from m to t m.

    Source:
        Lim and Ye 2017, Geometric GAN, arXiv:1705.02894; Tran et al. 2017, arXiv:1702.08896;
        Miyato et al. 2018, arXiv:1802.05957, equations 16 and 17.

    Example:
        Of the real scores only 0.5 is below the margin, by 0.5. Of the fake scores only 0 is above minus the margin, by
        1.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([2.0, 0.5]), fake=torch.tensor([-3.0, 0.0]))
        >>> loss = ganzoo.part("loss", "hinge")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(0.7500), tensor(1.5000))
    """

    margin: Annotated[float, Gt(0)] = 1.0
    targets: Literal["none", "margin"] = "none"

    takes_patches: ClassVar[bool] = True

    @property
    def has_targets(self) -> bool:
        """The loss reads targets with ``targets=margin``."""
        return self.targets == "margin"

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The mean shortfall of real scores from the margin, and of fake scores from minus the margin."""
        real: Tensor | float = self.margin
        fake: Tensor | float = self.margin
        if self.targets == "margin":
            real, fake = s.real_target * self.margin, (1 - s.fake_target) * self.margin
        return relu(real - s.real).mean() + relu(fake + s.fake).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the mean fake score."""
        return -s.fake.mean()
