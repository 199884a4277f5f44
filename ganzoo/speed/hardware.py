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
from ganzoo.step.randomness import default_generators

SMALL_STEP = 4e9
"""A step of fewer floating-point operations than ``SMALL_STEP`` is computed on one thread of a CPU, see ``threads``."""


PROBE_SECONDS = 2.0
"""Seconds that the comparison of two precisions may take, after a first step in each precision."""

WORTHWHILE = 1.05
"""The ratio of speeds from which on bf16 is chosen. A smaller ratio may be chance."""


DEVICE_TYPES = ("cuda", "xpu", "mps")
"""The kinds of accelerator that ``--device`` takes."""


def device(name: str) -> torch.device:
    """Find a device by name.

    Args:
        name: ``auto`` (the accelerator that torch finds, else the CPU), ``cpu``, ``cuda``, ``xpu`` or ``mps``. The
            latter three may carry the number of a device, as ``cuda:1`` does.

    Returns:
        The device. Without a number, a process that torchrun started takes the device of the local rank.

    Raises:
        SettingsError: the name is unknown, or the machine has no device of the name.

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
    """The kind of accelerator that torch finds on the machine. The search creates no context on the accelerator."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found is not None and found.type in DEVICE_TYPES else None


def _assigned() -> bool:
    """Whether the launcher shows each process a single GPU, as SLURM's ``--gpus-per-task=1`` does."""
    return any(
        len([each for each in os.environ.get(name, "").split(",") if each.strip()]) == 1
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    )


def rounded(value: float, where: torch.device) -> float:
    """Round a scheduled number of an optimizer as the fused kernels of a device read the number from a tensor.

    On CUDA the kernels read float32. A captured step passes a tensor, and a step as written passes a Python number.
    Rounding the number first makes the two steps equal bit for bit. Runs of one process and of several processes are
    then equal too.

    Args:
        value: the number.
        where: the device.

    Returns:
        The number rounded to float32 on CUDA, and the number itself on other devices.

    Example:
        >>> rounded(0.1, torch.device("cpu"))
        0.1
    """
    return float(np.float32(value)) if where.type == "cuda" else value


@contextmanager
def random_state_kept(where: torch.device) -> Iterator[None]:
    """A context that restores the random number generators of the CPU and of one device at the end.

    Args:
        where: the device.
    """
    generators = default_generators(where)
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def seed_default_generators(where: torch.device, number: int) -> None:
    """Seed the random number generators of the CPU and of one device. ``torch.manual_seed`` seeds all devices.

    Args:
        where: the device.
        number: the seed.
    """
    for generator in default_generators(where):
        generator.manual_seed(number)


def synchronize(where: torch.device) -> None:
    """Wait until a device has finished all queued work. The CPU has no queue, so the call returns at once.

    Args:
        where: the device.
    """
    if where.type != "cpu":
        torch.accelerator.synchronize(where)


def has_float64(where: torch.device) -> bool:
    """Whether a device computes in float64. Metal (``mps``) has no float64.

    Args:
        where: the device.

    Example:
        >>> has_float64(torch.device("cpu")), has_float64(torch.device("mps"))
        (True, False)
    """
    return where.type != "mps"


def can_capture(where: torch.device) -> bool:
    """Whether steps can be captured in graphs on a device. Only CUDA devices capture.

    Args:
        where: the device.

    Example:
        >>> can_capture(torch.device("cpu"))
        False
    """
    return where.type == "cuda"


@dataclass(frozen=True)
class Precision:
    """The dtype of the weights, and the autocast context of the networks.

    Attributes:
        name: fp32, bf16 or fp64.
        dtype: the dtype of weights, samples, losses, penalties and optimizer state.
        autocast: makes the context in which the passes of the networks run.
    """

    name: str
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[Any]]


def precision(name: str, where: torch.device) -> Precision:
    """Find a precision by name.

    Args:
        name: fp32, bf16, fp64 or ``auto``, which is fp32 until a trial shows the faster precision, see ``ratio``.
        where: the device.

    Returns:
        The precision.

    Raises:
        SettingsError: the device does not compute in the precision.

    Example:
        >>> precision("bf16", torch.device("cpu")).dtype
        torch.float32
    """
    if name == "fp64" and not has_float64(where):
        raise errors.SettingsError(
            f"precision fp64: {where.type} has no float64; give --precision fp32 or --device cpu"
        )
    if name == "bf16":
        return Precision(name, torch.float32, lambda: torch.autocast(where.type, dtype=torch.bfloat16))
    return Precision(name, torch.float64 if name == "fp64" else torch.float32, nullcontext)


