"""The hinge loss without its hinge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class HingeLinear(ganzoo.Loss):
    """Hinge loss without relu (linear hinge): the margin never stops, which leaves WGAN's gradients.

    With real scores r, fake scores f and margin m:

    Formula:
        L_D = mean (m - r) + mean (m + f)  =  2 m + L_D of wgan
        L_G = -mean f

    Args:
        margin: constant added to each score's cost, at least 0, in units of the logit. The margin moves no gradient.

    Notes:
        The loss is unbounded below, as wgan's is, and needs a part that constrains the discriminator, such as sn, r1 or
        wgan-gp. Some lists of training tricks recommend the loss as a variant of hinge. The property of hinge, that
        samples beyond the margin give no gradient, is lost.

    Source:
        Su 2019, kexue.fm (a list of GAN training tricks); the hinge itself: Lim and Ye 2017, arXiv:1705.02894.

    Example:
        The mean real score is 1.25 and the mean fake score -1.5, so that L_D = 2 - 1.25 - 1.5.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([2.0, 0.5]), fake=torch.tensor([-3.0, 0.0]))
        >>> loss = ganzoo.part("loss", "hinge-linear")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(-0.7500), tensor(1.5000))
    """

    margin: Annotated[float, Ge(0)] = 1.0

    bounded: ClassVar[bool] = False
    takes_patches: ClassVar[bool] = True
    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The mean signed distance of real scores below the margin, and of fake scores above minus the margin."""
        return (self.margin - s.real).mean() + (self.margin + s.fake).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the mean fake score."""
        return -s.fake.mean()
