"""The trial of a recorded step: the state to start from, the outcome of a step, and what must agree between two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.parts import Player
from ganzoo.step.game import Game
from ganzoo.step.state import TensorKey

MOVES = 0.1
"""How far the changes of weights may differ, relative to the norm of the changes. Adam makes full-length updates out
of the rounding of a gradient that is zero but for rounding, such as the gradient of a bias before BatchNorm."""


class Outcome:
    """The outcome of a step: gradients, scalars, and the state afterwards.

    Args:
        game: the game after the step.
        gradients: the gradients that the step took, with the player whose weights they belong to, in order.
    """

    def __init__(self, game: Game, gradients: list[tuple[Player, list[Tensor]]]) -> None:
        # On the CPU: copies on the device would take several times the memory of a step, and runs that fit would not.
        self.gradients = [(player, [on_cpu(gradient) for gradient in taken]) for player, taken in gradients]
        self.scalars = {tag: on_cpu(value) for tag, value in game.scalars.items()}
        self.state = {key: on_cpu(value) for key, value in game.state.held().items()}

    def against(self, other: Outcome, start: Start, tolerance: float) -> Iterator[Pair]:
        """The pairs of tensors that must agree between two outcomes.

        Args:
            other: the outcome of the recording of the step.
            start: the state that both steps started from.
            tolerance: the largest relative difference, except for the moves of weights, which have the bound ``MOVES``.
        """
        for (player, mine), (_, theirs) in zip(self.gradients, other.gradients, strict=True):
            yield Pair(f"the {player}'s gradient", mine, theirs, mine, tolerance)
        for tag, value in self.scalars.items():
            if not tag.startswith("scores/"):  # an accuracy is a count: it jumps where a score moves a little
                yield Pair(tag, [value], [other.scalars[tag]], [value.abs().clamp(min=1.0)], tolerance)
        kinds: dict[tuple[str, str], list[TensorKey]] = {}
        for key in self.state:
            kinds.setdefault((key.group, key.kind), []).append(key)
        for (group, kind), keys in kinds.items():
            sides = self.state, other.state, start.values
            mine, theirs, first = ([side[key] for key in keys] for side in sides)
            if kind == "weights":
                # Measured by the update: relative to the weights, a missing update would pass unseen.
                updates = [after - before for after, before in zip(mine, first, strict=True)]
                yield Pair(f"the move of {group}", mine, theirs, updates, MOVES)
            else:
                yield Pair(f"{kind} of {group}", mine, theirs, mine, tolerance)


class Pair(NamedTuple):
    """Two lists of tensors that must agree.

    Attributes:
        what: a name for messages.
        ours: the tensors of the step that Python made.
        theirs: the tensors of the recording.
        scale: tensors with the norm that the difference is divided by.
        bound: the largest relative difference.
    """

    what: str
    ours: Sequence[Tensor]
    theirs: Sequence[Tensor]
    scale: Sequence[Tensor]
    bound: float


class Start:
    """The state that trial steps start from.

    Args:
        game: the game, before the trial steps.
    """

    def __init__(self, game: Game) -> None:
        self.game, self.counts, self.nonfinite = game, game.state.counters.copy(), game.nonfinite.clone()
        # The tensor objects, to find a step that replaces one, and copies of the numbers in them.
        self.held = game.state.held()
        self.values = {key: on_cpu(value) for key, value in self.held.items()}

    @torch.no_grad()
    def restore(self, ahead: int = 0) -> None:
        """Put the state of the start back after a trial.

        Args:
            ahead: updates by which the players' counts are ahead of the start, in a trial.
        """
        self.game.close()
        self.game.discard_trial(self.nonfinite)
        counts = self.counts.copy()
        for player in counts.updates:
            counts.updates[player] += ahead
        self.game.state.counters.set(counts)
        self.game.host.keep_counters()
        for key, value in self.values.items():
            self.held[key].copy_(value)
        for parameters in self.game.parameters.values():
            for parameter in parameters:
                parameter.grad = None

    def replaced(self) -> str | None:
        """The name of a tensor of the state that a step put another tensor in the place of; None where none is."""
        held = self.game.state.held()
        return next((str(key) for key, value in self.held.items() if held.get(key) is not value), None)


def norm(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm of all numbers of some tensors, in float64.

    Args:
        tensors: tensors of any shape.
    """
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))


def on_cpu(tensor: Tensor) -> Tensor:
    """A copy on the CPU.

    Args:
        tensor: a tensor on any device.
    """
    return tensor.detach().to("cpu", copy=True)
