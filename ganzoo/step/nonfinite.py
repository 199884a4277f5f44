"""Losses and gradients that are not finite: noticed on the device, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ganzoo.step.state import State


def raise_flag(flag: Tensor, values: Iterable[Tensor]) -> Tensor:
    """The flag, set to 1 where any of some scalars is NaN or infinite.

    The flag lives on the device. The host reads the flag together with the scalars of many steps, so that no step
    waits for the device.

    Args:
        flag: (), 0 or 1.
        values: scalars on the same device.

    Example:
        >>> float(raise_flag(torch.zeros(()), [torch.tensor(1.0), torch.tensor(float("inf"))]))
        1.0
    """
    total = torch.stack([*values]).sum()
    # x - x is 0 for finite numbers, and NaN for NaN and both infinities. A sum of infinities of both signs is NaN too.
    return flag.masked_fill((total - total).isnan(), 1.0)


def stop_on(flag: Tensor, optimizer: Optimizer, gradients: Iterable[Tensor]) -> Iterable[Tensor]:
    """Make an optimizer's next step leave the weights alone if the flag is set, without a look at the flag.

    Args:
        flag: (), 0 or 1, on the device.
        optimizer: the optimizer that makes the next step.
        gradients: a tensor for each parameter of the optimizer.

    Returns:
        The gradients for the step, zero where the flag is set and the optimizer cannot skip a step.
    """
    if optimizer.defaults.get("fused"):
        # Fused kernels read this attribute on the device and skip the update (torch.amp.GradScaler uses the same).
        optimizer.found_inf = flag  # type: ignore[attr-defined]
        return gradients
    # Elsewhere the gradient becomes zero. The moments of the optimizer decay, and the weights may follow momentum.
    stop = flag.bool()
    return [gradient.masked_fill(stop, 0.0) for gradient in gradients]


class StepSnapshot:
    """The state before a step, kept on the device, to return to if the step was not finite.

    The device decides: the host does not wait for the flag. Costs two passes over the state a step, and the memory of
    one more state.

    Args:
        state: the state of the run, before the step.
    """

    def __init__(self, state: State) -> None:
        """Copy the present state."""
        self.state = state
        self.before = {
            (group, name): value.detach().clone()
            for group, named in state.tensors().items()
            for name, value in named.items()
        }
        # Optimizers make their tensors in the first step: there is nothing yet to copy back into.
        self.fresh = [optimizer for optimizer in state.optimizers.values() if not optimizer.state]

    @torch.no_grad()
    def restore_if(self, flag: Tensor) -> None:
        """Return to the copies where a flag is true.

        Args:
            flag: (), boolean, on the device.
        """
        if any(optimizer.state for optimizer in self.fresh) and bool(flag):  # waits, in the first step of a run alone
            for optimizer in self.fresh:
                optimizer.state.clear()
        for group, named in self.state.tensors().items():
            for name, value in named.items():
                old = self.before.get((group, name))
                # An optimizer's own count of steps may be on the CPU, which the device cannot reach: it counts on.
                if old is not None and value.device == flag.device:
                    value.copy_(torch.where(flag, old, value))
