"""How class labels enter a network: beside the input, through norms, or through the discriminator's inner product."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

ConditionalName = Literal["none", "concat", "projection", "heads", "auto"]


class LabelledLayer(nn.Module):
    """Base of layers whose ``forward`` takes the labels beside the maps. ``LabelledSequential`` hands them on."""


class LabelledSequential(nn.Sequential):
    """A chain of layers that hands the labels to each layer that takes labels.

    Example:
        >>> import torch
        >>> LabelledSequential(torch.nn.Flatten())(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 48])
    """

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Apply the layers in order.

        Args:
            x: the input of the first layer.
            labels: (N,) class numbers, or None where no layer takes labels.

        Returns:
            The output of the last layer.
        """
        for layer in self:
            x = applied(layer, x, labels)
        return x


def applied(layer: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """Apply a layer, with the labels where the layer takes labels.

    Args:
        layer: the layer.
        x: the input of the layer.
        labels: (N,) class numbers, or what else the layer takes beside the maps. None where the layer takes none.

    Returns:
        The output of the layer.
    """
    y: Tensor = layer(x, labels) if isinstance(layer, LabelledLayer) else layer(x)
    return y


class ClassProjection(nn.Embedding):
    """The inner product of a sample's features with a learned vector of its class (projection discriminator).

    Formula:
        p(h, y) = e_y . h,  added to the logit w . h + b

    Args:
        classes: number of classes.
        features: length of h.

    Notes:
        With e = 0 the discriminator is unconditional. The layer is an embedding layer, so that spectral normalisation
        reaches the vectors, as in the paper.

    Source: T. Miyato and M. Koyama, cGANs with projection discriminator, 2018, arXiv 1802.05637, equation 3.

    Example:
        >>> import torch
        >>> layer = ClassProjection(classes=3, features=2)
        >>> layer.weight.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        >>> layer.project(torch.ones(3, 2), torch.tensor([0, 1, 2])).tolist()
        [0.0, 1.0, 2.0]
    """

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes, features)

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
        product: Tensor = (self(require_labels(labels)) * features).sum(1)
        return product


def concat_labels(x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Concatenate one-hot labels to vectors, or as constant planes to images.

    Args:
        x: (N, D) vectors or (N, C, H, W) images.
        labels: (N,) class numbers from 0 to classes - 1.
        classes: number of classes. With 0 the labels are ignored and ``x`` is returned.

    Returns:
        (N, D + classes) or (N, C + classes, H, W).

    Raises:
        TypeError: the labels are missing.

    Example:
        >>> import torch
        >>> concat_labels(torch.zeros(2, 1), torch.tensor([2, 0]), 3).tolist()
        [[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]
    """
    if not classes:
        return x
    hot = one_hot(require_labels(labels), classes, x.dtype)
    return torch.cat([x, hot.reshape(*hot.shape, *(1,) * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])], 1)


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """A row per sample with 1 at its class and 0 elsewhere.

    ``F.one_hot`` checks the range of the labels on the host, which makes a step wait for the GPU and stops its capture.

    Args:
        labels: (N,) class numbers from 0 to classes - 1.
        classes: number of classes.
        dtype: of the result.

    Returns:
        (N, classes).

    Example:
        >>> import torch
        >>> one_hot(torch.tensor([1, 0]), 2, torch.int64).tolist()
        [[0, 1], [1, 0]]
    """
    return (labels.unsqueeze(1) == torch.arange(classes, device=labels.device)).to(dtype)


def require_labels(labels: Tensor | None) -> Tensor:
    """The labels, where a conditional network was given labels.

    Args:
        labels: (N,) class numbers, or None.

    Raises:
        TypeError: the labels are None.
    """
    if labels is None:
        raise TypeError("these nets are conditional: they need labels, (N,) class numbers")
    return labels
