"""The Wasserstein divergence, whose gradient term is part of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Gt

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class WGANDiv(ganzoo.Loss):
    """WGAN-div loss (Wasserstein divergence): WGAN with a power of the scores' slope, and no Lipschitz bound.

    With real scores r, fake scores f and the slope g(x) = grad_x D(x), whose length is over all numbers of a sample:

    Formula:
        L_D = mean f - mean r + (k/2) mean |g(x)|^p + (k/2) mean |g(x')|^p      x real, x' fake
        L_G = -mean f

    Args:
        k: weight of the slopes, above 0.
        p: power of the slopes' length, above 1.

    Notes:
        The slope's term belongs to the divergence, which has no meaning without the term. As a penalty on another loss
        the term is the regularizer wgan-div. The slopes come from the pass that judged the samples. The paper writes
        low real scores. Here real scores are high, as in all losses of this package. The paper leaves open at which
        points the slopes are taken (real, fake, between) and finds little difference. Real and fake samples are the
        points of the best-known reimplementation. A discriminator with BatchNorm has no slope of a single sample.

    Source:
        Wu et al. 2018, Wasserstein divergence for GANs, arXiv:1712.01026, equation 7 (k = 2, p = 6); Su 2018,
        kexue.fm/archives/6139.

    Example:
        The discriminator D(x) = 2 x has the slope 2 everywhere: each of the two terms is (2/2) 2^6 = 64.

        >>> import ganzoo, torch
        >>> x, y = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[0.0]], requires_grad=True)
        >>> s = ganzoo.Scores(real=2 * x[:, 0], fake=2 * y[:, 0], real_images=x, fake_images=y)
        >>> ganzoo.part("loss", "wgan-div").discriminator(s).item()
        126.0
    """

    k: Annotated[float, Gt(0)] = 2.0
    p: Annotated[float, Gt(1)] = 6.0

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
    per_sample_gradients: ClassVar[bool] = True

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the divergence."""
        steep = _steepness(s.real, s.real_images, self.p) + _steepness(s.fake, s.fake_images, self.p)
        return s.fake.mean() - s.real.mean() + self.k / 2 * steep

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The part of the divergence that the generator moves."""
        return -s.fake.mean()


def _steepness(scores: Tensor, images: Tensor, p: float) -> Tensor:
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    squared = slope.flatten(1).square().sum(1)
    # from the squared length: no root at p = 6, whose slope at zero would be infinite
    return (squared if p >= 2 else squared + 1e-12).pow(p / 2).mean()
