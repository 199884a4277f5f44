"""The checks of schedules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganzoo import parts, words
from ganzoo.parts import PLAYERS, Networks, Player, Scores, Spec
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    comparable,
    fail,
    make_scores,
    make_tensors,
    remembered_state,
    require,
    require_same_state,
)

_PAIR = Networks(nn.Linear(2, 2), nn.Linear(2, 1))


class _Table(parts.Game):
    """A game that writes down what a schedule does, and knows what it must not do."""

    def __init__(self) -> None:
        self.rounds: list[tuple[Scores, tuple[Player, ...], dict[Player, Tensor]]] = []
        self.moves: list[tuple[Player, ...]] = []
        self.on_trial: set[Player] = set()  # players whose last move is to be taken back
        self.weights: dict[Player, list[Tensor]] = {
            player: list(getattr(_PAIR, player).parameters()) for player in PLAYERS
        }
        self.spent = 0  # rounds up to this one were judged by weights that have moved since
        self.used: set[int] = set()
        self.told: list[Any] = []  # all that was done, as something that can be compared

    def round(self, *players: Player) -> Scores:
        players = players or PLAYERS
        self.told.append(("round", players))
        seats: dict[Player, Tensor] = {player: torch.ones((), requires_grad=True) for player in PLAYERS}
        s = make_scores(*make_tensors())
        self.rounds.append((s, players, seats))
        return s

    def _loss(self, player: Player, s: Scores) -> Tensor:
        number = next((i for i, (made, *_) in enumerate(self.rounds) if made is s), None)
        if number is None:
            fail(f"a {player}'s loss is asked of scores that game.round() did not make")
        require(number >= self.spent, "a round is used after an update: its scores are those of the old weights")
        learns = player in self.rounds[number][1]
        require(learns, f"the {player}'s loss is asked of a round for the other player alone: name it in game.round()")
        return self.rounds[number][2][player] * 2

    def discriminator_loss(self, s: Scores) -> Tensor:
        return self._loss("discriminator", s)

    def generator_loss(self, s: Scores) -> Tensor:
        return self._loss("generator", s)

    def update_both(self, s: Scores, weight: float = 1.0) -> None:
        self.told.append(("both", weight))
        self.update(discriminator=self.discriminator_loss(s), generator=self.generator_loss(s) * weight)

    def unrolled_generator_loss(self, steps: int, rate: float | None = None) -> Tensor:
        self.told.append(("ahead", steps, rate))
        looked = [self.discriminator_loss(self.round()) for _ in range(steps)]
        looked += [seats["generator"] for *_, seats in self.rounds[-steps:]]  # whose gradient goes through the moves
        return self.generator_loss(self.round()) + torch.stack(looked).sum()

    def snapshot(self, *players: Player, memory: bool = False) -> parts.Snapshot:
        return parts.Snapshot({p: [w.detach().clone() for w in self.weights[p]] for p in players or PLAYERS}, {})

    def restore(self, snapshot: parts.Snapshot) -> None:
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
    """A schedule of a run."""
    bound = words.bind(schedule)
    bound.values["module"] = bound.part.prepare(_PAIR, Spec(shape=(2,), latent_dim=2))
    return bound.part


def _stepped(schedule: parts.Schedule, number: int) -> _Table:
    """What it does in that step."""
    torch.manual_seed(number)
    table = _Table()
    table.step_number = number
    schedule.step(table)
    return table


@asks("schedule")
def _plays_by_the_rules(schedule: parts.Schedule) -> None:
    """In each step both players move, along losses of fresh rounds; no round is made for nothing."""
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
    """A schedule that was stopped and loaded goes on as if it had not been: it counts by ``game.step_number``.

    What else it remembers is in the module that prepare returns.
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
