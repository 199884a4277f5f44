"""The generator answers the discriminator of a few moves ahead."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

import ganzoo


class Unrolled(ganzoo.Schedule):
    """Unrolled GAN, first-order: the generator answers a discriminator that is let run k moves ahead, then put back.

    Formula:
        psi_0 = psi,  psi_i+1 = psi_i - step of grad_psi L_D(psi_i, theta)      i = 0 .. k - 1, each on a fresh round
        theta <- theta - step of grad_theta L_G(psi_k, theta),      psi <- psi_1

    Args:
        steps: the paper's k: how far ahead the discriminator is let run; 1 is alternating.

    Notes:
        First-order: psi_k is a constant of the generator's gradient. The paper also differentiates through the k moves
        (how the discriminator would answer the generator's), which in the bilinear game has the same sign and doubles
        the damping; that second term, which needs the optimizer's moves as a function, is not here. The discriminator's
        optimizer is put back with it. A step costs k rounds and updates of the discriminator.

    Source:
        Metz et al. 2017, Unrolled generative adversarial networks, arXiv:1611.02163, section 2.3; equation 10, first
        term.
    """

    steps: Annotated[int, Ge(1)] = 5

    def step(self, game: ganzoo.Game) -> None:
        """The discriminator's own move, its moves on trial, the generator's answer."""
        game.update(discriminator=game.discriminator_loss(game.round(generator_learns=False)))
        if self.steps == 1:
            game.update(generator=game.generator_loss(game.round()))
            return
        stays = game.point("discriminator", memory=True)
        for _ in range(self.steps - 1):
            game.update(discriminator=game.discriminator_loss(game.round(generator_learns=False)), trial=True)
        game.update(generator=game.generator_loss(game.round()))
        game.place(stays)
