"""Gradient descent, plain or with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Lt

import ganzoo
from ganzoo_zoo.optimizers.fused import can_fuse

if TYPE_CHECKING:
    from torch import nn


class SGD(ganzoo.Optimizer):
    """Stochastic gradient descent (SGD), plain, with momentum, or with Nesterov's momentum.

    Formula:
        b <- momentum b + g
        w <- w - lr b            Nesterov: w <- w - lr (g + momentum b)

    Args:
        lr: learning rate.
        momentum: share of the last move that is kept.
        weight_decay: weight of w^2/2 in the loss of the player.
        nesterov: look ahead along the momentum; wants momentum above 0.

    Raises:
        ValueError: ``nesterov`` without momentum.

    Notes:
        The optimizer of the theory: simultaneous and alternating descent differ here as the papers say, and scaling a
        player's loss is scaling its lr. For pictures take adam.

    Source:
        Robbins and Monro 1951, A stochastic approximation method; Sutskever et al. 2013, On the importance of
        initialization and momentum in deep learning, section 2.
    """

    lr: Annotated[float, Ge(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true has no momentum to look along: give momentum, such as momentum=0.9")

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """SGD from torch, as one kernel where there is one."""
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=can_fuse(parameters),
        )
