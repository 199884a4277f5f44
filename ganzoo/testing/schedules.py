"""The checks of schedules.

A schedule plays a game that records each call and refuses calls that break the contract. No network is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganzoo import parts, words
from ganzoo.parts import PLAYERS, Networks, Player, Scores, Spec
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    all_finite,
    comparable,
    fail,
    make_scores,
    make_tensors,
    remembered_state,
    require,
    require_same_state,
)

_PAIR = Networks(nn.Linear(2, 2), nn.Linear(2, 1))
"""Networks for schedules that read or keep weights."""


class _Table(parts.Game):
    """A game that records the calls of a schedule, and raises AssertionError at a call that breaks the contract.

    Each round gives each player a number that requires a gradient, the player's seat. A loss is the double of the
    seat. So the gradient of a loss in the seats shows the rounds that the loss was computed from.
    """

    def __init__(self) -> None:
        """Begin a step without rounds and updates."""
        self.rounds: list[tuple[Scores, tuple[Player, ...], dict[Player, Tensor]]] = []
        self.moves: list[tuple[Player, ...]] = []
        self.on_trial: set[Player] = set()  # Players whose last update was a trial, which restore() must undo.
        self.parameters = {player: list(getattr(_PAIR, player).parameters()) for player in PLAYERS}
        self.spent = 0  # The number of rounds that were scored before the last update.
        self.used: set[int] = set()
        self.differentiated: set[int] = set()
        self.told: list[object] = []  # All calls in order, in a form that can be compared.

    def round(self, *players: Player) -> Scores:
        """Record a round, and make the players' seats."""
        players = players or PLAYERS
        self.told.append(("round", players))
        seats: dict[Player, Tensor] = {player: torch.ones((), requires_grad=True) for player in PLAYERS}
        s = make_scores(*make_tensors())
        self.rounds.append((s, players, seats))
        return s

    def _loss(self, player: Player, s: Scores) -> Tensor:
        """The player's loss on a round of this step that no update has followed."""
        number = next((i for i, (made, *_) in enumerate(self.rounds) if made is s), None)
        if number is None:
            fail(f"a {player}'s loss is asked of scores that game.round() did not make")
        require(number >= self.spent, "a round is used after an update: its scores are those of the old weights")
        learns = player in self.rounds[number][1]
        require(learns, f"the {player}'s loss is asked of a round for the other player alone: name it in game.round()")
        return self.rounds[number][2][player] * 2

    def discriminator_loss(self, s: Scores) -> Tensor:
        """The double of the discriminator's seat in the round."""
        return self._loss("discriminator", s)

    def generator_loss(self, s: Scores) -> Tensor:
        """The double of the generator's seat in the round."""
        return self._loss("generator", s)

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        """Update both players on a round, with a weight on the generator's loss."""
        self.told.append(("both", weight))
        self.update(discriminator=self.discriminator_loss(s), generator=self.generator_loss(s) * weight)

    def differentiate(self, s: Scores) -> dict[Player, list[Tensor]]:
        """Gradients of a game that both players' weights take part in, on a round after the last update."""
        losses = [self.discriminator_loss(s), self.generator_loss(s)]
        self.told.append("differentiates")
        sums = [torch.stack([w.sum() for w in self.parameters[player]]).sum() for player in PLAYERS]
        coupled = sums[0] * sums[1]
        self.differentiated |= {i for i, (made, *_) in enumerate(self.rounds) if made is s}
        return {
            player: list(torch.autograd.grad(sign * loss * coupled, self.parameters[player], create_graph=True))
            for player, loss, sign in zip(PLAYERS, losses, (1.0, -1.0), strict=True)
        }

    def move(self, along: Mapping[Player, Sequence[Tensor]]) -> None:
        """Record a move, and check that its directions fit the weights and come from a round after the last update."""
        from_ = {number for number in self.differentiated if number >= self.spent}
        require(from_, "players are moved along directions, and no round after the last update was differentiated")
        for player, some in along.items():
            shapes = [tuple(d.shape) for d in some]
            wanted = [tuple(w.shape) for w in self.parameters[player]]
            require(shapes == wanted, f"the {player} is moved along {shapes}, and its weights are {wanted}")
            require(all_finite(some), f"the {player} is moved along numbers that are not finite")
            require(not any(d.requires_grad for d in some), f"the {player} is moved along directions with a graph")
        self.told.append(("moves", {player: comparable(list(some)) for player, some in along.items()}))
        self.used |= from_
        self.moves.append(tuple(along))
        self.spent = len(self.rounds)

    def learning_rate(self, player: Player) -> float:
        """A learning rate."""
        return 0.1

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        """A loss that depends on the rounds of the discriminator's ``steps`` and on a round of the generator."""
        self.told.append(("ahead", steps, rate))
        looked = [self.discriminator_loss(self.round()) for _ in range(steps)]
        looked += [seats["generator"] for *_, seats in self.rounds[-steps:]]  # The gradient passes through the steps.
        return self.generator_loss(self.round()) + torch.stack(looked).sum()

    @contextmanager
    def looking_ahead(self) -> Iterator[None]:
        """A context that is recorded at the begin and at the end."""
        self.told.append("looks ahead")
        yield
        self.told.append("looked ahead")

    def snapshot(self, *players: Player, memory: bool = False) -> parts.Snapshot:
        """A copy of the players' weights."""
        return parts.Snapshot({p: [w.detach().clone() for w in self.parameters[p]] for p in players or PLAYERS}, {})

    def restore(self, snapshot: parts.Snapshot) -> None:
        """Record the restored weights. Rounds from before are spent, because the weights have changed."""
        self.told.append(("restore", comparable(snapshot.weights)))
        self.on_trial -= snapshot.weights.keys()
        self.spent = len(self.rounds)

    def update(
        self,
        *,
        discriminator: Tensor | None = None,
        generator: Tensor | None = None,
        start: parts.Snapshot | None = None,
        trial: bool = False,
    ) -> None:
        """Record an update, and check that each loss comes from a round after the last update."""
        given: dict[Player, Tensor | None] = {"discriminator": discriminator, "generator": generator}
        losses = {player: loss for player, loss in given.items() if loss is not None}
        require(losses, "game.update() is called without a loss")
        for player, loss in losses.items():
            seats = [seats[player] for _, _, seats in self.rounds]
            slopes = torch.autograd.grad(loss, seats, allow_unused=True, retain_graph=True) if seats else ()
            from_ = {i for i, g in enumerate(slopes) if g is not None}
            self.told.append((player, trial, [None if g is None else float(g) for g in slopes]))
            require(from_, f"the {player} is moved along a loss that is not game.{player}_loss()")
            require(min(from_) >= self.spent, f"the {player} is moved along a loss of before the last update")
            self.used |= from_
        if start is not None:
            self.restore(start)
        if trial:
            self.on_trial |= losses.keys()
        else:
            self.moves.append(tuple(losses))
        self.spent = len(self.rounds)


