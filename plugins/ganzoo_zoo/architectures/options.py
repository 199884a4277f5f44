"""Options of several architectures, and the shapes that the architectures build for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.conditioning import ConditionalName
from ganzoo_zoo.architectures.layers.heads import Heads


class Conditional(ganzoo.Architecture):
    """Architectures that use class labels where ``conditional`` says how.

    Args:
        conditional: how both networks use the label: none, concat, projection, heads, or auto: projection where the
            data has labels, else none.
    """

    conditional: ConditionalName = "none"

    def classes(self, available: int) -> int:
        """The number of classes that the networks are built for.

        Args:
            available: number of classes of the data, 0 without labels.

        Returns:
            ``available`` where the networks are conditional, else 0.

        Raises:
            Incompatible: the networks are conditional and the data has no labels.
        """
        if self.conditional == "none":
            return 0
        if not available and self.conditional != "auto":
            raise Incompatible(
                "conditional nets need labels, and this data has none: use conditional=none, or data with classes"
            )
        return available

    def check_condition(self, name: str, spec: ganzoo.Spec) -> int:
        """Refuse a condition, for which these networks have no input.

        Args:
            name: of the architecture, for the message.
            spec: shape, noise and classes that the networks are built for.

        Returns:
            The number of classes that the networks are built for.

        Raises:
            Incompatible: the data gives a condition, or no labels where the networks are conditional.
        """
        if spec.inputs:
            given = ", ".join(f"{key} of shape {each.shape}" for key, each in spec.inputs.items())
            raise Incompatible(
                f"{name} makes samples from noise and class labels alone, and this data gives {given}: use an "
                "architecture that takes what the data gives"
            )
        return self.classes(spec.classes)


class Auxiliary(Conditional):
    """Architectures whose discriminator can return its features, and predict the class instead of using the label.

    Args:
        auxiliary: whether the discriminator returns its features and, on labelled data, class logits. The generator
            alone is given the label then.
        joint: whether the logit is the logsumexp of the class logits (K + 1 classes).
    """

    auxiliary: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        if self.auxiliary and self.conditional != "none":
            raise ValueError("auxiliary=true gives G the label and has D find it out: give conditional=none")
        if self.joint and not self.auxiliary:
            raise ValueError("joint=true takes the logit from class logits: give auxiliary=true too")

    def classes(self, available: int) -> int:
        """The number of classes that the networks are built for.

        Args:
            available: number of classes of the data, 0 without labels.

        Returns:
            ``available`` where the networks are auxiliary or conditional, else 0.

        Raises:
            Incompatible: the networks are conditional or joint, and the data has no labels.
        """
        if self.joint and not available:
            raise Incompatible("joint=true needs classes, and this data has none: use data with classes")
        return available if self.auxiliary else super().classes(available)

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge images, without the labels where the discriminator predicts the class.

        Args:
            discriminator: the network.
            images: (N, *shape).
            batch: labels that belong to the images.

        Returns:
            (N,) logits, or a mapping with ``logits``.
        """
        return super().judge(discriminator, images, batch.replace(labels=None) if self.auxiliary else batch)

    def auxiliary_outputs(self, spec: ganzoo.Spec, features: list[tuple[int, ...]]) -> dict[str, list[tuple[int, ...]]]:
        """The shapes of the tensors that an auxiliary discriminator returns beside the logits.

        Args:
            spec: the shapes that the networks are built for.
            features: the shape of each of the returned features, without the batch.

        Returns:
            The shapes by name. Empty where the discriminator is not auxiliary.
        """
        if not self.auxiliary:
            return {}
        return {"features": features, **({"class_logits": [(spec.classes,)]} if spec.classes else {})}

    def heads(self, spec: ganzoo.Spec, embedding: int = 0) -> Heads:
        """The inputs and outputs of the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.
            embedding: length of the embedding, 0 for a logit alone.
        """
        return Heads(
            conditional=self.conditional,
            classes=self.classes(spec.classes),
            embedding=embedding,
            auxiliary=self.auxiliary,
            joint=self.joint,
        )


