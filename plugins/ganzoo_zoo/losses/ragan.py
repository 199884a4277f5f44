"""The relativistic average losses: is this sample more real than the average of the other kind?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt
from torch.nn.functional import relu, softplus

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Relativistic(ganzoo.Loss):
    """Base of the losses on a = r - mean f and b = f - mean r, whose players swap real and fake: L_G(r, f) = L_D(f, r).

    Args:
        scale: factor of both losses, above 0: 1 sums the two means, 0.5 averages the two means (the author's code).

    Raises:
        ValueError: scores are not (N,).
    """

    scale: Annotated[float, Gt(0)] = 1.0

    takes_patches: ClassVar[bool] = True

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """The cost of ``high`` scores that are not above zero and of ``low`` scores that are not below zero.

        Args:
            high: (N,) scores of one kind, minus the mean of the other kind.
            low: (N,) scores of the other kind, minus the mean of the first kind.
        """
        raise NotImplementedError

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The cost of real scores below the average fake score, and of fake scores above the average real score."""
        return self._loss(s.real, s.fake)

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The cost of fake scores below the average real score, and of real scores above the average fake score."""
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
        scale: factor of both losses, above 0: 1 sums the two means as the paper prints, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss reads the real scores too. The loss leaves the mean
        score free: look at r - f, not at r.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, algorithm 2 and appendix.

    Example:
        Scores that are all equal cost 2 log 2.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.full((4,), 5.0), fake=torch.full((4,), 5.0))
        >>> ganzoo.part("loss", "ragan").discriminator(s)
        tensor(1.3863)
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """The mean softplus of minus the high scores, plus that of the low scores."""
        return softplus(-high).mean() + softplus(low).mean()


class RaLSGAN(Relativistic):
    """Relativistic average least-squares loss (RaLSGAN): drawn to one above and one below the average of the others.

    With a_i = r_i - mean f and b_i = f_i - mean r:

    Formula:
        L_D = mean (a - 1)^2 + mean (b + 1)^2
        L_G = mean (a + 1)^2 + mean (b - 1)^2

    Args:
        scale: factor of both losses, above 0: 1 sums the two means as the paper prints, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss reads the real scores too.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, appendix.

    Example:
        With a = 3 and b = -3, L_D = 2^2 + 2^2 and L_G = 4^2 + 4^2.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([3.0]), fake=torch.tensor([0.0]))
        >>> loss = ganzoo.part("loss", "ralsgan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(8.), tensor(32.))
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """The mean squared distance of high scores from 1, plus that of low scores from -1."""
        return (high - 1).square().mean() + (low + 1).square().mean()


class RaHinge(Relativistic):
    """Relativistic average hinge loss (RaHinge, RaHingeGAN): one above and one below the average of the others.

    With a_i = r_i - mean f and b_i = f_i - mean r:

    Formula:
        L_D = mean relu(1 - a) + mean relu(1 + b)
        L_G = mean relu(1 + a) + mean relu(1 - b)

    Args:
        scale: factor of both losses, above 0: 1 sums the two means as the paper prints, 0.5 is the author's code.

    Notes:
        The means are differentiated through. The generator's loss, unlike that of hinge, has a hinge and reads the real
        scores.

    Source:
        Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734, appendix.

    Example:
        With a = 3 and b = -3 the discriminator pays nothing, and the generator 4 + 4.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([3.0]), fake=torch.tensor([0.0]))
        >>> loss = ganzoo.part("loss", "rahinge")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(0.), tensor(8.))
    """

    def told_apart(self, high: Tensor, low: Tensor) -> Tensor:
        """The mean shortfall of high scores from 1, plus that of low scores from -1."""
        return relu(1 - high).mean() + relu(1 + low).mean()
