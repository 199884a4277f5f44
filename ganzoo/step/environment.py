"""What surrounds a training step, as one frozen value that a game is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ganzoo.parts import Architecture, Batch, Loss, Player, Regularizer, TensorSpec
from ganzoo.step.state import State

Answer = TypeVar("Answer")


class HostCall(Protocol):
    """Makes the calls of a step that run on the CPU and that no recording of GPU kernels contains.

    A step draws random latents, fetches batches and counts through its ``HostCall``. ``call_directly`` makes each call
    at once. A recorder of steps puts another ``HostCall`` in its place: it keeps a list of the calls, and makes them
    again before each replay.
    """

    def __call__(self, call: Callable[..., Answer], /, *arguments: Any) -> Answer:
        """Return ``call(*arguments)``, or an equivalent of its result."""


def call_directly(call: Callable[..., Answer], /, *arguments: Any) -> Answer:
    """Call a function with its arguments: the ``HostCall`` of every step that is not being recorded."""
    return call(*arguments)


class Feed(Protocol):
    """Source of real batches; the implementations are in ``ganzoo.data.feed``."""

    def reals(self, draw: int, piece: int = 0) -> Batch:
        """A batch by its number in the run, or this process's micro-batch of it; the same batch at every call."""

    def labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """(count,) labels for fakes in the proportions of the data; None where the networks are given no labels."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """The tensors by name that networks are given beside latents, images and classes; fakes take the reals' own."""


class ProcessGroup(Protocol):
    """The processes that train the same networks; the implementation is in ``ganzoo.training.distributed``.

    Attributes:
        rank: number of this process, from 0.
        world_size: number of processes.
    """

    rank: int
    world_size: int

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start to average tensors over the processes.

        Returns:
            A function that waits for the result and returns the averages.
        """


class SingleProcess:
    """The process group of a run in one process."""

    rank = 0
    world_size = 1

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """The tensors themselves, as they are their own average."""
        return lambda: list(tensors)


class Clock(Protocol):
    """Measures the time of the phases of a step."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """A context whose time counts for a phase."""


class GameParts(NamedTuple):
    """The parts that a game is played with, and the state that it changes.

    Attributes:
        state: networks, optimizers, the average of the generator, counters.
        architecture_name: name of the architecture, for messages.
        architecture: how the networks are called.
        loss_name: name of the loss, for messages.
        loss: both players' losses.
        regularizers: penalties, transforms and the rest, by name, in the order in which they apply.
    """

    state: State
    architecture_name: str
    architecture: Architecture
    loss_name: str
    loss: Loss
    regularizers: Mapping[str, Regularizer]


@dataclass(frozen=True, kw_only=True)
class StepEnvironment:
    """Everything around a step that is not a part and not state.

    Whoever wants a step under other circumstances (a trial in bf16, a recording, a measurement) changes this value with
    ``dataclasses.replace`` and builds another game from it. No module writes into a game that runs.

    Attributes:
        feed: source of real batches.
        batch_size: samples in a whole batch, over all processes and micro-batches.
        latent_dim: numbers in a latent vector.
        seed: seed of the run.
        device: where the networks are.
        dtype: floating-point type of the weights.
        autocast: makes the context that the networks run in, such as torch's autocast to bf16.
        process_group: the processes that train the same networks.
        on_host: makes the calls of a step that run on the CPU.
        accumulate: micro-batches that this process takes each batch in, one after another.
        buffers: tensors that modules keep of the samples that they saw (such as running means), which differ between
            micro-batches; empty where a batch is taken whole.
        skip_nonfinite: undo a step whose losses or gradients are not finite, and train on.
        with_penalties: False leaves out all penalties, to measure what they cost.
        watch_gradients: called with a player and its gradients before each update.
        clock: measures the phases of a step; None measures nothing and costs nothing.
    """

    feed: Feed
    batch_size: int
    latent_dim: int
    seed: int
    device: torch.device
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    process_group: ProcessGroup = field(default_factory=SingleProcess)
    on_host: HostCall = call_directly
    accumulate: int = 1
    buffers: tuple[Tensor, ...] = ()
    skip_nonfinite: bool = False
    with_penalties: bool = True
    watch_gradients: Callable[[Player, Sequence[Tensor]], None] | None = None
    clock: Clock | None = None

    @property
    def micro_batches(self) -> int:
        """Into how many equal parts each batch is cut, over all processes."""
        return self.accumulate * self.process_group.world_size
