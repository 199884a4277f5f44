"""Differentiable augmentation of everything that the discriminator sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ganzoo
from ganzoo_zoo.regularizers._augment import cut_out, images_only, translated, uniform

if TYPE_CHECKING:
    from torch import Tensor


class DiffAugment(ganzoo.Regularizer):
    """DiffAugment (differentiable augmentation, limited data): real and fake alike are coloured, moved and cut.

    Formula:
        D sees T(x), T drawn anew for each sample and pass, in the moves of both players
        color:        + U(-1/2, 1/2);  saturation x U(0, 2) around the channels' mean;  contrast x U(1/2, 3/2) around
                      the image's mean
        translation:  by whole pixels, up to 1/8 of each side, zeros where nothing was
        cutout:       a square of half the side is zero; where it reaches over the border less of it is left

    Args:
        policy: color, translation, cutout, in the order in which they are done.

    Raises:
        Incompatible: samples are not images.

    Notes:
        The generator is taught through the transforms; augmenting real samples alone would teach it the transforms.
        Labels stay as they are. Penalties on slopes see the images before it.

    Source:
        Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training, arXiv:2006.10738, and its code.
    """

    policy: tuple[Literal["color", "translation", "cutout"], ...] = ("color", "translation", "cutout")

    def check(self, spec: ganzoo.Spec, outputs: object) -> None:
        """Images are wanted."""
        images_only("diffaugment", spec)

    def images(self, images: Tensor, s: ganzoo.Scores) -> Tensor:
        """The images, augmented."""
        for name in self.policy:
            images = {"color": recoloured, "translation": translated, "cutout": cut_out}[name](images)
        return images


def recoloured(images: Tensor) -> Tensor:
    """Other brightness, saturation and contrast."""
    images = images + uniform(images, -0.5, 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(images, 0.0, 2.0)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * uniform(images, 0.5, 1.5)
