"""Total variation of the fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch.nn.functional import max_pool2d

import ganzoo
from ganzoo.errors import Incompatible

from ._terms import Term, Where

if TYPE_CHECKING:
    from torch import Tensor


class TV(Term):
    """Total variation (TV, smoothness): neighbouring pixels of a fake are alike.

    With v and h the differences of vertical and of horizontal neighbours:

    Formula:
        l1: sum |v| + sum |h|                    l2: sum v^2 + sum h^2
        block: 1/2 sum (v^2 + h^2) over the pixels that have both a neighbour below and a neighbour to the right
        L_G <- L_G + weight (the mean over the pictures of the sum, divided by C H W with per=pixel)

    Args:
        weight: factor of the term, at least 0.
        form: l1, l2 or block (fast-neural-style).
        per: pixel divides the sum of a picture by its numbers. picture leaves the sum, as fast-neural-style does, whose
            weight is 1e-6.
        where: the region: all, the hole of the mask, or the known part. Differences count where both pixels lie in the
            region. The hole is one pixel wider than the mask, so that its border counts.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without a mask where the term looks at a region, or samples without neighbours.

    Notes:
        Sequences (C, L) have differences along one axis, volumes (C, D, H, W) along three.

    Source: Johnson et al., Perceptual losses for real-time style transfer, 2016, arXiv:1603.08155, and its code; Liu et
        al., Image inpainting for irregular holes using partial convolutions, 2018, arXiv:1804.07723, equation 6.

    Example:
        The vertical differences sum up to 12, the horizontal ones to 7.

        >>> import ganzoo, torch
        >>> x = torch.tensor([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0], [2.0, 2.0, 5.0]])[None, None]
        >>> ganzoo.part("regularizer", "tv:weight=1,per=picture").generator_penalty(ganzoo.Scores(fake_images=x))
        tensor(19.)
    """

    weight: Annotated[float, Ge(0)] = 0.1
    form: Literal["l1", "l2", "block"] = "l1"
    per: Literal["pixel", "picture"] = "pixel"
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    pairs: ClassVar[bool] = False

    def check(self, spec: ganzoo.Spec) -> None:
        """Require samples with neighbours: sequences, images or volumes.

        Args:
            spec: shape and inputs of the data.

        Raises:
            Incompatible: see the class.
        """
        super().check(spec)
        if len(spec.shape) < 2:
            raise Incompatible(
                f"tv compares neighbours, and numbers of a sample of shape {spec.shape} have none: leave tv out"
            )

    def value(self, fake: Tensor, real: None, region: Tensor | None) -> Tensor:
        """The mean of the pictures' variations."""
        changes = {axis: fake.diff(dim=axis) for axis in range(2, fake.ndim)}
        if region is not None:
            wide = max_pool2d(region, 3, stride=1, padding=1) if self.where == "hole" else region
            for axis, change in changes.items():
                both = wide.narrow(axis, 1, change.shape[axis]) * wide.narrow(axis, 0, change.shape[axis])
                changes[axis] = change * both
        if self.form == "block":
            changes = {axis: _with_neighbours(change, axis, fake) for axis, change in changes.items()}
        sums = [change.abs().sum() if self.form == "l1" else change.square().sum() for change in changes.values()]
        total = torch.stack(sums).sum() / (2 if self.form == "block" else 1)
        return total / (fake.numel() if self.per == "pixel" else len(fake))


def _with_neighbours(change: Tensor, along: int, x: Tensor) -> Tensor:
    """The differences along an axis, of the pixels of x that have a neighbour along every axis."""
    for axis in range(2, x.ndim):
        if axis != along:
            change = change.narrow(axis, 0, x.shape[axis] - 1)
    return change
