"""Gaussians on a circle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt

import ganzoo

from ._points import mixture

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import TensorDataset


class Ring(ganzoo.Data):
    """Ring: the mixture of 8 Gaussians on a circle, points in the plane that show mode collapse.

    Formula:
        x = radius (cos a_k, sin a_k) + std n,  a_k = 2 pi k / K,  k uniform on 0..K-1,  n ~ N(0, I)

    Args:
        gaussians: K, number of Gaussians, at least 1.
        radius: radius of the circle that the centres lie on, above 0.
        std: standard deviation of each Gaussian along each axis, above 0.
        points: number of points in the dataset, at least 2. The points are the same in every run, and each Gaussian has
            the same number of points, up to a single point.

    Notes:
        std / radius is 1/100, as published: radius 2 and std 0.02 in Unrolled GAN, 1 and 0.01 in VEEGAN. The radius of
        this part keeps every point inside [-1, 1], so that a generator that ends in tanh can reach all points.

    Source: Metz et al., Unrolled Generative Adversarial Networks, 2016, arXiv:1611.02163, appendix A; Srivastava et
        al., VEEGAN, 2017, arXiv:1705.07761, section 4.1

    Example:
        >>> import ganzoo
        >>> ring = ganzoo.part("data", "ring:gaussians=4")
        >>> [[round(x, 2) for x in centre] for centre in ring.modes()[:2].tolist()]
        [[0.8, 0.0], [-0.0, 0.8]]
    """

    gaussians: Annotated[int, Ge(1)] = 8
    radius: Annotated[float, Gt(0)] = 0.8
    std: Annotated[float, Gt(0)] = 0.008
    points: Annotated[int, Ge(2)] = 100_000

    def dataset(self) -> TensorDataset:
        """The (points, 2) float32 points."""
        return mixture(self.modes(), self.std, self.points)

    def modes(self) -> Tensor:
        """The (gaussians, 2) centres, counter-clockwise from the positive x axis."""
        angle = torch.arange(self.gaussians) * (2 * math.pi / self.gaussians)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)
