"""The processes that train one run together, as ``torchrun`` starts them; a process by itself is alone.

Each holds the same networks, takes its share of every batch, and moves along the mean of all processes' gradients: one
flat all-reduce a player and update. Process 0 alone writes. What one process cannot survive ends them all: the others
notice at the next all-reduce, and say why.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ganzoo import errors
from ganzoo.speed import hardware
from ganzoo.step.state import State

LAST_WORDS = 2.0
"""Seconds to wait for the message of a process that went away."""


class Ranks:
    """One process, alone: what several agree on is what it says.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1

    @property
    def lead(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start averaging tensors of one type over the processes; call what is returned to have the means."""
        return lambda: list(tensors)

    def agreed(self, *flags: int) -> tuple[int, ...]:
        """The largest of each flag over the processes: as of the call before, so that nobody waits."""
        return flags

    def meet(self) -> None:
        """Wait until all are here. Who waits for a GPU that waits for a lost process would hear of it too late."""

    def told(self, value: Any) -> Any:
        """What process 0 says: plain data."""
        return value

    def share(self, state: State) -> None:
        """Give every process the state of process 0."""

    def failed(self, error: BaseException) -> bool:
        """Tell the others why this process ends; whether it is the one to tell the user."""
        return True

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """What is raised here is told to the others; its ``silent`` says whether another process prints the same."""
        try:
            yield
        except BaseException as error:
            error.silent = not self.failed(error)  # type: ignore[attr-defined]  # a fact for whoever prints it
            raise

    def leave(self) -> None:
        """Let go of the others."""


ALONE = Ranks()


class Together(Ranks):
    """One of several processes."""

    def __init__(self, device: torch.device) -> None:
        """Meet the others, at the address that torchrun put in the environment."""
        store, self.rank, self.world = next(iter(rendezvous("env://")))
        # the store outlives a restart, and with it the addresses of processes that are gone
        count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"ganzoo/{count}/{self.world}", store)
        self._words = PrefixStore("words", store)
        # each kind of tensor has its own way: a flag on the host never waits for the GPU
        self._gpu, self._lost = device.type == "cuda", False
        backend = "cpu:gloo,cuda:nccl" if self._gpu else "gloo"
        if self._gpu:
            torch.cuda.set_device(device)
        with self._reaching():
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world)
        self._flags: tuple[dist.Work, Tensor] | None = None

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        with self._reaching():
            work = dist.all_reduce(flat, async_op=True)

        def means() -> list[Tensor]:
            with self._reaching():
                work.wait()
            pieces = torch.split(flat.div_(self.world), [t.numel() for t in tensors])
            return [piece.view(t.shape) for piece, t in zip(pieces, tensors, strict=True)]

        return means

    def agreed(self, *flags: int) -> tuple[int, ...]:
        before, self._flags = self._flags, None
        with self._reaching():
            if before is not None:
                before[0].wait()
            now = torch.tensor(flags)
            self._flags = dist.all_reduce(now, dist.ReduceOp.MAX, async_op=True), now
        return tuple(before[1].tolist()) if before is not None else (0,) * len(flags)

    def meet(self) -> None:
        with self._reaching():
            dist.all_reduce(torch.zeros(()))

    def told(self, value: Any) -> Any:
        text = json.dumps(value).encode() if self.lead else b""
        size = torch.tensor([len(text)])
        self._broadcast([size])
        content = torch.frombuffer(bytearray(text or bytes(int(size))), dtype=torch.uint8)
        self._broadcast([content])
        return json.loads(content.numpy().tobytes())

    def share(self, state: State) -> None:
        numbers = self.told(state.numbers() if self.lead else None)
        held = state.copies() if self.lead else {}
        listed = {group: {n: [list(t.shape), str(t.dtype)] for n, t in named.items()} for group, named in held.items()}
        tensors = {
            group: {
                name: held[group][name] if self.lead else torch.empty(shape, dtype=getattr(torch, dtype[6:]))
                for name, (shape, dtype) in named.items()
            }
            for group, named in self.told(listed).items()
        }
        self._broadcast([tensor.contiguous() for named in tensors.values() for tensor in named.values()])
        if not self.lead:
            state.load(tensors, numbers)

    def _broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors on the host with those of process 0."""
        with self._reaching():
            for tensor in tensors:
                dist.broadcast(tensor.view(-1).view(torch.uint8), 0)

    def failed(self, error: BaseException) -> bool:
        text = f"{type(error).__name__}: {error}" if not isinstance(error, errors.GanzooError) else str(error)
        try:
            if isinstance(error, errors.RankLost):
                if self._words.check(["failed"]) and json.loads(self._words.get("failed"))[0] == 0:
                    return False  # process 0 said it, where everybody looks
                return self._first("mourned", str(self.rank))
            own = json.dumps([self.rank, text])
            return self._first("failed", own) or json.loads(self._words.get("failed"))[1] != text
        except (RuntimeError, OSError):  # where even the store is gone, everybody speaks
            return True

    def leave(self) -> None:
        if self._flags is not None:
            with contextlib.suppress(RuntimeError):  # the others are gone
                self._flags[0].wait()
            self._flags = None
        if dist.is_initialized():
            if self._lost and self._gpu:  # destroying waits for what the lost one has not sent
                with contextlib.suppress(RuntimeError):
                    dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()

    def _first(self, key: str, value: str) -> bool:
        """Write into the store what nobody wrote before."""
        return bool(self._words.compare_set(key, "", value).decode() == value)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Say why another process cannot be reached any more."""
        try:
            yield
        except RuntimeError as error:
            if hardware.out_of_memory(error):
                raise
            self._lost = True
            raise errors.RankLost(self._last_words(error)) from error

    def _last_words(self, error: RuntimeError) -> str:
        found = (str(error).splitlines() or ["?"])[0][:200]
        until = time.monotonic() + LAST_WORDS
        try:
            while time.monotonic() < until:
                if self._words.check(["failed"]):
                    rank, text = json.loads(self._words.get("failed"))
                    return f"process {rank} of {self.world} stopped: {text}"
                time.sleep(0.05)
        except (RuntimeError, OSError):  # the store went with it
            return f"process 0 of {self.world} ended without a word: killed, or its machine is gone ({found})"
        return f"one of {self.world} processes ended without a word: killed, or its machine is gone ({found})"


_joined: list[Ranks] = []  # the others are met once in a process


def join(device: torch.device) -> Ranks:
    """The processes that this one trains with: those that torchrun started beside it, or none.

    Args:
        device: that this process computes on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not _joined:
        _joined.append(Together(device))
    return joined()


def joined() -> Ranks:
    """As ``join`` found it, without waiting for anybody."""
    return _joined[0] if _joined else ALONE


@contextmanager
def apart() -> Iterator[None]:
    """For a while, as if there were no others."""
    others = list(_joined)
    _joined.clear()
    try:
        yield
    finally:
        _joined.extend(others)


def leave() -> None:
    """Be alone again."""
    joined().leave()
    _joined.clear()


def launch() -> dict[str, Any] | None:
    """What tells one call of torchrun from others, the same after it restarted its processes; None without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    run = os.environ["TORCHELASTIC_RUN_ID"]
    # "none" is what a run is called unless --rdzv-id names it: then it is the process that started this one
    return {"run": run} if run != "none" else {"host": socket.gethostname(), "parent": os.getppid()}


def restarted() -> bool:
    """Whether torchrun started these processes again, after one of them had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


class Silent:
    """Takes every call and does nothing: in the place of records, for the processes that do not write."""

    def __init__(self, *given: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return self._nothing

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _nothing(self, *given: Any, **named: Any) -> None:
        pass


class _Mean(torch.autograd.Function):
    """The mean over the processes, differentiable any number of times: it is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return joined().mean([x])()[0].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Mean.apply(gradients[0])


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all processes, whose gradient can itself be differentiated; torch's own cannot.

    Formula:
        m = mean x,  v = mean (x - m)^2  over samples and positions of all processes,  y = w (x - m) / sqrt(v + eps) + b

    Costs two small all-reduces a pass, and two more in each gradient of it.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch norm wants (N, C, ...), not {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in training by the statistics of all processes."""
        if not self.training or joined() is ALONE or input.is_meta:
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
            count = x.numel() // x.size(1) * joined().world
            # momentum None: the mean of all batches so far
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
    """A network whose batch norms see the batch of all processes; its weights are the same."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = SyncBatchNorm  # the same weights and statistics, under the same names
    return network


def statistics(modules: Mapping[str, nn.Module]) -> list[Tensor]:
    """What modules keep of the samples that they saw, which differs from piece to piece of a batch: their buffers.

    A parametrization's are not among them: they are a function of the weights, which are the same everywhere.
    """
    found = {}
    for module in modules.values():
        for name, value in module.named_buffers():
            if value.dtype != torch.bool and "parametrizations." not in name:
                found[value.data_ptr()] = value
    return list(found.values())
