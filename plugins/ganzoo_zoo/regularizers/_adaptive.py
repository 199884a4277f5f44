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
            self.module.settle(*self._present())
            self.module.count(s.real, len(s.real) * s.pieces)

    def report(self) -> Mapping[str, Tensor]:
        """The probability, and the share r_t by which the probability is steered."""
        return {"p": self.probability(self.module.p), "r_t": self._present()[1]}

    def _present(self) -> tuple[Tensor, Tensor, Tensor]:
        """The probability, r_t, and whether an interval is over: see ``Probability.present``."""
        found: tuple[Tensor, Tensor, Tensor] = self.module.present(self.interval, self.target, self.kimg)
        return found

    def probability(self, like: Tensor) -> Tensor:
        """The present p, (), on the device.

        Args:
            like: a tensor of the device and type.
        """
        p: float | Tensor | None = self.p
        if p is None:
            p = self._present()[0].clamp(max=1.0)
        # A tensor made on the device: a copy of a number from the host would make the step wait.
        return p.to(like.dtype) if isinstance(p, torch.Tensor) else like.new_full((), p)


class Probability(nn.Module):
    """The probability p, and the signs of the real scores since p changed.

    Micro-batches and processes count the signs of their own scores, and the engine takes the means of the buffers at
    the end of an update. So p follows from the buffers as they are between two updates, with the mean over the batch.

    Args:
        start: p at first, at least 0.
    """

    p: Tensor
    signs: Tensor
    updates: Tensor
    images: Tensor
    last: Tensor

    def __init__(self, start: float) -> None:
        super().__init__()
        for name, value in {"p": start, "signs": 0.0, "updates": 0.0, "images": 0.0, "last": 0.0}.items():
            self.register_buffer(name, torch.tensor(value))

    def present(self, interval: int, target: float, kimg: float) -> tuple[Tensor, Tensor, Tensor]:
        """The probability and r_t after the updates that are counted, and whether an interval is over, each ().

        The device decides, and the host does not wait for the device.

        Args:
            interval: updates between two changes of p.
            target: aim for r_t.
            kimg: thousands of real images in which p can go from 0 to 1.
        """
        due = self.updates >= interval
        last = torch.where(due, self.signs / interval, self.last)
        step = (last - target).sign() * self.images * (interval / (1000 * kimg))
        return torch.where(due, (self.p + step).clamp(min=0), self.p), last, due

    def settle(self, p: Tensor, last: Tensor, due: Tensor) -> None:
        """Begin an update: keep what ``present`` gave, and count anew where an interval is over.

        Args:
            p: the probability, ().
            last: r_t, ().
            due: whether an interval is over, ().
        """
        self.p.copy_(p)
        self.last.copy_(last)
        self.signs *= ~due
        self.updates *= ~due

    def count(self, scores: Tensor, images: int) -> None:
        """Count an update.

        Args:
            scores: (N,) real scores.
            images: the images of the whole batch.
        """
        self.signs += scores.sign().mean().to(self.signs.dtype)
        self.updates += 1
        self.images.fill_(images)


def used(factor: float | Tensor) -> bool:
    """Whether a factor or a probability is not 0. A tensor, in a recording, is not read by the host.

    Args:
        factor: the number of the present step.
    """
    return not isinstance(factor, float) or factor > 0
