"""Consensus optimization: both players also descend the length of the game's gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Consensus(ganzoo.Regularizer):
    """Consensus optimization (ConOpt): a penalty on both players' gradients together, paid by both.

    With v = (grad_psi L_D, grad_theta L_G), each player's gradient of its own loss:

    Formula:
        L_D <- L_D + (weight / 2) |v|^2,      L_G <- L_G + (weight / 2) |v|^2
        In the bilinear game the eigenvalues of the update move from 1 +- i h to 1 - h weight +- i h.

    Args:
        weight: the paper's gamma, at least 0 (10 in the paper's experiments).

    Notes:
        The penalty needs both gradients with a graph and second derivatives through both nets. A discriminator's round
        keeps the generator's graph for the penalty. The gradients are those of the losses without other penalties. The
        penalty attracts the players to points where the gradient is short but not zero, for example where both losses
        are flat.

    Source:
        Mescheder, Nowozin and Geiger 2017, The numerics of GANs, arXiv:1705.10461, algorithm 2.

    Example:
        v = (3, 4) has the squared length 25, and (2 / 2) 25 = 25.

        >>> import ganzoo, torch
        >>> part = ganzoo.part("regularizer", "consensus:weight=2")
        >>> part.joint_penalty({"discriminator": [torch.tensor([3.0])], "generator": [torch.tensor([4.0])]})
        tensor(25.)
    """

    weight: Annotated[float, Ge(0)] = 10.0

    def joint_penalty(self, gradients: Mapping[Literal["discriminator", "generator"], Sequence[Tensor]]) -> Tensor:
        """Half the weighted squared length of the game's gradient."""
        total: Tensor = sum(g.square().sum() for player in gradients.values() for g in player)  # type: ignore[assignment]
        return self.weight / 2 * total

    def linear_term(self, jacobian: Tensor, curvature: float) -> Tensor:
        """The diagonal of weight J^T J, for the J = [[0, b], [a, 0]] of the losses: weight a^2 and weight b^2."""
        a, b = float(jacobian[1, 0]), float(jacobian[0, 1])
        return torch.tensor([[self.weight * a * a, 0.0], [0.0, self.weight * b * b]], dtype=jacobian.dtype)
