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
        w <- w - lr g / (sqrt(v) + eps)      with momentum, the quotient is accumulated first

    Args:
        lr: learning rate, at least 0.
        alpha: decay of the mean squared gradient in each step, from 0 to below 1.
        eps: floor beside the root, above 0, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player, at least 0.
        momentum: share of the last step that is kept, from 0 to below 1.

    Notes:
        The published settings are 5e-5 without momentum for WGAN with clipping, and 1e-4 with alpha 0.99 for the
        single-loss one-step GAN. v starts at 0 and is not corrected for the start, so that the first steps are up to 1
        / sqrt(1 - alpha) times lr long.

    Source:
        Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5.

    Example:
        >>> import ganzoo, torch
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = ganzoo.part("optimizer", "rmsprop:lr=0.01,alpha=0.99").build([w])
        >>> w.grad = torch.tensor([1000.0])
        >>> _ = optimizer.step()
        >>> round(w.item(), 4)
        0.9
    """

    lr: Annotated[float, Ge(0)] = 5e-5
    alpha: Annotated[float, Ge(0), Lt(1)] = 0.99
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's RMSprop, which batches its kernels on a GPU by itself.

        Args:
            parameters: the parameters of a player.
        """
        made = torch.optim.RMSprop(
            parameters,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
        )
        if self.momentum == 0:  # it may follow the run
            made.register_step_pre_hook(_start_momentum)
        return made


def _start_momentum(optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
    """Make the buffers of a momentum that was 0 in the first step: torch makes them in that step alone."""
    for group in optimizer.param_groups:
        if group["momentum"] > 0:
            for weight in group["params"]:
                state = optimizer.state.get(weight)
                if state and "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
