"""The generator answers the discriminator of a few moves ahead."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt

import ganzoo


class Unrolled(ganzoo.Schedule):
    """Unrolled GAN: the generator answers a discriminator that is let run k moves ahead, then put back.

    Formula:
        psi_0 = psi,  psi_i+1 = psi_i - step of grad_psi L_D(psi_i, theta)      i = 0 .. k - 1, each on a fresh round
        first:   theta <- theta - step of grad_theta L_G(psi_k, theta),             psi <- psi_1
        second:  theta <- theta - step of d/dtheta L_G(psi_k(theta), theta),        psi <- psi - step of grad_psi L_D

    Args:
        steps: the number of moves that the discriminator runs ahead (the paper's k). In the first order, 1 is
            alternating.
        order: second differentiates through the k moves too, as the paper does, so that the generator sees how the
            discriminator would answer. first takes psi_k for a constant, and costs no second derivatives.
        rate: the rate of the k moves in the second order, which are plain gradient moves. none takes the
            discriminator's own lr.

    Notes:
        In the bilinear game the second term has the sign of the first and doubles the damping. In the first order the
        optimizer makes the moves ahead, and is put back with the discriminator. In the second order the moves ahead
        are plain descent, whatever the optimizer (with Adam choose the rate), and both players move from the old
        point. A step costs k more rounds and gradients of the discriminator, and in the second order the backward
        passes of these gradients too.

    Example:
        Three moves ahead are the discriminator's own move, two trial moves, and the answer of the generator.

        >>> from unittest.mock import MagicMock
        >>> import ganzoo
        >>> game = MagicMock()
        >>> ganzoo.part("schedule", "unrolled", steps=3).step(game)
        >>> [next(iter(call.kwargs)) for call in game.update.call_args_list]
        ['discriminator', 'discriminator', 'discriminator', 'generator']

    Source:
        Metz et al. 2017, Unrolled generative adversarial networks, arXiv:1611.02163, section 2.3; equation 10 has the
        two terms.
    """

    steps: Annotated[int, Ge(1)] = 5
    order: Literal["first", "second"] = "first"
    rate: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.order == "first":
            raise ValueError("rate is for order=second: in the first order the optimizer's own moves are tried")

    @property
    def needs_whole_batch(self) -> bool:
        """Whether the generator differentiates through the moves of the discriminator, as in the second order."""
        return self.order == "second"

    def step(self, game: ganzoo.Game) -> None:
        """The discriminator's own move, its moves on trial, the generator's answer."""
        if self.order == "second":
            answer = game.unrolled_generator_loss(self.steps, self.rate)
            game.update(discriminator=game.discriminator_loss(game.round("discriminator")), generator=answer)
            return
        game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
        if self.steps == 1:
            game.update(generator=game.generator_loss(game.round("generator")))
            return
        stays = game.snapshot("discriminator", memory=True)
        for _ in range(self.steps - 1):
            with game.looking_ahead():
                game.update(discriminator=game.discriminator_loss(game.round("discriminator")), trial=True)
        game.update(generator=game.generator_loss(game.round("generator")))
        game.restore(stays)
