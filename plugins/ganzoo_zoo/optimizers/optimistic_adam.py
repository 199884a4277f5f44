"""Adam that corrects each step by the step before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

import ganzoo
from ganzoo_zoo.optimizers.adam import Beta, ChangingAdam

if TYPE_CHECKING:
    from torch import nn


class OptimisticAdam(ganzoo.Optimizer):
    """Optimistic Adam: twice the present step of Adam, minus the step before.

    With the direction d_t = m^ / (sqrt(v^) + eps) of Adam and d_0 = 0:

    Formula:
        w <- w - lr (2 d_t - d_(t-1))

    Args:
        lr: learning rate, at least 0.
        betas: decay of the mean gradient and of the mean squared gradient in each step, both from 0 to below 1.
        eps: floor under the root, above 0, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player, at least 0.

    Notes:
        The step before predicts how the other player moves. In the bilinear game, where simultaneous descent spirals
        out, optimistic descent converges at the cost of one gradient a step (extragradient takes two). As in the
        paper's algorithm, the first step is twice a step of Adam, and both directions are scaled by the present lr.

    Source:
        Daskalakis et al. 2018, Training GANs with optimism, arXiv:1711.00141, algorithm 1.

    Example:
        The first step has the length 2 lr, and the next steps the length lr while the gradient stays the same.

        >>> import ganzoo, torch
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = ganzoo.part("optimizer", "optimistic-adam:lr=0.1").build([w])
        >>> w.grad = torch.tensor([1000.0])
        >>> seen = []
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     seen.append(round(w.item(), 4))
        >>> seen
        [0.8, 0.7]
    """

    lr: Annotated[float, Ge(0)] = 1e-4
    betas: tuple[Beta, Beta] = (0.5, 0.9)
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Adam with a memory of the last direction.

        Args:
            parameters: the parameters of a player.
        """
        return CorrectedAdam(
            parameters,
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decay=self.weight_decay,
        )


class CorrectedAdam(ChangingAdam):
    """Adam along 2 d_t - d_(t-1)."""

    def new_state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The state of a parameter before the first step, with the direction before.

        Args:
            parameter: the parameter.
        """
        return {**super().new_state(parameter), "previous": torch.zeros_like(parameter)}

    def changes(
        self, states: Sequence[dict[str, Any]], ratios: list[Tensor], correction: Tensor, lr: Tensor
    ) -> list[Tensor]:
        """What is added to the parameters. The directions are kept for the next step.

        Args:
            states: the states of the parameters.
            ratios: m / (sqrt(v^) + eps) of each parameter.
            correction: 1 - beta1^t.
            lr: learning rate.
        """
        directions = [*torch._foreach_div(ratios, correction)]
        previous: list[Tensor] = [s["previous"] for s in states]
        found = torch._foreach_mul(directions, 2.0)
        torch._foreach_sub_(found, previous)
        torch._foreach_copy_(previous, directions)
        torch._foreach_mul_(found, -lr)
        return [*found]
