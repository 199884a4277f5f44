"""How the same step runs fast: device, precision, memory format."""

from __future__ import annotations

import copy
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo import errors
from ganzoo.parts import Architecture, Batch, Networks, Spec

SMALL_STEP = 4e9
"""A step of fewer floating-point operations than this is computed on one thread of a CPU, see ``threads``."""


PROBE_SECONDS = 2.0
"""That finding out which precision is faster may take, after a step of each."""

WORTHWHILE = 1.05
"""How many times as fast bf16 must be to be chosen: less is chance."""


def device(name: str) -> torch.device:
    """The device that a person named: ``auto`` (the GPU where there is one), ``cpu``, ``cuda``, ``cuda:N``.

    Raises:
        SettingsError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise errors.SettingsError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise errors.SettingsError(f"device {name}: torch {torch.__version__} sees no CUDA here; use --device cpu")
        count, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
        if number and int(number) >= count:
            raise errors.SettingsError(f"device {name}: there are {count}, counted from 0")
        if number and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
            raise errors.SettingsError(f"device {name} is one GPU, and several processes run here: give --device cuda")
        if not number and local >= count:
            raise errors.SettingsError(
                f"{local + 1} processes or more were started here, and there are {count} GPUs: give torchrun "
                f"--nproc-per-node {count} or less, or ganzoo --device cpu"
            )
        return torch.device(kind, int(number or local))
    return torch.device(kind)


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
    """The precision that a person named; ``auto`` is fp32 until it is known which is faster, see ``ratio``."""
    if name == "bf16":
        return Precision(name, torch.float32, lambda: torch.autocast(where.type, dtype=torch.bfloat16))
    return Precision(name, torch.float64 if name == "fp64" else torch.float32, nullcontext)


def has_bf16(where: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices itself: a GPU since Ampere, a CPU with AVX512-BF16 or AMX."""
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # of newer torch
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def ratio(one: Callable[[], object], other: Callable[[], object], where: torch.device) -> float:
    """How many times as fast ``other`` is: the median over runs in turn, in about ``PROBE_SECONDS``."""

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        return time.perf_counter() - began

    seconds(one)
    seconds(other)
    found, until = list[float](), time.perf_counter() + PROBE_SECONDS
    while not found or (len(found) < 9 and time.perf_counter() < until):
        found.append(seconds(one) / seconds(other))
    return statistics.median(found)


def settle(network: nn.Module, where: torch.device, dtype: torch.dtype) -> nn.Module:
    """A network on its device, in its precision; channels last where it convolves images."""
    network = network.to(where, dtype)
    if any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in network.modules()):
        network = network.to(memory_format=torch.channels_last)
    return network


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Only algorithms that give the same bits every time, while this lasts; ``on`` false changes nothing."""
    if not on:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS wants to be told, before its first use
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def memory(where: torch.device) -> int:
    """Bytes of memory that a device has in all."""
    if where.type == "cuda":
        return int(torch.cuda.mem_get_info(where)[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 33


@contextmanager
def tensor_cores(on: bool) -> Iterator[None]:
    """Matrix products of float32 on a GPU's tensor cores, in TF32, while this lasts; convolutions are by themselves.

    TF32 keeps float32's range and 10 bits of its mantissa in the factors, and sums in float32; several times as fast.
    """
    products: Any = torch.backends.cuda.matmul
    if not on or products.fp32_precision == "tf32":
        yield
        return
    # by this call alone: where one of the newer switches is set, torch's compiler fails to read the older ones
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that there is no memory left, on the device or beside it."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def room(said: str) -> Iterator[None]:
    """Say in a line that memory ran out; also a decorator."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise errors.OutOfMemory(said) from error


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Counts the floating-point operations of matrix products and convolutions while it is on.

    Torch's own FlopCounterMode follows modules too, by hooks that fail under ``autograd.grad``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def flops(architecture: Architecture, networks: Networks, spec: Spec, batch_size: int) -> int:
    """Floating-point operations of a one-step step, 3g + 7d, counted on copies of the nets that hold no numbers."""
    generator, discriminator = (copy.deepcopy(net).to("meta") for net in networks)

    def empty(*shape: int, **kind: Any) -> torch.Tensor:
        return torch.empty(batch_size, *shape, device="meta", **kind)

    batch = Batch(
        latent=empty(spec.latent_dim),
        labels=empty(dtype=torch.long) if spec.classes else None,
        condition=None if spec.condition_shape is None else empty(*spec.condition_shape),
    )
    with torch.no_grad(), Flops() as g:
        architecture.generate(generator.float(), batch)
    with torch.no_grad(), Flops() as d:
        architecture.judge(discriminator.float(), empty(*spec.shape), batch)
    return int(3 * g.total + 7 * d.total)


@contextmanager
def threads(number: int | None, step: Callable[[], int]) -> Iterator[int]:
    """A context in which torch computes on so many CPU threads; ``None`` chooses.

    A small step is hundreds of operations of microseconds, and after each the threads wait for one another: two of them
    are at best 1.5 times as fast as one, and many times slower where another process wants one of the cores
    (examples/LOG.md).

    So one thread for a small step (``SMALL_STEP``) unless OMP_NUM_THREADS says otherwise, torch's own number for
    others: a function of the recipe and not of the moment, because other numbers of threads round otherwise.

    Args:
        number: of threads.
        step: counts the operations of a step; asked only where it matters.
    """
    before = torch.get_num_threads()
    if number is None:
        small = before > 1 and "OMP_NUM_THREADS" not in os.environ and step() < SMALL_STEP
        number = 1 if small else before
    torch.set_num_threads(number)
    try:
        yield number
    finally:
        torch.set_num_threads(before)
