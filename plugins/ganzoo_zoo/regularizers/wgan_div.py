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
        k: weight.
        p: power of the slopes' length; above 1.

    Notes:
        With the loss wgan it is the loss wgan-div. A slope below one costs next to nothing, above it the sixth power.

    Source:
        Wu et al. 2018, Wasserstein divergence for GANs, arXiv:1712.01026, equation 7 (k = 2, p = 6).
    """

    k: Annotated[float, Ge(0)] = 2.0
    p: Annotated[float, Gt(1)] = 6.0

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"real", "fake"})

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """A power of the slope's length."""
        return self.k / 2 * total(excess(slope, power=self.p) for slope in slopes(s, "both"))