def _seated(schedule: parts.Schedule) -> parts.Schedule:
    """The schedule with the module that prepare() returns, as in a training run."""
    bound = words.bind(schedule)
    bound.values["module"] = bound.part.prepare(_PAIR, Spec(shape=(2,), latent_dim=2))
    return bound.part


def _stepped(schedule: parts.Schedule, number: int) -> _Table:
    """The record of a step of the schedule, with the step's number as the seed."""
    torch.manual_seed(number)
    table = _Table()
    table.step_number = number
    schedule.step(table)
    return table


@asks("schedule")
def _plays_by_the_rules(schedule: parts.Schedule) -> None:
    """Each step updates both players by losses of rounds after the last update, and uses every round.

    A trial update must be undone within the step, and the schedule must not call ``backward``.
    """
    schedule = _seated(schedule)
    for number in range(3):
        table = _stepped(schedule, number)
        require(not table.on_trial, f"a trial move of the {' and the '.join(sorted(table.on_trial))} is kept")
        for player in PLAYERS:
            require(any(player in move for move in table.moves), f"the {player} does not move in a step")
        unused = len(table.rounds) - len(table.used)
        require(not unused, f"{unused} of {len(table.rounds)} rounds of a step are made and not used")
        filled = any(seat.grad is not None for *_, seats in table.rounds for seat in seats.values())
        require(not filled, "backward() is called: the game owns the gradients, use game.update()")


@asks("schedule")
def _goes_on_where_it_stopped(schedule: parts.Schedule) -> None:
    """A schedule that loads the state of another schedule continues with equal calls.

    A schedule counts steps by ``game.step_number``, and keeps other state in the module that prepare() returns.
    """
    game, again = _seated(schedule), _seated(schedule)
    kept = []
    for number in range(7):
        _stepped(game, number)
        kept.append(remembered_state(game))
    instead = "count by game.step_number, or keep it in a buffer of the module that prepare returns"
    require_same_state(kept[1], kept[-1], instead)
    if isinstance(game.module, nn.Module):
        again.module.load_state_dict(game.module.state_dict())
    for number in range(7, 19):
        same = _stepped(game, number).told == _stepped(again, number).told
        require(same, f"a schedule that was stopped and loaded does not go on as if it had not been: {instead}")
