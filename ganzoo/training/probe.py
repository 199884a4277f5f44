"""The cost of a step, measured before training begins: the memory, and the time in bf16 beside fp32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ganzoo.data.feed import Feed
from ganzoo.parts import Batch
from ganzoo.speed import hardware
from ganzoo.step.build import build_game
from ganzoo.step.environment import GameParts, SingleProcess, StepEnvironment
from ganzoo.step.game import Game
from ganzoo.training.distributed import single_process
from ganzoo.training.run import Run
from ganzoo.training.steps import advance, captures, compiled_steps, conditions


class OneBatch:
    """A feed that gives the same batch at every call and reads no data.

    Args:
        feed: gives the inputs and the labels of fakes.
        batch: the batch.
    """

    def __init__(self, feed: Feed, batch: Batch) -> None:
        self.inputs, self.labels, self.with_labels = feed.inputs, feed.labels, feed.with_labels
        self.batch = batch

    def reals(self, draw: int, piece: int = 0) -> Batch:
        """The batch.

        Args:
            draw: ignored.
            piece: ignored.
        """
        return self.batch

    def sample_numbers(self, draw: int, piece: int = 0) -> Tensor | None:
        """None: there is the batch alone.

        Args:
            draw: ignored.
            piece: ignored.
        """
        return None

    def gather(self, numbers: Tensor) -> Batch:
        """The batch.

        Args:
            numbers: ignored.
        """
        return self.batch


def memory(run: Run, game: Game, feed: Feed) -> tuple[int, int]:
    """Estimate the memory that training takes at its peak.

    The function measures the tensors that a round of two samples keeps for the gradients. The estimate adds the
    weights, the gradients, the two moments of the optimizers and the average of the generator.

    Args:
        run: the run.
        game: the game over the state of the run.
        feed: the data of the run.

    Returns:
        Bytes that do not depend on the batch, and bytes for each sample of a micro-batch.
    """
    state = run.state
    weights = sum(p.nbytes for net in state.networks for p in net.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        # Without the graph: a graph that keeps one of its own results would be a cycle, which nothing frees.
        return tensor.detach()

    few = OneBatch(feed, _first_two(run, feed))
    alone = replace(game.environment, feed=few, batch_size=2, accumulate=1, process_group=SingleProcess())
    trial, counters = build_game(game.parts, alone), state.counters.copy()
    try:
        with hardware.random_state_kept(run.device), saved_tensors_hooks(keep, lambda tensor: tensor):
            s = trial.round()
            losses = trial.discriminator_loss(s), trial.generator_loss(s)
    finally:
        state.counters.set(counters)
        trial.close()
    del losses
    storages = {p.untyped_storage().data_ptr() for net in state.networks for p in net.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in storages)
    average = sum(p.nbytes for p in state.ema.parameters()) if state.ema is not None else 0
    return 4 * weights + average, activations // 2


def _first_two(run: Run, feed: Feed) -> Batch:
    """Two samples in the form of a batch. ``look`` does not change the order of training."""
    seen = feed.look(2)
    if not feed.with_labels:
        seen = seen.replace(labels=None)
    return seen.map(lambda value: value.to(run.device))


def probe(run: Run, parts: GameParts, environment: StepEnvironment, feed: Feed) -> float:
    """Measure how many times as fast a step is in bf16 as in the environment's precision.

    Steps are captured where the steps of the run will be: bf16 may be faster in a CUDA graph alone. The measurement
    costs two steps, and more steps within ``hardware.PROBE_SECONDS``. The state of the run is restored.

    Args:
        run: the run before the first step.
        parts: the parts of the game.
        environment: the environment of the run, in fp32.
        feed: the data of the run.

    Returns:
        The ratio of the time in fp32 to the time in bf16.
    """
    state, world = run.state, environment.process_group.world_size
    tensors, numbers = state.copies(), copy.deepcopy(state.numbers())
    # The same batch at every step, since the time of reading data is not measured. A single process with a share of the
    # batch, since the other processes do not probe.
    alone = replace(
        environment,
        feed=OneBatch(feed, feed.reals(0)),
        batch_size=environment.batch_size // world,
        process_group=SingleProcess(),
    )
    games: list[Game] = []

    def trial(autocast: Callable[[], AbstractContextManager[object]]) -> Callable[[], None]:
        game = build_game(parts, replace(alone, autocast=autocast))
        games.append(game)
        graph = captures(run)
        # The run itself logs the compiler's messages.
        steps = None if graph is None else compiled_steps(run, game, graph, lambda line: None)

        def step() -> None:
            advance(run, game, 1, steps)
            game.pop_scalars()

        if steps is not None:
            for _ in range(2):  # an optimizer's first step is not captured, the next is
                step()
        return step

    try:
        with conditions(run), single_process():
            bf16 = hardware.precision("bf16", run.device).autocast
            return hardware.ratio(trial(environment.autocast), trial(bf16), run.device)
    finally:
        for game in games:
            game.close()
        feed.close()
        state.load(tensors, numbers)
