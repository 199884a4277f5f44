"""When torch's fused optimizer kernels can be used, and what makes them safe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def can_fuse(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether one kernel can move all of these parameters at once."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)


def lay_out_gradients(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    """Give each gradient the memory order of its parameter, before a step.

    The fused kernels walk a parameter and its gradient by one order, so a channels-last gradient of a contiguous weight
    moves the wrong numbers, silently on a CPU. ``backward`` sees to the order; ``torch.autograd.grad`` does not.
    """
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None and p.grad.stride() != p.stride():
                p.grad = torch.empty_like(p).copy_(p.grad)
