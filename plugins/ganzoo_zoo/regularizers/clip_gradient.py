"""A bound on how far a player moves at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch.nn.utils import get_total_norm

import ganzoo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ClipGradient(ganzoo.Regularizer):
    """Gradient clipping (clip grad norm): a player's gradient is shortened where it is too long.

    Formula:
        norm:   g <- g min(1, value / |g|)             |.| over all of the player's parameters
        value:  g <- min(max(g, -value), value)        each number by itself

    Args:
        value: the bound.
        by: norm (the direction is kept) or value.
        players: whose gradients.

    Notes:
        It is not weight clipping, and no Lipschitz device: it bounds moves, not weights. The records show the gradient
        as it was before. Optimizers that divide by the gradient's size (Adam, RMSprop) undo a steady factor; what is
        left is that single large gradients count less.

    Source:
        Pascanu, Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks, arXiv:1211.5063,
        algorithm 1.
    """

    value: Annotated[float, Gt(0)] = 1.0
    by: Literal["norm", "value"] = "norm"
    players: Literal["discriminator", "generator", "both"] = "both"

    constrains_discriminator: ClassVar[bool] = False

    def modify_gradients(
        self, player: Literal["discriminator", "generator"], gradients: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """The gradients, within the bound."""
        if self.players not in (player, "both"):
            return gradients
        if self.by == "value":
            return [g.clamp(-self.value, self.value) for g in gradients]
        share = (self.value / (get_total_norm(gradients) + 1e-12)).clamp(max=1.0)
        return list(torch._foreach_mul(list(gradients), share))
