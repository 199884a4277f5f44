"""The Wasserstein divergence, whose gradient term is part of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Gt

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class WGANDiv(ganzoo.Loss):
    """WGAN-div loss (Wasserstein divergence): WGAN with a power of the scores' slope, and no Lipschitz bound.

    With real scores r, fake scores f and the slope g(x) = grad_x D(x), whose length is over all numbers of a sample:

    Formula:
        L_D = mean f - mean r + (k/2) mean |g(x)|^p + (k/2) mean |g(x')|^p      x real, x' fake      (points=both)
        L_D = mean f - mean r + k mean |g(x^)|^p      x^ = e x + (1 - e) x', one e ~ U(0, 1) a sample
                                                                                            (points=interpolates)
        L_G = -mean f

    Args:
        k: weight of the slopes, above 0.
        p: power of the slopes' length, above 1.
        points: samples at which the slopes are taken: ``both`` real and fake samples, or ``interpolates`` between a
            real and a fake sample. The authors' code is ``wgan-div:points=interpolates,k=10``.

    Notes:
        The slope's term belongs to the divergence, which has no meaning without the term. As a penalty on another loss
        the term is the regularizer wgan-div. The slopes at real and fake samples come from the pass that judged the
        samples. Interpolates cost another pass of the discriminator. The paper writes low real scores, while real
        scores are high in all losses of the zoo. The paper leaves open at which points the slopes are taken and finds
        little difference. Real and fake samples are the points of the best-known reimplementation. A discriminator
        with BatchNorm has no slope of a single sample.

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
    points: Literal["both", "interpolates"] = "both"

    per_sample_gradients: ClassVar[bool] = True

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images at which the slope is taken from the pass that judged the images."""
        return frozenset({"real", "fake"} if self.points == "both" else ())

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Minus the divergence."""
        if self.points == "both":
            steep = _steepness(s.real, s.real_images, self.p) + _steepness(s.fake, s.fake_images, self.p)
            return s.fake.mean() - s.real.mean() + self.k / 2 * steep
        real, fake = s.real_images.detach(), s.fake_images.detach()
        e = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
        between = (e * real + (1 - e) * fake).requires_grad_()
        return s.fake.mean() - s.real.mean() + self.k * _steepness(s.judge(between), between, self.p)

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The part of the divergence that the generator moves."""
        return -s.fake.mean()


def _steepness(scores: Tensor, images: Tensor, p: float) -> Tensor:
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    squared = slope.flatten(1).square().sum(1)
    # From the squared length: p = 6 needs no root, and the slope of a root at zero is infinite.
    return (squared if p >= 2 else squared + 1e-12).pow(p / 2).mean()
