"""A bound on how far a player moves in an update."""

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
    """Gradient clipping (clip grad norm): a player's gradient is shortened where the gradient is too long.

    Formula:
        norm:   g <- g min(1, value / |g|)             |.| over all of the player's parameters
        value:  g <- min(max(g, -value), value)        each number alone

    Args:
        value: the bound, above 0, in units of the gradient.
        by: norm (the direction is kept) or value.
        players: the players whose gradients are clipped.

    Notes:
        The part clips neither weights nor slopes: moves are bounded, weights are not. The records show the gradient
        before clipping. Optimizers that divide by the gradient's size (Adam, RMSprop) undo a constant factor, so that
        only single large gradients count less.

    Source:
        Pascanu, Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks, arXiv:1211.5063,
        algorithm 1.

    Example:
        A gradient of length 5 is shortened to length 1.

        >>> import ganzoo, torch
        >>> clip = ganzoo.part("regularizer", "clip-gradient")
        >>> clip.modify_gradients("generator", [torch.tensor([3.0]), torch.tensor([4.0])])
        [tensor([0.6000]), tensor([0.8000])]
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
