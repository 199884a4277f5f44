"""The non-saturating loss of the first GAN."""

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
        The loss is computed by softplus of the logit, never by log(sigmoid + eps). With an eps the generator's gradient
        at a score of -50, where the generator has most to learn, is 1e-14 in place of 1. The two means are summed, not
        averaged. Only the discriminator's loss reads moved targets.

    Source:
        Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661, section 3 (the second L_G).

    Example:
        A discriminator that scores all samples 0 costs 2 log 2 = 1.3863, and the generator log 2.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.zeros(4), fake=torch.zeros(4))
        >>> loss = ganzoo.part("loss", "sgan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(1.3863), tensor(0.6931))
    """

    has_targets: ClassVar[bool] = True
    takes_patches: ClassVar[bool] = True
    supports_shared_backward: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of real scores against their target, plus that of fake scores against theirs."""
        real = (1 - s.real_target) * s.real + softplus(-s.real)
        fake = softplus(s.fake) - s.fake_target * s.fake
        return real.mean() + fake.mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of fake scores against 'real'."""
        return softplus(-s.fake).mean()
