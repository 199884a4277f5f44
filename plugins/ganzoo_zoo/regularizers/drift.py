"""A penalty that holds the level of the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Drift(ganzoo.Regularizer):
    """Drift penalty (epsilon drift, PGGAN): real scores are kept from wandering far from zero.

    Formula:
        weight * mean_i D(x_i)^2      x_i real

    Args:
        weight: factor of the penalty, at least 0. A small weight suffices, since the penalty is to hold the level of
            the scores, which WGAN's loss leaves free.

    Notes:
        The penalty reads scores that exist already and costs no pass. The penalty bounds no slope: an unbounded loss
        needs another part for a bound.

    Source:
        Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196, appendix A.1.

    Example:
        Scores of 3 and 4 have a mean square of 12.5.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([3.0, 4.0]))
        >>> ganzoo.part("regularizer", "drift:weight=2").discriminator_penalty(s)
        tensor(25.)
    """

    weight: Annotated[float, Ge(0)] = 1e-3

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean square of the real scores."""
        return self.weight * s.real.square().mean()
