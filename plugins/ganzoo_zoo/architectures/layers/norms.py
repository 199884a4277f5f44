"""Norms over maps of any number of sides, chosen by name, with a scale and a shift per channel or channel and class."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.batch_statistics import at_least_float32
from ganzoo_zoo.architectures.layers.conditioning import LabelledLayer, require_labels
from ganzoo_zoo.architectures.layers.dimensions import BATCH_NORM

NormName = Literal["none", "batch", "instance", "layer", "pixel", "switchable"]


class PixelNorm(nn.Module):
    """Divides the vector of channels at each pixel by the root of its mean square.

    Formula:
        y = x / sqrt(mean over c of x_c^2 + 1e-8)

    Source: T. Karras et al., Progressive growing of GANs, 2018, arXiv 1710.10196, section 4.2.

    Example:
        >>> import torch
        >>> x = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
        >>> [round(v, 3) for v in PixelNorm()(x).flatten().tolist()]
        [0.849, 1.131]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the channels.

        Args:
            x: (N, C, ...) maps or vectors.

        Returns:
            A tensor of the same shape.
        """
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class ConditionalNorm(LabelledLayer):
    """A norm whose scale and shift of each channel depend on the class of the sample (conditional batch norm).

    Formula:
        y = scale[label] * norm(x) + shift[label],  at the start scale = 1 and shift = 0

    Args:
        norm: a norm over (N, C, H, W) without a scale and a shift of its own.
        channels: C.
        classes: number of classes.

    Notes:
        With equal rows the layer is the plain norm with an affine map. Scale and shift are parameters, not embedding
        layers: spectral normalisation of the generator must not divide the scales by their singular value.

    Source: H. de Vries et al., Modulating early visual processing by language, 2017, arXiv 1707.00683, section 3;
        T. Miyato and M. Koyama, cGANs with projection discriminator, 2018, arXiv 1802.05637, section 5.

    Example:
        >>> import torch
        >>> layer = ConditionalNorm(torch.nn.BatchNorm2d(2, affine=False), channels=2, classes=3)
        >>> layer(torch.randn(4, 2, 5, 5), torch.tensor([0, 2, 2, 1])).shape
        torch.Size([4, 2, 5, 5])
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise, then scale and shift by the class.

        Args:
            x: (N, C, H, W) maps.
            labels: (N,) class numbers from 0 to classes - 1.

        Returns:
            (N, C, H, W).

        Raises:
            TypeError: the labels are missing.
        """
        labels = require_labels(labels)
        scale, shift = F.embedding(labels, self.scale), F.embedding(labels, self.shift)
        h: Tensor = self.norm(x)
        sides = (1,) * (x.ndim - 2)
        return h * scale.reshape(*scale.shape, *sides) + shift.reshape(*shift.shape, *sides)


class LinearConditionalNorm(LabelledLayer):
    """A norm whose scale and shift of each channel are linear functions of a vector (BigGAN's conditional batch norm).

    Formula:
        y = (1 + W c) norm(x) + V c

    Args:
        norm: a norm over (N, C, *S) without a scale and a shift of its own.
        channels: C.
        condition: length of the vector c.

    Source: A. Brock et al., Large scale GAN training for high fidelity natural image synthesis, 2019, arXiv 1809.11096,
        section 3 and appendix B.

    Example:
        >>> import torch
        >>> layer = LinearConditionalNorm(torch.nn.BatchNorm2d(2, affine=False), channels=2, condition=3)
        >>> layer(torch.randn(4, 2, 5, 5), torch.randn(4, 3)).shape
        torch.Size([4, 2, 5, 5])
    """

    def __init__(self, norm: nn.Module, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = norm
        self.scale = nn.Linear(condition, channels, bias=False)
        self.shift = nn.Linear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise, then scale and shift.

        Args:
            x: (N, C, *S) maps.
            condition: (N, condition) vectors.

        Returns:
            A tensor of the shape of ``x``.
        """
        sides = (1,) * (x.ndim - 2)
        scale, shift = self.scale(condition), self.shift(condition)
        h: Tensor = self.norm(x) * (1 + scale.reshape(*scale.shape, *sides)) + shift.reshape(*shift.shape, *sides)
        return h


class SwitchableNorm(nn.Module):
    """A norm with a learned mixture of the statistics of instance, layer and batch norm.

    Formula:
        mu = sum over k of w_k mu_k,  v = sum over k of w'_k v_k,  k = instance, layer, batch
        y = scale (x - mu) / sqrt(v + 1e-5) + shift,  w and w' each a softmax of three learned numbers, 1/3 at the start

    Args:
        channels: C.
        affine: whether the layer has a scale and a shift of its own.
        momentum: share of a batch in the running statistics of batch norm.

    Notes:
        The variances are those of the population: the authors' code divides the variance of instance norm by the number
        of pixels less 1. In evaluation, mean and variance of batch norm are running averages, which begin at 0 and 1.

    Source: P. Luo et al., Differentiable learning-to-normalize via switchable normalization, 2019, arXiv 1806.10779,
        equations 3 to 5.

    Example:
        >>> import torch
        >>> x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
        >>> layer = SwitchableNorm(3).double()
        >>> _ = layer.mean_weights.data.copy_(torch.tensor([0.0, 0.0, 100.0]))
        >>> _ = layer.variance_weights.data.copy_(torch.tensor([0.0, 0.0, 100.0]))
        >>> torch.allclose(layer(x), torch.nn.BatchNorm2d(3).double()(x))
        True
    """

    mixes_samples = True  # the statistics of batch norm are over samples
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, affine: bool = True, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.mean_weights, self.variance_weights = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        Args:
            x: (N, C, *S).

        Returns:
            A tensor of the same shape.
        """
        flat = at_least_float32(x).flatten(2)
        variance, mean = torch.var_mean(flat, 2, correction=0)  # (N, C)
        square = variance + mean.square()  # the mean of x^2: the other statistics follow from mean and square
        layer_mean = mean.mean(1, keepdim=True)
        layer_variance = square.mean(1, keepdim=True) - layer_mean.square()
        if self.training:
            batch_mean = mean.mean(0)
            batch_variance = square.mean(0) - batch_mean.square()
            with torch.no_grad():
                self.running_mean.lerp_(batch_mean.to(self.running_mean), self.momentum)
                self.running_var.lerp_(batch_variance.to(self.running_var), self.momentum)
        else:
            batch_mean, batch_variance = self.running_mean, self.running_var
        w, v = self.mean_weights.softmax(0), self.variance_weights.softmax(0)
        centre = w[0] * mean + w[1] * layer_mean + w[2] * batch_mean
        spread = v[0] * variance + v[1] * layer_variance + v[2] * batch_variance
        scale = (spread + 1e-5).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = -centre * scale
        if self.bias is not None:
            shift = shift + self.bias
        sides = (1,) * (x.ndim - 2)
        return x * scale.reshape(*scale.shape, *sides).to(x.dtype) + shift.reshape(*shift.shape, *sides).to(x.dtype)


def norm(name: NormName, channels: int, classes: int = 0, dims: int = 2, *, affine: bool = True) -> nn.Module:
    """A norm over (N, C, H, W) by its name.

    ``layer`` is over (C, H, W) and ``instance`` is over (H, W), both of each sample, as group norms with a single group
    and with a single channel a group. All norms but ``batch`` and ``switchable`` treat each sample separately. With
    classes, ``batch`` is conditional batch norm and ``instance`` is conditional instance norm.

    Args:
        name: none, batch, instance, layer, pixel or switchable.
        channels: C.
        classes: number of classes whose scale and shift are separate. 0 gives all samples the same scale and shift.
            ``none`` and ``pixel`` have neither a scale nor a shift and ignore the classes.
        dims: dimensions of a map: 1 for sequences, 2 for images, 3 for volumes.
        affine: whether a norm without classes has a scale and a shift per channel.

    Returns:
        The layer. With classes, the layer is a ``ConditionalNorm``, which takes labels beside the maps.

    Example:
        >>> norm("layer", 8)
        GroupNorm(1, 8, eps=1e-05, affine=True...)
    """
    affine = affine and not classes
    layer: nn.Module
    match name:
        case "none":
            return nn.Identity()
        case "pixel":
            return PixelNorm()
        case "batch":
            layer = BATCH_NORM[dims](channels, affine=affine)
        case "switchable":
            layer = SwitchableNorm(channels, affine=affine)
        case "instance":
            layer = nn.GroupNorm(channels, channels, affine=affine)
        case "layer":
            layer = nn.GroupNorm(1, channels, affine=affine)
    return ConditionalNorm(layer, channels, classes) if classes else layer


def has_shift(name: NormName) -> bool:
    """Whether the norm adds a shift of its own, so that a bias in the convolution before the norm has no effect.

    Args:
        name: none, batch, instance, layer, pixel or switchable.
    """
    return name in ("batch", "instance", "layer", "switchable")
