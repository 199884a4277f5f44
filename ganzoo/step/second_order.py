"""Gradients of both players that keep a graph: for penalties on the gradients, and for schedules of second order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.parts import Player, Scores
from ganzoo.step.lookahead import require_whole_batch
from ganzoo.step.naming import named, require_scalar

if TYPE_CHECKING:
    from ganzoo.step.game import Game


def joint_penalties(game: Game, s: Scores) -> dict[str, Tensor]:
    """The penalties on both players' gradients at once: computed once for a round, paid by both.

    Args:
        game: with the regularizers that have a joint penalty.
        s: the round, which keeps the penalties for the loss of the second player.

    Returns:
        () for each regularizer, by name.
    """
    known: dict[str, Tensor] | None = vars(s).get("_joint_penalties")
    if known is not None:
        return known
    with named("loss", game.parts.loss_name):
        losses: dict[Player, Tensor] = {
            "discriminator": torch.stack(
                [
                    require_scalar(game.loss.discriminator(view), "loss", game.parts.loss_name)
                    for view in game.seen_by_loss(s)
                ]
            ).sum(),
            "generator": game.bare_generator_loss(s),
        }
    gradients = _with_graph(game, losses)
    known = {name: r.joint_penalty(gradients) for name, r in game.with_hook["joint_penalty"].items()}
    vars(s)["_joint_penalties"] = known
    return known


def differentiate(game: Game, s: Scores) -> dict[Player, Sequence[Tensor]]:
    """grad_psi L_D and grad_theta L_G on one round, as functions of the parameters of both players.

    Args:
        game: whose losses are differentiated.
        s: the round.

    Returns:
        A tensor for each parameter that learns, by player.
    """
    require_whole_batch(game, "differentiates gradients")
    losses: dict[Player, Tensor] = {
        "discriminator": game.discriminator_loss(s),
        "generator": game.generator_loss(s),
    }
    return _with_graph(game, losses)


def _with_graph(game: Game, losses: Mapping[Player, Tensor]) -> dict[Player, Sequence[Tensor]]:
    """The gradient of each player's loss by the parameters of the player that learn, with a graph."""
    found: dict[Player, Sequence[Tensor]] = {}
    for player, loss in losses.items():
        own = game.parameters[player]  # empty in a phase in which the player does not learn
        found[player] = torch.autograd.grad(loss, own, create_graph=True, materialize_grads=True) if own else ()
    return found
