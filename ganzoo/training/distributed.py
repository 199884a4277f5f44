"""The processes that train one run together, as ``torchrun`` starts them.

Each process holds the same networks and computes its share of every batch. The optimizers step along the mean of the
gradients of all processes: one flat all-reduce for each player and update. Rank 0 is the main process and the only
process that writes files. A process that fails ends the run: the other processes notice at their next all-reduce and
report the reason.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from ganzoo import errors, launcher
from ganzoo.speed import hardware
from ganzoo.step.parametrizations import of_parametrization
from ganzoo.step.state import State
from ganzoo.training.heartbeat import JOIN_SECONDS, WAIT_SECONDS, Heartbeat

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
"""The types of tensors that processes send each other by number."""

HEADER = 10
"""The whole numbers that describe a tensor of at most 8 dimensions: whether there is one, type, shape."""

PlainT = TypeVar("PlainT")

ERROR_SECONDS = 2.0
"""Seconds to wait for the error message of a process that ended."""


class Processes:
    """A single process. The subclass ``DistributedProcesses`` is one of several.

    Attributes:
        rank: the number of this process, from 0.
        world_size: the number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether the process writes the files and prints."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start averaging tensors over the processes.

        Args:
            tensors: tensors of one dtype on one device; their shapes are the same in all processes.

        Returns:
            A function that waits for the means and returns them, in the order and shapes of ``tensors``.
        """
        return lambda: list(tensors)

    def all_reduce_max(self, *flags: int) -> tuple[int, ...]:
        """Take the largest value of each flag over the processes.

        Args:
            flags: whole numbers; the same number of flags in every process.

        Returns:
            The maxima of the flags of the call before, so that no process waits for another. The first call returns
            zeros where there are several processes.
        """
        return flags

    def extremes(self, number: int) -> tuple[int, int]:
        """The least and the largest of a number over the processes. The host waits for all processes.

        Args:
            number: of this process.
        """
        return number, number

    def barrier(self) -> None:
        """Wait on the host until all processes are at this point.

        Call this before waiting for the GPU. A process that is lost then raises ``RankLost`` here. Without the barrier
        the GPU would wait for NCCL's own timeout.
        """

    def require_same(self, facts: Mapping[str, object]) -> None:
        """Compare facts with those of the main process, and wait until all processes agree.

        Args:
            facts: plain data by name, such as the settings of the run.

        Raises:
            SettingsError: a fact differs between two processes.
        """

    def stop_waiting(self, stopping: Callable[[], bool]) -> None:
        """Have every later wait end sooner once a signal has asked the process to stop.

        Args:
            stopping: whether a signal has come.
        """

    def broadcast_object(self, value: PlainT) -> PlainT:
        """Send plain data from the main process to the others.

        Args:
            value: JSON data; ignored in other processes than the main process.

        Returns:
            The value of the main process.
        """
        return value

    def all_gather(self, rows: Tensor | None) -> list[Tensor | None]:
        """Send a tensor of each process to every process.

        Args:
            rows: a tensor of any shape, or None.

        Returns:
            The tensors on the CPU, by the number of the process. A single process gets ``rows`` itself.
        """
        return [rows]

    def broadcast_state(self, state: State) -> None:
        """Overwrite the training state of every process with the state of the main process.

        Args:
            state: the training state of this process.
        """

    def send_error(self, error: BaseException) -> bool:
        """Send the other processes the error that ends the process.

        Args:
            error: the error.

        Returns:
            Whether the process prints the error. Of several processes with the same error, a single process prints.
        """
        return True

    @contextmanager
    def relay_errors(self) -> Iterator[None]:
        """Send an exception of the block to the other processes and raise the exception again.

        The exception gets an attribute ``silent``: whether another process prints the same error.
        """
        try:
            yield
        except BaseException as error:
            error.silent = not self.send_error(error)  # type: ignore[attr-defined]  # read by the command line
            raise

    def close(self) -> None:
        """Leave the process group."""


SINGLE_PROCESS = Processes()


class DistributedProcesses(Processes):
    """A process among several that exchange tensors by ``torch.distributed``."""

    def __init__(self, device: torch.device) -> None:
        """Join the process group at the address that the launcher put into the environment.

        Args:
            device: the device of the process.

        Raises:
            RankLost: another process cannot be reached.
        """
        store, self.rank, self.world_size = _meet()
        # The store outlives a restart by torchrun, and with it the addresses of processes that are gone: a prefix for
        # each restart keeps the new processes from connecting to the old addresses. A process that trains a second run
        # gets another prefix for the same reason.
        store = PrefixStore(f"ganzoo/{launcher.launch().restarts}/{self.world_size}/{next(_joins)}", store)
        self._errors = PrefixStore("errors", store)
        self._heartbeat = Heartbeat(PrefixStore("heartbeat", store), self.rank, self.world_size)
        # each kind of tensor has its own backend: a flag on the host never waits for the GPU
        self._gpu, self._lost, self._unfinished = device.type == "cuda", False, False
        backend = "cpu:gloo,cuda:nccl" if self._gpu else "gloo"
        if self._gpu:
            torch.cuda.set_device(device)
        limit = timedelta(seconds=WAIT_SECONDS + JOIN_SECONDS)  # the heartbeat ends every wait before torch would
        with self._raising_rank_lost():
            self._heartbeat.gather(self._failed)
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world_size, timeout=limit)
        self._flags: tuple[dist.Work, Tensor] | None = None

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        # one flat tensor: one all-reduce costs less than one for each parameter
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        with self._raising_rank_lost():
            work = dist.all_reduce(flat, async_op=True)

        def means() -> list[Tensor]:
            with self._raising_rank_lost():
                self._wait(work, flat)
            pieces = torch.split(flat.div_(self.world_size), [t.numel() for t in tensors])
            return [piece.view(t.shape) for piece, t in zip(pieces, tensors, strict=True)]

        return means

    def all_reduce_max(self, *flags: int) -> tuple[int, ...]:
        before, self._flags = self._flags, None
        with self._raising_rank_lost():
            if before is not None:
                self._wait(*before)
            now = torch.tensor(flags)
            self._flags = dist.all_reduce(now, dist.ReduceOp.MAX, async_op=True), now
        return tuple(before[1].tolist()) if before is not None else (0,) * len(flags)

    def extremes(self, number: int) -> tuple[int, int]:
        both = torch.tensor([-number, number], device="cpu")
        with self._raising_rank_lost():
            self._wait(dist.all_reduce(both, dist.ReduceOp.MAX, async_op=True), both)
        return -int(both[0]), int(both[1])

    def barrier(self) -> None:
        # an all-reduce on the host: dist.barrier() would use NCCL where a GPU trains
        with self._raising_rank_lost():
            flag = torch.zeros(())
            self._wait(dist.all_reduce(flag, async_op=True), flag)

    def require_same(self, facts: Mapping[str, object]) -> None:
        with self._raising_rank_lost():
            self._heartbeat.require_same(facts, self._failed)

    def stop_waiting(self, stopping: Callable[[], bool]) -> None:
        self._heartbeat.stopping = stopping

    def _wait(self, work: dist.Work | None, tensor: Tensor) -> None:
        """Wait for an exchange. A GPU's own stream waits for an exchange of its tensors, and the host goes on."""
        assert work is not None  # an exchange that is asked for with async_op=True
        if not tensor.is_cuda:
            try:
                self._heartbeat.wait(work.is_completed)
            except BaseException:
                self._unfinished = True
                raise
        work.wait()

    def _failed(self) -> bool:
        return bool(self._errors.check(["failed"]))

    def broadcast_object(self, value: PlainT) -> PlainT:
        # JSON instead of dist.broadcast_object_list, which unpickles
        text = json.dumps(value).encode() if self.is_main else b""
        size = torch.tensor([len(text)])
        self._broadcast([size])
        content = torch.frombuffer(bytearray(text or bytes(int(size))), dtype=torch.uint8)
        self._broadcast([content])
        received: PlainT = json.loads(content.numpy().tobytes())
        return received

    def all_gather(self, rows: Tensor | None) -> list[Tensor | None]:
        content = torch.empty(0, dtype=torch.uint8)
        header = [0, 0]
        if rows is not None:
            rows = rows.detach().cpu().contiguous()
            content = rows.reshape(-1).view(torch.uint8)
            header = [1, DTYPES.index(rows.dtype), *rows.shape]
        # A header of fixed size comes first, since shapes differ: the last batch of an epoch is small.
        own = torch.tensor([*header, *[-1] * (HEADER - len(header))])
        with self._raising_rank_lost():
            headers = [torch.empty_like(own) for _ in range(self.world_size)]
            self._wait(dist.all_gather(headers, own, async_op=True), own)
            shapes = [[n for n in each[2:].tolist() if n >= 0] for each in headers]
            sizes = [int(each[0]) * math.prod(shape) for each, shape in zip(headers, shapes, strict=True)]
            sizes = [size * DTYPES[int(each[1])].itemsize for size, each in zip(sizes, headers, strict=True)]
            padded = torch.zeros(max(sizes), dtype=torch.uint8)
            padded[: len(content)] = content
            contents = [torch.empty_like(padded) for _ in range(self.world_size)]
            self._wait(dist.all_gather(contents, padded, async_op=True), padded)
        return [
            bytes_[:size].clone().view(DTYPES[int(each[1])]).view(shape) if int(each[0]) else None
            for each, shape, size, bytes_ in zip(headers, shapes, sizes, contents, strict=True)
        ]

    def broadcast_state(self, state: State) -> None:
        numbers = self.broadcast_object(state.numbers() if self.is_main else {})
        held = state.copies() if self.is_main else {}
        listed: dict[str, dict[str, tuple[list[int], str]]] = {
            group: {n: (list(t.shape), str(t.dtype)) for n, t in named.items()} for group, named in held.items()
        }
        tensors = {
            group: {
                # a dtype's text is "torch.float32"
                name: held[group][name] if self.is_main else torch.empty(shape, dtype=getattr(torch, dtype[6:]))
                for name, (shape, dtype) in named.items()
            }
            for group, named in self.broadcast_object(listed).items()
        }
        self._broadcast([tensor.contiguous() for named in tensors.values() for tensor in named.values()])
        if not self.is_main:
            state.load(tensors, numbers)

    def _broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors on the host with the tensors of the main process."""
        with self._raising_rank_lost():
            for tensor in tensors:
                # as bytes: gloo broadcasts no bool and no bfloat16
                content = tensor.view(-1).view(torch.uint8)
                self._wait(dist.broadcast(content, 0, async_op=True), content)

    def send_error(self, error: BaseException) -> bool:
        if isinstance(error, KeyboardInterrupt):  # a second Ctrl-C ends the process at once
            self._unfinished = True
        text = f"{type(error).__name__}: {error}" if not isinstance(error, errors.GanzooError) else str(error)
        try:
            if isinstance(error, errors.RankLost):
                if self._errors.check(["failed"]) and json.loads(self._errors.get("failed"))[0] == 0:
                    return False  # the main process printed its own error
                return self._set_first("reported", str(self.rank))
            own = json.dumps([self.rank, text])
            return self._set_first("failed", own) or json.loads(self._errors.get("failed"))[1] != text
        except (RuntimeError, OSError):  # the store is gone too: every process prints
            return True

    def close(self) -> None:
        self._heartbeat.close()
        # Every way of torch to leave waits for what a silent process has not sent. The end of this process frees all.
        if self._unfinished:
            return
        if self._flags is not None:
            with contextlib.suppress(RuntimeError, errors.RankLost):  # the other processes ended
                self._wait(*self._flags)
            self._flags = None
        if dist.is_initialized():
            if self._lost and self._gpu:  # destroy_process_group would wait for what the lost process has not sent
                with contextlib.suppress(RuntimeError):
                    dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()

    def _set_first(self, key: str, value: str) -> bool:
        """Set a key of the store unless another process did; whether this process was the first."""
        return bool(self._errors.compare_set(key, "", value).decode() == value)

    @contextmanager
    def _raising_rank_lost(self) -> Iterator[None]:
        """Turn a failed exchange into ``RankLost`` with the reason."""
        try:
            yield
        except errors.RankLost:
            self._lost = True
            raise
        except RuntimeError as error:
            if hardware.out_of_memory(error):
                raise
            self._lost = True
            raise errors.RankLost(self._reason(error)) from error

    def _reason(self, error: RuntimeError) -> str:
        """The error message of the process that ended, or the text of torch's own error."""
        found = (str(error).splitlines() or ["?"])[0][:200]
        until = time.monotonic() + ERROR_SECONDS
        try:
            while time.monotonic() < until:
                if self._errors.check(["failed"]):
                    rank, text = json.loads(self._errors.get("failed"))
                    return f"process {rank} of {self.world_size} stopped: {text}"
                time.sleep(0.05)
        except (RuntimeError, OSError):  # process 0 holds the store
            return f"process 0 of {self.world_size} ended without a word: killed, or its machine is gone ({found})"
        return f"one of {self.world_size} processes ended without a word: killed, or its machine is gone ({found})"


