"""Adam, with the settings that GANs are trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

import ganzoo
from ganzoo_zoo.optimizers.fused import can_fuse

if TYPE_CHECKING:
    from torch import nn

Beta = Annotated[float, Ge(0), Lt(1)]
Momentum = Annotated[float, Gt(-1), Lt(1)]


class Adam(ganzoo.Optimizer):
    """Adam: each number moves by its mean gradient over the root of its mean squared gradient.

    Formula:
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - lr m^ / (sqrt(v^) + eps)      m^ and v^ are m and v divided by 1 - beta^t

    Args:
        lr: learning rate, at least 0.
        betas: decay of the mean gradient, from above -1 to below 1, and of the mean squared gradient, from 0 to below
            1, in each step. A first beta below 0 is a negative momentum.
        beta2: the second beta where it follows the run, in place of the second of ``betas``: beta2=0.9..0.99.
        eps: floor under the root, above 0, in units of the gradient.
        weight_decay: weight of w^2/2 in the loss of the player, at least 0.

    Notes:
        The published settings are 2e-4 with 0.5,0.999 for DCGAN, 1e-4 with 0.0,0.9 for WGAN-GP and 2e-4 with 0.0,0.9
        for SNGAN. SAGAN has 4e-4 for the discriminator and 1e-4 for the generator (TTUR) with 0.0,0.9. With a momentum
        (first beta) above 0.5 most GANs oscillate. A factor in front of a loss does not change the step of Adam, so
        that only lr sets the pace of a player.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1. Negative momentum: Gidel et al. 2019, arXiv:1807.04740.

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
    betas: tuple[Momentum, Beta] = (0.0, 0.9)
    beta2: Annotated[float, Ge(0), Lt(1)] | None = None
    eps: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Torch's Adam, with a fused kernel where torch has a fused kernel, or Adam whose second beta can change.

        Args:
            parameters: the parameters of a player.
        """
        if self.beta2 is not None:
            return ChangingAdam(
                parameters,
                lr=self.lr,
                beta1=self.betas[0],
                beta2=self.beta2,
                eps=self.eps,
                weight_decay=self.weight_decay,
            )
        made = torch.optim.Adam(
            parameters,
            lr=self.lr,
            betas=(max(0.0, self.betas[0]), self.betas[1]),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=can_fuse(parameters),
        )
        for group in made.param_groups:  # torch's check refuses a negative beta, which the formulas allow
            group["betas"] = self.betas
        return made


class ChangingAdam(torch.optim.Optimizer):
    """Adam whose second beta may be another number, or a tensor on the device, in each step.

    Torch's Adam takes a changing beta as a Python number only, which a recorded step cannot follow. As in torch, the
    divisor of v is 1 - beta2^t with the beta2 of the present step.

    Args:
        parameters: the parameters of a player.
        lr: learning rate.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
        eps: floor under the root.
        weight_decay: weight of w^2/2 in the loss.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        super().__init__(
            parameters, {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # a closure would need gradients
        """Move the parameters that have a gradient.

        Args:
            closure: not supported.
        """
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            if moving:
                self._move(group, moving)

    def _move(self, group: dict[str, Any], parameters: list[nn.Parameter]) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] = self.new_state(p)
        states = [self.state[p] for p in parameters]
        means: list[Tensor] = [s["exp_avg"] for s in states]
        squares: list[Tensor] = [s["exp_avg_sq"] for s in states]
        steps: list[Tensor] = [s["step"] for s in states]
        weights: list[Tensor] = [*parameters]
        slopes = [p.grad for p in parameters if p.grad is not None]
        if group["weight_decay"]:
            slopes = [*torch._foreach_add(slopes, weights, alpha=group["weight_decay"])]
        torch._foreach_add_(steps, 1.0)
        first = parameters[0]
        beta1, beta2, lr = (
            value.to(first.dtype)
            if isinstance(value := group[name], Tensor)
            else torch.full((), value, dtype=first.dtype, device=first.device)
            for name in ("beta1", "beta2", "lr")
        )
        t = steps[0].to(first.dtype)
        new1, new2 = ([1 - beta] * len(means) for beta in (beta1, beta2))
        torch._foreach_lerp_(means, slopes, new1)
        torch._foreach_lerp_(squares, torch._foreach_mul(slopes, slopes), new2)
        # (m / c1) / (sqrt(v / c2) + eps), with c1 and c2 = 1 - beta^t as tensors on the device
        divisors = torch._foreach_sqrt(torch._foreach_div(squares, 1 - beta2**t))
        torch._foreach_add_(divisors, group["eps"])
        ratios = [*torch._foreach_div(means, divisors)]
        torch._foreach_add_(weights, self.changes(states, ratios, 1 - beta1**t, lr))

    def new_state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The state of a parameter before the first step.

        Args:
            parameter: the parameter.
        """
        return {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }

    def changes(
        self, states: Sequence[dict[str, Any]], ratios: list[Tensor], correction: Tensor, lr: Tensor
    ) -> list[Tensor]:
        """What is added to the parameters.

        Args:
            states: the states of the parameters.
            ratios: m / (sqrt(v^) + eps) of each parameter, which may be overwritten.
            correction: 1 - beta1^t.
            lr: learning rate.
        """
        torch._foreach_mul_(ratios, -lr / correction)
        return ratios
