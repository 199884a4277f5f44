"""Gaussians on a square grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt

import ganzoo

from ._points import mixture

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import TensorDataset


class Grid(ganzoo.Data):
    """Grid: the mixture of 25 Gaussians on a 5x5 grid, points in the plane that show mode collapse.

    Formula:
        x = spacing (i - (S-1)/2, j - (S-1)/2) + std n,  i, j uniform on 0..S-1,  n ~ N(0, I)

    Args:
        side: S, number of Gaussians along each side of the grid, at least 1.
        spacing: distance between neighbouring centres, above 0.
        std: standard deviation of each Gaussian along each axis, above 0.
        points: number of points in the dataset, at least 2. The points are the same in every run, and each Gaussian has
            the same number of points, up to a single point.

    Notes:
        std / spacing is 1/40, as published: centres at -4, -2, 0, 2, 4 with std 0.05. The spacing of this part keeps
        every point inside [-1, 1], so that a generator that ends in tanh can reach all points. A larger ``side`` needs
        a smaller ``spacing``.

    Source: Srivastava et al., VEEGAN, 2017, arXiv:1705.07761, section 4.1; Lin et al., PacGAN, 2017,
        arXiv:1712.04086, section 4.1

    Example:
        >>> import ganzoo
        >>> grid = ganzoo.part("data", "grid:points=1000")
        >>> grid.modes().shape, len(grid.dataset())
        (torch.Size([25, 2]), 1000)
    """

    side: Annotated[int, Ge(1)] = 5
    spacing: Annotated[float, Gt(0)] = 0.4
    std: Annotated[float, Gt(0)] = 0.01
    points: Annotated[int, Ge(2)] = 100_000

    def dataset(self) -> TensorDataset:
        """The (points, 2) float32 points."""
        return mixture(self.modes(), self.std, self.points)

    def modes(self) -> Tensor:
        """The (side * side, 2) centres, row by row."""
        along = self.spacing * (torch.arange(self.side) - (self.side - 1) / 2)
        return torch.cartesian_prod(along, along)
