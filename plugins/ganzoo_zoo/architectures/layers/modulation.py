"""Convolutions whose weights are scaled by a style, and the network that maps noise to styles."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.batch_statistics import at_least_float32
from ganzoo_zoo.architectures.layers.conditioning import one_hot, require_labels
from ganzoo_zoo.architectures.layers.initial_weights import equalised
from ganzoo_zoo.architectures.layers.norms import PixelNorm
from ganzoo_zoo.architectures.layers.resampling import BinomialBlur

SLOPE = 0.2
"""The slope of LeakyReLU below zero."""


def activated(x: Tensor, gain: float = 1.0) -> Tensor:
    """LeakyReLU(0.2) times sqrt(2), which keeps the mean square of N(0, 1) inputs near 1.

    Args:
        x: any tensor.
        gain: a further factor.

    Example:
        >>> activated(torch.tensor([1.0, -1.0]), 2**-0.5).tolist()
        [1.0, -0.20000000298023224]
    """
    return F.leaky_relu(x, SLOPE) * (math.sqrt(2) * gain)


class ModulatedConv(nn.Conv2d):
    """A convolution whose weights are scaled per sample and input channel by a style (weight modulation).

    Formula:
        w'_oik = s_i w_oik,  with demodulation w''_oik = w'_oik / sqrt(sum over i, k of w'_oik^2 + 1e-8)

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: side of the kernel, odd.
        style: length of the style vector. A linear layer maps the vector to the scales s, which start around 1.
        demodulate: whether the outputs are brought back to unit deviation.
        up: whether the side is doubled: a transposed convolution of stride 2, then the filter [1, 3, 3, 1].

    Notes:
        No weights per sample are made. The scales s multiply the input, and the divisors, a product of s^2 with the
        squared weights summed over the kernel, divide the output. The result equals the grouped convolution of the
        authors' code. Memory and traffic of N weights are saved, and a batch is a single ordinary convolution. Without
        demodulation the weights are rescaled by 1 / sqrt(fan_in) (equalised learning rate). With demodulation a
        constant factor has no effect.

    Source: T. Karras et al., Analyzing and improving the image quality of StyleGAN, 2020, arXiv 1912.04958, equations
        1 and 3.

    Example:
        >>> layer = ModulatedConv(3, 5, 3, style=4, up=True)
        >>> layer(torch.zeros(2, 3, 8, 8), torch.zeros(2, 4)).shape
        torch.Size([2, 5, 16, 16])
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        nn.init.normal_(self.weight)
        self.demodulate, self.up = demodulate, up
        self.blur = BinomialBlur(padding=1, gain=4.0) if up else nn.Identity()
        self.scale = equalised(nn.Linear(style, inputs), bias=1.0)
        if not demodulate:
            equalised(self)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:  # type: ignore[override]  # a convolution of one tensor
        """Scale the input, convolve, and divide the output.

        Args:
            x: (N, C, H, W).
            style: (N, style).

        Returns:
            (N, C', H, W), with ``up`` (N, C', 2H, 2W).
        """
        s: Tensor = self.scale(style)
        x = x * s.to(x.dtype)[:, :, None, None]
        x = self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)) if self.up else super().forward(x)
        if not self.demodulate:
            return x
        # Sums of squares lose too much in bfloat16.
        squares = at_least_float32(self.weight).square().sum((2, 3))
        divisor = (at_least_float32(s).square() @ squares.t() + 1e-8).rsqrt()
        return x * divisor.to(x.dtype)[:, :, None, None]


class MappingNetwork(nn.Module):
    """Maps noise, and the label beside the noise, to styles, and keeps the mean of the styles.

    Formula:
        w = a(W_n ... a(W_1 z / |z|)), with |z| the root of the mean square, a the LeakyReLU(0.2) times sqrt(2)

    Args:
        latent: length of the noise, 0 for a network of the label alone.
        classes: number of classes, 0 without labels.
        style: length of the style, of the hidden layers and of the embedded label.
        layers: number of linear layers.
        rate: factor of the learning rate of all weights: weights and biases are stored divided by this number.
        decay: share of the mean style that each batch in training leaves. 0 keeps no mean.

    Source: T. Karras et al., A style-based generator architecture for GANs, 2019, arXiv 1812.04948, section 2 and
        appendix C. Labels: T. Karras et al., 2020, arXiv 2006.06676, appendix C.

    Example:
        >>> network = MappingNetwork(5, 0, 7, layers=2)
        >>> network(torch.randn(3, 5)).shape, network.mean.shape
        (torch.Size([3, 7]), torch.Size([7]))
    """

    mean: Tensor

    def __init__(
        self, latent: int, classes: int, style: int, *, layers: int = 8, rate: float = 0.01, decay: float = 0.995
    ) -> None:
        super().__init__()
        self.classes, self.decay = classes, decay
        self.label = equalised(nn.Linear(classes, style)) if classes else None
        self.norm = PixelNorm()
        widths = [latent + (style if classes else 0), *[style] * layers]
        self.layers = nn.ModuleList(equalised(nn.Linear(a, b), rate=rate) for a, b in pairwise(widths))
        if decay:
            self.register_buffer("mean", torch.zeros(style))

    def forward(self, latent: Tensor | None, labels: Tensor | None = None, *, track: bool = True) -> Tensor:
        """Map noise to styles.

        Args:
            latent: (N, latent), or None for a network of the label alone.
            labels: (N,) class numbers, or None without labels.
            track: whether the mean of the styles moves, in training.

        Returns:
            (N, style).

        Raises:
            TypeError: the labels are missing.
        """
        given = [] if latent is None else [self.norm(latent)]
        if self.label is not None:
            hot = one_hot(require_labels(labels), self.classes, self.label.weight.dtype)
            given.append(self.norm(self.label(hot)))
        w = torch.cat(given, 1)
        for layer in self.layers:
            w = activated(layer(w))
        if self.decay and self.training and track:
            with torch.no_grad():
                self.mean.lerp_(w.detach().mean(0).to(self.mean.dtype), 1 - self.decay)
        return w


class MappedProjection(nn.Module):
    """The inner product of a sample's features with the mapped vector of its class.

    Formula:
        e_y . h / sqrt(F),  e = a mapping network of the label

    Args:
        classes: number of classes.
        features: F, length of h.
        layers: linear layers of the mapping network.
        rate: factor of the learning rate of the mapping network.

    Source: T. Karras et al., Training generative adversarial networks with limited data, 2020, arXiv 2006.06676,
        appendix C, after T. Miyato and M. Koyama, 2018, arXiv 1802.05637.

    Example:
        >>> MappedProjection(3, 8, layers=2).project(torch.zeros(2, 8), torch.tensor([0, 2])).tolist()
        [0.0, 0.0]
    """

    def __init__(self, classes: int, features: int, *, layers: int = 8, rate: float = 0.01) -> None:
        super().__init__()
        self.mapping = MappingNetwork(0, classes, features, layers=layers, rate=rate, decay=0.0)

    def project(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """The inner products.

        Args:
            features: (N, F).
            labels: (N,) class numbers from 0 to classes - 1.

        Returns:
            (N,).

        Raises:
            TypeError: the labels are missing.
        """
        product: Tensor = (self.mapping(None, labels) * features).sum(1)
        return product / math.sqrt(features.shape[1])
