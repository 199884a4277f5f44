"""When torch's fused optimizer kernels can be used."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def can_fuse(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether one kernel can move all of these parameters at once."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
