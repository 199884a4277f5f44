"""How the same step runs fast: device, precision, memory format."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo import errors


def device(name: str) -> torch.device:
    """The device that a person named: ``auto`` (the GPU where there is one), ``cpu``, ``cuda``, ``cuda:N``.

    Raises:
        SettingsError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise errors.SettingsError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise errors.SettingsError(f"device {name}: torch {torch.__version__} sees no CUDA here; use --device cpu")
        if number and int(number) >= torch.cuda.device_count():
            raise errors.SettingsError(f"device {name}: there are {torch.cuda.device_count()}, counted from 0")
    return torch.device(name)


@dataclass(frozen=True)
class Precision:
    """What the weights are kept in, and what the nets compute in.

    Attributes:
        name: fp32, bf16 or fp64.
        dtype: of weights, samples, losses, penalties and optimizer state.
        autocast: a context in which the nets' passes run.
    """

    name: str
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[Any]]


def precision(name: str, where: torch.device) -> Precision:
    """The precision that a person named; ``auto`` is bf16 on a GPU that has it natively, else fp32."""
    if name == "auto":
        name = "bf16" if where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if name == "bf16":
        return Precision(name, torch.float32, lambda: torch.autocast(where.type, dtype=torch.bfloat16))
    return Precision(name, torch.float64 if name == "fp64" else torch.float32, nullcontext)


def settle(network: nn.Module, where: torch.device, dtype: torch.dtype) -> nn.Module:
    """A network on its device, in its precision; channels last where it convolves images."""
    network = network.to(where, dtype)
    if any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in network.modules()):
        network = network.to(memory_format=torch.channels_last)
    return network


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Counts the floating-point operations of matrix products and convolutions while it is on.

    Torch's own FlopCounterMode follows modules too, by hooks that fail under ``autograd.grad``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out
