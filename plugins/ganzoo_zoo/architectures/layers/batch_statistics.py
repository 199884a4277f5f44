"""Layers that show a discriminator how the samples of a batch differ."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchStddev(nn.Module):
    """Appends a channel that holds how much the samples of a group differ (minibatch standard deviation).

    Formula:
        the standard deviation over the group of every feature, averaged over all features of the group

    Args:
        size: samples a group. Sample n belongs to group n mod (N / size).

    Notes:
        A batch that ``size`` does not divide is grouped by the largest smaller size that divides N. A group of a single
        sample has no difference.

    Source: T. Karras et al., Progressive growing of GANs, 2018, arXiv 1710.10196, section 3.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 0.0, 2.0, 2.0]).reshape(4, 1, 1, 1)
        >>> MinibatchStddev()(x)[:, 1].flatten().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    mixes_samples = True
    trained_with_penalties = True  # in PGGAN and StyleGAN, so that gradient penalties give a warning, and no refusal

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Append the channel.

        Args:
            x: (N, C, H, W), or (N, C) with any number of sides.

        Returns:
            (N, C + 1, H, W).
        """
        count = len(x)
        size = next(s for s in range(self.size, 0, -1) if count % s == 0)
        groups = at_least_float32(x).reshape(size, count // size, -1)
        # 1e-8 keeps the slope of the root finite where the samples of a group are equal.
        stddev = (groups.var(0, correction=0) + 1e-8).sqrt().mean(1)  # (N / size,)
        plane = stddev.repeat(size).to(x.dtype).reshape(count, 1, *(1,) * (x.ndim - 2)).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, plane], 1)


class MinibatchDiscrimination(nn.Module):
    """How near a sample is to the other samples of its batch, in learned projections (minibatch discrimination).

    Formula:
        M_i = f_i T,  o_ib = sum over j != i of exp(-|M_ib - M_jb|_1)

    Args:
        features: A, length of the vector f of a sample.
        kernels: B, number of projections T_b.
        dims: C, length of a projected vector.

    Notes:
        The nearness of a sample to itself, always 1, is left out, as in the authors' code. The columns of T start with
        expected length 1, where that code begins too. That code also has weight norm, divides distances by their
        mean in the first batch and subtracts the mean nearness of the first batch. The discriminator of dcgan subtracts
        N - 1 in place of that mean.

    Source: T. Salimans et al., Improved techniques for training GANs, 2016, arXiv 1606.03498, section 3.2.

    Example:
        >>> import torch
        >>> MinibatchDiscrimination(6, 2)(torch.zeros(4, 6)).tolist()[0]
        [3.0, 3.0]
    """

    mixes_samples = True  # gradient penalties per sample are refused with this layer

    def __init__(self, features: int, kernels: int, dims: int = 5) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(features, kernels * dims, bias=False)
        nn.init.normal_(self.project.weight, 0.0, features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Compare each sample with all others.

        Args:
            features: (N, A).

        Returns:
            (N, B), each number from 0 to N - 1.
        """
        projected = at_least_float32(self.project(features)).reshape(features.shape[0], self.kernels, -1)
        distance = (projected[:, None] - projected[None]).abs().sum(3)  # (N, N, B)
        return torch.exp(-distance).sum(1) - 1.0  # 1 is the sample's nearness to itself


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision: differences and sums over a batch need more than the 8 bits of bfloat16.

    Args:
        x: a floating-point tensor.

    Returns:
        The tensor in float32, or in float64 where it was float64.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
