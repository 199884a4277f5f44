"""Both players' gradients from one backward pass through the scored fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.parts import Player, Scores
from ganzoo.step.gradients import Gradients

if TYPE_CHECKING:
    from ganzoo.step.game import Game

LARGEST_RATIO = 1e20
"""The ratio of the two players' slopes up to which the shared backward is exact. For larger ratios the products
leave the range of float32."""


def shared_gradients(game: Game, s: Scores, weight: float) -> dict[Player, Gradients]:
    """The gradients of both players' losses on one round, for 3g + 6d instead of 3g + 7d.

    Formula:
        a_i = dL_D/df_i,  c_i = weight dL_G/df_i  (f_i: the score of fake x_i)
        grad_psi   L_D = sum_i a_i df_i/dpsi + (the real samples)
        grad_theta L_G = sum_i c_i df_i/dx_i dx_i/dtheta = sum_i (c_i / a_i) (a_i df_i/dx_i) dx_i/dtheta

    The discriminator's own backward pass computes the bracket (a_i df_i/dx_i) on the way to the images, as long as no
    layer of the discriminator mixes samples. The assembly checks the layers.

    Args:
        game: the game with the losses and the parameters.
        s: a round before the first read of a score.
        weight: factor of the generator's loss.
    """
    images = s.fake_images
    # The backward pass of the discriminator ends at this leaf. The generator's goes on from the images behind the leaf.
    leaf = images.detach().requires_grad_()
    s.fake_images = leaf
    discriminator, generator = game.bare_losses(s)
    (a,) = torch.autograd.grad(discriminator, s.fake, retain_graph=True)
    (c,) = torch.autograd.grad(weight * generator, s.fake, retain_graph=True)
    own = game.parameters["discriminator"]
    penalties = game.add_penalties("discriminator", torch.zeros_like(discriminator), s)
    *grads, slope = torch.autograd.grad(
        discriminator, [*own, leaf], retain_graph=penalties.requires_grad, materialize_grads=True
    )  # slope_i = a_i df_i/dx_i
    if penalties.requires_grad:
        # A pass of their own: the slope of a penalty by the fakes is no part of the generator's gradient.
        more = torch.autograd.grad(penalties, own, materialize_grads=True)
        grads = [g + p for g, p in zip(grads, more, strict=True)]
    # A sample that the generator's loss does not look at gives 0, even where the discriminator's slope is 0 too.
    ratio = torch.where(c == 0, 0.0, c / a)
    game.log_scalar("shared/ratio", ratio.abs().max())
    # Out of range the step becomes NaN, so that the update is not made at all: better than a wrong update.
    ratio = ratio.where(ratio.abs() <= LARGEST_RATIO, torch.nan)
    along = slope * ratio.view(-1, *[1] * (slope.dim() - 1))
    to_generator: list[Tensor] = [
        *torch.autograd.grad(images, game.parameters["generator"], along, materialize_grads=True)
    ]
    return {
        "discriminator": Gradients(grads, (discriminator + penalties).detach()),
        "generator": Gradients(to_generator, generator.detach()),
    }
