"""Steps of equal length in the style space make changes of equal size in the image."""

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
    """Path length regularization (StyleGAN2): the generator stretches its style space evenly.

    With J the Jacobian of the fakes by their styles, e ~ N(0, I) a direction an image, and M = H W pixels:

    Formula:
        l_i = |J' e_i| / sqrt(M),   a <- a + decay (mean l - a),   weight * mean_i (l_i - a)^2

    Args:
        weight: factor of the penalty, at least 0. StyleGAN2's is 2, applied every 4 updates: ``path-length:every=4``.
        decay: share by which the running mean a of the lengths moves in an update, above 0 and at most 1.

    Raises:
        Incompatible: the data gives a condition.

    Notes:
        The styles are the output of the mapping network where the architecture has a mapping network (stylegan2), with
        a vector for each layer: the squared length then is the mean over the layers. The styles are the noise of any
        other generator. As in the authors' code a is differentiated through in the update that moves a, and only the
        stored a is constant. a begins at 0, is saved with the run, and moves after the generator's update. The
        authors' code takes half of the batch. The part takes the whole batch, since the gradient comes from the pass
        that made the fakes.

    Source:
        Karras et al. 2020, Analyzing and improving the image quality of StyleGAN, arXiv:1912.04958, equation 4 and
        appendix B.

    Example:
        A generator whose fakes do not depend on the latent has lengths of 0 and pays nothing.

        >>> import ganzoo, torch
        >>> from ganzoo.words import bind
        >>> bound = bind(ganzoo.part("regularizer", "path-length"))
        >>> bound.values["module"] = bound.part.prepare(None, None)
        >>> z = torch.zeros(4, 2, requires_grad=True)
        >>> bound.part.generator_penalty(ganzoo.Scores(latent=z, fake_images=0 * z)).item() < 1e-9
        True
    """

    weight: Annotated[float, Ge(0)] = 2.0
    decay: Annotated[float, Gt(0), Le(1)] = 0.01

    needs_grad_of: ClassVar[frozenset[str]] = frozenset({"styles"})

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """The mean length, and the mean length after the update."""
        return Lengths()

    def check(self, spec: ganzoo.Spec) -> None:
        """Require noise."""
        if spec.inputs:
            raise Incompatible(
                "path-length measures how noise moves a sample, and this data gives a condition to make it from, with "
                "which nets do without noise: leave path-length out"
            )

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """The weighted mean squared distance of the lengths from the running mean."""
        images = s.fake_images
        pixels = math.prod(images.shape[2:]) if images.ndim > 2 else images[0].numel()
        moved = (images * torch.randn_like(images)).sum() / math.sqrt(pixels)
        (slope,) = torch.autograd.grad(moved, s.styles, create_graph=True)
        # The floor keeps the slope of the root finite. The mean is over layers, where each layer has a style.
        length = (slope.square().sum(-1).reshape(len(slope), -1).mean(1) + 1e-12).sqrt()
        mean = self.module.mean + self.decay * (length.mean() - self.module.mean)
        self.module.next.copy_(mean.detach())
        penalty: Tensor = self.weight * (length - mean).square().mean()
        return penalty

    def after_update(self, player: str, module: nn.Module) -> None:
        """Keep the mean with which the generator's update was made."""
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
