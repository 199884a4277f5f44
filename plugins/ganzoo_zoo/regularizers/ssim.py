"""Structural similarity of a fake and of the real sample of the same condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge
from torchmetrics.functional.image import structural_similarity_index_measure

import ganzoo
from ganzoo.errors import Incompatible

from ._terms import Term, Where, mean

if TYPE_CHECKING:
    from torch import Tensor


class SSIM(Term):
    """SSIM (structural similarity, reconstruction): 1 minus the similarity of each fake to its real sample.

    Formula:
        SSIM(x, y) = (2 mu_x mu_y + c_1) (2 cov_xy + c_2) / ((mu_x^2 + mu_y^2 + c_1) (var_x + var_y + c_2))
        in a Gaussian window of deviation 1.5 and side 11, c_1 = (0.01 R)^2, c_2 = (0.03 R)^2, R = 2
        L_G <- L_G + weight (1 - mean SSIM(x, x'))

    Args:
        weight: factor of the term, at least 0.
        where: the region: all, the hole of the mask, or the known part. The windows reach beyond the region.
        stage: the stages that the term reads. The values of several stages are added.

    Raises:
        Incompatible: data without pairs, without a mask where the term looks at a region, or of less than 6 pixels.

    Source: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004; as torchmetrics
        has it.

    Example:
        >>> import ganzoo, torch
        >>> x = torch.rand(1, 1, 8, 8)
        >>> float(ganzoo.part("regularizer", "ssim").generator_penalty(ganzoo.Scores(real_images=x, fake_images=x)))
        0.0
    """

    weight: Annotated[float, Ge(0)] = 1.0
    where: Where = "all"
    stage: tuple[str, ...] = ("images",)

    def check(self, spec: ganzoo.Spec) -> None:
        """Require pictures that the window fits into, and a mask where the term looks at a region."""
        super().check(spec)
        if len(spec.shape) != 3 or min(spec.shape[1:]) < 6:
            raise Incompatible(
                f"ssim compares windows of 11 pixels, reflected at the border, and this data gives samples of shape "
                f"{spec.shape}: use pictures of at least 6x6, or l1"
            )

    def value(self, fake: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
        """1 minus the mean similarity."""
        _, similar = structural_similarity_index_measure(
            fake, real, data_range=2.0, reduction="none", return_full_image=True
        )
        return 1 - mean(similar, region)