class Embedding(ganzoo.Architecture):
    """Architectures whose discriminator can be an encoder: the last layer makes a vector, whose average is the logit.

    Args:
        embedding: length of the vector, ``latent`` for the length of the noise, 0 for a logit alone.
    """

    embedding: Annotated[int, Ge(0)] | Literal["latent"] = 0

    def embedding_size(self, spec: ganzoo.Spec) -> int:
        """The length of the vector, 0 where the last layer makes the logit itself.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        return spec.latent_dim if self.embedding == "latent" else self.embedding

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shape of the embedding, where there is an embedding.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        size = self.embedding_size(spec)
        return {"embedding": [(size,)]} if size else {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Tensor:
        """The embedding, normalised over its numbers to mean 0 and variance 1: the mean is the logit, and no noise.

        Args:
            discriminator: the network.
            images: (N, *shape).
            batch: labels that belong to the images.

        Returns:
            (N, latent_dim).

        Raises:
            Incompatible: the architecture was made without an embedding.
        """
        if not self.embedding:
            return super().encode(discriminator, images, batch)
        e: Tensor = self.judge(discriminator, images, batch)["embedding"]
        e = e - e.mean(1, keepdim=True)
        return e * (e.square().mean(1, keepdim=True) + 1e-8).rsqrt()  # 1e-8: a constant embedding has no deviation


class Headed(Auxiliary, Embedding):
    """Architectures whose discriminator can predict the class, or be an encoder.

    Raises:
        ValueError: two options each make the logit.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint and self.embedding:
            raise ValueError("joint=true and embedding each make the logit: give one of them")


