"""The sliced Wasserstein distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from annotated_types import Ge

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class SWD(ganzoo.Metric):
    """Sliced Wasserstein distance: how far are samples and data apart along random directions? No weights are needed.

    Formula:
        swd = (mean_k mean_i |x_(i),k - y_(i),k|^p)^(1/p),  x_(i),k the i-th smallest of the products t_k . x,
        t_k uniform on the unit sphere, k = 1 ... directions

    Args:
        count: the number of real samples, and of generated samples, at least 2.
        directions: the number of random directions, at least 1.
        power: p.

    Notes:
        Two finite sets of one distribution are a distance above 0 apart, which ``floor`` estimates: the distance of the
        two halves of the real samples. Compare equal counts only. The distance of Karras et al. (2018,
        arXiv:1710.10196) is computed on patches of a Laplacian pyramid, and is another figure.

    Source: Bonneel et al., Sliced and Radon Wasserstein barycenters of measures, 2015

    Example:
        Every direction in the plane shifts by the cosine of its angle, and the mean square of a cosine is 1/2.

        >>> import ganzoo, torch
        >>> x = torch.zeros(4, 2)
        >>> figures = ganzoo.part("metric", "swd:directions=5000").score(x, x + torch.tensor([1.0, 0.0]), None)
        >>> round(figures["swd"] ** 2, 1), figures["floor"]
        (0.5, 0.0)
    """

    count: Annotated[int, Ge(2)] = 2000
    directions: Annotated[int, Ge(1)] = 256
    power: Literal[1, 2] = 2

    figures: ClassVar[Mapping[str, bool | None]] = {"swd": False, "floor": None}

    @property
    def samples(self) -> int:
        """The number of real samples, and of generated samples."""
        return self.count

    def score(self, real: Tensor, fake: Tensor, data: ganzoo.Data) -> Mapping[str, float]:
        """The figures ``swd`` and ``floor``.

        Args:
            real: (N, *shape) samples of the data.
            fake: (M, *shape) samples of the generator.
            data: the data part, which this metric does not use.
        """
        x, y = real.flatten(1).double(), fake.flatten(1).double()
        noise = torch.Generator().manual_seed(0)  # every evaluation looks along the same directions
        directions = torch.randn(x.shape[1], self.directions, generator=noise, dtype=torch.float64)
        directions = directions / directions.norm(dim=0)
        half = len(x) // 2
        return {
            "swd": self._distance(x @ directions, y @ directions),
            "floor": self._distance(x[:half] @ directions, x[half : 2 * half] @ directions),
        }

    def _distance(self, x: Tensor, y: Tensor) -> float:
        count = min(len(x), len(y))
        x, y = (each[:count].sort(0).values for each in (x, y))
        return float((x - y).abs().pow(self.power).mean() ** (1 / self.power))
