"""The unit-gradient penalties between real and fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ganzoo_zoo.regularizers.gradient_penalty import SlopePenalty, excess, slopes

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class WGANGP(SlopePenalty):
    """WGAN-GP gradient penalty (1-GP): slope one on the straight lines between real and fake samples.

    Formula:
        weight * mean_i (|grad D(x^_i)| - 1)^2      x^ = e x + (1 - e) G(z), one e ~ U(0, 1) a sample

    Args:
        weight: the paper's lambda, at least 0: 10 for images, 0.1 in the two-dimensional toys.

    Notes:
        Each sample has a single number e, whatever the sample's shape, and a norm over all numbers of the sample. 1e-12
        stands inside the root, whose slope at zero is infinite. The penalty costs another pass of the discriminator. A
        discriminator with BatchNorm has no gradient of a single sample: use layer or instance normalisation.

    Source:
        Gulrajani et al. 2017, Improved training of Wasserstein GANs, arXiv:1704.00028, equation 3.

    Example:
        D(x) = 3 x1 + 4 x2 has a slope of length 5 everywhere: 10 (5 - 1)^2 = 160.

        >>> import ganzoo, torch
        >>> def critic(x): return x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real_images=torch.ones(4, 2), fake_images=torch.zeros(4, 2), discriminator=critic)
        >>> ganzoo.part("regularizer", "wgan-gp").discriminator_penalty(s).round().item()
        160.0
    """

    weight: Annotated[float, Ge(0)] = 10.0

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared distance of the slope's length from one, between real and fake."""
        (slope,) = slopes(s, "interpolates")
        return self.weight * excess(slope, centre=1.0).mean()


class WGANLP(SlopePenalty):
    """WGAN-LP gradient penalty (one-sided, Lipschitz penalty): slope one at most between real and fake samples.

    Formula:
        weight * mean_i relu(|grad D(x^_i)| - 1)^2      x^ = e x + (1 - e) G(z), one e ~ U(0, 1) a sample

    Args:
        weight: the paper's lambda, at least 0: 10, or 5 in the paper's experiments on images.

    Notes:
        A best discriminator need not have slope one everywhere between the samples, as wgan-gp asks. The slope must
        only not be steeper: a slope below one costs nothing.

    Source:
        Petzka, Fischer and Lukovnicov 2018, On the regularization of Wasserstein GANs, arXiv:1709.08894, equation 8.

    Example:
        D(x) = 3 x1 + 4 x2 has a slope of length 5 everywhere: 10 (5 - 1)^2 = 160.

        >>> import ganzoo, torch
        >>> def critic(x): return x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real_images=torch.ones(4, 2), fake_images=torch.zeros(4, 2), discriminator=critic)
        >>> ganzoo.part("regularizer", "wgan-lp").discriminator_penalty(s).round().item()
        160.0
    """

    weight: Annotated[float, Ge(0)] = 10.0

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared excess of the slope's length over one, between real and fake."""
        (slope,) = slopes(s, "interpolates")
        return self.weight * excess(slope, centre=1.0, one_sided=True).mean()
