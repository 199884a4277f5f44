"""The penalties R1 and R2 by finite differences."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

import ganzoo


class ApproximateR1R2(ganzoo.Regularizer):
    """R1 and R2 by finite differences (approximated R1 and R2): scores change little where little noise is added.

    Formula:
        L_D <- L_D + gamma/2 (mean_i ((D(x_i + s e_i) - D(x_i)) / s)^2 + mean_i ((D(x'_i + s e_i) - D(x'_i)) / s)^2)
        e_i ~ N(0, I).  For s -> 0 the expectation over e is gamma/2 (mean |grad D(x_i)|^2 + mean |grad D(x'_i)|^2)

    Args:
        gamma: factor of both penalties, at least 0.
        sigma: s, standard deviation of the noise, above 0.
        levels: K, as of an architecture that shows the discriminator K copies of a real image along the channels, such
            as gat. All copies of an image get the same e, so that R1 is the slope along the image. The K levels of a
            fake image, which differ, get an e each.

    Notes:
        The penalty has no second derivative, so that networks without second derivatives can be trained, and costs 4d
        in place of the slopes' backward passes. The variance of the estimate is large: for a linear D it is twice the
        square of the penalty.
        Both scores of a difference are of images without the transforms of other parts, since another random transform
        would change the score more than the noise. The authors' code keeps the transform of the first score.
        With ``levels=1`` each copy of a real image has an e of its own, and R1 is the sum of the copies' squared
        slopes, up to K times smaller.

    Source:
        S. Lin et al. 2025, Diffusion adversarial post-training for one-step video generation, arXiv:2501.08316;
        both sides: S. Hyun et al. 2025, Scalable GANs with Transformers, arXiv:2509.24935, section 3.

    Example:
        A linear score with slope 3 in a single number: the estimate is gamma/2 times (3 e)^2, twice.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real_images=torch.zeros(4000, 1), fake_images=torch.zeros(4000, 1),
        ...                   discriminator=lambda x: 3.0 * x[:, 0])
        >>> _ = torch.manual_seed(0)
        >>> round(float(ganzoo.part("regularizer", "approximate-r1r2:gamma=1").discriminator_penalty(s)))
        9
    """

    constrains_discriminator: ClassVar[bool] = True

    gamma: Annotated[float, Ge(0)] = 0.1
    sigma: Annotated[float, Gt(0)] = 0.01
    levels: Annotated[int, Ge(1)] = 1

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The penalties of both sides.

        Args:
            s: the round.
        """
        total = torch.zeros((), device=s.real_images.device)
        for images, fake in ((s.real_images.detach(), False), (s.fake_images.detach(), True)):
            copies = 1 if fake or images.shape[1] % self.levels else self.levels
            noise = torch.randn_like(images.chunk(copies, 1)[0])
            moved = images + self.sigma * torch.cat([noise] * copies, 1)
            change = s.judge(moved, as_is=True, fake=fake) - s.judge(images, as_is=True, fake=fake)
            total = total + (change / self.sigma).square().mean()
        return self.gamma / 2 * total
