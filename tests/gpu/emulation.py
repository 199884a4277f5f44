"""The emulated CUDA device, where the tests run on it: its order of tasks, and its counts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

try:  # a module of the emulator, which is no part of the project
    import emulate as _emulator  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    _emulator = None


def _depthwise(
    x: Tensor, weight: Tensor, size: Any, bias: Tensor | None, stride: Any, padding: Any, dilation: Any
) -> Tensor:
    """The convolution of each channel by itself, by the operator for any number of groups."""
    groups, plain = x.shape[1], False
    made: Tensor = torch.ops.aten.cudnn_convolution(x, weight, padding, stride, dilation, groups, plain, plain, plain)
    return made if bias is None else made + bias.view(1, -1, *[1] * (x.dim() - 2))


def _dropout(x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Dropout with the random numbers of the device."""
    if train is False or p == 0.0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x, dtype=torch.bool).bernoulli_(1.0 - p)
    return x * kept * (1.0 / (1.0 - p) if p < 1.0 else 0.0), kept


_stand_ins = torch.library.Library("aten", "IMPL")


def stand_in() -> None:
    """Give the emulated device the operators that it lacks.

    The emulated device computes by the CPU's kernels of the same name. The CPU has no kernel for depthwise
    convolutions, and the CPU's dropout draws from the generator of the CPU, in the order in which the tasks run. Here
    both are made of other operators of the device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the operators have other kernels
        for name in ("_conv_depthwise2d", "conv_depthwise3d"):
            _stand_ins.impl(name, _depthwise, "CUDA")
        _stand_ins.impl("native_dropout", _dropout, "CUDA")


if _emulator is not None:
    stand_in()


_ORDERS = ("eager", "late", "random")


def is_emulated() -> bool:
    """Whether the CUDA device is the emulated one."""
    return _emulator is not None


@contextmanager
def order(name: str) -> Iterator[None]:
    """While this lasts, tasks of streams run in this order; on a real GPU the order is the GPU's."""
    if _emulator is None:
        yield
        return
    before = os.environ.get("FAKECUDA_ORDER", "eager").partition(":")[0]
    _emulator.order(_ORDERS.index(name))
    try:
        yield
    finally:
        _emulator.drain()
        _emulator.order(_ORDERS.index(before))


def counts() -> dict[str, Any]:
    """How often each function of the runtime was called, and each copy: launches, synchronisations, graphs."""
    assert _emulator is not None
    copies = {name: number for name, number in _emulator.used().items() if name.startswith("copy ")}
    return {**_emulator.counts(), **copies}
