"""The trial of a recorded step: the state to start from, the outcome of a step, and what must agree between two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.parts import Networks, Player
from ganzoo.step.game import Game
from ganzoo.step.state import TensorKey

NEAR = 0.8
"""The probability that a standard normal number is nearer to 0 than a small d is ``NEAR * d``: 2 d / sqrt(2 pi)."""

UNMOVED = 0.5
"""The largest bound on moves of weights. A move that is missing, doubled or turned round differs by 1 at least."""


class Roundoff(NamedTuple):
    """How far one operation may round, relative to the result.

    Attributes:
        sums: in a sum: half of the eps of the type that sums are made in.
        factors: of the factors or the result of a layer, where these are rounded to a coarser type (bf16, TF32).
    """

    sums: float
    factors: float = 0.0


def rounding(networks: Networks, numbers: int, roundoff: Roundoff) -> float:
    """How far the gradients of one step may lie apart in two computations, by rounding alone.

    delta = sqrt(u^2 N + v^2 M), for N additions and M layers on the longest path of a step. The partial sums of n terms
    of random signs grow as sqrt(k), and each of the n additions rounds the partial sum by a part u at most. The errors
    are independent, so that the squares add: the sum, of length sqrt(n), has the relative error u sqrt(n / 2). Two
    computations of one sum lie apart by sqrt(2) times as much, which is u sqrt(n). Layers add in the same way. A layer
    sums over the inputs forwards and over the outputs backwards, in both networks, and a penalty passes both ways
    again. The gradient of a weight is a sum over the samples and places of the batch at the end.

    Args:
        networks: both players.
        numbers: the samples of a batch times the places (pixels) of a sample.
        roundoff: of one operation.

    Returns:
        The distance relative to the norm of the gradient.

    Example:
        >>> nets = Networks(torch.nn.Linear(4, 12), torch.nn.Linear(12, 4))
        >>> f"{rounding(nets, 36, Roundoff(sums=1e-8)):.1g}"  # 2 (4 + 12 + 12 + 4) additions, and 36
        '1e-07'

    Source:
        N. Higham, T. Mary, A new approach to probabilistic rounding error analysis, 2019, SIAM J. Sci. Comput. 41,
        section 2.
    """
    weights = [p for net in networks for p in net.parameters() if p.dim() > 1]
    additions = numbers + 2 * sum(w.numel() // w.shape[0] + w.numel() // w.shape[1] for w in weights)
    return math.sqrt(roundoff.sums**2 * additions + roundoff.factors**2 * 4 * len(weights))


def tolerance(error: float) -> float:
    """How far gradients may lie apart where networks have kinks, as rectifiers do: sqrt(0.8 delta).

    Where the input of a rectifier is nearer to 0 than the rounding, the sample may fall on the other side of the kink.
    That are ``NEAR * delta`` of the units, and a unit on the other side changes the gradient by as much as the unit
    contributes. The contributions of units add in the squares.

    Args:
        error: delta, see ``rounding``.

    Example:
        >>> tolerance(5e-6)
        0.002
    """
    return math.sqrt(NEAR * error)


def tolerance_of_moves(bound: float, weights: Sequence[Tensor]) -> float:
    """How far the moves of weights may lie apart, relative to the norm of the moves: 2 sqrt(0.8 t) + sqrt(2 f).

    Adam makes moves of full length whatever the length of the gradient. A weight whose gradient is smaller than the
    tolerance t of gradients may move the other way, which changes the move by 2. Gradients that are zero but for
    rounding, such as those of a bias before BatchNorm, have moves of random signs. At most the share f of the weights
    that are vectors is of this kind.

    Args:
        bound: t, the tolerance of gradients.
        weights: all weights that move.

    Example:
        >>> tolerance_of_moves(0.002, [torch.zeros(100, 100)])
        0.08
    """
    vectors = sum(w.numel() for w in weights if w.dim() < 2) / max(1, sum(w.numel() for w in weights))
    return min(UNMOVED, 2 * math.sqrt(NEAR * bound) + math.sqrt(2 * vectors))


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

    def against(self, other: Outcome, start: Start, bound: float) -> Iterator[Pair]:
        """The pairs of tensors that must agree between two outcomes.

        Args:
            other: the outcome of the recording of the step.
            start: the state that both steps started from.
            bound: the largest relative difference of gradients, see ``tolerance``. Moves have ``tolerance_of_moves``.
        """
        for (player, mine), (_, theirs) in zip(self.gradients, other.gradients, strict=True):
            yield Pair(f"the {player}'s gradient", mine, theirs, mine, bound)
        for tag, value in self.scalars.items():
            if not tag.startswith("scores/"):  # an accuracy is a count: it jumps where a score moves a little
                yield Pair(tag, [value], [other.scalars[tag]], [value.abs().clamp(min=1.0)], bound)
        kinds: dict[tuple[str, str], list[TensorKey]] = {}
        for key in self.state:
            kinds.setdefault((key.group, key.kind), []).append(key)
        for (group, kind), keys in kinds.items():
            sides = self.state, other.state, start.values
            mine, theirs, first = ([side[key] for key in keys] for side in sides)
            if kind == "weights":
                # Measured by the update: relative to the weights, a missing update would pass unseen.
                updates = [after - before for after, before in zip(mine, first, strict=True)]
                yield Pair(f"the move of {group}", mine, theirs, updates, tolerance_of_moves(bound, mine))
            else:
                yield Pair(f"{kind} of {group}", mine, theirs, mine, bound)


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
