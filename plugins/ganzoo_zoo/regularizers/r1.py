"""The zero-centred gradient penalties of Mescheder: on real samples, on fakes, on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge

from ganzoo_zoo.regularizers.gradient_penalty import Points, SlopePenalty, excess, slopes, total

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class Flat(SlopePenalty):
    """Base of the three: (gamma / 2) times the mean squared slope, at ``points``.

    Args:
        gamma: weight, at least 0.
    """

    gamma: Annotated[float, Ge(0)] = 10.0

    points: ClassVar[Points]

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared slope of the scores."""
        return self.gamma / 2 * total(excess(slope) for slope in slopes(s, self.points))

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor:
        """The discriminator's slope is psi everywhere: (gamma / 2) psi^2, once for each of the points' sides."""
        sides = 2 if self.points == "both" else 1
        return torch.tensor([[0.0, 0.0], [0.0, sides * self.gamma]], dtype=jacobian.dtype)


class R1(Flat):
    """R1 gradient penalty (zero-centred, 0-GP on real samples): a flat discriminator on the data.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2      x_i real, |.|^2 summed over all numbers of a sample

    Args:
        gamma: weight, at least 0, in the gamma/2 form of the paper, StyleGAN2 and R3GAN.

    Notes:
        gamma grows with the resolution, and published values differ: 0.05 at 32 pixels (R3GAN on CIFAR-10), 1
        (StyleGAN2-ADA) and 150 (R3GAN) at 256 pixels. The code that came with the paper leaves out the 1/2, so that a
        weight of 10 in that code is gamma = 20. The gradient is that of the raw score with respect to the image before
        any augmentation, and comes from the pass that judged the real images. A discriminator with BatchNorm has no
        gradient of a single sample. With ``every=k`` the penalty times k joins the loss of every k-th update. StyleGAN2
        makes an update of its own for the penalty, with the learning rate and betas scaled by k / (k + 1).

    Source:
        Mescheder, Geiger and Nowozin 2018, Which training methods for GANs do actually converge?, arXiv:1801.04406,
        equation 9.

    Example:
        D(x) = 3 x1 + 4 x2 has a squared slope of 25 everywhere: (2 / 2) 25 = 25.

        >>> import ganzoo, torch
        >>> x = torch.ones(4, 2, requires_grad=True)
        >>> scores = x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real=scores, real_images=x, fake=scores, fake_images=x)
        >>> ganzoo.part("regularizer", "r1:gamma=2").discriminator_penalty(s).item()
        25.0
    """

    points: ClassVar[Points] = "real"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real"})


class R2(Flat):
    """R2 gradient penalty (zero-centred, 0-GP on fakes): a flat discriminator where the generator is.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2      x_i fake, |.|^2 summed over all numbers of a sample

    Args:
        gamma: weight, at least 0, in the gamma/2 form, as for r1.

    Notes:
        Only the discriminator pays the penalty, and no gradient of the penalty reaches the generator's weights. The
        cost is that of r1.

    Source:
        Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, equation 10.

    Example:
        D(x) = 3 x1 + 4 x2 has a squared slope of 25 everywhere: (2 / 2) 25 = 25.

        >>> import ganzoo, torch
        >>> x = torch.ones(4, 2, requires_grad=True)
        >>> scores = x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real=scores, real_images=x, fake=scores, fake_images=x)
        >>> ganzoo.part("regularizer", "r2:gamma=2").discriminator_penalty(s).item()
        25.0
    """

    points: ClassVar[Points] = "fake"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"fake"})


class R1R2(Flat):
    """R1 and R2 gradient penalties together (R3GAN): a flat discriminator on real samples and on fakes.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2 + (gamma / 2) mean_i |grad_x D(x'_i)|^2      x real, x' fake

    Args:
        gamma: weight of both, at least 0, in the gamma/2 form. R3GAN lets gamma fall over the run (CIFAR-10:
            cosine(0.05,0.005)).

    Notes:
        With r1 alone R3GAN's loss diverges at times, with both penalties R3GAN's loss does not. The authors do without
        lazy application, with which the small data sets collapsed.

    Source:
        Huang et al. 2024, The GAN is dead; long live the GAN! (R3GAN), arXiv:2501.05441, sections 3 and 4.

    Example:
        D(x) = 3 x1 + 4 x2 has a squared slope of 25 everywhere: (2 / 2) 25 = 25 for each kind.

        >>> import ganzoo, torch
        >>> x = torch.ones(4, 2, requires_grad=True)
        >>> scores = x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real=scores, real_images=x, fake=scores, fake_images=x)
        >>> ganzoo.part("regularizer", "r1r2:gamma=2").discriminator_penalty(s).item()
        50.0
    """

    points: ClassVar[Points] = "both"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
