"""The zero-centred gradient penalty on real images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class R1(ganzoo.Regularizer):
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

    gamma: Annotated[float, Ge(0)] = 10.0

    watches: ClassVar[frozenset[str]] = frozenset({"real"})
    per_sample: ClassVar[bool] = True
    constrains: ClassVar[bool] = True

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared slope of the scores at the real images."""
        # of the sum: a score depends on its own image alone, so each image gets the gradient of its own score
        (slope,) = torch.autograd.grad(s.real.sum(), s.real_images, create_graph=True)
        return self.gamma / 2 * slope.square().sum() / len(slope)
