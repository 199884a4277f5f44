"""Convolutions that double or halve the side of maps, chosen by name."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers import dimensions, resampling_nd

UpsampleName = Literal["nearest", "transposed", "pixel-shuffle", "binomial"]
DownsampleName = Literal["strided", "pool", "binomial"]


class UpConv(nn.Conv2d):
    """Nearest-neighbour upsampling x2, then a 3x3 convolution, without checkerboard artifacts.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel of the output.

    Notes:
        Several of the nine pixels under the kernel are copies of the same pixel. The two operations therefore are a
        single transposed convolution, whose 4x4 kernel is the 3x3 kernel summed over 2x2 windows. The result is the
        same, for 16/36 of the multiplications.

    Source: A. Odena et al., Deconvolution and checkerboard artifacts, 2016, distill.pub.

    Example:
        >>> import torch
        >>> UpConv(3, 5)(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 5, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', 2H, 2W).
        """
        # The factor 4 turns averages over 2x2 windows into sums. ``divisor_override=1`` would give the same numbers in
        # torch, but ONNX has no such option and exporters leave the option out without a warning.
        kernel = 4 * F.avg_pool2d(self.weight.flip(2, 3), 2, stride=1, padding=1)
        return F.conv_transpose2d(x, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class DownConv(nn.Conv2d):
    """A 3x3 convolution, then 2x2 average pooling.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel of the output.

    Notes:
        The two operations are a single 4x4 convolution of stride 2, for 16/36 of the multiplications.

    Example:
        >>> import torch
        >>> DownConv(3, 5)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 5, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool.

        Args:
            x: (N, C, H, W), H and W even.

        Returns:
            (N, C', H/2, W/2).
        """
        kernel = F.avg_pool2d(self.weight, 2, stride=1, padding=1)
        return F.conv2d(x, kernel, self.bias, stride=2, padding=1)


class SubpixelConv(nn.Conv2d):
    """A 3x3 convolution to four times the channels, whose output is shuffled to twice the side (pixel shuffle).

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel before the shuffle.

    Notes:
        Output channel c at (2y + i, 2x + j) is channel 4c + 2i + j at (y, x). ``initialise`` gives equal weights to the
        four kernels of an output channel (ICNR), so that the layer starts as a convolution, then nearest x2.

    Source: W. Shi et al., Real-time single image and video super-resolution, 2016, arXiv 1609.05158; A. Aitken et al.,
        Checkerboard artifact free sub-pixel convolution, 2017, arXiv 1707.02937.

    Example:
        >>> import torch
        >>> SubpixelConv(3, 5)(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 5, 8, 8])
    """

    copies = 4

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, self.copies * outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and shuffle.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', 2H, 2W).
        """
        return F.pixel_shuffle(super().forward(x), 2)


class BinomialUp(nn.Module):
    """Upsampling x2 of each channel with the smooth filter [1, 3, 3, 1].

    Formula:
        zeros are inserted between the pixels, the result is filtered along both axes with [1, 3, 3, 1] / 4

    Notes:
        A constant map stays constant away from the border. At the border the filter meets zeros.

    Source: T. Karras et al., Analyzing and improving StyleGAN, 2020, arXiv 1912.04958, appendix B; Y. Huang et al.,
        R3GAN, 2024, arXiv 2501.05441, whose code filters with [1, 2, 1] convolved with [1, 1].

    Example:
        >>> import torch
        >>> BinomialUp()(torch.ones(1, 1, 4, 4))[0, 0, 3].tolist()
        [0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75]
    """

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", binomial_filter(4.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C, 2H, 2W).
        """
        kernel = self.filter.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class BinomialDown(nn.Module):
    """Downsampling by 2 of each channel with the smooth filter [1, 3, 3, 1].

    Formula:
        the map is filtered along both axes with [1, 3, 3, 1] / 8, every second pixel is kept

    Notes:
        The filter removes the frequencies that alias when every second pixel is dropped, more of them than 2x2 average
        pooling does. At the border the filter meets zeros.

    Source: as of ``BinomialUp``.

    Example:
        >>> import torch
        >>> BinomialDown()(torch.ones(1, 1, 8, 8))[0, 0, 1].tolist()
        [0.875, 1.0, 1.0, 0.875]
    """

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", binomial_filter(1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Downsample.

        Args:
            x: (N, C, H, W), H and W even.

        Returns:
            (N, C, H/2, W/2).
        """
        kernel = self.filter.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class BinomialBlur(nn.Module):
    """The smooth filter [1, 3, 3, 1] along both axes of each channel, at an unchanged side but for the border.

    Args:
        padding: zeros at each border. A padding of 1 shortens the sides by 1, a padding of 2 lengthens the sides by 1.
        gain: sum of the filter: 1 to keep the mean of a map, 4 after a transposed convolution of stride 2.

    Source: as of ``BinomialUp``.

    Example:
        >>> import torch
        >>> BinomialBlur(padding=2, gain=1.0)(torch.ones(1, 1, 4, 4)).shape
        torch.Size([1, 1, 5, 5])
    """

    filter: Tensor

    def __init__(self, *, padding: int, gain: float) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("filter", binomial_filter(gain), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C, H + 2 padding - 3, W + 2 padding - 3).
        """
        kernel = self.filter.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=self.padding, groups=x.shape[1])


class BinomialUpConv(nn.Conv2d):
    """Upsampling x2 with the smooth filter [1, 3, 3, 1], see ``BinomialUp``, then a 3x3 convolution.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel of the output.

    Example:
        >>> import torch
        >>> BinomialUpConv(3, 5)(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 5, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)
        self.up = BinomialUp()

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C', 2H, 2W).
        """
        return super().forward(self.up(x))


class BinomialDownConv(nn.Conv2d):
    """A 3x3 convolution, then downsampling by 2 with the smooth filter [1, 3, 3, 1], see ``BinomialDown``.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel of the output.

    Example:
        >>> import torch
        >>> BinomialDownConv(3, 5)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 5, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)
        self.down = BinomialDown()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and downsample.

        Args:
            x: (N, C, H, W), H and W even.

        Returns:
            (N, C', H/2, W/2).
        """
        h: Tensor = self.down(super().forward(x))
        return h


def binomial_filter(gain: float) -> Tensor:
    """The filter [1, 3, 3, 1] along both axes.

    Args:
        gain: sum of the filter: 1 to keep the mean of a map, 4 where three of four pixels are inserted zeros.

    Returns:
        (4, 4).

    Example:
        >>> binomial_filter(64.0)[0].tolist()
        [1.0, 3.0, 3.0, 1.0]
    """
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return row[:, None] * row * (gain / 64)


def upsampling(name: UpsampleName, inputs: int, outputs: int, *, bias: bool, dims: int = 2) -> nn.Module:
    """A convolution that doubles the side of maps, by its name.

    Args:
        name: nearest (nearest x2, then 3x3), transposed (4x4 of stride 2), pixel-shuffle (3x3 to four times the
            channels, then a shuffle) or binomial (x2 with [1, 3, 3, 1], then 3x3).
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel.
        dims: dimensions of a map: 1 for sequences, 2 for images, 3 for volumes.

    Returns:
        A layer from (N, C, H, W) to (N, C', 2H, 2W), or in the same way with ``dims`` sides.
    """
    if name == "transposed":  # 4 is a multiple of the stride, so that each output pixel sees equally many inputs
        return dimensions.CONV_TRANSPOSE[dims](inputs, outputs, 4, stride=2, padding=1, bias=bias)
    if dims != 2:
        return resampling_nd.UPSAMPLING[name][dims](inputs, outputs, bias=bias)
    layers = {"nearest": UpConv, "pixel-shuffle": SubpixelConv, "binomial": BinomialUpConv}
    return layers[name](inputs, outputs, bias=bias)


def downsampling(name: DownsampleName, inputs: int, outputs: int, *, bias: bool, dims: int = 2) -> nn.Module:
    """A convolution that halves the side of maps, by its name.

    Args:
        name: strided (4x4 of stride 2), pool (3x3, then 2x2 average pooling) or binomial (3x3, then [1, 3, 3, 1]).
        inputs: channels of the input.
        outputs: channels of the output.
        bias: whether a bias is added to each channel.
        dims: dimensions of a map: 1 for sequences, 2 for images, 3 for volumes.

    Returns:
        A layer from (N, C, H, W) to (N, C', H/2, W/2), or in the same way with ``dims`` sides.
    """
    if name == "strided":
        return dimensions.CONV[dims](inputs, outputs, 4, stride=2, padding=1, bias=bias)
    if dims != 2:
        return resampling_nd.DOWNSAMPLING[name][dims](inputs, outputs, bias=bias)
    return {"pool": DownConv, "binomial": BinomialDownConv}[name](inputs, outputs, bias=bias)
