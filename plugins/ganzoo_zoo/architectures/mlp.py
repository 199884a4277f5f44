"""Multilayer perceptrons, for samples of any shape."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.layers import Embedding, Labelled, judgement, with_labels

Activation = Literal["relu", "leaky-relu", "elu", "silu", "tanh"]


class MLP(Labelled, Embedding):
    """Fully connected networks (multilayer perceptrons): for points in the plane, 1-D signals, small images, any shape.

    Formula:
        G: [z, y] -> depth x (linear(width), activation) -> linear, shaped as a sample; tanh where samples are images
        D: [x, y] -> depth x (linear(width), activation) -> linear to one logit

    Args:
        width: units of a hidden layer.
        depth: number of hidden layers; 0 makes both players linear, as the theory's smallest examples are.
        activation: relu, leaky-relu (slope 0.2), elu, silu (smooth, so that penalties on gradients are too) or tanh.
        conditional: give both nets the label, one-hot, concatenated to their input.
        embedding: make D an encoder to so many numbers, or to as many as the noise has (latent), whose average is the
            logit; 0 for a logit alone.

    Raises:
        Incompatible: conditional nets, and data without labels; data with a condition.

    Notes:
        The output is bounded by tanh for samples of shape (C, H, W) and linear for all others: points in the plane are
        not confined to a square. Weights keep torch's initialisation.

    Source: I. Goodfellow et al., Generative Adversarial Nets, 2014, arXiv 1406.2661, section 5 (fully connected nets).
    """

    width: Annotated[int, Ge(1)] = 256
    depth: Annotated[int, Ge(0)] = 3
    activation: Activation = "leaky-relu"

    def build(self, spec: ganzoo.Spec) -> ganzoo.Networks:
        """Make the two players."""
        classes = self.checked("mlp", spec)
        size, embedding = math.prod(spec.shape), self.embedded(spec)
        hidden = [self.width] * self.depth
        return ganzoo.Networks(
            Generator(stack([spec.latent_dim + classes, *hidden, size], self.activation), spec.shape, classes),
            Discriminator(stack([size + classes, *hidden, embedding or 1], self.activation), classes, embedding),
        )


def stack(sizes: list[int], activation: Activation) -> nn.Sequential:
    """Linear layers of these sizes, with the activation between them."""
    act = {"relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU, "tanh": nn.Tanh}
    layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
    for inputs, outputs in pairwise(sizes[1:]):
        layers += [nn.LeakyReLU(0.2) if activation == "leaky-relu" else act[activation](), nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """(N, latent_dim) -> (N, *shape)."""

    def __init__(self, layers: nn.Sequential, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.layers = layers
        self.output = nn.Tanh() if len(shape) == 3 else nn.Identity()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples from noise (and labels)."""
        h: Tensor = self.output(self.layers(with_labels(latent, labels, self.classes)))
        return h.reshape(h.shape[0], *self.shape)


class Discriminator(nn.Module):
    """(N, *shape) -> (N,) logits, with their embedding."""

    def __init__(self, layers: nn.Sequential, classes: int, embedding: int) -> None:
        super().__init__()
        self.classes, self.embedding = classes, embedding
        self.layers = layers

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Logits of samples (and labels)."""
        last: Tensor = self.layers(with_labels(images.reshape(images.shape[0], -1), labels, self.classes))
        return judgement(last, self.embedding)
