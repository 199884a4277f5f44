"""Slow weights of both players that follow the fast weights now and then, and that the fast weights return to."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import nn

import ganzoo
from ganzoo_zoo.schedules.alternating import Alternating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

Player = Literal["discriminator", "generator"]

PLAYERS: tuple[Player, ...] = ("discriminator", "generator")


class Lookahead(ganzoo.Schedule):
    """Lookahead-minmax (LA-GAN): every k steps both players return part of the way to where they were k steps ago.

    With fast weights w, moved each step by another schedule, and slow weights u of both players:

    Formula:
        every k steps:  u <- u + alpha (w - u),  w <- u

    Args:
        of: the schedule that moves the fast weights: alternating, onestep, extragradient, or lookahead again.
        k: steps between two returns.
        alpha: share of the way that is kept. 1 is the inner schedule alone.

    Notes:
        Alternation and simultaneous descent rotate about an equilibrium, and the mean of two points of a circle is
        nearer to the centre. Both players are drawn back at once, because the rotation is not damped otherwise. The
        slow weights are one more copy of the two networks and are saved with the run. The optimizers' memory stays as
        it is. The average of the generator (EMA) follows the fast weights: in a step that returns it takes the weights
        of before the return, and the authors' code those of after the return. Of networks of which a part learns, the
        part returns. Layers of other parts, such as that of rotation, do not return. The paper has k from 5 to 5000.
        The paper's variants are ``lookahead:of=onestep`` (simultaneous), ``lookahead`` (alternating),
        ``lookahead:of=extragradient``, and the nested ``lookahead:k=5000,of=(lookahead:k=5)``, whose slower weights
        take the inner slow weights back with them. The number of a step counts the steps of the run in each lookahead.

    Example:
        The slow weights move from 0 half of the way to the fast weights 4, and the fast weights return to them.

        >>> import torch
        >>> import ganzoo
        >>> player = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.zeros_(player.weight)
        >>> networks = ganzoo.Networks(player, player)
        >>> slow = ganzoo.part("schedule", "lookahead").prepare(networks, ganzoo.Spec(shape=(1,), latent_dim=1))
        >>> slow.approach("generator", [player.weight], [fast := torch.full((1, 1), 4.0)], share=0.5)
        >>> fast
        tensor([[2.]])

    Source:
        Chavdarova et al. 2021, Taming GANs with Lookahead-minmax, arXiv:2006.14567, algorithm 1, and nested lookahead
        in its code; Zhang et al. 2019, Lookahead optimizer, arXiv:1907.08610.
    """

    of: ganzoo.Schedule = Alternating()
    k: Annotated[int, Ge(1)] = 5
    alpha: Annotated[float, Gt(0), Le(1)] = 0.5

    @property
    def uses_shared_backward(self) -> bool:
        """Whether the inner schedule takes the players' gradients together."""
        return self.of.uses_shared_backward

    @property
    def differentiates_gradients(self) -> bool:
        """Whether the inner schedule differentiates gradients."""
        return self.of.differentiates_gradients

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the inner schedule needs the whole batch."""
        return self.of.needs_whole_batch

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The slow weights, with the state of the inner schedule."""
        return Slow(networks, self.of.prepare(networks, spec))

    def step(self, game: ganzoo.Game) -> None:
        """A step of the fast weights, and a return when it is time."""
        if game.step_number == 0:  # the networks may have been taken from another run since `prepare`
            self.module.begin()
        self.of.step(game)
        if (game.step_number + 1) % self.k == 0:
            point = game.snapshot()
            for player in PLAYERS:
                self.module.approach(player, game.parameters[player], point.weights[player], self.alpha)
            game.restore(point)
            if isinstance(self.of, Lookahead):
                self.of.start_from(game.parameters, point.weights)

    def start_from(
        self,
        parameters: Mapping[Player, Sequence[nn.Parameter]],
        weights: Mapping[Player, Sequence[Tensor]],
    ) -> None:
        """Put the slow weights, and those of lookahead schedules inside, where the players are.

        Args:
            parameters: the parameters of each player that learn.
            weights: a copy of each of the parameters, by player.
        """
        for player in PLAYERS:
            self.module.become(player, parameters[player], weights[player])
        if isinstance(self.of, Lookahead):
            self.of.start_from(parameters, weights)


class Slow(nn.Module):
    """Copies of the players' parameters, which no optimizer moves.

    Args:
        networks: the two players.
        of: the state of the inner schedule, None where it has none.
    """

    def __init__(self, networks: ganzoo.Networks, of: nn.Module | None) -> None:
        super().__init__()
        # In tuples, which nn.Module does not search: the networks' own parameters are none of this module's.
        self._fast = {player: tuple(getattr(networks, player).parameters()) for player in PLAYERS}
        for player in PLAYERS:
            copies = nn.ParameterList(copy.deepcopy(p.detach()) for p in self._fast[player])
            setattr(self, player, copies.requires_grad_(False))
        self.of = of

    @torch.no_grad()
    def begin(self) -> None:
        """Put the slow weights where the networks are."""
        for player in PLAYERS:
            for mine, fast in zip(getattr(self, player), self._fast[player], strict=True):
                mine.copy_(fast)

    @torch.no_grad()
    def approach(
        self, player: Player, parameters: Sequence[nn.Parameter], fast: Sequence[Tensor], share: float
    ) -> None:
        """Move the slow weights towards the fast weights, and overwrite the fast weights with the slow weights.

        Args:
            player: the player.
            parameters: the parameters of the player that learn. The slow weights of the others stay.
            fast: the fast weights, a tensor for each of the parameters.
            share: the share of the distance that the slow weights move, from 0 to 1.
        """
        for mine, theirs in self._pairs(player, parameters, fast):
            theirs.copy_(mine.lerp_(theirs, share))

    @torch.no_grad()
    def become(self, player: Player, parameters: Sequence[nn.Parameter], fast: Sequence[Tensor]) -> None:
        """Overwrite the slow weights with the fast weights.

        Args:
            player: the player.
            parameters: the parameters of the player that learn.
            fast: the fast weights, a tensor for each of the parameters.
        """
        for mine, theirs in self._pairs(player, parameters, fast):
            mine.copy_(theirs)

    def _pairs(
        self, player: Player, parameters: Sequence[nn.Parameter], fast: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """The slow and the fast weights of the parameters that learn. Parameters of other parts have no slow ones."""
        slow = {id(p): mine for p, mine in zip(self._fast[player], getattr(self, player), strict=True)}
        return [(slow[id(p)], value) for p, value in zip(parameters, fast, strict=True) if id(p) in slow]
