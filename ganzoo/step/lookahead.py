"""Steps that look ahead: snapshots of the players, and losses against a discriminator of some updates ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo import errors
from ganzoo.parts import Player, Snapshot

if TYPE_CHECKING:
    from ganzoo.step.game import Game


@torch.no_grad()
def take_snapshot(game: Game, players: Sequence[Player], memory: bool) -> Snapshot:
    """Copy the parameters of some players, and with ``memory`` the state of the optimizers.

    Args:
        game: the game whose players are copied.
        players: the players to copy.
        memory: whether the state of the optimizers is copied too.

    Returns:
        Copies on the same device.
    """
    remembered: dict[Player, list[dict[str, object]]] = {}
    if memory:
        for player in players:
            held = game.state.optimizers[player].state
            remembered[player] = [
                {key: value.clone() if isinstance(value, Tensor) else value for key, value in held[p].items()}
                if p in held
                else {}  # the optimizer has not made its first update
                for p in game.parameters[player]
            ]
    weights = {player: [p.detach().clone() for p in game.parameters[player]] for player in players}
    return Snapshot(weights, remembered)


@torch.no_grad()
def restore_snapshot(game: Game, snapshot: Snapshot) -> None:
    """Put the players of a snapshot back, bit for bit, in place.

    Args:
        game: the game that the snapshot was taken of.
        snapshot: the copies.
    """
    for player, weights in snapshot.weights.items():
        for parameter, weight in zip(game.parameters[player], weights, strict=True):
            parameter.copy_(weight)
    for player, remembered in snapshot.memory.items():
        held = game.state.optimizers[player].state
        for parameter, memory in zip(game.parameters[player], remembered, strict=True):
            if held.get(parameter, {}).keys() == memory.keys():
                # In place, since a recorded step holds these very tensors.
                for key, value in memory.items():
                    if isinstance(value, Tensor):
                        held[parameter][key].copy_(value)
                    else:
                        held[parameter][key] = value
            else:  # the snapshot is of before the first update: the optimizer makes its state again
                held.pop(parameter, None)


def require_whole_batch(game: Game, what: str) -> None:
    """Raise Incompatible where the batch is taken in micro-batches.

    The gradient of a mean over micro-batches does not come apart once a further step depends on the mean.

    Args:
        game: the game.
        what: what the schedule does, for the message.
    """
    if game.environment.micro_batches > 1:
        raise errors.Incompatible(
            f"a schedule that {what} needs the whole batch for each: train it in one process and without --accumulate"
        )


def unrolled_generator_loss(game: Game, steps: int, rate: float | None) -> Tensor:
    """The generator's loss against the discriminator after some gradient steps, as a function of the generator.

    Formula:
        psi_0 = psi,  psi_{i+1} = psi_i - rate grad_psi L_D(psi_i, theta);  L_G(psi_steps(theta), theta)

    Args:
        game: the game. The discriminator is replaced for a time, and stays where the discriminator is.
        steps: number of gradient steps of the discriminator, each on a round of its own.
        rate: learning rate of the steps. None: the present learning rate of the discriminator's optimizer.

    Returns:
        (): the loss, with a graph to the generator through all steps.
    """
    require_whole_batch(game, "differentiates through moves of the discriminator")
    if not game.parameters["discriminator"]:
        return game.generator_loss(game.round("generator"))
    network = game.state.networks.discriminator
    rate = game.state.optimizers["discriminator"].param_groups[0]["lr"] if rate is None else rate
    weights: dict[str, Tensor] = dict(network.named_parameters())
    try:
        for _ in range(steps):
            game.replace_discriminator(WithWeights(network, weights))
            with game.looking_ahead():
                loss = game.discriminator_loss(game.round())
            # create_graph keeps psi_{i+1} a function of theta. The generator's gradient goes through these steps.
            grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
            weights = {name: w - rate * g for (name, w), g in zip(weights.items(), grads, strict=True)}
        game.replace_discriminator(WithWeights(network, weights))
        return game.generator_loss(game.round("generator"))
    finally:
        game.replace_discriminator(network)  # whatever a loss raised, later rounds judge by the real weights


class WithWeights(nn.Module):
    """A network that computes with given weights.

    Args:
        network: the network to call.
        weights: a tensor for each parameter of the network, by name.
    """

    def __init__(self, network: nn.Module, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, *inputs: object, **named: object) -> object:
        """Call the network with the weights.

        Args:
            inputs: the inputs of the network, by position.
            named: the inputs of the network, by name.
        """
        return functional_call(self.network, self.weights, inputs, named)
