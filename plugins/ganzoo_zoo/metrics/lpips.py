"""The learned distance of generated pictures from the true pictures, on held-out pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible

from ._pictures import pairs

if TYPE_CHECKING:
    from torch import Tensor


class LPIPS(ganzoo.Metric):
    """LPIPS (learned perceptual distance): how far generated pictures are from the true pictures to people, on pairs.

    Args:
        network: alex (for figures, as the authors advise) or vgg.
        weights: ``auto`` for torchvision's weights of alexnet or vgg16, or a safetensors file or state dict of these.
        count: number of pairs, at least 1.

    Raises:
        Incompatible: the samples are no pictures of 1 or 3 channels, or the data holds no pairs out.
        DataError: the weights are missing, unreadable, or those of another network.

    Notes:
        With ``weights=auto`` the figure is ``lpips``, and ``lpips_own_weights`` with a file, as figures of other
        weights cannot be compared with published ones. Pictures with a side below 64 pixels are enlarged first, which
        published figures do not do. The learned weights ship with torchmetrics.

    Source: Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, 2018,
        arXiv:1801.03924

    Example:
        >>> import ganzoo
        >>> list(ganzoo.part("metric", "lpips").figures)
        ['lpips']
    """

    network: Literal["alex", "vgg"] = "alex"
    weights: str = "auto"
    count: Annotated[int, Ge(1)] = 1000

    pairs: ClassVar[bool] = True

    @property
    def samples(self) -> int:
        """The number of pairs."""
        return self.count

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The name of the figure, which tells other weights from the published ones."""
        return {"lpips" if self.weights == "auto" else "lpips_own_weights": False}

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The mean distance.

        Args:
            real: (N, C, H, W) true pictures in [-1, 1].
            fake: (N, C, H, W) generated pictures, in the same order.
            data: the data part, which is not read.

        Raises:
            Incompatible: the samples are no pictures of 1 or 3 channels.
        """
        if real.dim() == 4 and real.shape[1] not in (1, 3):
            raise Incompatible(f"metric lpips compares pictures of 1 or 3 channels, not {real.shape[1]}: leave it out")
        term: Any = ganzoo.part("regularizer", "lpips", network=self.network, weights=self.weights)
        with torch.no_grad():
            found = [term.distances(r.float(), f.float()) for r, f in pairs("lpips", real, fake)]
        (name,) = self.figures
        return {name: float(torch.cat(found).double().mean())}
