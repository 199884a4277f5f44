"""Consistency regularization: scores that do not mind what does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt

import ganzoo
from ganzoo_zoo.regularizers._augment import flipped, images_only, translated

if TYPE_CHECKING:
    from torch import Tensor


class CR(ganzoo.Regularizer):
    """Consistency regularization (CR-GAN): a real image and its augmented copy get the same score.

    Formula:
        weight * mean (D(x) - D(T(x)))^2      T: mirrored by chance, moved by up to 1/8 of each side

    Args:
        weight: the paper's lambda.

    Raises:
        Incompatible: samples are not images.

    Notes:
        It costs one more pass of the discriminator. The discriminator's own task is on images as they are; to augment
        what it learns from, see diffaugment and ada.

    Source:
        Zhang et al. 2020, Consistency regularization for generative adversarial networks, arXiv:1910.12027.
    """

    weight: Annotated[float, Ge(0)] = 10.0

    def check(self, spec: ganzoo.Spec, outputs: object) -> None:
        """Images are wanted."""
        images_only("cr", spec)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared difference of the scores of real images and their copies."""
        return self.weight * (s.real - s.judge(_copied(s.real_images))).square().mean()


class BCR(ganzoo.Regularizer):
    """Balanced consistency regularization (bCR): real and fake images and their augmented copies get the same score.

    Formula:
        weight * mean (D(x) - D(T(x)))^2 + fake_weight * mean (D(x') - D(T(x')))^2      x real, x' fake

    Args:
        weight: of real images.
        fake_weight: of fakes.

    Raises:
        Incompatible: samples are not images.

    Notes:
        cr alone teaches the generator to draw the augmentation's traces, since only real images are excused for them.
        It costs two more passes of the discriminator. With zcr it is the paper's ICR.

    Source:
        Zhao et al. 2020, Improved consistency regularization for GANs, arXiv:2002.04724, section 2.1.
    """

    weight: Annotated[float, Ge(0)] = 10.0
    fake_weight: Annotated[float, Ge(0)] = 10.0

    def check(self, spec: ganzoo.Spec, outputs: object) -> None:
        """Images are wanted."""
        images_only("bcr", spec)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared difference of the scores of images and their copies."""
        real = (s.real - s.judge(_copied(s.real_images))).square().mean()
        fake = (s.fake - s.judge(_copied(s.fake_images), fake=True)).square().mean()
        return self.weight * real + self.fake_weight * fake


class ZCR(ganzoo.Regularizer):
    """Latent consistency regularization (zCR): noise that differs little gets the same score, and other images.

    With z' = z + sigma N(0, I):

    Formula:
        L_D <- L_D + weight * mean (D(G(z)) - D(G(z')))^2
        L_G <- L_G - diversity * mean (G(z) - G(z'))^2

    Args:
        weight: the discriminator's.
        diversity: the generator's, for images that differ where the discriminator does not mind.
        sigma: how far the noise is moved, a unit of its own standard deviation.

    Notes:
        It costs a pass of the generator for each player's move, and one of the discriminator. With bcr it is the
        paper's ICR.

    Source:
        Zhao et al. 2020, Improved consistency regularization for GANs, arXiv:2002.04724, section 2.2.
    """

    weight: Annotated[float, Ge(0)] = 5.0
    diversity: Annotated[float, Ge(0)] = 0.5
    sigma: Annotated[float, Gt(0)] = 0.07

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared difference of the scores of neighbours."""
        with torch.no_grad():
            neighbours = s.generate(self._moved(s.latent))
        return self.weight * (s.fake - s.judge(neighbours, fake=True)).square().mean()

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Minus the squared difference of neighbours."""
        return -self.diversity * (s.fake_images - s.generate(self._moved(s.latent))).square().mean()

    def _moved(self, latent: Tensor) -> Tensor:
        return latent + self.sigma * torch.randn_like(latent)


def _copied(images: Tensor) -> Tensor:
    return translated(flipped(images.detach()))
