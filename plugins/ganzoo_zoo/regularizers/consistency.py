"""Consistency regularization: scores that do not depend on the augmentation."""

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
        weight * mean (D(x) - D(T(x)))^2      T: mirrored by chance, moved by up to 1/8 of each side,
                                          the image mirrored at its borders

    Args:
        weight: the paper's lambda, at least 0.

    Raises:
        Incompatible: samples are not images.

    Notes:
        The penalty costs another pass of the discriminator. The discriminator's main task is on images without
        augmentation. To augment the images of the main task, see diffaugment and ada.

    Source:
        Zhang et al. 2020, Consistency regularization for generative adversarial networks, arXiv:1910.12027.

    Example:
        Scores of 1 whose copies score 0 cost 10.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.ones(4), real_images=torch.zeros(4, 1, 8, 8),
        ...                   discriminator=lambda x: torch.zeros(len(x)))
        >>> ganzoo.part("regularizer", "cr").discriminator_penalty(s)
        tensor(10.)
    """

    weight: Annotated[float, Ge(0)] = 10.0

    def check(self, spec: ganzoo.Spec) -> None:
        """Require images."""
        images_only("cr", spec)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared difference of the scores of real images and of augmented copies."""
        return self.weight * (s.real - s.judge(_copied(s.real_images))).square().mean()


class BCR(ganzoo.Regularizer):
    """Balanced consistency regularization (bCR): real and fake images and their augmented copies get the same score.

    Formula:
        weight * mean (D(x) - D(T(x)))^2 + fake_weight * mean (D(x') - D(T(x')))^2      x real, x' fake

    Args:
        weight: weight of real images, at least 0.
        fake_weight: weight of fakes, at least 0.

    Raises:
        Incompatible: samples are not images.

    Notes:
        With cr alone the generator learns to draw traces of the augmentation, since only real images are excused from
        the traces. The penalty costs two more passes of the discriminator. bcr and zcr together are the paper's ICR.

    Source:
        Zhao et al. 2020, Improved consistency regularization for GANs, arXiv:2002.04724, section 2.1.

    Example:
        Scores of 1 whose copies score 0 cost 10 for each kind.

        >>> import ganzoo, torch
        >>> x = torch.zeros(4, 1, 8, 8)
        >>> s = ganzoo.Scores(real=torch.ones(4), real_images=x, fake=torch.ones(4), fake_images=x,
        ...                   discriminator=lambda x: torch.zeros(len(x)))
        >>> ganzoo.part("regularizer", "bcr").discriminator_penalty(s)
        tensor(20.)
    """

    weight: Annotated[float, Ge(0)] = 10.0
    fake_weight: Annotated[float, Ge(0)] = 10.0

    def check(self, spec: ganzoo.Spec) -> None:
        """Require images."""
        images_only("bcr", spec)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared difference of the scores of images and of augmented copies."""
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
        weight: the discriminator's weight, at least 0.
        diversity: the generator's weight, at least 0, for images that differ where the scores agree.
        sigma: how far the latents are moved, above 0, in units of the latents' standard deviation.

    Notes:
        The penalty costs a pass of the generator for each player's move, and a pass of the discriminator. bcr and zcr
        together are the paper's ICR. The defaults are StudioGAN's settings
        for CIFAR-10.

    Source:
        Zhao et al. 2020, Improved consistency regularization for GANs, arXiv:2002.04724, section 2.2.

    Example:
        Fakes that score 1 with neighbours that score 0 cost 5.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(fake=torch.ones(4), latent=torch.zeros(4, 2), generator=lambda z: z,
        ...                   discriminator=lambda x: torch.zeros(len(x)))
        >>> ganzoo.part("regularizer", "zcr:weight=5").discriminator_penalty(s)
        tensor(5.)
    """

    weight: Annotated[float, Ge(0)] = 20.0
    diversity: Annotated[float, Ge(0)] = 0.5
    sigma: Annotated[float, Gt(0)] = 0.05

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared difference of the scores of neighbours."""
        with torch.no_grad():
            neighbours = s.generate(self._moved(s.latent))
        return self.weight * (s.fake - s.judge(neighbours, fake=True)).square().mean()

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Minus the weighted mean squared difference of neighbours."""
        return -self.diversity * (s.fake_images - s.generate(self._moved(s.latent))).square().mean()

    def _moved(self, latent: Tensor) -> Tensor:
        return latent + self.sigma * torch.randn_like(latent)


def _copied(images: Tensor) -> Tensor:
    return translated(flipped(images.detach()), mirrored=True)
