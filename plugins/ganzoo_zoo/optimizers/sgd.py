"""Gradient descent, plain or with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Lt

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
        lr: learning rate, at least 0.
        momentum: share of the last step that is kept, from above -1 to below 1.
        weight_decay: weight of w^2/2 in the loss of the player, at least 0.
        nesterov: whether the step looks ahead along the momentum, which then must be above 0.

    Raises:
        ValueError: ``nesterov`` without momentum.

    Notes:
        Theory is written for this optimizer. Simultaneous and alternating descent differ as the papers state, and a
        factor in front of a player's loss is a factor of its learning rate. Use adam for images. In the bilinear game,
        alternating descent with a negative momentum converges.

    Source:
        Robbins and Monro 1951, A stochastic approximation method; Sutskever et al. 2013, On the importance of
        initialization and momentum in deep learning, section 2. Negative momentum: Gidel et al. 2019, Negative momentum
        for improved game dynamics, arXiv:1807.04740.

    Example:
        >>> import ganzoo, torch
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = ganzoo.part("optimizer", "sgd:lr=0.1").build([w])
        >>> w.grad = torch.tensor([2.0])
        >>> _ = optimizer.step()
        >>> round(w.item(), 4)
        0.8
    """

    lr: Annotated[float, Ge(0)] = 0.01
    momentum: Annotated[float, Gt(-1), Lt(1)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum <= 0:
            raise ValueError("nesterov=true has no momentum to look along: give momentum, such as momentum=0.9")

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's SGD, with a fused kernel where torch has a fused kernel.

        Args:
            parameters: the parameters of a player.
        """
        made = torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=abs(self.momentum),
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=can_fuse(parameters),
        )
        for group in made.param_groups:  # torch's check refuses a negative momentum, which the formulas allow
            group["momentum"] = self.momentum
        return made
