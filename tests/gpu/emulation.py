"""The emulated CUDA device, where the tests run on it: its order of tasks, and its counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:  # a module of the emulator, which is no part of the project
    import emulate as _emulator  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    _emulator = None

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
