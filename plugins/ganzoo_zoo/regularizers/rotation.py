"""Self-supervision: the discriminator also tells by how many quarters an image is turned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge
from torch import nn
from torch.nn.functional import cross_entropy

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.regularizers._outputs import last_features, require_features

if TYPE_CHECKING:
    from torch import Tensor


class Rotation(ganzoo.Regularizer):
    """Self-supervised rotation (SS-GAN): the discriminator also tells by how many quarters an image is turned.

    With x^r the image turned by r quarters, r = 0 ... 3, and Q a linear layer on the discriminator's last features:

    Formula:
        L_D <- L_D + weight mean -log Q(r | x^r)                    x real
        L_G <- L_G + generator_weight mean -log Q(r | x'^r)         x' fake

    Args:
        weight: the discriminator's weight (the paper's beta), at least 0.
        generator_weight: the generator's weight (the paper's alpha), at least 0.

    Raises:
        Incompatible: samples are not square images, or the discriminator gives no features.

    Notes:
        The discriminator keeps features of the whole image, which it would forget where the generator changes, and no
        labels are needed. Each sample is turned by one angle. Every angle is equally likely, and each is met by a
        quarter of a (micro-)batch of a multiple of four samples. The authors' code turns some samples, whose number is
        a setting, by all four angles, and takes the unturned ones from the pass of the loss. The quarter turns of ada
        come after the angle is chosen and make some angles wrong: use diffaugment, which does not turn, beside this
        part. The penalty costs a pass of the discriminator for each player's move. Q is trained by real
        samples alone. Q reads the mean of the last features over their places, and is not divided by its singular
        value where the networks are.

    Source:
        Chen et al. 2019, Self-supervised GANs via auxiliary rotation loss, arXiv:1811.11212, equations 4 and 5, and
        the authors' code (compare_gan, ssgan.py).

    Example:
        A layer Q that gives four equal logits costs log 4.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "rotation"))
        >>> bound.values["module"] = torch.nn.Linear(1, 4)
        >>> _ = torch.nn.init.zeros_(bound.values["module"].weight), torch.nn.init.zeros_(bound.values["module"].bias)
        >>> s = ganzoo.Scores(real=torch.zeros(8), real_images=torch.zeros(8, 1, 4, 4),
        ...                   judge_all=lambda images, s, fake, as_is: {"features": [images]})
        >>> bound.part.discriminator_penalty(s).detach()
        tensor(1.3863)
    """

    weight: Annotated[float, Ge(0)] = 1.0
    generator_weight: Annotated[float, Ge(0)] = 0.2

    def check(self, spec: ganzoo.Spec) -> None:
        """Require square images."""
        if len(spec.shape) != 3 or spec.shape[1] != spec.shape[2]:
            raise Incompatible(
                f"rotation turns square images by quarters, and samples are of shape {spec.shape}: use data of square "
                "images, or leave rotation out"
            )

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Q, a linear layer from the last features to four logits. The discriminator must give features."""
        require_features("rotation", spec.outputs)
        return nn.Linear(spec.outputs["features"][-1][0], 4)

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted cross-entropy of the angles of real samples."""
        return self.weight * self._error(s, s.real_images.detach(), fake=False).to(s.real.dtype)

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted cross-entropy of the angles of fakes."""
        return self.generator_weight * self._error(s, s.fake_images, fake=True).to(s.fake.dtype)

    def _error(self, s: ganzoo.Scores, images: Tensor, *, fake: bool) -> Tensor:
        order = torch.rand(len(images), device=images.device).argsort()
        first = torch.randint(4, (), device=images.device)  # without it, a micro-batch of two would lack two angles
        quarters = (order + first) % 4
        features = last_features(s.judge_all(turned(images, quarters), fake=fake))
        weight = self.module.weight
        return cross_entropy(self.module(features.to(weight.dtype)).to(images.dtype), quarters)


def turned(images: Tensor, quarters: Tensor) -> Tensor:
    """Images that are turned by quarters, each by its own number.

    Args:
        images: (N, C, H, H).
        quarters: (N,) whole numbers from 0 to 3.

    Example:
        >>> import torch
        >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1])).tolist()
        [[[[2, 4], [1, 3]]]]
    """
    ways = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    return ways[quarters, torch.arange(len(images), device=images.device)]
