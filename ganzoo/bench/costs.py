"""What steps cost beside time: memory and operations, and the operations that the machine can do."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganzoo.bench.contestants import Steps
from ganzoo.bench.timing import step_seconds
from ganzoo.speed import hardware


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Counts the bytes of tensors that come to be while it is on, and the most of them at one time: the same number
    every time, which a process's resident memory is not. What a kernel takes for itself is not seen."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.now = self.most = 0
        self._alive: dict[int, tuple[weakref.ref[torch.UntypedStorage], int]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        for given in tree_leaves((args, kwargs)):  # what was there before, and may come back as a view
            self._see(given, counts=False)
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            self._see(made, counts=True)
        return out

    def _see(self, value: object, *, counts: bool) -> None:
        if not isinstance(value, Tensor):
            return
        storage = value.untyped_storage()
        key = storage._cdata
        if key not in self._alive:
            size = storage.nbytes() if counts else 0
            self._alive[key] = weakref.ref(storage, lambda _: self._gone(key)), size
            self.now += size
            self.most = max(self.most, self.now)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key)[1]


def memory(step: Steps, count: int) -> tuple[int, int]:
    """Bytes of the state, and what steps add to them at most: on a GPU as its allocator says, else of tensors.

    Args:
        step: the steps to measure.
        count: number of steps.
    """
    run = step.run
    state = sum(value.nbytes for named in run.state.tensors().values() for value in named.values())
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
        before = torch.cuda.memory_allocated(run.device)
        for _ in range(count):
            step()
        return state, torch.cuda.max_memory_allocated(run.device) - before
    with Live() as live:
        for _ in range(count):
            step()
    return state, live.most


def flops(step: Callable[[], object], count: int) -> float:
    """Floating-point operations of a step, the mean of so many.

    Args:
        step: the steps to measure.
        count: number of steps.
    """
    with hardware.Flops() as counted:
        for _ in range(count):
            step()
    return float(counted.total / count)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product, of the size from which on it takes 20 ms.

    Args:
        device: where the product is computed.
        dtype: the type of the matrices.
    """
    size, best = 256, 0.0
    while True:
        a = torch.randn(size, size, device=device).to(dtype)
        seconds = min(step_seconds(partial(torch.mm, a, a), device, 1) for _ in range(4))
        best = max(best, 2 * size**3 / seconds)
        if seconds > 0.02:
            return best
        size *= 2
