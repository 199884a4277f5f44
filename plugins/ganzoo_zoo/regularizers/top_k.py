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
        share: share of the batch that is kept, above 0 and at most 1. The default falls in a straight line over the run
            from all of the batch to half of the batch.

    Notes:
        The paper says that the gradients of bad fakes point away from the nearest mode. The discriminator sees all
        fakes. Losses that pair real and fake samples keep the real samples of the chosen pairs. A share far from 1 from
        the first step on starves the generator. The paper multiplies k by 0.99 each epoch down to half of the batch,
        which falls faster than the default: after 50 of 200 epochs the paper's share is 0.61 and the default's 0.875.
        From epoch 69 on the paper's share is one half.

    Source:
        Sinha et al. 2020, Top-k training of GANs, arXiv:2002.06224, section 3.

    Example:
        >>> import ganzoo, torch
        >>> top = ganzoo.part("regularizer", "top-k:share=0.5")
        >>> top.select_samples(ganzoo.Scores(fake=torch.tensor([0.0, 3.0, 1.0, 2.0])))
        tensor([1, 3])
    """

    share: Annotated[float, Gt(0), Le(1)] = ganzoo.ScheduledNumber("linear", 1.0, 0.5)

    def select_samples(self, s: ganzoo.Scores) -> Tensor:
        """The numbers of the best fakes."""
        k = max(1, round(self.share * len(s.fake)))
        return s.fake.detach().topk(k).indices
