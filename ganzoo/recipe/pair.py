"""The generator of one architecture against the discriminator of another, as one architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.errors import Incompatible, refusals_of
from ganzoo.parts import Architecture, Batch, Learning, Spec, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

MANY = 2
"""A number of classes, to ask an architecture whether its network is given labels."""


class Pair(Architecture):
    """A generator and a discriminator of two architectures.

    Each network sees the labels only where its own architecture asks for classes.

    Args:
        arch: the architecture of the generator.
        d_arch: the architecture of the discriminator.
        names: what the user calls the two architectures, for messages.

    Example:
        >>> import ganzoo
        >>> pair = Pair(arch=ganzoo.part("architecture", "dcgan"), d_arch=ganzoo.part("architecture", "mlp"))
        >>> type(pair.discriminator(ganzoo.Spec(shape=(1, 8, 8), latent_dim=2))).__module__
        'ganzoo_zoo.architectures.mlp'
    """

    arch: Architecture
    d_arch: Architecture
    names: tuple[str, str] = ("of the generator", "of the discriminator")

    def classes(self, available: int) -> int:
        """The number of classes that any of the two networks is given.

        Args:
            available: number of classes in the data, 0 where the data has no labels.
        """
        with refusals_of("architecture", self.names[0]):
            classes = self.arch.classes(available)
        with refusals_of("architecture", self.names[1]):
            return max(classes, self.d_arch.classes(available))

    def generator(self, spec: Spec) -> nn.Module:
        """Make the generator of the first architecture.

        Args:
            spec: shape and type of samples and latents.
        """
        with refusals_of("architecture", self.names[0]):
            return self.arch.generator(_spec(self.arch, spec))

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Generate as the first architecture does.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        return self.arch.generate(generator, _batch(self.arch, batch))

    def intermediates(self, spec: Spec) -> Mapping[str, tuple[int, ...]]:
        """The stages of the first architecture.

        Args:
            spec: shape and type of samples and latents.
        """
        return self.arch.intermediates(_spec(self.arch, spec))

    def generate_all(self, generator: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Generate, with the stages on the way, as the first architecture does.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        return self.arch.generate_all(generator, _batch(self.arch, batch))

    def learning(self, progress: float) -> Learning:
        """What learns at a point of the run, as the first architecture says.

        Args:
            progress: 0 at the first step of the run, 1 at the last.
        """
        return self.arch.learning(progress)

    def side_multiple(self, spec: Spec) -> int | None:
        """The number that sides must be multiples of for the first architecture.

        Args:
            spec: shape and type of samples and latents.
        """
        return self.arch.side_multiple(_spec(self.arch, spec))

    @property
    def logit_scales(self) -> int:
        """The number of scales of the second architecture's discriminator."""
        return self.d_arch.logit_scales

    @property
    def style_space(self) -> str:
        """The name of the style space of the first architecture."""
        return self.arch.style_space

    def styles(self, generator: nn.Module, batch: Batch) -> Tensor:
        """The points of the style space of the first architecture.

        Args:
            generator: the generator, or the generator's average.
            batch: the latent, and all tensors by which the samples are conditioned.
        """
        return self.arch.styles(generator, _batch(self.arch, batch))

    def synthesize(self, generator: nn.Module, styles: Tensor, batch: Batch) -> Tensor:
        """Make samples from points of the style space as the first architecture does.

        Args:
            generator: the generator, or the generator's average.
            styles: (N, D), or the shape that ``styles`` gives.
            batch: all tensors by which the samples are conditioned.
        """
        return self.arch.synthesize(generator, styles, _batch(self.arch, batch))

    def truncate(self, generator: nn.Module, styles: Tensor, truncation: float) -> Tensor:
        """Move points nearer to the centre as the first architecture does.

        Args:
            generator: the generator, or the generator's average.
            styles: the points, as ``styles`` gives.
            truncation: the strength, in the range of the first architecture.

        Raises:
            SettingsError: the truncation is outside its range.
        """
        return self.arch.truncate(generator, styles, truncation)

    def discriminator(self, spec: Spec) -> nn.Module:
        """Make the discriminator of the second architecture.

        Args:
            spec: shape and type of samples and latents.
        """
        with refusals_of("architecture", self.names[1]):
            return self.d_arch.discriminator(_spec(self.d_arch, spec))

    def judge(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Any:
        """Judge as the second architecture does.

        Args:
            discriminator: the discriminator.
            images: (N, *shape).
            batch: all tensors by which the images are conditioned.
        """
        return self.d_arch.judge(discriminator, images, _batch(self.d_arch, batch))

    def stage(self, spec: Spec, progress: float, images: int) -> Stage | None:
        """The point of growth, where both networks grow. A network that grows is whole beside one that does not.

        Args:
            spec: shape and type of samples and latents.
            progress: 0 at the first step of the run, 1 at the last.
            images: real images drawn before the step.

        Raises:
            Incompatible: the two networks grow in different phases.
        """
        mine, theirs = self.arch.stage(spec, progress, images), self.d_arch.stage(spec, progress, images)
        if mine is None or theirs is None:
            return None
        sample = torch.empty(1, *spec.shape)
        made, judged = self.arch.resize(sample, mine).shape, self.d_arch.resize(sample, theirs).shape
        if mine != theirs or made != judged:
            raise Incompatible(
                f"the generator would grow to {tuple(made[1:])} and the discriminator to {tuple(judged[1:])} at one "
                "point of the run: give both the same parameters of growth, or take one that does not grow"
            )
        return mine

    def resize(self, images: Tensor, stage: Stage) -> Tensor:
        """Real samples as both architectures resize real samples.

        Args:
            images: (N, *shape), in [-1, 1].
            stage: the point of growth.
        """
        return self.d_arch.resize(images, stage)

    def show(self, images: Tensor, spec: Spec) -> Tensor:
        """The samples of a stage, as the first architecture shows samples.

        Args:
            images: (N, *size), as ``generate`` makes samples.
            spec: shape and type of samples and latents.
        """
        return self.arch.show(images, spec)

    def outputs(self, spec: Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The outputs of the second architecture beside the logits.

        Args:
            spec: shape and type of samples and latents.
        """
        return self.d_arch.outputs(_spec(self.d_arch, spec))

    def encode(self, discriminator: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        """Encode as the second architecture does.

        Args:
            discriminator: the discriminator.
            images: (N, *shape), in [-1, 1].
            batch: all tensors by which the images are conditioned.

        Raises:
            Incompatible: the discriminator is no encoder.
        """
        return self.d_arch.encode(discriminator, images, _batch(self.d_arch, batch))


def _spec(side: Architecture, spec: Spec) -> Spec:
    """The spec for the network of one side, with the classes that the architecture of the side asks for."""
    return replace(spec, classes=side.classes(spec.classes)) if spec.classes else spec


def _batch(side: Architecture, batch: Batch) -> Batch:
    """The batch for the network of one side. Class labels are left out where the side is given no classes.

    Labels of another kind (several labels a sample, or continuous labels) are inputs, which each network is given.
    """
    if batch.labels is None or batch.labels.ndim > 1 or batch.labels.is_floating_point() or side.classes(MANY):
        return batch
    return batch.replace(labels=None)
