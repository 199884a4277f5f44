"""What a step costs before training begins: its memory, and its time in bf16 beside fp32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ganzoo.data.feed import Feed
from ganzoo.parts import (
    Batch,
)
from ganzoo.speed import hardware
from ganzoo.step.game import Game, RoundInputs, SingleProcess
from ganzoo.training.distributed import single_process
from ganzoo.training.run import Run
from ganzoo.training.steps import advance, captures, compiled_steps, conditions


def memory(run: Run, game: Game, feed: Feed) -> tuple[int, int]:
    """Bytes that training takes at its peak, roughly: whatever the batch, and for each sample of a piece of it.

    What a round of two samples keeps for its gradients; and weights, their gradients, the optimizers' two moments, and
    the average.
    """
    state = run.state
    weights = sum(p.nbytes for net in state.networks for p in net.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    size = game.batch_size
    counters = {**vars(state.counters)}
    game.batch_size = feed.batch_size = 2 * game.pieces
    try:
        with hardware.random_state_kept(run.device), saved_tensors_hooks(keep, lambda tensor: tensor):
            s = game.judged(RoundInputs(game, game.noise_batch(), True), 0)
            losses = game.discriminator_loss(s), game.generator_loss(s)
    finally:
        game.batch_size = feed.batch_size = size
        vars(state.counters).update(counters)
        game.pop_scalars()
        game.close()
        feed.close()
    del losses
    storages = {p.untyped_storage().data_ptr() for net in state.networks for p in net.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in storages)
    average = sum(p.nbytes for p in state.ema.parameters()) if state.ema is not None else 0
    return 4 * weights + average, activations // 2


def probe(run: Run, game: Game, feed: Feed) -> float:
    """How many times as fast a step is in bf16 than in fp32; the run is left at its start.

    Steps are captured where the run's will be, for which bf16 may be faster where it is not for steps as written. Costs
    two steps, and some more within ``speed.PROBE_SECONDS``.
    """
    state, plain = run.state, game.autocast
    tensors, numbers = state.copies(), copy.deepcopy(state.numbers())

    class Same:
        """One batch again and again: reading data is not what is measured."""

        condition_shape, labels = feed.condition_shape, feed.labels
        batch = feed.reals(0)

        def reals(self, draw: int, piece: int = 0) -> Batch:
            return self.batch

    def trial(autocast: Callable[[], AbstractContextManager[Any]]) -> Callable[[], None]:
        game.autocast = autocast
        graph = captures(run)
        # the run logs the compiler's messages; the trial drops them
        steps = None if graph is None else compiled_steps(run, game, graph, lambda line: None)

        def step() -> None:
            game.autocast = autocast
            advance(run, game, 1, steps)
            game.pop_scalars()

        if steps is not None:
            for _ in range(2):  # an optimizer's first step is not captured, the next is
                step()
        return step

    game.feed, process_group, game.process_group = Same(), game.process_group, SingleProcess()
    try:
        with conditions(run), single_process():
            bf16 = hardware.precision("bf16", run.device).autocast
            return hardware.ratio(trial(plain), trial(bf16), run.device)
    finally:
        game.close()
        game.clear_nonfinite()
        feed.close()
        game.feed, game.process_group, game.autocast = feed, process_group, plain
        state.load(tensors, numbers)
