"""Multilayer perceptrons, for samples of any shape."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers.conditioning import ClassProjection, concat_labels
from ganzoo_zoo.architectures.layers.heads import Heads, judgement, of_class
from ganzoo_zoo.architectures.layers.initial_weights import equalise
from ganzoo_zoo.architectures.layers.norms import norm
from ganzoo_zoo.architectures.options import Conditional, Embedding

Activation = Literal["relu", "leaky-relu", "elu", "silu", "tanh", "maxout"]
VectorNorm = Literal["none", "batch", "layer"]
PIECES = 5
"""Linear maps of which a maxout unit takes the largest, as in PacGAN's discriminators."""


class MLP(Conditional, Embedding):
    """Fully connected networks (multilayer perceptrons): for points in the plane, 1-D signals, small images, any shape.

    Formula:
        G: [z, y] -> depth x (linear(width), norm, activation) -> linear, shaped as a sample; tanh for images
        D: [x, y] -> depth x (linear(width), norm, activation) -> linear to a logit
        maxout: the largest of 5 linear maps, in place of one and an activation

    Args:
        width: units of a hidden layer.
        depth: number of hidden layers. 0 makes both networks linear, as the smallest examples of the theory are.
        activation: relu, leaky-relu (slope 0.2), elu, silu (smooth, as are penalties on its gradient), tanh, or maxout
            (the largest of 5 linear maps: I. Goodfellow et al. 2013, arXiv 1302.4389).
        norm: norm in the generator: none, batch or layer (over the units of a sample).
        d_norm: norm in the discriminator. Penalties on the gradient of each sample refuse batch.
        conditional: how both networks use the label. concat: one-hot, beside their input. projection: beside the noise
            in G, an inner product of the last hidden units and the class in D. heads: beside the noise in G, a last
            layer per class in D. auto: projection where the data has labels, else none.
        equalised: store all weights with variance 1 and rescale them at each use (equalised learning rate).
        embedding: make D an encoder to a vector of this length, or of the length of the noise (latent), whose average
            is the logit. 0 for a logit alone.

    Raises:
        Incompatible: conditional networks for data without labels, or data with a condition.

    Notes:
        The output is bounded by tanh for samples of shape (C, H, W) and linear for all others, so that points in the
        plane are not confined to a square. Weights keep torch's initialisation.

    Source: I. Goodfellow et al., Generative Adversarial Nets, 2014, arXiv 1406.2661, section 5 (fully connected nets).

    Example:
        >>> import ganzoo, torch
        >>> nets = ganzoo.part("architecture", "mlp:width=16").build(ganzoo.Spec(shape=(2,), latent_dim=5))
        >>> points = nets.generator(torch.randn(4, 5))
        >>> points.shape, nets.discriminator(points).shape
        (torch.Size([4, 2]), torch.Size([4]))
    """

    width: Annotated[int, Ge(1)] = 256
    depth: Annotated[int, Ge(0)] = 3
    activation: Activation = "leaky-relu"
    norm: VectorNorm = "none"
    d_norm: VectorNorm = "none"
    equalised: bool = False

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("mlp", spec)
        sizes = [spec.latent_dim + classes, *[self.width] * self.depth, math.prod(spec.shape)]
        net = Generator(stack(sizes, self.activation, self.norm), spec.shape, classes)
        if self.equalised:
            equalise(net, partial(_gain, net))
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("mlp", spec)
        heads = Heads(conditional=self.conditional, classes=classes, embedding=self.embedding_size(spec))
        sizes = [math.prod(spec.shape) + heads.concatenated, *[self.width] * self.depth, heads.size]
        net = Discriminator(stack(sizes, self.activation, self.d_norm), heads)
        if self.equalised:
            equalise(net, partial(_gain, net))
        return net


def _gain(net: Any, layer: nn.Module) -> float:
    """The gain of a layer under an equalised learning rate: sqrt(2) before an activation, else 1."""
    return math.sqrt(2.0) if layer in list(net.layers)[:-1] else 1.0


def stack(sizes: list[int], activation: Activation, normalised: VectorNorm = "none") -> nn.Sequential:
    """Linear layers with an activation between each two.

    Args:
        sizes: number of inputs, then the number of outputs of each layer.
        activation: relu, leaky-relu, elu, silu, tanh or maxout.
        normalised: the norm before each activation: none, batch or layer.

    Example:
        >>> len(stack([2, 16, 16, 1], "relu"))
        5
    """
    act = {"relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU, "tanh": nn.Tanh}
    pieces = PIECES if activation == "maxout" else 1
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers.append(nn.Linear(inputs, pieces * outputs))
        if normalised != "none":
            layers.append(norm(normalised, pieces * outputs, dims=1))
        if activation == "maxout":
            layers.append(Maxout(pieces))
        else:
            layers.append(nn.LeakyReLU(0.2) if activation == "leaky-relu" else act[activation]())
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Maxout(nn.Module):
    """The largest of several linear maps: (N, k C) -> (N, C).

    Args:
        pieces: k.

    Source: I. Goodfellow et al., Maxout networks, 2013, arXiv 1302.4389, section 3.

    Example:
        >>> import torch
        >>> Maxout(2)(torch.tensor([[1.0, 5.0, -3.0, -2.0]]))
        tensor([[ 5., -2.]])
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Take the largest of the pieces of each unit.

        Args:
            x: (N, k C).

        Returns:
            (N, C).
        """
        return x.reshape(x.shape[0], -1, self.pieces).amax(2)


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, *shape).

    Args:
        layers: from noise and labels to the numbers of a sample.
        shape: of a sample, without the batch.
        classes: number of classes, 0 without labels.
    """

    def __init__(self, layers: nn.Sequential, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.layers = layers
        self.output = nn.Tanh() if len(shape) == 3 else nn.Identity()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make samples.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.

        Returns:
            (N, *shape).
        """
        h: Tensor = self.output(self.layers(concat_labels(latent, labels, self.classes)))
        return h.reshape(h.shape[0], *self.shape)


class Discriminator(nn.Module):
    """The discriminator: (N, *shape) -> (N,) logits, or a mapping with logits and embedding.

    Args:
        layers: from the numbers of a sample and labels to the logit or the embedding.
        heads: inputs and outputs of the discriminator.
    """

    def __init__(self, layers: nn.Sequential, heads: Heads) -> None:
        super().__init__()
        self.heads = heads
        self.layers = layers
        last = layers[-1]
        assert isinstance(last, nn.Linear)
        self.projection = ClassProjection(heads.projected, last.in_features) if heads.projected else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Judge samples.

        Args:
            images: (N, *shape).
            labels: (N,) class numbers, or None.

        Returns:
            (N,) logits, or a mapping with ``logits`` and ``embedding``.
        """
        *hidden_layers, last_layer = self.layers
        hidden = concat_labels(images.reshape(images.shape[0], -1), labels, self.heads.concatenated)
        for layer in hidden_layers:
            hidden = layer(hidden)
        last = of_class(last_layer(hidden), labels, self.heads)
        if self.projection is not None:
            last = last + self.projection.project(hidden, labels)[:, None]
        return judgement(last, self.heads)
