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
        margin: a constant of the value alone: it moves no gradient.

    Notes:
        Unbounded below, as wgan is: it needs something that holds the discriminator, such as sn, r1 or wgan-gp. It is
        recommended here and there as a variant of hinge; hinge's own point, that samples told apart well enough teach
        no more, is lost.

    Source:
        Su 2019, kexue.fm (a list of GAN training tricks); the hinge itself: Lim and Ye 2017, arXiv:1705.02894.
    """

    margin: Annotated[float, Ge(0)] = 1.0

    bounded: ClassVar[bool] = False
    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """How far real scores are below the margin, and fake scores above minus the margin, with sign."""
        return (self.margin - s.real).mean() + (self.margin + s.fake).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Fake scores, to be raised without end."""
        return -s.fake.mean()
