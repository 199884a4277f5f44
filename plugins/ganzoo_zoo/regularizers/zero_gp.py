"""The zero-centred penalty between real and fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from ganzoo_zoo.regularizers.gradient_penalty import SlopePenalty, excess, slopes

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


class ZeroGP(SlopePenalty):
    """Zero-centred gradient penalty between real and fake (0-GP, Thanh-Tung): flat on the straight lines.

    Formula:
        weight * mean_i |grad D(x^_i)|^2      x^ = e x + (1 - e) G(z), one e ~ U(0, 1) a sample

    Args:
        weight: 10 in the authors' toys, 500 in their image script.
        on: slope of the logit, or of the probability sigmoid(D), which their code takes for toys and MNIST; at a
            logit of 0 that is 1/16 of the penalty.

    Notes:
        It costs one more pass of the discriminator.

    Source:
        Thanh-Tung, Tran and Venkatesh 2019, Improving generalization and stability of GANs, arXiv:1902.03984,
        equation 9.
    """

    weight: Annotated[float, Ge(0)] = 10.0
    on: Literal["logit", "probability"] = "logit"

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared slope between real and fake."""
        (slope,) = slopes(s, "interpolates", probability=self.on == "probability")
        return self.weight * excess(slope).mean()
