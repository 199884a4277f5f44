"""Steps of one length in the noise make changes of one size in the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import nn

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor


class PathLength(ganzoo.Regularizer):
    """Path length regularization (StyleGAN2): the generator stretches its latent space evenly.

    With J the Jacobian of the fakes by their latents, e ~ N(0, I) a direction an image, and M = H W pixels:

    Formula:
        l_i = |J' e_i| / sqrt(M),   a <- a + decay (mean l - a),   weight * mean_i (l_i - a)^2

    Args:
        weight: StyleGAN2's is 2, paid every 4 updates: ``path-length:every=4``.
        decay: share by which the running mean a of the lengths moves an update.

    Raises:
        Incompatible: the data gives a condition.

    Notes:
        The latent is the generator's input (a style network's output where it has one is not known here). As in the
        authors' code a is differentiated through in the update that moves it, and only what is kept of it is constant.
        a begins at 0 and is saved with the run; it moves after the generator did. The code takes half of the batch;
        here the gradient comes off the pass that made the fakes, of all of them.

    Source:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, equation 4 and
        appendix B.
    """

    weight: Annotated[float, Ge(0)] = 2.0
    decay: Annotated[float, Gt(0), Le(1)] = 0.01

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"latent"})

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The mean length, and what it is to be after the update."""
        return Lengths()

    def check(self, spec: ganzoo.Spec, outputs: object) -> None:
        """Noise is wanted."""
        if spec.condition_shape is not None:
            raise Incompatible(
                "path-length measures how noise moves a sample, and this data gives a condition to make it from, with "
                "which nets do without noise: leave path-length out"
            )

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared distance of the lengths from their mean."""
        images = s.fake_images
        pixels = math.prod(images.shape[2:]) if images.ndim > 2 else images[0].numel()
        moved = (images * torch.randn_like(images)).sum() / math.sqrt(pixels)
        (slope,) = torch.autograd.grad(moved, s.latent, create_graph=True)
        length = (slope.square().sum(1) + 1e-12).sqrt()
        mean = self.module.mean + self.decay * (length.mean() - self.module.mean)
        self.module.next.copy_(mean.detach())
        penalty: Tensor = self.weight * (length - mean).square().mean()
        return penalty

    def after_update(self, player: str, module: nn.Module) -> None:
        """Keep the mean that the generator's update was made with."""
        if player == "generator":
            self.module.mean.copy_(self.module.next)


class Lengths(nn.Module):
    """The running mean of the lengths, and the next one."""

    mean: Tensor
    next: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("mean", "next"):
            self.register_buffer(name, torch.zeros(()))
