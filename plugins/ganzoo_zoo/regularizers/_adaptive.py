"""A probability that follows the discriminator's overfitting."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import nn

import ganzoo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Adaptive(ganzoo.Regularizer):
    """A regularizer that acts with a probability p, as often as the discriminator's overfitting asks for.

    Formula:
        every ``interval`` updates of D:  p <- max(0, p + sign(r_t - target) N interval / (1000 kimg)),
        r_t = mean sign(r) of real scores since then

    Args:
        target: aim for r_t, from -1 to 1.
        interval: updates of the discriminator between two changes of p, at least 1.
        kimg: thousands of real images in which p can go from 0 to 1, above 0.
        start: p at the first step, from 0 to 1.
        p: the probability, from 0 to 1, where p is fixed or scheduled and does not follow overfitting.
    """

    target: Annotated[float, Ge(-1), Le(1)] = 0.6
    interval: Annotated[int, Ge(1)] = 4
    kimg: Annotated[float, Gt(0)] = 500.0
    start: Annotated[float, Ge(0), Le(1)] = field(default=0.0, metadata={"read_once": True})
    p: Annotated[float, Ge(0), Le(1)] | None = None

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The probability, and the signs since its last change."""
        return Probability(self.start)

    def observe(self, player: str, s: ganzoo.Scores) -> None:
        """Count signs of real scores, and change the probability when the interval is over."""
        if player == "discriminator":
            images = len(s.real) * s.pieces
            self.module.count(s.real, self.interval, self.target, images * self.interval / (1000 * self.kimg))

    def report(self) -> Mapping[str, Tensor]:
        """The probability, and the share r_t by which the probability is steered."""
        return {"p": self.probability(self.module.p), "r_t": self.module.last}

    def probability(self, like: Tensor) -> Tensor:
        """The present p, (), on the device.

        Args:
            like: a tensor of the device and type.
        """
        p = self.module.p.clamp(max=1.0) if self.p is None else self.p
        # A tensor made on the device: a copy of a number from the host would make the step wait.
        return p.to(like.dtype) if isinstance(p, torch.Tensor) else like.new_full((), p)


class Probability(nn.Module):
    """The probability p, and the signs of the real scores since p changed.

    Args:
        start: p at first, at least 0.
    """

    p: Tensor
    signs: Tensor
    updates: Tensor
    last: Tensor

    def __init__(self, start: float) -> None:
        super().__init__()
        for name, value in {"p": start, "signs": 0.0, "updates": 0.0, "last": 0.0}.items():
            self.register_buffer(name, torch.tensor(value))

    def count(self, scores: Tensor, interval: int, target: float, step: float) -> None:
        """Count an update. The device decides whether the interval is over, and the host does not wait for the device.

        Args:
            scores: (N,) real scores.
            interval: updates between two changes of p.
            target: aim for r_t.
            step: size of a change.
        """
        self.signs += scores.sign().mean().to(self.signs.dtype)
        self.updates += 1
        due = self.updates >= interval
        self.last.copy_(torch.where(due, self.signs / interval, self.last))
        self.p.copy_(torch.where(due, (self.p + (self.last - target).sign() * step).clamp(min=0), self.p))
        self.signs *= ~due
        self.updates *= ~due


def used(factor: float | Tensor) -> bool:
    """Whether a factor or a probability is not 0. A tensor, in a recording, is not read by the host.

    Args:
        factor: the number of the present step.
    """
    return not isinstance(factor, float) or factor > 0
