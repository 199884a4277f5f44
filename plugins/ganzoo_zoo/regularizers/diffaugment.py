"""Differentiable augmentation of all images that the discriminator sees."""

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
        policy: color, translation, cutout, in the order in which the transforms are applied.

    Raises:
        Incompatible: samples are not images.

    Notes:
        The generator learns through the transforms. Augmenting real samples alone would teach the transforms to the
        generator. Labels are left unchanged. Penalties on slopes see the images before the transforms.

    Source:
        Zhao et al. 2020, Differentiable augmentation for data-efficient GAN training, arXiv:2006.10738, and its code.

    Example:
        A square of half the side is cut out of ones, or less at the border: at most a quarter of the pixels.

        >>> import ganzoo, torch
        >>> part = ganzoo.part("regularizer", "diffaugment:policy=cutout")
        >>> cut = part.images(torch.ones(100, 1, 8, 8), ganzoo.Scores())
        >>> cut.unique().tolist(), (cut == 0).double().mean((1, 2, 3)).max().item() <= 0.25
        ([0.0, 1.0], True)
    """

    policy: tuple[Literal["color", "translation", "cutout"], ...] = ("color", "translation", "cutout")

    def check(self, spec: ganzoo.Spec) -> None:
        """Require images."""
        images_only("diffaugment", spec)

    def images(self, images: Tensor, s: ganzoo.Scores) -> Tensor:
        """The augmented images."""
        for name in self.policy:
            images = {"color": recoloured, "translation": translated, "cutout": cut_out}[name](images)
        return images


def recoloured(images: Tensor) -> Tensor:
    """Images of other brightness, saturation and contrast.

    Args:
        images: (N, C, H, W).
    """
    images = images + uniform(images, -0.5, 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(images, 0.0, 2.0)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * uniform(images, 0.5, 1.5)
