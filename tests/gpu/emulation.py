"""The emulated CUDA device, where the tests run on it: its order of tasks, and its counts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:  # a module of the emulator, which is no part of the project
    import emulate as _emulator  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    _emulator = None

DEPTHWISE = re.compile(r"stylegan2|r3gan|binomial")
"""Architectures and options with a convolution of each channel by itself."""


DROPOUT = re.compile(r"unet|pix2pix|colorize")
"""Architectures and presets with dropout."""


def lacks(composition: str) -> str:
    """Why the emulated device cannot run a composition, "" where the device can.

    On a GPU without cuDNN, torch has a kernel of its own for convolutions of each channel by itself. The CPU, whose
    kernels the emulated device runs, has no such kernel. The CPU's kernel of dropout draws from the generator of the
    CPU, in the order in which the tasks run.
    """
    if found := DROPOUT.search(composition):
        return f"the emulated device draws the dropout of {found[0]} on the host"
    found = DEPTHWISE.search(composition)
    return f"the emulated device has no kernel for the depthwise convolutions of {found[0]}" if found else ""


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
    """How often each function of the runtime was called: launches, synchronisations, graphs."""
    assert _emulator is not None
    found: dict[str, Any] = _emulator.counts()
    return found
