"""The relativistic average losses: is this sample more real than the average of the other kind?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt
from torch.nn.functional import relu, softplus

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Relativistic(ganzoo.Loss):
    """A loss on a = r - mean f and b = f - mean r, whose players swap real and fake: L_G(r, f) = L_D(f, r).

    Args:
        scale: factor of both losses: 1 sums the two means, 0.5 averages them (the author's code).
    """

    scale: Annotated[float, Gt(0)] = 1.0

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """What it costs where ``high`` is not above zero and ``low`` not below."""
        raise NotImplementedError

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Real above the average fake, fake below the average real."""
        return self._loss(s.real, s.fake)

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Fake above the average real, real below the average fake."""
        return self._loss(s.fake, s.real)

    def _loss(self, high: Tensor, low: Tensor) -> Tensor:
        if high.dim() != 1 or low.dim() != 1:
            raise ValueError(f"scores are (N,): found shapes {tuple(high.shape)} and {tuple(low.shape)}; flatten them")
        # the means are not detached: each sample's gradient reaches all samples of the other kind
        return self.scale * self.told_apart(high - low.mean(), low - high.mean())


class RaSGAN(Relativistic):
    """Relativistic average GAN loss (RaGAN, RaSGAN, as in ESRGAN): cross-entropy against the average of the others.

    With sp(t) = log(1 + e^t), a_i = r_i - mean f and b_i = f_i - mean r:

    Formula:
        L_D = mean sp(-a) + mean sp(b)
        L_G = mean sp(a) + mean sp(-b)

    Args:
        scale: factor of both losses: 1 sums the two means as the paper prints them, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss reads the real scores too. Nothing pins the mean
        score: look at r - f, not at r.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, algorithm 2 and appendix.
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """Cross-entropy of both."""
        return softplus(-high).mean() + softplus(low).mean()


class RaLSGAN(Relativistic):
    """Relativistic average least-squares loss (RaLSGAN): drawn to one above and one below the average of the others.

    With a_i = r_i - mean f and b_i = f_i - mean r:

    Formula:
        L_D = mean (a - 1)^2 + mean (b + 1)^2
        L_G = mean (a + 1)^2 + mean (b - 1)^2

    Args:
        scale: factor of both losses: 1 sums the two means as the paper prints them, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss reads the real scores too.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, appendix.
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """Squared distance of both from one and minus one."""
        return (high - 1).square().mean() + (low + 1).square().mean()


class RaHinge(Relativistic):
    """Relativistic average hinge loss (RaHinge, RaHingeGAN): one above and one below the average of the others.

    With a_i = r_i - mean f and b_i = f_i - mean r:

    Formula:
        L_D = mean relu(1 - a) + mean relu(1 + b)
        L_G = mean relu(1 + a) + mean relu(1 - b)

    Args:
        scale: factor of both losses: 1 sums the two means as the paper prints them, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss, unlike hinge's, has a hinge and reads the real
        scores.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, appendix.
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """How far both fall short of one and minus one."""
        return relu(1 - high).mean() + relu(1 + low).mean()
