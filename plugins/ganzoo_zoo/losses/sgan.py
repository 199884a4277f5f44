"""The loss of the first GAN, in the form that is trained: non-saturating."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch.nn.functional import softplus

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class SGAN(ganzoo.Loss):
    """Standard GAN loss, non-saturating: binary cross-entropy on logits (vanilla GAN, NS-GAN, BCE).

    With sp(t) = log(1 + e^t), real scores r, fake scores f, and targets t_r = 1, t_f = 0 (moved by label smoothing):

    Formula:
        L_D = mean[(1 - t_r) r + sp(-r)] + mean[sp(f) - t_f f]
        L_G = mean sp(-f)
        At the best discriminator D = log(p/q), L_D = 2 log 2 - 2 JS(p, q), and the generator follows the gradient
        of KL(q||p) - 2 JS(p, q).

    Notes:
        Softplus of the logit, never log(sigmoid + eps): with an eps the generator's gradient at a score of -50, where
        it has most to learn, is 1e-14 in place of 1. The two means are summed, not averaged. Moved targets are read by
        the discriminator's loss alone.

    Source:
        Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661, section 3 (its second L_G).
    """

    has_targets: ClassVar[bool] = True
    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Cross-entropy of the real scores against their target, and of the fake against theirs."""
        real = (1 - s.real_target) * s.real + softplus(-s.real)
        fake = softplus(s.fake) - s.fake_target * s.fake
        return real.mean() + fake.mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Cross-entropy of the fake scores against 'real'."""
        return softplus(-s.fake).mean()
