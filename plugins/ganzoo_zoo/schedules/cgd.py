"""Both players move to the equilibrium of a bilinear model of the game."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

import ganzoo
from ganzoo_zoo.schedules._second_order import Vectors, dot, plus, product, transposed


class CGD(ganzoo.Schedule):
    """Competitive gradient descent (CGD): both players move to the equilibrium of a bilinear model of the game.

    With the gradients a = grad_psi L_D and b = grad_theta L_G, the mixed derivatives C = d a / d theta and
    B = d b / d psi, and the rates h of the players, the moves -h_D x and -h_G y solve

    Formula:
        x = a - h_G C y,   y = b - h_D B x
        (1 - h_D h_G B C) y = b - h_D B a

    Args:
        iterations: steps of the linear solver, at least 1.
        rate: h of both players in the equations, above 0. none takes the learning rate of each player's optimizer.

    Notes:
        Each player answers the move of the other player, which answers in turn. With plain descent (sgd) the moves are
        those of the paper, and its optimizer without momentum is meant. Another optimizer takes x and y for gradients
        (ACGD of the same authors has the second moments in the equations too, and is not this). The equations are
        solved by conjugate gradients on the normal equations (CGNR), so that L_G need not be -L_D. After d steps, d
        the number of the generator's parameters, the solution is exact, and few steps do where the rates are small. A
        step costs one round, both gradients and about four products with second derivatives an iteration, and needs
        the whole batch in one piece. A generator that does not learn leaves plain descent of the discriminator.

    Source:
        Schaefer and Anandkumar 2019, Competitive gradient descent, arXiv:1905.12103, equation 4 and algorithm 1.

    Example:
        On the bilinear game, every step moves towards the equilibrium.

        >>> import torch
        >>> import ganzoo
        >>> bilinear = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> step = ganzoo.part("schedule", "cgd").linear_step(bilinear, lr=0.1)
        >>> [round(size, 3) for size in torch.linalg.eigvals(step).abs().tolist()]
        [0.995, 0.995]
    """

    iterations: Annotated[int, Ge(1)] = 5
    rate: Annotated[float, Gt(0)] | None = None

    @property
    def differentiates_gradients(self) -> bool:
        """True: the step has products with second derivatives."""
        return True

    def step(self, game: ganzoo.Game) -> None:
        """One round, both gradients, the equations of the two moves, one move."""
        found = game.differentiate(game.round())
        with_graph = found["discriminator"], found["generator"]
        a, b = ([g.detach() for g in some] for some in with_graph)
        if not (a and b):  # one player learns: there is nobody to answer
            game.move({"discriminator": a, "generator": b})
            return
        h_d, h_g = (
            game.learning_rate(player) if self.rate is None else self.rate for player in ("discriminator", "generator")
        )
        psi, theta = game.parameters["discriminator"], game.parameters["generator"]
        by_theta, by_psi = product(with_graph[0], theta), product(with_graph[1], psi)  # C and B

        # One rate after the other: the product of two rates is rounded otherwise in Python than on a device.
        def answered(y: Vectors) -> list[Tensor]:
            return plus(y, -h_d, [h_g * part for part in by_psi(by_theta(y))])

        def answered_back(y: Vectors) -> list[Tensor]:  # the transposed map
            back = transposed(with_graph[0], theta, transposed(with_graph[1], psi, y))
            return plus(y, -h_d, [h_g * part for part in back])

        y = solved(answered, answered_back, plus(b, -h_d, by_psi(a)), self.iterations)
        game.move({"discriminator": plus(a, -h_g, by_theta(y)), "generator": y})

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor:
        """I - lr (I + h O)^-1 J, where O is J without its diagonal."""
        one = torch.eye(2, dtype=jacobian.dtype)
        mixed = jacobian * (1 - one)
        answers: Tensor = torch.linalg.solve(one + (self.rate or lr) * mixed, jacobian)
        return one - lr * answers


def solved(
    apply: Callable[[Vectors], list[Tensor]],
    apply_transposed: Callable[[Vectors], list[Tensor]],
    right: Vectors,
    iterations: int,
) -> list[Tensor]:
    """Solve M y = right by conjugate gradients on the normal equations, from y = right.

    Args:
        apply: the map y -> M y.
        apply_transposed: the map y -> M^T y.
        right: the right side.
        iterations: number of steps. Each step lowers the length of the residual, or leaves the solution.

    Returns:
        y.

    Example:
        >>> import torch
        >>> m = torch.tensor([[1.0, 2.0], [-3.0, 4.0]])
        >>> (y,) = solved(lambda y: [m @ y[0]], lambda y: [m.T @ y[0]], [torch.tensor([5.0, 5.0])], 2)
        >>> [round(v, 4) for v in y.tolist()]
        [1.0, 2.0]
    """
    y = [value.clone() for value in right]
    residual = plus(right, -1.0, apply(y))
    slope = apply_transposed(residual)
    way, length = slope, dot(slope, slope)
    for _ in range(iterations):
        ahead = apply(way)
        share = _ratio(length, dot(ahead, ahead))
        y, residual = plus(y, share, way), plus(residual, -share, ahead)
        slope = apply_transposed(residual)
        before, length = length, dot(slope, slope)
        way = plus(slope, _ratio(length, before), way)
    return y


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """The ratio a / b, and 0 where nothing is left to solve. The host does not wait for the device."""
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)
