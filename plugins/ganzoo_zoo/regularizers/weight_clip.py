"""Weight clipping of the first Wasserstein GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightClip(ganzoo.Regularizer):
    """Weight clipping (WGAN): every number of the discriminator is held in [-value, value].

    Formula:
        w <- min(max(w, -value), value)      after each move of the discriminator

    Args:
        value: the bound (the paper's c), above 0, in units of the weights.

    Notes:
        All parameters are clipped, scales and shifts of normalisations too, and no buffers. Gradients are not clipped.
        The paper clips after the move, as this part does. The authors' code clips before the next move. A small bound
        makes gradients vanish, and a large bound makes the discriminator slow to train, for which reason the gradient
        penalty replaced the bound.

    Source:
        Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, arXiv:1701.07875, algorithm 1.

    Example:
        >>> import ganzoo, torch
        >>> net = torch.nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.constant_(net.weight, -3.0)
        >>> with torch.no_grad():
        ...     ganzoo.part("regularizer", "weight-clip:value=1").after_update("discriminator", net)
        >>> net.weight.tolist()
        [[-1.0, -1.0]]
    """

    value: Annotated[float, Gt(0)] = 0.01

    constrains_discriminator: ClassVar[bool] = True

    def after_update(self, player: Literal["discriminator", "generator"], module: nn.Module) -> None:
        """Clip the discriminator's parameters."""
        if player == "discriminator":
            for p in module.parameters():
                p.clamp_(-self.value, self.value)

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor:
        """Zero: the bound is far from psi = 0."""
        return jacobian.new_zeros(2, 2)
