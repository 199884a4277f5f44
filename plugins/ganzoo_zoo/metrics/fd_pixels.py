"""The Frechet distance in the pixels of small images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

import ganzoo
from ganzoo.errors import Incompatible

from ._counted import Counted
from ._frechet import frechet

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 4096
"""The numbers of a sample up to which a covariance of all numbers is computed."""


class FDPixels(Counted):
    """Frechet distance of the pixels: do the means and covariances of samples and data agree? No weights are needed.

    Formula:
        fd = |m_r - m_f|^2 + tr (c_r + c_f - 2 (c_r c_f)^(1/2)),  m, c of the flattened samples

    Args:
        count: the number of generated samples, at least 2.
        real_count: the number of real samples, at least 2. none takes all real samples.

    Raises:
        Incompatible: a sample has more than 4096 numbers, or there are fewer samples than numbers of a sample.

    Notes:
        The distance sees means, scales and correlations, and no shapes: a Gaussian with the moments of the data scores
        0. The figure is no FID, which is computed in the features of Inception. The distance of two finite sets of one
        distribution is above 0 and shrinks as 1 / samples. Compare equal numbers of samples only.

    Source: Dowson and Landau, The Frechet distance between multivariate normal distributions, 1982

    Example:
        Two Gaussians of standard deviation 1 and 2, with equal means.

        >>> import ganzoo, torch
        >>> x = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0)) / 10
        >>> samples = ganzoo.Samples(real=x, fake=2 * x, data=ganzoo.part("data", "ring"))
        >>> round(100 * ganzoo.part("metric", "fd-pixels").evaluate(samples)["fd"], 1)
        1.0
    """

    count: Annotated[int, Ge(2)] = 5000
    real_count: Annotated[int, Ge(2)] | None = None

    figures: ClassVar[Mapping[str, bool | None]] = {"fd": False}

    def check(self, spec: ganzoo.Spec, reals: int) -> None:
        """Refuse samples that are too large, or too few for a covariance.

        Args:
            spec: the shape of a sample.
            reals: the number of real samples.

        Raises:
            Incompatible: see above.
        """
        size = math.prod(spec.shape)
        if size > LARGEST:
            raise Incompatible(
                f"metric fd-pixels takes samples of at most {LARGEST} numbers, and {size} are given: use smaller "
                "images or swd"
            )
        few = min(self.count, reals if self.real_count is None else min(reals, self.real_count))
        if few <= size:
            raise Incompatible(
                f"metric fd-pixels has {few} samples for a covariance of {size} numbers: give fd-pixels:count="
                f"{2 * size} and as much data, or use swd, which needs no covariance"
            )

    def evaluate(self, samples: ganzoo.Samples) -> Mapping[str, float]:
        """The figure ``fd``.

        Args:
            samples: the real and the generated samples.
        """

        def rows(x: Tensor) -> Tensor:
            return x.flatten(1)

        real = samples.reference("pixels: mean and covariance", lambda: samples.moments(samples.real(rows)))
        return {"fd": frechet(real, samples.moments(samples.fake(rows)))}
