"""RMSprop, the optimizer of the first Wasserstein GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Lt

import ganzoo

if TYPE_CHECKING:
    from torch import nn


class RMSprop(ganzoo.Optimizer):
    """RMSprop: each number moves by its gradient over the root of its mean squared gradient.

    Formula:
        v <- alpha v + (1 - alpha) g^2
        w <- w - lr g / (sqrt(v) + eps)      with momentum the quotient is gathered first

    Args:
        lr: learning rate.
        alpha: decay of the mean squared gradient, of a step.
        eps: floor beside the root, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player.
        momentum: share of the last move that is kept.

    Notes:
        The published settings: WGAN with clipping 5e-5 and no momentum; the single-loss one-step GAN 1e-4 and 0.99.
        v starts at 0 and is not freed of it: the first moves are up to 1 / sqrt(1 - alpha) times lr.

    Source:
        Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5.
    """

    lr: Annotated[float, Ge(0)] = 5e-5
    alpha: Annotated[float, Ge(0), Lt(1)] = 0.99
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """RMSprop from torch, which batches its kernels on a GPU by itself."""
        return torch.optim.RMSprop(
            parameters,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
        )
