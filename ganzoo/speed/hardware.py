"""How the same step runs fast: device, precision, memory format."""

from __future__ import annotations

import copy
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo import errors
from ganzoo.launcher import launch
from ganzoo.parts import Architecture, Batch, Networks, Spec, TensorSpec

SMALL_STEP = 4e9
"""A step of fewer floating-point operations than this is computed on one thread of a CPU, see ``threads``."""


PROBE_SECONDS = 2.0
"""That finding out which precision is faster may take, after a step of each."""

WORTHWHILE = 1.05
"""How many times as fast bf16 must be to be chosen: less is chance."""


DEVICE_TYPES = ("cuda", "xpu", "mps")
"""The kinds of accelerator that ``--device`` takes, where torch has them."""


def device(name: str) -> torch.device:
    """Find a device by its name.

    Args:
        name: ``auto`` (the accelerator where torch finds one, else the CPU), ``cpu``, ``cuda``, ``xpu`` or ``mps``, the
            latter three with the number of a device where there are several, such as ``cuda:1``.

    Returns:
        The device. Without a number, a process that torchrun started takes the device of its local rank.

    Raises:
        SettingsError: the name is not one of these, or this machine has no such device.

    Example:
        >>> device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        name = _accelerator() or "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", *DEVICE_TYPES) or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise errors.SettingsError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N, xpu, xpu:N, mps")
    if kind == "cpu":
        return torch.device(kind)
    if _accelerator() != kind:
        raise errors.SettingsError(
            f"device {name}: torch {torch.__version__} sees no {kind.upper()} here; use --device cpu"
        )
    count, local = torch.accelerator.device_count(), launch().local_rank
    if number and int(number) >= count:
        raise errors.SettingsError(f"device {name}: there are {count}, counted from 0")
    if number and launch().local_world_size > 1:
        raise errors.SettingsError(f"device {name} is one GPU, and several processes run here: give --device {kind}")
    if not number and local >= count:
        if not _assigned():
            raise errors.SettingsError(
                f"{local + 1} processes or more were started here, and there are {count} GPUs: give torchrun "
                f"--nproc-per-node {count} or less, or ganzoo --device cpu"
            )
        local = 0
    return torch.device(kind, int(number or local))


def _accelerator() -> str | None:
    """The kind of accelerator that torch finds on this machine, without a context on it."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found is not None and found.type in DEVICE_TYPES else None


def _assigned() -> bool:
    """Whether the launcher shows each process one GPU of its own, as SLURM's ``--gpus-per-task=1`` does."""
    return any(
        len([each for each in os.environ.get(name, "").split(",") if each.strip()]) == 1
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    )


def rounded(value: float, where: torch.device) -> float:
    """A scheduled number of an optimizer, rounded as the fused kernels of a device read it from a tensor.

    On CUDA the kernels read float32. A captured step gives them a tensor, a step as written gives them a number:
    rounding the number first makes the two steps equal bit for bit, and so runs of one and of several processes.

    Args:
        value: the number.
        where: the device.
    """
    return float(np.float32(value)) if where.type == "cuda" else value


def default_generators(where: torch.device) -> list[torch.Generator]:
    """The generators that parts draw from: that of the CPU, and that of the device.

    Other devices are not asked: a question to an accelerator creates a context on it, of hundreds of megabytes.
    """
    found = [torch.default_generator]
    module: Any = None if where.type == "cpu" else torch.get_device_module(where)
    if where.type == "mps":
        found.append(module._get_default_mps_generator())  # the only name that torch has for it
    elif module is not None:
        module.init()
        found.append(module.default_generators[where.index or 0])
    return found


@contextmanager
def random_state_kept(where: torch.device) -> Iterator[None]:
    """A context that leaves the random numbers of the CPU and of one device as they were."""
    generators = default_generators(where)
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def seed_default_generators(where: torch.device, number: int) -> None:
    """Seed the random numbers of the CPU and of one device; ``torch.manual_seed`` seeds those of all devices.

    Args:
        where: the device.
        number: the seed.
    """
    for generator in default_generators(where):
        generator.manual_seed(number)


def synchronize(where: torch.device) -> None:
    """Wait until a device has done all of its work; on the CPU there is no work to wait for."""
    if where.type != "cpu":
        torch.accelerator.synchronize(where)


