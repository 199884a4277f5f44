"""Weight clipping of the first Wasserstein GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt

import ganzoo

if TYPE_CHECKING:
    from torch import nn


class WeightClip(ganzoo.Regularizer):
    """Weight clipping (WGAN): every number of the discriminator is held in [-value, value].

    Formula:
        w <- min(max(w, -value), value)      after each move of the discriminator

    Args:
        value: the bound, in units of the weights (the paper's c).

    Notes:
        All parameters, scales and shifts of normalisations too; no buffers. It is not gradient clipping. The paper
        clips after the move, as here; its code clips before the next one. A small bound makes gradients vanish, a large
        one makes the discriminator slow to train: the gradient penalty replaced it for that.

    Source:
        Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, arXiv:1701.07875, algorithm 1.
    """

    value: Annotated[float, Gt(0)] = 0.01

    constrains_discriminator: ClassVar[bool] = True

    def after_update(self, player: Literal["discriminator", "generator"], module: nn.Module) -> None:
        """Put the discriminator back into its box."""
        if player == "discriminator":
            for p in module.parameters():
                p.clamp_(-self.value, self.value)
