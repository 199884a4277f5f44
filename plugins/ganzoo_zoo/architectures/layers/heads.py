"""The last layers of a discriminator: a logit, and beside the logit an embedding, class logits and features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.conditioning import (
    ClassProjection,
    ConditionalName,
    concat_labels,
    one_hot,
    require_labels,
)
from ganzoo_zoo.architectures.layers.modulation import MappedProjection


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The inputs and outputs of a discriminator.

    Args:
        conditional: how the labels enter: none, concat, projection, heads or auto (projection).
        classes: number of classes that the networks are built for, 0 without labels.
        embedding: length of the vector whose average is the logit, 0 for a logit alone.
        auxiliary: whether the features and the class logits are returned too.
        joint: whether the logit is the logsumexp of the class logits.
    """

    conditional: ConditionalName = "none"
    classes: int = 0
    embedding: int = 0
    auxiliary: bool = False
    joint: bool = False

    @property
    def concatenated(self) -> int:
        """Number of planes with one-hot labels beside the image."""
        return self.classes if self.conditional == "concat" else 0

    @property
    def projected(self) -> int:
        """Number of classes of the projection head."""
        return self.classes if self.conditional in ("projection", "auto") else 0

    @property
    def separate(self) -> int:
        """Number of classes that have a row of the last layer each, 0 where all classes share the last layer."""
        return self.classes if self.conditional == "heads" else 0

    @property
    def size(self) -> int:
        """Outputs of the last layer."""
        return (self.embedding or (self.classes if self.joint and self.classes else 1)) * (self.separate or 1)

    @property
    def class_logits(self) -> int:
        """Outputs of a head for class logits, 0 without the head."""
        return self.classes if self.auxiliary and not self.joint else 0


