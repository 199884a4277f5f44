"""The unit-gradient penalty between real and fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class WGANGP(ganzoo.Regularizer):
    """WGAN-GP gradient penalty (1-GP): slope one on the straight lines between real and fake samples.

    Formula:
        weight * mean_i (|grad D(x^_i)| - 1)^2      x^ = e x + (1 - e) G(z), one e ~ U(0, 1) a sample

    Args:
        weight: the paper's lambda: 10 for images, 0.1 in its two-dimensional toys.

    Notes:
        One number e a sample, whatever its shape; a norm over all numbers of a sample; 1e-12 inside the root, whose
        slope at zero is infinite. It costs one more pass of the discriminator. A discriminator with BatchNorm has no
        gradient per sample: use layer or instance normalisation.

    Source:
        Gulrajani et al. 2017, Improved training of Wasserstein GANs, arXiv:1704.00028, equation 3.
    """

    weight: Annotated[float, Ge(0)] = 10.0

    per_sample: ClassVar[bool] = True
    constrains: ClassVar[bool] = True

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared distance of the slope's length from one, between real and fake."""
        real, fake = s.real_images.detach(), s.fake_images.detach()
        e = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
        between = (e * real + (1 - e) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(s.judge(between).sum(), between, create_graph=True)
        length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
        return self.weight * (length - 1).square().mean()
