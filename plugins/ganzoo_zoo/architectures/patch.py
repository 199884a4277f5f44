"""The PatchGAN discriminator as an architecture of its own."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.pictures import Patches
from ganzoo_zoo.architectures.unet import UNet


class Patch(Patches):
    """PatchGAN: a discriminator that judges patches, for any pictures, with the generator of dcgan or of unet.

    Args:
        width: channels of the generator's last map before the picture, at least 1.
        d_form: patch (pix2pix), pixel (1x1 convolutions) or free-form (5x5 of stride 2, all outputs are logits).
        d_width: channels of the discriminator's first map, at least 1.
        d_layers: convolutions of stride 2 in the discriminator, at least 1. A logit of ``patch`` sees 16, 34, 70 or
            142 pixels for 1, 2, 3 or 4.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_scales: discriminators, at least 1, each for pictures at half the size of the one before.
        d_condition: whether the discriminator sees the condition beside the picture.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.

    Raises:
        Incompatible: the samples are no pictures, or too small for the discriminator.

    Notes:
        A loss that is a mean over scores takes each patch as a sample, other losses take the mean of the logits of an
        image. With the regularizer ``sn`` and ``d_form=free-form,d_layers=6`` the discriminator is SN-PatchGAN.
        ``unet``, ``gated``, ``srresnet`` and ``rrdb`` have the same discriminator with other generators.

    Source: Isola et al., Image-to-image translation with conditional adversarial networks, 2017, arXiv:1611.07004,
        section 3.2.2; Yu et al., 2019, arXiv:1806.03589, section 3.3.

    Example:
        >>> import ganzoo
        >>> part = ganzoo.part("architecture", "patch:width=8,d_width=8,d_layers=1")
        >>> nets = part.build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=4))
        >>> import torch
        >>> part.judge(nets.discriminator, torch.zeros(2, 3, 16, 16), ganzoo.Batch())["logits"].shape
        torch.Size([2, 1, 6, 6])
    """

    width: Annotated[int, Ge(1)] = 64

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator of unet where the data gives a condition, else of dcgan.

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        return (UNet(width=self.width) if spec.inputs else DCGAN(width=self.width)).generator(spec)

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """Pictures from noise, or from the inputs where the data gives inputs."""
        return UNet().generate(generator, batch) if batch.inputs else super().generate(generator, batch)
