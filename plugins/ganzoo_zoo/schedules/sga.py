"""Gradients that are adjusted by the antisymmetric part of the players' second derivatives."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

import ganzoo
from ganzoo_zoo.schedules._second_order import dot, plus, product, transposed

ALIGNMENT = 0.1
"""The constant in the sign of the adjustment (the paper's epsilon)."""


class SGA(ganzoo.Schedule):
    """Symplectic gradient adjustment (SGA): both players move, and the part of the gradients that rotates is damped.

    With w = (psi, theta), v(w) = (grad_psi L_D, grad_theta L_G), its derivative H and A = (H - H^T) / 2:

    Formula:
        w <- w - step of (v + sign weight A^T v)
        sign = sign(<v, H^T v> <A^T v, H^T v> / d + 1/10),  d the number of parameters; 1 where ``align`` is false

    Args:
        weight: factor of the adjustment (the paper's lambda), above 0.
        align: choose the sign of the adjustment, so that it draws towards stable equilibria and away from others.

    Notes:
        H^T v is the gradient of |v|^2 / 2, the penalty of consensus, which draws to any point where both gradients
        vanish. A^T v is the part that does not change a game in which both players want the same. In the bilinear game
        A^T v points to the equilibrium. A step costs one round, both gradients, and two products with second
        derivatives, and needs the whole batch in one piece. The optimizer sees the adjusted gradients. The paper has
        RMSprop and SGD.

    Source:
        Balduzzi et al. 2018, The mechanics of n-player differentiable games, arXiv:1802.05642, section 3;
        Letcher et al. 2019, Differentiable game mechanics, JMLR 20, algorithm 2.

    Example:
        On the bilinear game, every step moves towards the equilibrium.

        >>> import torch
        >>> import ganzoo
        >>> bilinear = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> step = ganzoo.part("schedule", "sga:align=false").linear_step(bilinear, lr=0.1)
        >>> [round(size, 3) for size in torch.linalg.eigvals(step).abs().tolist()]
        [0.906, 0.906]
    """

    weight: Annotated[float, Gt(0)] = 1.0
    align: bool = True

    @property
    def differentiates_gradients(self) -> bool:
        """True: the step has products with second derivatives."""
        return True

    def step(self, game: ganzoo.Game) -> None:
        """One round, both gradients, the adjustment, one move."""
        found = game.differentiate(game.round())
        players = list(found)
        gradient = [g for player in players for g in found[player]]
        weights = [w for player in players for w in game.parameters[player]]
        at = [g.detach() for g in gradient]
        slope = transposed(gradient, weights, at)  # H^T v
        turned = product(gradient, weights)(at)  # H v
        adjustment = [(a - b) / 2 for a, b in zip(slope, turned, strict=True)]
        factor: float | Tensor = self.weight
        if self.align:
            agreement = dot(at, slope) * dot(adjustment, slope) / sum(g.numel() for g in at)
            factor = self.weight * torch.sign(agreement + ALIGNMENT)
        moved = iter(plus(at, factor, adjustment))
        game.move({player: [next(moved) for _ in found[player]] for player in players})

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor | None:
        """I - lr (J + weight (J^T - J) J / 2). None with ``align``, whose sign depends on the point."""
        if self.align:
            return None
        adjusted = jacobian + self.weight * (jacobian.T - jacobian) @ jacobian / 2
        return torch.eye(2, dtype=jacobian.dtype) - lr * adjusted
