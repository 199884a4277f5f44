"""Adam, with the settings that GANs are trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Lt

import ganzoo
from ganzoo_zoo.optimizers.fused import can_fuse

if TYPE_CHECKING:
    from torch import nn

Beta = Annotated[float, Ge(0), Lt(1)]


class Adam(ganzoo.Optimizer):
    """Adam: each number moves by its mean gradient over the root of its mean squared gradient.

    Formula:
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - lr m^ / (sqrt(v^) + eps)      m^ and v^ are m and v freed of their start at 0

    Args:
        lr: learning rate.
        betas: decay of the mean gradient and of the mean squared gradient, each of a step.
        eps: floor under the root, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player.

    Notes:
        The published settings: DCGAN 2e-4 and 0.5,0.999; WGAN-GP 1e-4 and 0.0,0.9; SNGAN 2e-4 and 0.0,0.9; SAGAN 4e-4
        for the discriminator, 1e-4 for the generator (TTUR) and 0.0,0.9. A momentum (first beta) above 0.5 makes most
        GANs swing. Scaling a loss does not change Adam's move: it is lr that sets the pace of a player.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    lr: Annotated[float, Ge(0)] = 2e-4
    betas: tuple[Beta, Beta] = (0.0, 0.9)
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Adam from torch, as one kernel where there is one."""
        return torch.optim.Adam(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=can_fuse(parameters),
        )
