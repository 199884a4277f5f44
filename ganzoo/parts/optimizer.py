"""The contract of optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Part):
    """The rule by which a player moves along the gradient.

    A field that is also a setting of torch's parameter groups, such as ``lr``, sets the groups at first. Where the
    field follows the run, each step sets the groups to the number of the step. Gradients have the memory layout of the
    weights.

    Example:
        >>> import torch
        >>> from ganzoo import Optimizer
        >>> class Descent(Optimizer):
        ...     lr: float = 0.1
        ...     def build(self, parameters):
        ...         return torch.optim.SGD(parameters, lr=self.lr)
        >>> Descent(lr=0.5).build([torch.nn.Parameter(torch.zeros(2))]).param_groups[0]["lr"]
        0.5
    """

    kind: ClassVar[str] = "optimizer"

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (("build",),)

    def build(self, parameters: Sequence[nn.Parameter]) -> TorchOptimizer:
        """Make a torch optimizer.

        Args:
            parameters: one player's parameters.
        """
        raise NotImplementedError
