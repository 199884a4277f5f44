"""The surroundings of a training step, as one frozen value that a game is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ganzoo.parts import Architecture, Batch, Loss, Player, Regularizer, Spec, TensorSpec
from ganzoo.step.randomness import Noise
from ganzoo.step.state import State

Answer = TypeVar("Answer")


class HostCall(Protocol):
    """Makes the calls of a step that run on the CPU, outside every recording of GPU kernels.

    A step draws random latents, fetches batches and counts through its ``HostCall``. ``call_directly`` makes each call
    at once. A recorder of steps uses another ``HostCall``, which keeps a list of the calls. Before each replay the
    recorder makes the listed calls again.
    """

    def __call__(self, call: Callable[..., Answer], /, *arguments: object) -> Answer:
        """Return ``call(*arguments)``, or an equivalent result.

        Args:
            call: the function to call on the CPU.
            arguments: the arguments of the function, by position.
        """


def call_directly(call: Callable[..., Answer], /, *arguments: object) -> Answer:
    """Call a function: the ``HostCall`` of every step that is not being recorded.

    Args:
        call: the function to call on the CPU.
        arguments: the arguments of the function, by position.

    Returns:
        The result of the function.
    """
    return call(*arguments)


class Feed(Protocol):
    """Source of real batches. The implementations are in ``ganzoo.data.feed``."""

    def reals(self, draw: int, piece: int = 0) -> Batch:
        """The batch with a number in the run, or a micro-batch of the process. Every call returns the same samples.

        Args:
            draw: number of the batch in the run, from 0.
            piece: number of the micro-batch of the process, from 0.

        Returns:
            Images (N, *shape) in [-1, 1], and what the data part brings with each image.
        """

    def sample_numbers(self, draw: int, piece: int = 0) -> Tensor | None:
        """(N,) the numbers of the samples of a batch, int64 on the CPU. None where ``gather`` cannot make the batch.

        Args:
            draw: number of the batch in the run, from 0.
            piece: number of the micro-batch of the process, from 0.
        """

    def gather(self, numbers: Tensor) -> Batch:
        """The samples with some numbers, made by the device alone: the batch that ``reals`` gives.

        Args:
            numbers: (N,) as ``sample_numbers`` gives, on any device.
        """

    def labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """(count,) labels for fakes in the proportions of the data, None where the networks are given no labels.

        Args:
            count: number of labels.
            generator: the source of random numbers, on the device of the run.
        """

    @property
    def with_labels(self) -> bool:
        """Whether the networks are given class labels."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """The tensors that networks are given beside latents, images and labels, by name."""


class ProcessGroup(Protocol):
    """The processes that train the same networks. The implementation is in ``ganzoo.training.distributed``.

    Attributes:
        rank: number of the process, from 0.
        world_size: number of processes.
    """

    rank: int
    world_size: int

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start to average tensors over the processes.

        Args:
            tensors: tensors of the same shapes in every process.

        Returns:
            A function that waits for the result and returns the averages.
        """

    def extremes(self, number: int) -> tuple[int, int]:
        """The least and the largest of a number over the processes. The host waits for all processes.

        Args:
            number: of this process.
        """


class SingleProcess:
    """The process group of a run in one process."""

    rank = 0
    world_size = 1

    def mean(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """The tensors unchanged: the average over one process.

        Args:
            tensors: tensors of any shapes.
        """
        return lambda: list(tensors)

    def extremes(self, number: int) -> tuple[int, int]:
        """The number itself, twice.

        Args:
            number: of the one process.
        """
        # Both ends, so that one call tells whether all processes agree.
        return number, number


class Clock(Protocol):
    """Measures the time of the phases of a step."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """A context that is timed as a part of a phase.

        Args:
            name: name of the phase, such as ``"generator forward"``.
        """


class GameParts(NamedTuple):
    """The parts that a game is played with, and the state of the run.

    Attributes:
        state: networks, optimizers, the average of the generator, counters.
        spec: shape of samples and latents, and number of classes.
        architecture_name: name of the architecture, for messages.
        discriminator_name: name of the architecture of the discriminator, for messages.
        architecture: how the networks are called.
        loss_name: name of the loss, for messages.
        loss: both players' losses.
        regularizers: penalties, transforms and the rest, by name, in the order of application.
    """

    state: State
    spec: Spec
    architecture_name: str
    discriminator_name: str
    architecture: Architecture
    loss_name: str
    loss: Loss
    regularizers: Mapping[str, Regularizer]


@dataclass(frozen=True, kw_only=True)
class StepEnvironment:
    """The surroundings of a step: all that is neither a part nor state.

    For a step under other circumstances (a trial in bf16, a recording, a measurement), change the value with
    ``dataclasses.replace`` and build another game from the changed value. No module writes into a game that runs.

    Attributes:
        feed: source of real batches.
        batch_size: samples in a whole batch, over all processes and micro-batches.
        latent_dim: numbers in a latent vector.
        noise: the distribution of the numbers.
        seed: seed of the run.
        device: where the networks are.
        dtype: floating-point type of the weights.
        autocast: makes the context that the networks run in, such as torch's autocast to bf16.
        process_group: the processes that train the same networks.
        on_host: makes the calls of a step that run on the CPU.
        accumulate: number of consecutive micro-batches that the process takes each batch in.
        buffers: tensors in which modules keep statistics of samples (such as running means). The statistics differ
            between micro-batches. Empty where a batch is taken whole.
        skip_nonfinite: undo a step with losses or gradients that are not finite, and train on.
        with_penalties: False leaves out all penalties, to measure the cost of penalties.
        watch_gradients: called with a player and the player's gradients before each update.
        clock: measures the phases of a step. None costs no time.
    """

    # the data
    feed: Feed
    batch_size: int
    latent_dim: int
    seed: int
    noise: Noise = "normal"
    # where and in what types the arithmetic runs
    device: torch.device
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    # how the batch is cut: over processes, and over micro-batches of each process
    process_group: ProcessGroup = field(default_factory=SingleProcess)
    on_host: HostCall = call_directly
    accumulate: int = 1
    buffers: tuple[Tensor, ...] = ()
    skip_nonfinite: bool = False
    # what an instrument changes to measure a step
    with_penalties: bool = True
    watch_gradients: Callable[[Player, Sequence[Tensor]], None] | None = None
    clock: Clock | None = None

    @property
    def micro_batches(self) -> int:
        """Into how many equal parts each batch is cut, over all processes."""
        return self.accumulate * self.process_group.world_size
