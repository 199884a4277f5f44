"""The contract of architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ganzoo.errors import Incompatible
from ganzoo.parts.part import Networks, Part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.parts.batch import Batch, Spec


class Architecture(Part):
    """The two networks, plain modules, and how the engine calls the modules."""

    kind: ClassVar[str] = "architecture"

    def classes(self, available: int) -> int:
        """The number of classes that the nets are given, 0 for no labels.

        Args:
            available: number of classes in the data, 0 where the data has no labels.
        """
        return 0

    def build(self, spec: Spec) -> Networks:
        """Make the two players.

        Args:
            spec: shape and type of samples and latents.
        """
        raise NotImplementedError

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Samples, (N, *shape), from a batch's latent, labels and the data part's other tensors.

        Unless overridden, the generator is called with the latent, with the labels if the batch has labels, and by
        keyword with each tensor of the data part: ``generator(latent, labels, tokens=tokens)``.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        given = [batch.latent] if batch.labels is None else [batch.latent, batch.labels]
        return generator(*given, **batch.inputs)  # type: ignore[no-any-return]  # nn.Module is called untyped

    def judge(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Any:
        """The discriminator's output for images: logits (N, ...) or a mapping with ``logits`` and more.

        Unless overridden, the discriminator is called as the generator is by ``generate``, with images for the latent.

        Args:
            discriminator: the discriminator.
            images: (N, *shape).
            batch: all tensors by which the images are conditioned.
        """
        given = [images] if batch.labels is None else [images, batch.labels]
        return discriminator(*given, **batch.inputs)

    def outputs(self, spec: Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The outputs of ``judge`` beside ``logits``, by name: the shape of each tensor, without the batch.

        Args:
            spec: shape and type of samples and latents.
        """
        return {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        """The latents that would make the images, (N, latent_dim), where the discriminator is an encoder.

        Args:
            discriminator: the discriminator.
            images: (N, *shape), in [-1, 1].
            batch: all tensors by which the images are conditioned.

        Raises:
            Incompatible: the discriminator is no encoder.
        """
        raise Incompatible(
            f"architecture {type(self).__name__} has no encoder: use an architecture that defines encode"
        )
