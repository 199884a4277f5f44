"""Gradients together with the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.parts import Player
from ganzoo.step.environment import ProcessGroup


class Gradients(NamedTuple):
    """The gradient of one player's loss, and the loss.

    Attributes:
        grads: one tensor for each of the player's parameters, in the same order.
        loss: (), the loss, without a graph.
    """

    grads: list[Tensor]
    loss: Tensor

    @classmethod
    def of(cls, player: Player, loss: Tensor, parameters: Sequence[Tensor], keep: bool) -> Gradients:
        """The gradient of a player's loss by the player's parameters. What the loss does not read has gradient 0.

        Args:
            player: the player, for the message.
            loss: (), the player's loss.
            parameters: the player's parameters.
            keep: whether the graph is needed again.

        Raises:
            PartError: the loss depends on none of the parameters.
        """
        grads: Sequence[Tensor | None] = [None]
        if loss.requires_grad:
            grads = torch.autograd.grad(loss, [*parameters], retain_graph=keep, allow_unused=True)
        if all(grad is None for grad in grads):
            raise errors.PartError(
                f"the {player}'s loss depends on no weight of the {player}: a loss must not detach the scores, and a "
                f"schedule asks for the loss of a round that names the {player}"
            )
        made = [torch.zeros_like(p) if g is None else g for g, p in zip(grads, parameters, strict=True)]
        return cls(made, loss.detach())

    def mean(self, group: ProcessGroup) -> Callable[[], Gradients]:
        """Start to average over the processes. The returned function waits for the average.

        The loss travels with the gradients: one all-reduce a player and update.

        Args:
            group: the processes that train the same networks.
        """
        wait = group.mean([*self.grads, self.loss])

        def averaged() -> Gradients:
            *grads, loss = wait()  # the loss came last in the flat tensor
            return Gradients(grads, loss)

        return averaged


def norms(gradients: Mapping[Player, Gradients]) -> dict[Player, Tensor]:
    """The Euclidean norm of each player's gradient, as a scalar on the device.

    Costs one kernel for all tensors of both players where the device has a fused kernel.

    Args:
        gradients: the gradients of each player that moves.

    Returns:
        () for each player.
    """
    each = torch.stack(torch._foreach_norm([g for taken in gradients.values() for g in taken.grads]))
    by_player = torch.split(each, [len(taken.grads) for taken in gradients.values()])
    return {player: torch.linalg.vector_norm(some) for player, some in zip(gradients, by_player, strict=True)}


def with_layout_of(weight: Tensor, gradient: Tensor) -> Tensor:
    """A gradient in the memory layout of the weight. Most gradients have the layout already, and are not copied.

    ``backward`` takes care of the layout and ``autograd.grad`` does not. torch's fused optimizer kernels walk the
    memory of weight and gradient in one order: with two layouts the kernels would move the wrong numbers, without
    an error.

    Args:
        weight: the parameter.
        gradient: the gradient by the parameter, of the same shape.

    Returns:
        The gradient with the strides of the parameter.
    """
    return gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)


def copy_into(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into tensors, in place.

    Args:
        targets: the tensors to overwrite.
        values: a tensor of the same shape for each target.
    """
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)


def put_back(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Set buffers to earlier values while graphs are held.

    Through ``data``: graphs that keep a buffer, as those of batch norm keep a running mean, do not read the value.

    Args:
        targets: the buffers to overwrite.
        values: a tensor of the same shape for each buffer.
    """
    copy_into([target.data for target in targets], values)


def moved(start: Tensor, change: Tensor) -> Tensor:
    """A buffer after an average change, in the type of the buffer. A counter stays a whole number.

    Args:
        start: the buffer before the change.
        change: the average change, of the same shape.

    Returns:
        The changed buffer, a new tensor.
    """
    # A counter of batches that grew by 1 in every process grows by 1, not by 0.9999.
    return start + (change if start.is_floating_point() else change.round()).to(start.dtype)
