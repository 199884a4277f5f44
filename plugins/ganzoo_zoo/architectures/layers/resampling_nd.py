"""Convolutions that double or halve the length of sequences (N, C, L) and the sides of volumes (N, C, D, H, W).

Each class is the form in one or three dimensions of a class of ``resampling``, whose docstring has formula and source.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers import dimensions


class Resampling(nn.modules.conv._ConvNd):
    """Base of the classes below: a convolution with a kernel of side 3, and resampling by 2.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel of the output.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        # The next class in the order of resolution is Conv1d or Conv3d, which takes these arguments.
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)  # type: ignore[call-arg, arg-type]

    @property
    def dims(self) -> int:
        """The number of dimensions of a map."""
        return self.weight.ndim - 2


class Up(Resampling):
    """Nearest-neighbour upsampling x2, then a convolution, as a single transposed convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve.

        Args:
            x: (N, C, *S).

        Returns:
            (N, C', *2S).
        """
        flipped = self.weight.flip(tuple(range(2, self.weight.ndim)))
        kernel = 2**self.dims * dimensions.average_pool[self.dims](flipped, 2, stride=1, padding=1)
        return dimensions.conv_transpose[self.dims](x, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class Down(Resampling):
    """A convolution, then average pooling by 2, as a single convolution of stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool.

        Args:
            x: (N, C, *S), S even.

        Returns:
            (N, C', *S/2).
        """
        kernel = dimensions.average_pool[self.dims](self.weight, 2, stride=1, padding=1)
        return dimensions.conv[self.dims](x, kernel, self.bias, stride=2, padding=1)


class Subpixel(Resampling):
    """A convolution to 2^d times the channels, whose output is shuffled to twice the sides in d dimensions.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel before the shuffle.
    """

    copies: int

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, self.copies * outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and shuffle.

        Args:
            x: (N, C, *S).

        Returns:
            (N, C', *2S).
        """
        d = self.dims
        h = dimensions.conv[d](x, self.weight, self.bias, padding=1)
        h = h.reshape(len(h), -1, *(2,) * d, *x.shape[2:])
        order = [axis for i in range(d) for axis in (2 + d + i, 2 + i)]  # (S_1, 2), (S_2, 2), ...
        return h.permute(0, 1, *order).reshape(len(h), -1, *(2 * s for s in x.shape[2:]))


class BinomialUp(Resampling):
    """Upsampling x2 with the smooth filter [1, 3, 3, 1], then a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve.

        Args:
            x: (N, C, *S).

        Returns:
            (N, C', *2S).
        """
        kernel = _filter(self.dims, 2.0**self.dims, x).expand(x.shape[1], 1, *(4,) * self.dims)
        h = dimensions.conv_transpose[self.dims](x, kernel, stride=2, padding=1, groups=x.shape[1])
        return dimensions.conv[self.dims](h, self.weight, self.bias, padding=1)


class BinomialDown(Resampling):
    """A convolution, then downsampling by 2 with the smooth filter [1, 3, 3, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and downsample.

        Args:
            x: (N, C, *S), S even.

        Returns:
            (N, C', *S/2).
        """
        h = dimensions.conv[self.dims](x, self.weight, self.bias, padding=1)
        kernel = _filter(self.dims, 1.0, h).expand(h.shape[1], 1, *(4,) * self.dims)
        return dimensions.conv[self.dims](h, kernel, stride=2, padding=1, groups=h.shape[1])


def _filter(dims: int, gain: float, like: Tensor) -> Tensor:
    """The filter [1, 3, 3, 1] along all axes with a sum of ``gain``, in the type and on the device of a tensor."""
    row = torch.tensor([0.125, 0.375, 0.375, 0.125], dtype=like.dtype, device=like.device)
    product = row
    for _ in range(dims - 1):
        product = product[..., None] * row
    return gain * product


class Up1d(Up, nn.Conv1d):
    """``Up`` for sequences."""


class Up3d(Up, nn.Conv3d):
    """``Up`` for volumes."""


class Down1d(Down, nn.Conv1d):
    """``Down`` for sequences."""


class Down3d(Down, nn.Conv3d):
    """``Down`` for volumes."""


class Subpixel1d(Subpixel, nn.Conv1d):
    """``Subpixel`` for sequences."""

    copies = 2


class Subpixel3d(Subpixel, nn.Conv3d):
    """``Subpixel`` for volumes."""

    copies = 8


class BinomialUp1d(BinomialUp, nn.Conv1d):
    """``BinomialUp`` for sequences."""


class BinomialUp3d(BinomialUp, nn.Conv3d):
    """``BinomialUp`` for volumes."""


class BinomialDown1d(BinomialDown, nn.Conv1d):
    """``BinomialDown`` for sequences."""


class BinomialDown3d(BinomialDown, nn.Conv3d):
    """``BinomialDown`` for volumes."""


UPSAMPLING: Mapping[str, Mapping[int, type[Resampling]]] = {
    "nearest": {1: Up1d, 3: Up3d},
    "pixel-shuffle": {1: Subpixel1d, 3: Subpixel3d},
    "binomial": {1: BinomialUp1d, 3: BinomialUp3d},
}
"""The layers that double the sides, by name and number of dimensions."""

DOWNSAMPLING: Mapping[str, Mapping[int, type[Resampling]]] = {
    "pool": {1: Down1d, 3: Down3d},
    "binomial": {1: BinomialDown1d, 3: BinomialDown3d},
}
"""The layers that halve the sides, by name and number of dimensions."""
