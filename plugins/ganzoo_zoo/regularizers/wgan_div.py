"""The gradient term of the Wasserstein divergence, for any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt

from ganzoo_zoo.regularizers.gradient_penalty import SlopePenalty, excess, slopes, total

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class WGANDiv(SlopePenalty):
    """WGAN-div gradient penalty: a high power of the slope at real samples and at fakes, with no Lipschitz bound.

    Formula:
        (k/2) mean |grad D(x)|^p + (k/2) mean |grad D(x')|^p      x real, x' fake

    Args:
        k: weight, at least 0.
        p: power of the slopes' length, above 1.

    Notes:
        Together with the loss wgan the penalty is the loss wgan-div. A slope below one costs next to nothing, a slope
        above one costs the sixth power.

    Source:
        Wu et al. 2018, Wasserstein divergence for GANs, arXiv:1712.01026, equation 7 (k = 2, p = 6).

    Example:
        D(x) = 2 x has the slope 2 everywhere: each of the two terms is (2/2) 2^6 = 64.

        >>> import ganzoo, torch
        >>> x = torch.ones(4, 1, requires_grad=True)
        >>> s = ganzoo.Scores(real=2 * x[:, 0], real_images=x, fake=2 * x[:, 0], fake_images=x)
        >>> ganzoo.part("regularizer", "wgan-div").discriminator_penalty(s).item()
        128.0
    """

    k: Annotated[float, Ge(0)] = 2.0
    p: Annotated[float, Gt(1)] = 6.0

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real", "fake"})

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean power of the slope's length, at real and at fake samples."""
        return self.k / 2 * total(excess(slope, power=self.p) for slope in slopes(s, "both"))
