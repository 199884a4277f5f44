"""Initial weights, and weights that are rescaled while the network runs (equalised learning rate)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganzoo_zoo.architectures.layers.dimensions import CONVOLUTIONS
from ganzoo_zoo.architectures.layers.resampling import SubpixelConv
from ganzoo_zoo.architectures.layers.resampling_nd import Subpixel

LayerT = TypeVar("LayerT", nn.Conv2d, nn.Linear)

WEIGHTED = (*CONVOLUTIONS, nn.Linear, nn.Embedding)
"""The layers whose weights ``initialise`` draws and ``equalise`` rescales."""


@torch.no_grad()
def initialise(net: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Draw the weights of all convolutions, linear layers and embeddings, and set their biases to zero.

    Args:
        net: the network, changed in place.
        draw: fills a weight in place, as the functions of ``torch.nn.init`` do.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> initialise(layer, torch.nn.init.ones_)
        >>> layer(torch.ones(1, 2)).tolist()
        [[2.0, 2.0]]
    """
    for layer in net.modules():
        if isinstance(layer, SubpixelConv | Subpixel):  # ICNR: the pixels that come from a pixel start with one kernel
            draw(kernel := layer.weight[:: layer.copies])
            layer.weight.copy_(kernel.repeat_interleave(layer.copies, 0))
        elif isinstance(layer, WEIGHTED):
            draw(layer.weight)
        if isinstance(layer, WEIGHTED) and isinstance(bias := getattr(layer, "bias", None), Tensor):
            nn.init.zeros_(bias)


class Rescale(nn.Module):
    """A parametrization that multiplies a weight by a constant.

    Args:
        scale: the constant.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Rescale.

        Args:
            weight: the stored weight, of any shape.

        Returns:
            The weight that the layer uses, of the same shape.
        """
        return self.scale * weight


def equalise(net: nn.Module, gain: Callable[[nn.Module], float]) -> None:
    """Store all weights with variance 1 and rescale them at each use (equalised learning rate).

    Formula:
        the layer uses w gain / sqrt(fan_in),  at the start w ~ N(0, 1)

    Adam and RMSprop move each stored number by about the learning rate, so that every layer changes by the same share
    of its weights.

    Args:
        net: the network, whose convolutions, linear layers and embeddings are parametrized in place.
        gain: the gain of a layer: sqrt(2) before a ReLU, 1 where the output is used as such.

    Notes:
        Biases stay as they are. For a transposed convolution fan_in is the number of weights that an output pixel sees.

    Source: T. Karras et al., Progressive growing of GANs, 2018, arXiv 1710.10196, section 4.1.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(4, 1000)
        >>> equalise(layer, lambda _: 1.0)
        >>> round(layer.weight.std().item(), 1), round(layer.parametrizations.weight.original.std().item(), 1)
        (0.5, 1.0)
    """
    initialise(net, nn.init.normal_)
    for layer in list(net.modules()):
        if isinstance(layer, WEIGHTED):
            scale = gain(layer) / math.sqrt(fan_in(layer))
            parametrize.register_parametrization(layer, "weight", Rescale(scale))


def equalised(layer: LayerT, *, gain: float = 1.0, rate: float = 1.0, bias: float = 0.0) -> LayerT:
    """A layer with an equalised learning rate of its own.

    Formula:
        the layer uses w rate gain / sqrt(fan_in) and b rate,  at the start w ~ N(0, 1 / rate^2) and b = bias / rate

    Args:
        layer: a convolution or a linear layer, whose weights are drawn anew and parametrized in place.
        gain: standard deviation of an output per unit of the inputs.
        rate: factor of the learning rate of weights and biases, as Adam sees the stored numbers.
        bias: the biases that the layer starts with.

    Source: T. Karras et al., A style-based generator architecture for GANs, 2019, arXiv 1812.04948, appendix C.

    Example:
        >>> import torch
        >>> layer = equalised(torch.nn.Linear(4, 1000), rate=0.01, bias=1.0)
        >>> round(layer.weight.std().item(), 1), round(layer.parametrizations.weight.original.std().item() / 100, 1)
        (0.5, 1.0)
        >>> layer.bias[0].item()
        1.0
    """
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=1 / rate)
        if layer.bias is not None:
            layer.bias.fill_(bias / rate)
    parametrize.register_parametrization(layer, "weight", Rescale(rate * gain / math.sqrt(fan_in(layer))))
    if layer.bias is not None and rate != 1.0:
        parametrize.register_parametrization(layer, "bias", Rescale(rate))
    return layer


def fan_in(layer: nn.Module) -> float:
    """How many weights contribute to an output of a layer.

    Args:
        layer: a convolution, a transposed convolution, a linear layer, or an embedding whose vectors are multiplied
            with features.

    Example:
        >>> import torch
        >>> fan_in(torch.nn.Conv2d(8, 5, 3)), fan_in(torch.nn.ConvTranspose2d(8, 5, 4, stride=2))
        (72.0, 32.0)
    """
    weight: Tensor = layer.weight  # type: ignore[assignment]  # the layers of WEIGHTED have a weight
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return weight[:, 0].numel() / math.prod(layer.stride)
    return float(weight[0].numel())
