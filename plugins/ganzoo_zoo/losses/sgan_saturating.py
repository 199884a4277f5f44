"""The minimax loss of the first GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch.nn.functional import softplus

from ganzoo_zoo.losses.sgan import SGAN

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class SGANSaturating(SGAN):
    """Standard GAN loss, saturating: the minimax game, whose generator minimises log(1 - sigmoid(f)) (M-GAN).

    With sp(t) = log(1 + e^t), real scores r and fake scores f (targets as in sgan):

    Formula:
        L_D = mean sp(-r) + mean sp(f)
        L_G = -mean sp(f) = mean log(1 - sigmoid(f))
        At the best discriminator D = log(p/q), L_G is 2 JS(p, q) - 2 log 2 up to a term that does not depend on the
        generator. The gradient is zero where the two distributions do not overlap.

    Notes:
        The gradient of a fake score is -sigmoid(f) / N: the generator learns nothing where the discriminator is sure of
        a fake. The loss serves study. Train with sgan.

    Source:
        Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661, equation 1.

    Example:
        At a score of log 3 the discriminator takes a fake for real with probability 3/4, and L_G = log(1/4) = -1.3863.

        >>> import ganzoo, math, torch
        >>> loss = ganzoo.part("loss", "sgan-saturating")
        >>> loss.generator(ganzoo.Scores(fake=torch.tensor([math.log(3)])))
        tensor(-1.3863)
    """

    saturates: ClassVar[bool] = True

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the discriminator's cost of the fakes."""
        return -softplus(s.fake).mean()
