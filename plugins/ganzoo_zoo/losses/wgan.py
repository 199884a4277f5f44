"""The critic's loss of the Wasserstein GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class WGAN(ganzoo.Loss):
    """Wasserstein GAN loss (WGAN critic): the difference of mean scores, an estimate of the earth mover's distance.

    With real scores r and fake scores f:

    Formula:
        L_D = mean f - mean r
        L_G = -mean f
        Over discriminators with Lipschitz constant 1, -min L_D = W1(p, q) (Kantorovich and Rubinstein).

    Notes:
        The loss is unbounded below and needs a part that constrains the discriminator, such as wgan-gp, weight-clip, sn
        or r1. -L_D is a distance only up to the Lipschitz constant that is in fact held. Clipping goes with RMSprop and
        no momentum, the gradient penalty with Adam, and both with several discriminator moves for each move of the
        generator.

    Source:
        Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, arXiv:1701.07875, equation 2 and algorithm 1.

    Example:
        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([3.0, 1.0]), fake=torch.tensor([-1.0, 0.0]))
        >>> loss = ganzoo.part("loss", "wgan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(-2.5000), tensor(0.5000))
    """

    bounded: ClassVar[bool] = False
    takes_patches: ClassVar[bool] = True
    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the estimated distance."""
        return s.fake.mean() - s.real.mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The part of the distance that the generator moves."""
        return -s.fake.mean()
