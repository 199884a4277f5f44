"""The quadratic potential of GAN-QP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

import ganzoo
from ganzoo_zoo.losses.paired import difference

if TYPE_CHECKING:
    from torch import Tensor


class GANQP(ganzoo.Loss):
    """GAN-QP loss (quadratic potential): scores may differ as far as the samples do, with no Lipschitz device.

    With d_i the distance of the i-th real sample from the i-th fake one, and t_i = r_i - f_i:

    Formula:
        L_D = mean (t^2 / (2 lambda d) - t)
        L_G = mean t
        d = mean |x - x'|  (l1)   or   sqrt(mean (x - x')^2)  (l2), over the numbers of a sample
        For one pair the best t is lambda d, and L_D is -lambda d / 2 there.

    Args:
        distance: l1 or l2; the paper finds them about equal.
        weight: the paper's lambda: how far scores may differ, a unit of the samples' distance.

    Raises:
        ValueError: real and fake scores have not the same shape: each real is paired with one fake.

    Notes:
        Distances are means over the numbers of a sample, as in the author's code; the paper writes norms, which grow
        with the resolution. The distance is a constant of both players, taken from the samples as they are before any
        augmentation, and at least 1e-8: a pair of equals would divide by zero. The quadratic term is not the
        generator's. The code makes two discriminator moves for one of the generator (alternating:discriminator_steps=2)
        with Adam at 2e-4, betas 0.5,0.999.

    Source:
        Su 2018, GAN-QP, arXiv:1811.07296, section 3, and its code.
    """

    distance: Literal["l1", "l2"] = "l1"
    weight: Annotated[float, Gt(0)] = 10.0

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """A parabola in the difference of the scores, as wide as the samples are apart."""
        t = difference(s, "gan-qp")
        apart = (s.real_images.detach() - s.fake_images.detach()).flatten(1)
        d = apart.abs().mean(1) if self.distance == "l1" else apart.square().mean(1).sqrt()
        return (t.square() / (2 * self.weight * d.clamp(min=1e-8).to(t.dtype)) - t).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The difference of the scores."""
        return difference(s, "gan-qp").mean()
