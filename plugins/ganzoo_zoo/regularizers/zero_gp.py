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
        weight: factor of the penalty, at least 0: 10 in the authors' toys and 500 in the authors' image script, both on
            the probability.
        on: slope of the logit, or of the probability sigmoid(D). The authors' discriminators end in a sigmoid, in toys
            and for images: their setting is ``probability``. At a logit of 0 the penalty on the probability is 1/16 of
            that on the logit.

    Notes:
        The penalty costs another pass of the discriminator.

    Source:
        Thanh-Tung, Tran and Venkatesh 2019, Improving generalization and stability of GANs, arXiv:1902.03984,
        equation 9.

    Example:
        D(x) = 3 x1 + 4 x2 has a slope of length 5 everywhere: 10 * 5^2 = 250.

        >>> import ganzoo, torch
        >>> def critic(x): return x @ torch.tensor([3.0, 4.0])
        >>> s = ganzoo.Scores(real_images=torch.ones(4, 2), fake_images=torch.zeros(4, 2), discriminator=critic)
        >>> ganzoo.part("regularizer", "zero-gp").discriminator_penalty(s).round().item()
        250.0
    """

    weight: Annotated[float, Ge(0)] = 10.0
    on: Literal["logit", "probability"] = "logit"

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared slope between real and fake."""
        (slope,) = slopes(s, "interpolates", probability=self.on == "probability")
        return self.weight * excess(slope).mean()
