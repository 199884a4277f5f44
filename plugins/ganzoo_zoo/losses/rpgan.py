"""The relativistic paired loss of RSGAN and R3GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from torch.nn.functional import softplus

import ganzoo
from ganzoo_zoo.losses.paired import difference

if TYPE_CHECKING:
    from torch import Tensor


class RpGAN(ganzoo.Loss):
    """Relativistic paired GAN loss (RpGAN, RSGAN, the loss of R3GAN): is this real more real than that fake?

    With sp(t) = log(1 + e^t) and d_i = r_i - f_i, the i-th real score minus the i-th fake score:

    Formula:
        L_D = mean sp(-d)
        L_G = mean sp(d)       non-saturating: the players swap real and fake
        L_G = -mean sp(-d)     zero-sum
        The best discriminator is log(p/q) + any constant. Both losses are log 2 when p = q.

    Args:
        form: the generator's loss: non-saturating (R3GAN's code and RSGAN) or zero-sum (the equation in R3GAN's text).

    Raises:
        ValueError: real and fake scores differ in shape. (N, 1) minus (N,) would pair each real score with all fake
            scores.

    Notes:
        The loss leaves the mean score free, which drifts without harm: look at r - f, not at r. The real scores enter
        the generator's loss as constants.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, section 4;
        Huang et al. 2024, The GAN is dead; long live the GAN! (R3GAN), arXiv:2501.05441, equation 2.

    Example:
        Scores that do not tell the pairs apart cost log 2 each, at whatever level the scores are.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([7.0, -3.0]), fake=torch.tensor([7.0, -3.0]))
        >>> loss = ganzoo.part("loss", "rpgan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(0.6931), tensor(0.6931))
    """

    pairs_samples: ClassVar[bool] = True
    form: Literal["non-saturating", "zero-sum"] = "non-saturating"

    takes_patches: ClassVar[bool] = True

    @property
    def saturates(self) -> bool:
        """The zero-sum form saturates: the generator's gradient vanishes at fakes that score far below the reals."""
        return self.form == "zero-sum"

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of 'the real sample of each pair is the real sample'."""
        return softplus(-difference(s, "rpgan")).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The cross-entropy of 'the fake sample of each pair is the real sample', or minus the discriminator's loss."""
        d = difference(s, "rpgan")
        return softplus(d).mean() if self.form == "non-saturating" else -softplus(-d).mean()
