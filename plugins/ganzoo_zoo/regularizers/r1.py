"""The zero-centred gradient penalties of Mescheder: on real samples, on fakes, on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ganzoo_zoo.regularizers.gradient_penalty import Points, SlopePenalty, excess, slopes, total

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class Flat(SlopePenalty):
    """(gamma / 2) times the mean squared slope, at ``points``."""

    gamma: Annotated[float, Ge(0)] = 10.0

    points: ClassVar[Points]

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared slope of the scores."""
        return self.gamma / 2 * total(excess(slope) for slope in slopes(s, self.points))


class R1(Flat):
    """R1 gradient penalty (zero-centred, 0-GP on real samples): a flat discriminator on the data.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2      x_i real, |.|^2 summed over all numbers of a sample

    Args:
        gamma: weight, in the gamma/2 form of the paper, StyleGAN2 and R3GAN.

    Notes:
        gamma grows with the resolution: about 0.05 at 32 pixels (R3GAN) to 10 at 256. The code that came with the paper
        leaves out the 1/2, so its 10 is 20 here. The gradient is that of the raw score with respect to the image before
        any augmentation, and comes off the pass that judged the real images. A discriminator with BatchNorm has no
        gradient per sample.

    Source:
        Mescheder, Geiger and Nowozin 2018, Which training methods for GANs do actually converge?, arXiv:1801.04406,
        equation 9.
    """

    points: ClassVar[Points] = "real"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real"})


class R2(Flat):
    """R2 gradient penalty (zero-centred, 0-GP on fakes): a flat discriminator where the generator is.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2      x_i fake, |.|^2 summed over all numbers of a sample

    Args:
        gamma: weight, in the gamma/2 form, as for r1.

    Notes:
        The discriminator's alone: no gradient of it reaches the generator's weights. It costs what r1 costs.

    Source:
        Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, equation 10.
    """

    points: ClassVar[Points] = "fake"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"fake"})


class R1R2(Flat):
    """R1 and R2 gradient penalties together (R3GAN): a flat discriminator on real samples and on fakes.

    Formula:
        (gamma / 2) mean_i |grad_x D(x_i)|^2 + (gamma / 2) mean_i |grad_x D(x'_i)|^2      x real, x' fake

    Args:
        gamma: weight of both, in the gamma/2 form; R3GAN lets it fall over the run (CIFAR-10: cosine(0.05,0.005)).

    Notes:
        With r1 alone R3GAN's loss diverges at times; with both it does not. Its authors do without lazy application,
        with which the small data sets collapsed.

    Source:
        Huang et al. 2024, The GAN is dead; long live the GAN! (R3GAN), arXiv:2501.05441, sections 3 and 4.
    """

    points: ClassVar[Points] = "both"
    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
