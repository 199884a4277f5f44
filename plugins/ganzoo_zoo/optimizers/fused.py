"""When torch's fused optimizer kernels can be used."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def can_fuse(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether a fused kernel can move all parameters at once.

    Args:
        parameters: the parameters of a player.

    Example:
        >>> import torch
        >>> can_fuse([torch.nn.Parameter(torch.zeros(2))])
        True
    """
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
