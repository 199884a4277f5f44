"""A leash on the level of the scores."""

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
        weight: small: it is to hold the level of the scores, which WGAN's loss leaves open, and nothing else.

    Notes:
        It reads scores that are there already: it costs nothing. It bounds no slope: an unbounded loss needs another
        part for that.

    Source:
        Karras et al. 2018, Progressive growing of GANs, arXiv:1710.10196, appendix A.1.
    """

    weight: Annotated[float, Ge(0)] = 1e-3

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Mean square of the real scores."""
        return self.weight * s.real.square().mean()