_joins = itertools.count()


def _meet() -> tuple[Store, int, int]:
    """Connect to the store of the processes: the store, the rank, the number of processes.

    A thread connects, because Python handles no signal while torch waits for an address that does not answer.
    """
    found: list[tuple[Store, int, int]] = []
    failures: list[BaseException] = []

    def connect() -> None:
        try:
            found.append(next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_SECONDS)))))
        except (RuntimeError, ValueError, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=connect, name="ganzoo-rendezvous", daemon=True)
    thread.start()
    thread.join()
    if not found:
        why = (str(failures[0]).splitlines() or ["?"])[0][:200] if failures else "?"
        raise errors.RankLost(f"the other processes cannot be reached within {JOIN_SECONDS:.0f} seconds ({why})")
    return found[0]


# torch.distributed has one default group a process, and SyncBatchNorm.forward, which is called by the networks, has no
# other way to the group; so the group is a fact of the process too. A list, since tests and `single_process` empty it.
_joined: list[Processes] = []


def join(device: torch.device) -> Processes:
    """Join the processes that the launcher started.

    Args:
        device: the device that the process computes on.

    Returns:
        ``SINGLE_PROCESS`` where the launcher started no other process. A second call returns the first call's value.

    Raises:
        RankLost: another process cannot be reached.
        SettingsError: the environment of the launcher is malformed.
    """
    if launcher.launch().world_size > 1 and not _joined:
        _joined.append(DistributedProcesses(device))
    return joined()


