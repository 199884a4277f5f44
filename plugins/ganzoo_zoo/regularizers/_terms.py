"""What terms beside the adversarial loss share: the stages that a term reads, and the region that a term looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch.nn.functional import interpolate

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor

Where = Literal["all", "hole", "known"]


class Term(ganzoo.Regularizer):
    """A term of the generator that looks at pictures, in a region, at some stages.

    Args:
        weight: factor of the term, at least 0.
        where: the region: all, the hole of the mask, or the known part.
        stage: the stages that the term reads. The values of several stages are added. ``images`` is the sample itself.
    """

    weight: Annotated[float, Ge(0)] = 1.0
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    pairs: ClassVar[bool] = True

    @property
    def reads_intermediates(self) -> frozenset[str]:
        """The stages named by ``stage``."""
        return frozenset(self.stage)

    def check(self, spec: ganzoo.Spec) -> None:
        """Require a mask where the term looks at a region."""
        if self.where != "all" and "mask" not in spec.inputs:
            name = type(self).__name__.lower()
            raise Incompatible(
                f"{name} looks at the {self.where} part of a picture, and this data gives no mask: use data such as "
                "inpaint, or where=all"
            )

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted sum of the term's values at the stages."""
        region, real = region_of(s, self.where), s.real_images if self.pairs else None
        values = [self.value(s.intermediates[name], real, region) for name in self.stage]
        return self.weight * torch.stack(values).sum()

    def value(self, fake: Tensor, real: Any, region: Tensor | None) -> Tensor:
        """The term's value for pictures of one stage.

        Args:
            fake: (N, C, H, W) in [-1, 1].
            real: (N, C, H, W) in [-1, 1], the real sample of each fake's condition. None for a term without pairs.
            region: (N, 1, H, W), 1 where the term looks and 0 elsewhere, or None for everywhere.

        Returns:
            ().
        """
        raise NotImplementedError


def region_of(s: ganzoo.Scores, where: Where) -> Tensor | None:
    """The region that a term looks at.

    Args:
        s: the round, whose fakes' batch has the mask, above 0 in the hole.
        where: all, hole or known.

    Returns:
        (N, 1, H, W), 1 where the term looks and 0 elsewhere, or None for everywhere.

    Example:
        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(fake_batch=ganzoo.Batch(mask=torch.tensor([[[[1.0, -1.0]]]])))
        >>> region_of(s, "hole").tolist(), region_of(s, "known").tolist()
        ([[[[1.0, 0.0]]]], [[[[0.0, 1.0]]]])
    """
    if where == "all":
        return None
    mask = s.fake_batch["mask"]
    return (mask > 0 if where == "hole" else mask <= 0).to(mask.dtype)


def mean(values: Tensor, region: Tensor | None) -> Tensor:
    """The mean over a region: of each picture, then over the pictures.

    Args:
        values: (N, C, ...).
        region: (N, 1, ...), 1 where values count, or None for everywhere. A picture without such a place counts as 0.

    Returns:
        ().

    Example:
        >>> import torch
        >>> mean(torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[1.0, 0.0]]]))
        tensor(2.)
    """
    if region is None:
        return values.mean()
    weights = region.expand_as(values).flatten(1)
    return ((values.flatten(1) * weights).sum(1) / weights.sum(1).clamp(min=1)).mean()


def fitted(region: Tensor | None, maps: Tensor) -> Tensor | None:
    """A region at the size of maps, by the nearest pixel.

    Args:
        region: (N, 1, H, W), or None for everywhere.
        maps: (N, C, h, w).
    """
    return None if region is None else interpolate(region, maps.shape[-2:], mode="nearest")
