"""The players move in turns."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

import ganzoo


class Alternating(ganzoo.Schedule):
    """Alternating updates (n_critic, n_dis): n discriminator moves, then the generator's against the new D.

    Formula:
        n times:  psi   <- psi   - step of grad_psi   L_D(psi, theta)      each on a fresh round
        m times:  theta <- theta - step of grad_theta mean over j rounds of L_G(psi, theta)      each on fresh rounds

    Args:
        discriminator_steps: the discriminator's moves (n): WGAN and WGAN-GP make 5 for one of the generator.
        generator_steps: the generator's moves (m).
        generator_rounds: rounds that a move of the generator averages over (j): the generator's batch is j batches.
        burst: the discriminator's moves in the steps that are named by burst_first and burst_every, at least 0. 0 has
            no such steps. The code of WGAN has 100.
        burst_first: number of steps at the start of the run with ``burst`` moves, at least 0.
        burst_every: every so many steps one has ``burst`` moves, counted from the first step. 0 for none.

    Notes:
        The fakes of a discriminator's round carry no gradient, so the generator's pass keeps no graph. With passes
        g and d of the two networks, n = m = 1 costs 4g + 8d. The generator's round judges real samples only where the
        loss reads the scores of real samples. The code of SNGAN moves the generator on batches of 128 and the
        discriminator on batches of 64: ``alternating:discriminator_steps=5,generator_rounds=2``. Batch norm in the
        generator sees each round alone. The code of WGAN gives the critic a long way ahead at the start and every 500
        steps: ``alternating:discriminator_steps=5,burst=100``. Steps of unlike length are not recorded as CUDA graphs.

    Example:
        On the bilinear game, every step keeps the distance to the equilibrium.

        >>> import torch
        >>> import ganzoo
        >>> bilinear = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> step = ganzoo.part("schedule", "alternating").linear_step(bilinear, lr=0.1)
        >>> [round(size, 3) for size in torch.linalg.eigvals(step).abs().tolist()]
        [1.0, 1.0]

    Source:
        Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1, and
        for ``burst`` the authors' code, main.py of github.com/martinarjovsky/WassersteinGAN.
    """

    discriminator_steps: Annotated[int, Ge(1)] = 1
    generator_steps: Annotated[int, Ge(1)] = 1
    generator_rounds: Annotated[int, Ge(1)] = 1
    burst: Annotated[int, Ge(0)] = 0
    burst_first: Annotated[int, Ge(0)] = 25
    burst_every: Annotated[int, Ge(0)] = 500

    def step(self, game: ganzoo.Game) -> None:
        """The discriminator's moves, then the generator's."""
        for _ in range(self._moves(game)):
            game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
        for _ in range(self.generator_steps):
            loss = game.generator_loss(game.round("generator"))
            for _ in range(self.generator_rounds - 1):
                loss = loss + game.generator_loss(game.round("generator"))
            game.update(generator=loss / self.generator_rounds if self.generator_rounds > 1 else loss)

    def _moves(self, game: ganzoo.Game) -> int:
        """The discriminator's moves in the present step."""
        if not self.burst:
            return self.discriminator_steps  # the number of the step is not read, so that a step can be recorded
        step = game.step_number
        is_burst = step < self.burst_first or (self.burst_every > 0 and step % self.burst_every == 0)
        return self.burst if is_burst else self.discriminator_steps

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor | None:
        """G^m D^n, where G and D are I - lr J with the other player's row of J set to 0.

        Without regularizers and with n = m = 1 the eigenvalues lie on the unit circle. None with ``burst``.
        """
        if self.burst:
            return None
        turns = []
        for row in range(2):  # 0 moves theta, 1 moves psi
            own = torch.zeros_like(jacobian)
            own[row] = jacobian[row]
            count = self.discriminator_steps if row else self.generator_steps
            turns.append(torch.linalg.matrix_power(torch.eye(2, dtype=jacobian.dtype) - lr * own, count))
        step: Tensor = turns[0] @ turns[1]
        return step
