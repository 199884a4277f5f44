"""Both players move at once."""

from __future__ import annotations

import ganzoo


class OneStep(ganzoo.Schedule):
    """One-step training (simultaneous gradient descent): both players move at once, on one shared round.

    Formula:
        (psi, theta) <- (psi, theta) - step of (grad_psi L_D(psi, theta), grad_theta L_G(psi, theta))

    Notes:
        Both gradients are taken at the old point, so this is not 1:1 alternation, in which the generator answers the
        discriminator's new move; the two behave differently (on the Dirac-GAN measurably so).
        The source writes it as one loss for one optimizer: with x' = G(z) and its constant copy x'',
        L = L_D(x, x'') + lambda (L_G(x') - L_G(x'')), whose last bracket is 0 and leaves the discriminator alone. That
        needs two judgements of the same fakes to agree to the last bit, which dropout, noise and spectral norm in
        training mode deny. Here each gradient is taken with respect to its own player instead: the same
        gradients, nothing to cancel, one pass less. With passes g and d of the two nets a step costs 3g + 7d.
        Its lambda is a ratio of learning rates for SGD alone, Adam and RMSprop undo it: give the two players'
        optimizers different lr instead.

    Source:
        Su 2019, one-step GAN training with a single loss, kexue.fm/archives/6387;
        Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, section 2 (simultaneous and alternating descent).
    """

    def step(self, game: ganzoo.Game) -> None:
        """One round, two gradients, one move."""
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s))
