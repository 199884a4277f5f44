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
        At the best discriminator D = log(p/q), L_G is 2 JS(p, q) - 2 log 2 but for a part that the generator does not
        move: zero, with no gradient, where the two distributions do not meet.

    Notes:
        The gradient is -sigmoid(f)/N: where the discriminator is sure of a fake the generator learns nothing. It is
        here for study; train with sgan.

    Source:
        Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661, equation 1.
    """

    saturates: ClassVar[bool] = True

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The discriminator's gain on fakes, turned round."""
        return -softplus(s.fake).mean()