class HeadedDiscriminator(nn.Module):
    """Base of discriminators of images: a chain of layers, then the heads that read its last maps.

    A subclass makes ``layers``, ``class_head`` and ``projection``, and defines ``last``.

    Args:
        heads: inputs and outputs of the discriminator.
    """

    features_after: ClassVar[type[nn.Module]]  # the maps after each layer of this type are the returned features
    layers: nn.Sequential
    class_head: nn.Module | None
    projection: ClassProjection | MappedProjection | None

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.heads = heads

    def summary(self, maps: Tensor) -> Tensor:
        """The tensor that the heads read.

        Args:
            maps: (N, C, H, W), the output of ``layers``.

        Returns:
            (N, C, H, W): the maps themselves, unless a subclass pools them to (N, C).
        """
        return maps

    def last(self, summary: Tensor) -> Tensor:
        """The last layer, which makes the logit or the embedding.

        Args:
            summary: (N, C, H, W) or (N, C).

        Returns:
            (N, ``heads.size``).
        """
        raise NotImplementedError

    def maps(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Apply the chain of layers.

        Args:
            images: (N, C, H, W).
            labels: (N,) class numbers, or None.

        Returns:
            The last maps, and the maps after each layer of the type ``features_after``.
        """
        x, features = concat_labels(images, labels, self.heads.concatenated), []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, self.features_after):
                features.append(x)
        return x, features

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor | dict[str, Any]:
        """Judge images.

        Args:
            images: (N, C, H, W).
            labels: (N,) class numbers, or None.

        Returns:
            (N,) logits, or a mapping with ``logits`` and what ``heads`` asks for beside them.
        """
        return self.judged(*self.maps(images, labels), labels)

    def judged(self, maps: Tensor, features: list[Tensor], labels: Tensor | None) -> Tensor | dict[str, Any]:
        """Apply the heads.

        Args:
            maps: (N, C, H, W), the last maps.
            features: the maps that are returned where ``heads`` asks for features.
            labels: (N,) class numbers, or None.

        Returns:
            (N,) logits, or a mapping with ``logits`` and what ``heads`` asks for beside them.
        """
        summary = self.summary(maps)
        last = of_class(self.last(summary), labels, self.heads)
        if self.projection is not None:  # the inner product is taken with the sum over space, as in the paper
            last = last + self.projection.project(_vectors(summary), labels)[:, None]
        output = judgement(last, self.heads)
        if not self.heads.auxiliary:
            return output
        named: dict[str, Any] = dict(output) if isinstance(output, dict) else {"logits": output}
        if self.class_head is not None:
            named["class_logits"] = self.class_head(summary.flatten(1))
        return {**named, "features": features}


class InnerProductDiscriminator(HeadedDiscriminator):
    """Base of discriminators whose logit with labels is the inner product with the class alone (StyleGAN2, R3GAN).

    A subclass makes ``embedding`` beside the rest, and defines ``vectors`` and ``final``. The final layer makes the
    vector of the inner product, or without labels the logit. An embedding needs a last layer of its own.

    Args:
        heads: inputs and outputs of the discriminator.
    """

    embedding: nn.Module | None

    @property
    def final(self) -> nn.Module:
        """The final linear layer."""
        raise NotImplementedError

    def vectors(self, maps: Tensor) -> Tensor:
        """The vectors that the final layer reads.

        Args:
            maps: (N, C, H, W), the output of ``layers``.

        Returns:
            (N, C).
        """
        raise NotImplementedError

    def summary(self, maps: Tensor) -> Tensor:
        """The vector that the inner product with the class, or the head for class logits, reads."""
        h = self.vectors(maps)
        return self.final(h) if self.projection is not None else h

    def last(self, summary: Tensor) -> Tensor:
        """The logit or the embedding."""
        if self.projection is None:
            logit: Tensor = self.final(summary)
        elif self.embedding is None:
            return summary.new_zeros(len(summary), 1)
        else:
            logit = self.embedding(summary)
        return logit


def _vectors(summary: Tensor) -> Tensor:
    """(N, C, H, W) or (N, C) -> (N, C)."""
    return summary.flatten(2).sum(2) if summary.ndim > 2 else summary


def of_class(last: Tensor, labels: Tensor | None, heads: Heads) -> Tensor:
    """The outputs of the head of each sample's own class, where every class has a head.

    Formula:
        D(x, y) = w_y . h(x) + b_y,  of the K logits of the last layer the one of the label

    Args:
        last: (N, ``heads.size``), the output of the last layer.
        labels: (N,) class numbers, or None where the classes share a head.
        heads: the outputs of the discriminator.

    Returns:
        (N, ``heads.size / classes``). ``last`` itself where the classes share a head.

    Raises:
        TypeError: the labels are missing.

    Source: M. Liu et al., Few-shot unsupervised image-to-image translation, 2019, arXiv 1905.01723, section 3.3; L.
        Mescheder et al., 2018, arXiv 1801.04406, whose conditional discriminators select a logit in the same way.

    Example:
        >>> import torch
        >>> heads = Heads(conditional="heads", classes=3)
        >>> of_class(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]), heads)
        tensor([[3.]])
    """
    if not heads.separate:
        return last
    hot = one_hot(require_labels(labels), heads.separate, last.dtype)
    # A sum of products, not an index: the backward pass of an index adds atomically and in no fixed order on a GPU.
    return (last.reshape(len(last), heads.separate, -1) * hot[:, :, None]).sum(1)


def judgement(last: Tensor, heads: Heads) -> Tensor | dict[str, Tensor]:
    """The outputs of a discriminator, from the output of its last layer.

    Args:
        last: (N, ``heads.size``), with ``conditional=heads`` the outputs of the sample's own head.
        heads: the outputs of the discriminator.

    Returns:
        (N,) logits, or a mapping with ``logits`` and ``embedding`` or ``class_logits``.

    Example:
        >>> import torch
        >>> judgement(torch.tensor([[1.0, 3.0]]), Heads(embedding=2))
        {'logits': tensor([2.]), 'embedding': tensor([[1., 3.]])}
    """
    if heads.joint:  # K + 1 classes. The logit of the class "fake" is 0, and "real" is any of the other classes.
        return {"logits": last.logsumexp(1), "class_logits": last}
    return {"logits": last.mean(1), "embedding": last} if heads.embedding else last.squeeze(1)
