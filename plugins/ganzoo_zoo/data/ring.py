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
        gaussians: K, how many Gaussians.
        radius: of the circle that their centres lie on.
        std: standard deviation of each Gaussian along each axis.
        points: how many points the dataset holds, the same at every call, equally many (to one) of each Gaussian.

    Notes:
        std / radius is 1/100, as published: radius 2 and std 0.02 in Unrolled GAN, 1 and 0.01 in VEEGAN. The radius
        here keeps every point inside [-1, 1], so that a generator that ends in tanh can reach all of them.

    Source: Metz et al., Unrolled Generative Adversarial Networks, 2016, arXiv:1611.02163, appendix A; Srivastava et
        al., VEEGAN, 2017, arXiv:1705.07761, section 4.1
    """

    gaussians: Annotated[int, Ge(1)] = 8
    radius: Annotated[float, Gt(0)] = 0.8
    std: Annotated[float, Gt(0)] = 0.008
    points: Annotated[int, Ge(2)] = 100_000

    def dataset(self) -> TensorDataset:
        """(points, 2) float32 points."""
        return mixture(self.modes(), self.std, self.points)

    def modes(self) -> Tensor:
        """(gaussians, 2) centres, counter-clockwise from the positive x axis."""
        angle = torch.arange(self.gaussians) * (2 * math.pi / self.gaussians)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)