def has_float64(where: torch.device) -> bool:
    """Whether a device computes in float64; Metal (``mps``) has no such type."""
    return where.type != "mps"


def can_capture(where: torch.device) -> bool:
    """Whether steps can be captured in graphs on a device: CUDA alone, so far."""
    return where.type == "cuda"


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
    """The precision of a name; ``auto`` is fp32 until a trial shows which is faster, see ``ratio``.

    Raises:
        SettingsError: the device does not compute in this precision.
    """
    if name == "fp64" and not has_float64(where):
        raise errors.SettingsError(
            f"precision fp64: {where.type} has no float64; give --precision fp32 or --device cpu"
        )
    if name == "bf16":
        return Precision(name, torch.float32, lambda: torch.autocast(where.type, dtype=torch.bfloat16))
    return Precision(name, torch.float64 if name == "fp64" else torch.float32, nullcontext)


def has_bf16(where: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices itself: a GPU since Ampere, a CPU with AVX512-BF16 or AMX."""
    if where.type == "cuda":
        with torch.cuda.device(where):  # torch asks the current device, and a machine may have GPUs of several kinds
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if where.type == "xpu":
        return bool(torch.xpu.is_bf16_supported())
    if where.type == "mps":
        return False
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # of newer torch
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def ratio(one: Callable[[], object], other: Callable[[], object], where: torch.device) -> float:
    """How many times as fast ``other`` is: the median over runs in turn, in about ``PROBE_SECONDS``."""

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        synchronize(where)
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
    set_cublas_workspace()
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def set_cublas_workspace() -> None:
    """Fix the workspace of cuBLAS, without which its sums depend on timing.

    cuBLAS reads the variable when its first handle is made, and spectral norm multiplies matrices at assembly: a
    deterministic run calls this function before any network is on the device.

    Source:
        cuBLAS library, "Results reproducibility", https://docs.nvidia.com/cuda/cublas/
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def memory(where: torch.device) -> int:
    """Bytes of memory that a device has in all."""
    if where.type in ("cuda", "xpu"):
        return int(torch.accelerator.get_memory_info(where)[1])
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


def _dtype(spec: TensorSpec) -> dict[str, torch.dtype]:
    return {} if spec.dtype == "float" else {"dtype": getattr(torch, spec.dtype)}


def flops(architecture: Architecture, networks: Networks, spec: Spec, batch_size: int) -> int:
    """Floating-point operations of a one-step step, 3g + 7d, counted on copies of the nets that hold no numbers."""
    generator, discriminator = (copy.deepcopy(net).to("meta") for net in networks)

    def empty(*shape: int, **kind: Any) -> torch.Tensor:
        return torch.empty(batch_size, *shape, device="meta", **kind)

    batch = Batch(
        latent=empty(spec.latent_dim),
        labels=empty(dtype=torch.long) if spec.classes else None,
    ).replace(**{name: empty(*each.shape, **_dtype(each)) for name, each in spec.inputs.items()})
    with torch.no_grad(), Flops() as g:
        architecture.generate(generator.float(), batch)
    with torch.no_grad(), Flops() as d:
        architecture.judge(discriminator.float(), empty(*spec.shape), batch)
    return int(3 * g.total + 7 * d.total)


def estimated_flops(architecture: Architecture, networks: Networks, spec: Spec, batch_size: int) -> int | None:
    """Count the floating-point operations of a step, where the networks allow the count.

    The count serves the choice of threads and of precision. A network that cannot be put on torch's meta device, or
    that computes with the values of tensors, is trained without the count.

    Args:
        architecture: how the networks are called.
        networks: the two players.
        spec: what the networks were built for.
        batch_size: samples in a batch.

    Returns:
        The number of operations, or None where the count fails.
    """
    try:
        return flops(architecture, networks, spec, batch_size)
    except Exception as error:  # whatever a network raises without values
        logging.getLogger("ganzoo").debug("the operations of a step cannot be counted: %s", error)
        return None


@contextmanager
def threads(number: int | None, step: Callable[[], int | None]) -> Iterator[int]:
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
        number = before
        if before > 1 and "OMP_NUM_THREADS" not in os.environ:
            operations = step()
            number = 1 if operations is not None and operations < SMALL_STEP else before
    torch.set_num_threads(number)
    try:
        yield number
    finally:
        torch.set_num_threads(before)
