"""Both players move along the gradient of where they would get to."""

from __future__ import annotations

import torch
from torch import Tensor

import ganzoo


class Extragradient(ganzoo.Schedule):
    """Extragradient (ExtraAdam, ExtraSGD): both players look one move ahead, and move along the gradient found there.

    With w = (psi, theta) and v(w) = (grad_psi L_D, grad_theta L_G):

    Formula:
        w' = w - step of v(w),      w <- w - step of v(w')      the second from w, on a fresh round

    Notes:
        In the bilinear game simultaneous descent spirals out, and extragradient spirals in. A step costs two rounds and
        two updates of both players. Momentum and second moments of the optimizer follow both gradients, as in the
        paper's algorithm 4. Only the second move is counted, averaged and asked when penalties are due.

    Example:
        On the bilinear game, every step moves towards the equilibrium.

        >>> import torch
        >>> import ganzoo
        >>> bilinear = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> step = ganzoo.part("schedule", "extragradient").linear_step(bilinear, lr=0.1)
        >>> [round(size, 3) for size in torch.linalg.eigvals(step).abs().tolist()]
        [0.995, 0.995]

    Source:
        Gidel et al. 2019, A variational inequality perspective on GANs, arXiv:1802.10551, section 3 and algorithm 4;
        Korpelevich 1976.
    """

    def step(self, game: ganzoo.Game) -> None:
        """Look ahead, come back, move."""
        start = game.snapshot()
        with game.looking_ahead():
            s = game.round()
            game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s), trial=True)
        s = game.round()
        game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s), start=start)

    def linear_step(self, jacobian: Tensor, lr: float) -> Tensor:
        """I - lr J (I - lr J): the gradient is taken at the point after a plain step."""
        one = torch.eye(2, dtype=jacobian.dtype)
        return one - lr * jacobian @ (one - lr * jacobian)
