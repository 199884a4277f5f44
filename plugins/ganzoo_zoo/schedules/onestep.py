"""Both players move at once."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

import ganzoo


class OneStep(ganzoo.Schedule):
    """One-step training (simultaneous gradient descent): both players move at once, on one shared round.

    Formula:
        (psi, theta) <- (psi, theta) - step of (grad_psi L_D(psi, theta), weight grad_theta L_G(psi, theta))

    Args:
        weight: factor of the generator's loss (the source's lambda). With SGD the weight is the ratio of the
            generator's rate to the discriminator's. Adam and RMSprop divide a steady factor out again, so that the
            weight does next to nothing.
        shared: take both gradients from one backward pass through the judged fakes. With a_i = dL_D/df_i and
            c_i = dL_G/df_i, the generator's gradient by fake i is c_i/a_i times a gradient that the discriminator's
            backward pass computes on its way. This holds for losses where a_i is not 0 (wgan, hinge-linear, lsgan,
            sgan). The discriminator must not mix samples, and the generator pays no penalty.

    Notes:
        Both gradients are taken at the old point. In 1:1 alternation the generator answers the discriminator's new
        move, so the two schedules behave differently (on the Dirac-GAN measurably so).
        The source writes the step as one loss for one optimizer. With x' = G(z) and its constant copy x'',
        L = L_D(x, x'') + lambda (L_G(x') - L_G(x'')). The last bracket is 0 and leaves the discriminator alone. The
        two judgements of the same fakes must then agree to the last bit, which dropout, noise and spectral norm in
        training mode deny. Here each gradient is taken with respect to its own player instead. The gradients are the
        same, nothing has to cancel, and a step costs one pass less. With passes g and d of the two networks a step
        costs 3g + 7d, and a shared step 3g + 6d. A score may leave the range in which c_i/a_i is a number (sgan below
        -46, lsgan at its target exactly). The shared step is then not made, and the run says so.
        To train the players at two rates with any optimizer, give the players different lr (--d-optimizer,
        --g-optimizer) and leave the weight at 1. The weight also multiplies the generator's penalties.

    Example:
        On the bilinear game, every step moves away from the equilibrium.

        >>> import torch
        >>> import ganzoo
        >>> bilinear = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> step = ganzoo.part("schedule", "onestep").linear_step(bilinear, lr=0.1)
        >>> [round(size, 3) for size in torch.linalg.eigvals(step).abs().tolist()]
        [1.005, 1.005]

    Source:
        Su 2019, one-step GAN training with a single loss, kexue.fm/archives/6387;
        Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, section 2 (simultaneous and alternating descent).
    """

    weight: Annotated[float, Gt(0)] = 1.0
    shared: bool = False

    @property
    def uses_shared_backward(self) -> bool:
        """The players' gradients are taken together where ``shared`` asks for it."""
        return self.shared

    def step(self, game: ganzoo.Game) -> None:
        """One round, two gradients, one move."""
        s = game.round()
        if self.shared:
            game.update_both(s, self.weight)
            return
        discriminator, generator = game.discriminator_loss(s), game.generator_loss(s)
        game.update(discriminator=discriminator, generator=generator if self.weight == 1 else self.weight * generator)

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor:
        """I - lr W J, where W multiplies the generator's row by ``weight``.

        Without regularizers the eigenvalues are 1 +- lr sqrt(a b), with J = [[0, b], [a, 0]]. For a zero-sum loss they
        are 1 +- i lr |a|, which lie outside the unit circle.
        """
        weight = torch.tensor([[self.weight], [1.0]], dtype=jacobian.dtype)
        return torch.eye(2, dtype=jacobian.dtype) - lr * weight * jacobian
