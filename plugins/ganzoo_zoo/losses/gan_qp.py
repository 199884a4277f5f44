"""The quadratic potential of GAN-QP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt

import ganzoo
from ganzoo_zoo.losses.paired import difference

if TYPE_CHECKING:
    from torch import Tensor


class GANQP(ganzoo.Loss):
    """GAN-QP loss (quadratic potential): scores may differ as far as the samples do, with no Lipschitz device.

    With d_i the distance of the i-th real sample from the i-th fake sample, and t_i = r_i - f_i:

    Formula:
        L_D = mean (t^2 / (2 lambda d) - t)
        L_G = mean t
        d = mean |x - x'|  (l1)   or   sqrt(mean (x - x')^2)  (l2), over the numbers of a sample
        For a single pair the best t is lambda d, where L_D is -lambda d / 2.

    Args:
        distance: l1 or l2, which the paper finds about equal.
        weight: the paper's lambda, above 0: the best difference of scores for each unit of distance between the
            samples.

    Raises:
        ValueError: real and fake scores differ in shape. Each real sample is paired with a fake sample.

    Notes:
        Distances are means over the numbers of a sample, as in the author's code. The paper writes norms, which grow
        with the resolution. The distance is a constant for both players. The distance is taken between the samples
        before any augmentation, and is at least 1e-8, since a pair of equal samples would divide by zero. The quadratic
        term belongs to the discriminator's loss alone. The code makes two discriminator moves for each move of the
        generator (alternating:discriminator_steps=2) with Adam at 2e-4, betas 0.5,0.999.

    Source:
        Su 2018, GAN-QP, arXiv:1811.07296, section 3, and its code.

    Example:
        Samples 0.2 apart may score 10 * 0.2 = 2 apart: at t = 2 the loss is 4 / (2 * 2) - 2, its minimum.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([2.0]), fake=torch.tensor([0.0]),
        ...                   real_images=torch.tensor([[0.2]]), fake_images=torch.tensor([[0.0]]))
        >>> loss = ganzoo.part("loss", "gan-qp")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(-1.), tensor(2.))
    """

    pairs_samples: ClassVar[bool] = True
    distance: Literal["l1", "l2"] = "l1"
    weight: Annotated[float, Gt(0)] = 10.0

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """A parabola in the difference of the scores, whose width is the distance of the samples."""
        t = difference(s, "gan-qp")
        apart = (s.real_images.detach() - s.fake_images.detach()).flatten(1)
        d = apart.abs().mean(1) if self.distance == "l1" else apart.square().mean(1).sqrt()
        return (t.square() / (2 * self.weight * d.clamp(min=1e-8).to(t.dtype)) - t).mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The mean difference of the scores."""
        return difference(s, "gan-qp").mean()