def has_bf16(where: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware: a GPU since Ampere, a CPU with AVX512-BF16 or AMX.

    Args:
        where: the device.
    """
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
    """Measure how many times as fast a function is as another function.

    The two functions run in turn for about ``PROBE_SECONDS``, after a run of each to warm up.

    Args:
        one: the function to compare with.
        other: the function to judge.
        where: the device that the functions compute on.

    Returns:
        The median of the ratios of the seconds of ``one`` to the seconds of ``other``.
    """

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
    """Move a network to a device and a dtype. A network that convolves images is stored channels last.

    Args:
        network: the network, which is changed in place.
        where: the device.
        dtype: the dtype of the weights.

    Returns:
        The network.
    """
    network = network.to(where, dtype)
    if any(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in network.modules()):
        network = network.to(memory_format=torch.channels_last)
    return network


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """A context in which torch uses only algorithms that give the same bits every time.

    Args:
        on: False leaves the choice of algorithms to torch.
    """
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
    """Fix the workspace of cuBLAS. Without a fixed workspace the sums of cuBLAS depend on timing.

    cuBLAS reads the variable when the first handle is made, and spectral norm multiplies matrices at assembly. So a
    deterministic run calls ``set_cublas_workspace`` before any network is on the device.

    Source:
        cuBLAS library, "Results reproducibility", https://docs.nvidia.com/cuda/cublas/
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def memory(where: torch.device) -> int:
    """The memory of a device in bytes, used and free.

    Args:
        where: the device.

    Returns:
        The size in bytes: 8 GiB where the operating system gives no size.
    """
    if where.type in ("cuda", "xpu"):
        return int(torch.accelerator.get_memory_info(where)[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 33


@contextmanager
def tensor_cores(on: bool) -> Iterator[None]:
    """A context in which a GPU multiplies float32 matrices on tensor cores, in TF32. Convolutions already use TF32.

    TF32 keeps the range of float32 and 10 bits of the mantissa in the factors, and sums in float32. A product in TF32
    is several times as fast as a product in float32.

    Args:
        on: False changes no setting.
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
    """Whether an exception reports that the memory of the device or of the host is exhausted.

    Args:
        error: any exception.

    Example:
        >>> out_of_memory(MemoryError()), out_of_memory(ValueError())
        (True, False)
    """
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def room(said: str) -> Iterator[None]:
    """A context, or a decorator, that turns an exhausted memory into an error of one line.

    Args:
        said: the message.

    Raises:
        OutOfMemory: the block ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise errors.OutOfMemory(said) from error


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """A context that counts the floating-point operations of matrix products and convolutions.

    The FlopCounterMode of torch follows modules too, by hooks that fail under ``autograd.grad``.
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
    """Count the floating-point operations of a step that updates both players from one round: 3g + 7d.

    The operations are counted on copies of the networks on the meta device, where tensors have shapes and no values.

    Args:
        architecture: defines the passes of the networks.
        networks: the two players.
        spec: the shapes that the networks were built for.
        batch_size: samples in a batch.

    Returns:
        The number of operations.
    """
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
        architecture: defines the passes of the networks.
        networks: the two players.
        spec: the shapes that the networks were built for.
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
    """A context in which torch computes on a number of CPU threads.

    A small step is hundreds of operations of microseconds, and the threads synchronize after each operation. Two
    threads are at best 1.5 times as fast as a single thread, and many times slower where another process uses a core
    (examples/LOG.md). So a small step (``SMALL_STEP``) is computed on a single thread, unless OMP_NUM_THREADS is set.
    Other steps use the number that torch chose.

    The choice depends on the recipe and not on the load of the machine, because the number of threads changes the
    rounding.

    Args:
        number: the number of threads. None chooses the number.
        step: counts the operations of a step. The function is called only where the choice depends on the count.

    Yields:
        The number of threads.
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