class Tapered(Headed):
    """Architectures of images whose largest maps have fewer channels. Base of StyleGAN2 and R3GAN.

    Formula:
        channels at side s = width min(1, wide_to / s)

    Args:
        width: channels of the widest maps, those of 4x4.
        wide_to: side of the largest maps with ``width`` channels.
    """

    width: Annotated[int, Ge(2)] = 64
    wide_to: Annotated[int, Ge(4)] = 64

    @property
    def name(self) -> str:
        """The name of the architecture, for messages."""
        return type(self).__name__.lower()

    def widths(self, shape: tuple[int, ...]) -> list[int]:
        """The channels of the maps, from 4x4 to the size of the images.

        Args:
            shape: of a sample.
        """
        levels = ladder(self.name, shape).doublings + 1
        # As from 4x4, whatever the smallest maps are.
        return [max(1, self.width * self.wide_to // max(self.wide_to, 4 << level)) for level in range(levels)]

    @property
    def makers(self) -> tuple[Callable[..., nn.Module], Callable[..., nn.Module]]:
        """The classes of the generator and of the discriminator.

        A generator is made of the architecture, the length of the noise, ``widths``, the channels of the images, the
        sides of the smallest maps, and the number of classes. A discriminator is made of the architecture, the channels
        of the images, ``widths`` from the images down, the sides of the smallest maps, and the heads.
        """
        raise NotImplementedError

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition(self.name, spec)
        make, _ = self.makers
        base = ladder(self.name, spec.shape).base
        return make(self, spec.latent_dim, self.widths(spec.shape), spec.shape[0], base, classes)

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.check_condition(self.name, spec)
        _, make = self.makers
        base, heads = ladder(self.name, spec.shape).base, self.heads(spec, self.embedding_size(spec))
        return make(self, spec.shape[0], self.widths(spec.shape)[::-1], base, heads)


DIMENSIONS = {1: "sequences", 2: "images", 3: "volumes"}
"""The samples by the number of sides, for messages."""


@dataclass(frozen=True)
class Ladder:
    """The sizes of maps from a small base up to the sample, where each size doubles the size before.

    Args:
        base: the sides of the smallest maps.
        doublings: how often the base is doubled until it has the sides of a sample, at least 1.

    Example:
        >>> ladder("dcgan", (3, 64, 96)).sizes
        [(4, 6), (8, 12), (16, 24), (32, 48), (64, 96)]
    """

    base: tuple[int, ...]
    doublings: int

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """The sides of the maps, from the smallest maps to the sample."""
        return [tuple(side << i for side in self.base) for i in range(self.doublings + 1)]

    @property
    def dims(self) -> int:
        """The number of sides."""
        return len(self.base)


def ladder(name: str, shape: Sequence[int], dims: Collection[int] = (2,)) -> Ladder:
    """Find the base and the number of doublings for samples of a shape.

    The shorter side of the base has 2 to 7 pixels. Of several bases, the base nearest to 4 pixels along each side is
    taken.

    Args:
        name: of the architecture, for the message.
        shape: of a sample, without the batch: the channels, then the sides.
        dims: the numbers of sides that the architecture makes.

    Raises:
        Incompatible: the samples have another number of sides, or sides that are no small base times a power of two.

    Example:
        >>> ladder("dcgan", (3, 32, 32)), ladder("dcgan", (1, 48, 48))
        (Ladder(base=(4, 4), doublings=3), Ladder(base=(3, 3), doublings=4))
        >>> ladder("dcgan", (3, 80, 128))
        Ladder(base=(5, 8), doublings=4)
    """
    sides = tuple(shape[1:])
    if len(sides) not in dims:
        made = " or ".join(DIMENSIONS[d] for d in dims)
        raise Incompatible(
            f"{name} makes {made}, and this data gives samples of shape {tuple(shape)}: {other_nets(shape)}"
        )
    found = _ladders(sides)
    if not found:
        near = tuple(_nearest(side) for side in sides)
        if not _ladders(near):
            near = (_nearest(max(sides)),) * len(sides)
        size = str(near[0]) if len(set(near)) == 1 else "x".join(map(str, near))
        if len(sides) == 2 and 4 * sides[1] <= min(shape[:2]):  # 64x64x3
            first = f"({shape[2]}, {shape[0]}, {shape[1]})"
            raise Incompatible(
                f"{name} makes images whose channels come first, and this data gives {'x'.join(map(str, shape))}: give "
                f"samples of shape {first}"
            )
        raise Incompatible(
            f"{name} makes {DIMENSIONS[len(sides)]} whose sides are a small base (2 to 7) times a power of two, and "
            f"this data gives {'x'.join(map(str, shape))}: set the data's size={size}"
        )
    return min(found, key=lambda each: abs(math.log(math.prod(each.base) / 4 ** len(sides))))


def other_nets(shape: Sequence[int]) -> str:
    """Advice for samples that are no images.

    Args:
        shape: of a sample.

    Example:
        >>> other_nets((2, 64)), other_nets((2,))
        ('use --arch dcgan, resnet or mlp', 'use --arch mlp')
    """
    return "use --arch dcgan, resnet or mlp" if len(shape) in (2, 4) else "use --arch mlp"


def _ladders(sides: tuple[int, ...]) -> list[Ladder]:
    """All ways to halve the sides together down to a base whose shorter side has 2 to 7 pixels."""
    return [
        Ladder(tuple(side >> n for side in sides), n)
        for n in range(1, min(sides, default=0).bit_length())
        if all(side % (1 << n) == 0 for side in sides) and 2 <= min(sides) >> n <= 7
    ]


def _nearest(side: int) -> int:
    """The side nearest to a side that is a base from 2 to 7 times a power of two."""
    return min(
        (base << n for n in range(1, max(2, side.bit_length())) for base in range(2, 8)), key=lambda s: abs(s - side)
    )


def check_attention(name: str, attention: Sequence[int] | None, sides: Sequence[int]) -> frozenset[int]:
    """Refuse self-attention at maps that the networks do not have.

    Args:
        name: of the architecture, for the message.
        attention: the shorter sides of the maps, None for no attention.
        sides: the shorter sides at which the networks can have self-attention.

    Returns:
        The sides at which the networks have self-attention.

    Raises:
        Incompatible: a side is not among ``sides``.
    """
    for side in attention or ():
        if side not in sides:
            advice = f"use some of {', '.join(map(str, sorted(sides)))}" if sides else "use larger samples, or none"
            raise Incompatible(f"{name} has no maps of side attention={side} in both networks: {advice}")
    return frozenset(attention or ())


Attention = tuple[Annotated[int, Ge(2)], ...]
"""The annotation of the parameter ``attention``: the sides of the maps after which networks have self-attention."""
