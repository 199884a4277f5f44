"""The unit-gradient penalty around the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt

from ganzoo_zoo.regularizers.gradient_penalty import SlopePenalty, around, excess

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class DRAGAN(SlopePenalty):
    """DRAGAN gradient penalty: a slope of fixed length in the neighbourhood of the data.

    Formula:
        weight * mean_i (|grad D(x_i + delta)| - centre)^2
        normal:   delta = spread std(x) N(0, I)                 the paper's N(0, c I)
        uniform:  delta = a spread std(x) U[0, 1)^shape         one a ~ U(0, 1) a sample: the authors' code

    Args:
        weight: the paper's lambda, at least 0.
        centre: length of slope that costs nothing (the paper's k), at least 0.
        spread: size of the noise, above 0, in units of the standard deviation of the real batch.
        noise: normal as in the paper, or uniform, one-sided and positive, as in the authors' code.

    Notes:
        The penalty does not read fakes, and costs another pass of the discriminator. The paper uses the penalty with
        the loss sgan.

    Source:
        Kodali et al. 2017, On convergence and stability of GANs, arXiv:1705.07215, section 2.4 and its code.

    Example:
        D(x) = 3 x1 + 4 x2 has a slope of length 5 everywhere: 10 (5 - 1)^2 = 160.

        >>> import ganzoo, torch
        >>> def critic(x): return x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real_images=torch.ones(4, 2), discriminator=critic)
        >>> ganzoo.part("regularizer", "dragan").discriminator_penalty(s).round().item()
        160.0
    """

    weight: Annotated[float, Ge(0)] = 10.0
    centre: Annotated[float, Ge(0)] = 1.0
    spread: Annotated[float, Gt(0)] = 0.5
    noise: Literal["normal", "uniform"] = "normal"

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared distance of the slope's length from the centre, around the real samples."""
        if self.noise == "normal":
            place = around(s, self.spread)
        else:
            real = s.real_images.detach()
            a = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
            place = (real + a * self.spread * real.std(correction=0) * torch.rand_like(real)).requires_grad_()
        (slope,) = torch.autograd.grad(s.judge(place).sum(), place, create_graph=True)
        return self.weight * excess(slope, self.centre).mean()
