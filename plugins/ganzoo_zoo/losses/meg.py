"""The loss of energy-based generators."""

from __future__ import annotations

from typing import ClassVar

from ganzoo_zoo.losses.wgan import WGAN


class MEG(WGAN):
    """Maximum-entropy energy GAN loss (MEG, energy-based GAN): low energy on data, high on samples.

    With the energy U = -D, low on data, real scores r = -U(x) and fake scores f = -U(G(z)):

    Formula:
        L_D = mean U(x) - mean U(G(z)) = mean f - mean r
        L_G = mean U(G(z))             = -mean f
        The paper adds lambda mean |grad U(x)|^2 to L_D (``r1:gamma=0.2`` for lambda = 0.1, as r1 has gamma / 2),
        and minus the entropy of G's samples to L_G (``entropy``): then exp(-U) is an energy model of the data whose
        samples G draws.

    Notes:
        The arithmetic is that of wgan. The score stands for minus an energy, so that MCMC can move the latents along
        U(G(z)) (``ganzoo sample --mcmc``). Without the entropy term G settles where U is lowest, which is a collapse.
        The paper's code has lambda = 10 in a form that divides by the number of pixels: 10 / (28 * 28) = 0.0128 at
        28x28. The mean of U is free.

    Source:
        Kumar, Ozair, Goyal, Courville and Bengio 2019, Maximum Entropy Generators for Energy-Based Models,
        arXiv:1901.08508, section 3 and algorithm 1 (whose sign of the entropy's term is misprinted).

    Example:
        An energy of 1 on data and 4 on samples:

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([-1.0]), fake=torch.tensor([-4.0]))
        >>> loss = ganzoo.part("loss", "meg")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(-3.), tensor(4.))
    """

    energy_based: ClassVar[bool] = True
