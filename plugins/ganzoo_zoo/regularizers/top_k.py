"""The generator learns from its best fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class TopK(ganzoo.Regularizer):
    """Top-k training: the generator's loss sees only the fakes that the discriminator scores highest.

    Formula:
        L_G of the k samples with the highest f;  k = share * N, one at least

    Args:
        share: of the batch that is kept: a number, or a course that falls, such as 1..0.5 (the paper's: from all of the
            batch down to half of it).

    Notes:
        The gradients of bad fakes point away from the nearest mode, says the paper. The discriminator sees all of them.
        Losses that pair real and fake samples keep the real ones of the same pairs. A share that is far from 1 from the
        first step on starves the generator.

    Source:
        Sinha et al. 2020, Top-k training of GANs, arXiv:2002.06224, section 3.
    """

    share: Annotated[float, Gt(0), Le(1)] = ganzoo.ScheduledNumber("linear", 1.0, 0.5)

    def select_samples(self, s: ganzoo.Scores) -> Tensor:
        """Numbers of the best fakes."""
        k = max(1, round(self.share * len(s.fake)))
        return s.fake.detach().topk(k).indices