def joined() -> Processes:
    """The processes of the last ``join``, without waiting for any."""
    return _joined[0] if _joined else SINGLE_PROCESS


@contextmanager
def single_process() -> Iterator[None]:
    """A context in which ``joined`` returns ``SINGLE_PROCESS``: the block exchanges no tensors."""
    others = list(_joined)
    _joined.clear()
    try:
        yield
    finally:
        _joined.extend(others)


def leave() -> None:
    """Leave the process group."""
    joined().close()
    _joined.clear()


class NullLogger:
    """A logger without effect, for the logs and displays of processes that do not write.

    Args:
        given: the arguments of the logger that this logger stands for. They have no effect.
    """

    def __init__(self, *given: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return self._nothing

    def __enter__(self) -> NullLogger:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _nothing(self, *given: object, **named: object) -> None:
        pass


class _Mean(torch.autograd.Function):
    """The mean over the processes. The operation is self-adjoint, so every derivative exists."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return joined().mean([x])()[0].clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        mean: Tensor = _Mean.apply(gradients[0])
        return mean


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all processes, with derivatives of any order.

    Torch's own SyncBatchNorm has first derivatives only, and gradient penalties need second derivatives.

    Formula:
        m = mean x,  v = mean (x - m)^2  over samples and positions of all processes,  y = w (x - m) / sqrt(v + eps) + b

    A pass costs two small all-reduces, and each gradient of a pass costs two more.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch norm wants (N, C, ...), not {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the statistics of all processes, or by the running statistics in evaluation mode.

        Args:
            input: (N, C, ...) a floating tensor.

        Returns:
            (N, C, ...) in the dtype of the input. Sums are formed in fp32 at least.
        """
        if not self.training or joined() is SINGLE_PROCESS or input.is_meta:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        axes = [0, *range(2, x.dim())]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        mean: Tensor = _Mean.apply(x.mean(axes))
        centred = x - mean.view(shape)
        variance: Tensor = _Mean.apply(centred.square().mean(axes))
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            count = x.numel() // x.size(1) * joined().world_size
            # momentum None: the cumulative mean of all batches, as in torch
            share = self.num_batches_tracked.to(mean.dtype).reciprocal()
            if self.momentum is not None:
                share = torch.full_like(share, self.momentum)
            with torch.no_grad():
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * (count / max(1, count - 1)), share)
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)


def synchronised(network: nn.Module) -> nn.Module:
    """Replace each batch norm of a network by ``SyncBatchNorm``, in place. Weights and names stay the same.

    Args:
        network: any module.

    Returns:
        The same module.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = SyncBatchNorm  # a new module would need copies of all hooks and parametrizations
    return network


def statistics(modules: Mapping[str, nn.Module]) -> list[Tensor]:
    """The buffers of modules that depend on the samples of a process, such as running means.

    Args:
        modules: modules by name.

    Returns:
        Each floating or whole-number buffer once. Buffers of parametrizations are left out, as functions of the
        weights, which are the same in all processes.
    """
    found = {}
    for module in modules.values():
        for name, value in module.named_buffers():
            if value.dtype != torch.bool and not of_parametrization(name):
                found[value.data_ptr()] = value
    return list(found.values())
