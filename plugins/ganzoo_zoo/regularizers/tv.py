"""Total variation of the fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge
from torch.nn.functional import max_pool2d

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
        Incompatible: data without a mask where the term looks at a region.

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

    def value(self, fake: Tensor, real: None, region: Tensor | None) -> Tensor:
        """The mean of the pictures' variations."""
        down, right = fake.diff(dim=2), fake.diff(dim=3)
        if region is not None:
            wide = max_pool2d(region, 3, stride=1, padding=1) if self.where == "hole" else region
            down = down * wide[:, :, 1:] * wide[:, :, :-1]
            right = right * wide[:, :, :, 1:] * wide[:, :, :, :-1]
        if self.form == "l1":
            total = down.abs().sum() + right.abs().sum()
        elif self.form == "l2":
            total = down.square().sum() + right.square().sum()
        else:
            total = (down[:, :, :, :-1].square().sum() + right[:, :, :-1].square().sum()) / 2
        return total / (fake.numel() if self.per == "pixel" else len(fake))
