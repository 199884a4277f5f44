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
        w <- w - lr m^ / (sqrt(v^) + eps)      m^ and v^ are m and v divided by 1 - beta^t

    Args:
        lr: learning rate, at least 0.
        betas: decay of the mean gradient and of the mean squared gradient in each step, both from 0 to below 1.
        eps: floor under the root, above 0, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player, at least 0.

    Notes:
        The published settings are 2e-4 with 0.5,0.999 for DCGAN, 1e-4 with 0.0,0.9 for WGAN-GP and 2e-4 with 0.0,0.9
        for SNGAN. SAGAN has 4e-4 for the discriminator and 1e-4 for the generator (TTUR) with 0.0,0.9. With a momentum
        (first beta) above 0.5 most GANs oscillate. A factor in front of a loss does not change the step of Adam, so
        that only lr sets the pace of a player.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

    Example:
        The first step has the length lr, however long the gradient is.

        >>> import ganzoo, torch
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = ganzoo.part("optimizer", "adam:lr=0.1").build([w])
        >>> w.grad = torch.tensor([1000.0])
        >>> _ = optimizer.step()
        >>> round(w.item(), 4)
        0.9
    """

    lr: Annotated[float, Ge(0)] = 2e-4
    betas: tuple[Beta, Beta] = (0.0, 0.9)
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's Adam, with a fused kernel where torch has a fused kernel.

        Args:
            parameters: the parameters of a player.
        """
        return torch.optim.Adam(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=can_fuse(parameters),
        )
