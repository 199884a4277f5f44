"""Slow weights of both players that follow the fast weights now and then, and that the fast weights return to."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import nn

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor

PLAYERS: tuple[Literal["discriminator"], Literal["generator"]] = ("discriminator", "generator")


class Lookahead(ganzoo.Schedule):
    """Lookahead-minmax (LA-GAN): every k steps both players return part of the way to where they were k steps ago.

    With fast weights w, moved each step as by alternating or onestep, and slow weights u of both players:

    Formula:
        every k steps:  u <- u + alpha (w - u),  w <- u

    Args:
        k: steps between two returns.
        alpha: share of the way that is kept. 1 is the inner schedule alone.
        discriminator_steps: the discriminator's moves a step. 0 moves both players at once, as onestep does.

    Notes:
        Alternation and simultaneous descent rotate about an equilibrium, and the mean of two points of a circle is
        nearer to the centre. Both players are drawn back at once, because the rotation is not damped otherwise. The
        slow weights are one more copy of the two networks and are saved with the run. The optimizers' memory stays as
        it is, and the average of the generator (EMA) follows the fast weights. The paper has k from 5 to 5000.

    Example:
        The slow weights move from 0 half of the way to the fast weights 4, and the fast weights return to them.

        >>> import torch
        >>> import ganzoo
        >>> player = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.zeros_(player.weight)
        >>> networks = ganzoo.Networks(player, player)
        >>> slow = ganzoo.part("schedule", "lookahead").prepare(networks, ganzoo.Spec(shape=(1,), latent_dim=1))
        >>> slow.approach("generator", [fast := torch.full((1, 1), 4.0)], share=0.5)
        >>> fast
        tensor([[2.]])

    Source:
        Chavdarova et al. 2021, Taming GANs with Lookahead-minmax, arXiv:2006.14567, algorithm 1;
        Zhang et al. 2019, Lookahead optimizer, arXiv:1907.08610.
    """

    k: Annotated[int, Ge(1)] = 5
    alpha: Annotated[float, Gt(0), Le(1)] = 0.5
    discriminator_steps: Annotated[int, Ge(0)] = 1

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The slow weights."""
        return Slow(networks)

    def step(self, game: ganzoo.Game) -> None:
        """A step of the fast weights, and a return when it is time."""
        for _ in range(self.discriminator_steps):
            game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
        if self.discriminator_steps:
            game.update(generator=game.generator_loss(game.round("generator")))
        else:
            s = game.round()
            # The generator's loss first: the order of the two losses is the order in which parts draw random numbers.
            generator = game.generator_loss(s)
            game.update(discriminator=game.discriminator_loss(s), generator=generator)
        if (game.step_number + 1) % self.k == 0:
            point = game.snapshot()
            for player in PLAYERS:
                self.module.approach(player, point.weights[player], self.alpha)
            game.restore(point)


class Slow(nn.Module):
    """Copies of the players' parameters, as buffers.

    Args:
        networks: the two players.
    """

    def __init__(self, networks: ganzoo.Networks) -> None:
        super().__init__()
        for player in PLAYERS:
            copies = nn.ParameterList(copy.deepcopy(p.detach()) for p in getattr(networks, player).parameters())
            setattr(self, player, copies.requires_grad_(False))

    @torch.no_grad()
    def approach(self, player: str, fast: list[Tensor], share: float) -> None:
        """Move the slow weights towards the fast weights, and overwrite the fast weights with the slow weights.

        Args:
            player: the player.
            fast: the fast weights, a tensor for each parameter of the player.
            share: the share of the distance that the slow weights move, from 0 to 1.
        """
        slow = list(getattr(self, player))
        for mine, theirs in zip(
            slow, fast, strict=False
        ):  # after the networks' own parameters come the parameters of other parts
            theirs.copy_(mine.lerp_(theirs, share))
