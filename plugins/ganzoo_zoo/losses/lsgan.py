"""The least-squares loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class LSGAN(ganzoo.Loss):
    """Least-squares GAN loss (LSGAN, MSE): scores are drawn to a number for real and a number for fake.

    With real scores r, fake scores f, and the paper's a = ``fake``, b = ``real``, c = ``aim``:

    Formula:
        L_D = 1/2 mean (r - b)^2 + 1/2 mean (f - a)^2
        L_G = 1/2 mean (f - c)^2
        The best discriminator is (b p + a q) / (p + q). With b - c = 1 and b - a = 2, such as (-1, 1, 0), the generator
        descends 1/2 of Pearson's chi-square between p + q and 2q. The usual 0-1 coding (0, 1, 1) has no such reading.

    Args:
        fake: number to which the discriminator draws fake scores (the paper's a), in units of the logit.
        real: number to which the discriminator draws real scores (the paper's b). Above ``fake``.
        aim: number to which the generator draws fake scores (the paper's c).

    Raises:
        ValueError: ``real`` is not above ``fake``.

    Notes:
        Many codes drop the 1/2. The authors' code sums over the batch where this part takes the mean. A target t that
        label smoothing moved, between 0 and 1, stands for a + t (b - a), in the discriminator's loss alone.

    Source:
        Mao et al. 2017, Least Squares Generative Adversarial Networks, arXiv:1611.04076, equations 2, 8 and 9.

    Example:
        The real score misses 1 by 1, the fake score misses 0 by 2 and the generator's aim of 1 by 3.

        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([2.0]), fake=torch.tensor([-2.0]))
        >>> loss = ganzoo.part("loss", "lsgan")
        >>> loss.discriminator(s), loss.generator(s)
        (tensor(2.5000), tensor(4.5000))
    """

    fake: float = 0.0
    real: float = 1.0
    aim: float = 1.0

    has_targets: ClassVar[bool] = True
    takes_patches: ClassVar[bool] = True
    supports_shared_backward: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.real <= self.fake:
            raise ValueError(f"real={self.real:g} is not above fake={self.fake:g}: a high score means real, swap them")

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """Half the mean squared distance of each score from the number of its kind."""
        real = self.fake + s.real_target * (self.real - self.fake)
        fake = self.fake + s.fake_target * (self.real - self.fake)
        return 0.5 * (s.real - real).square().mean() + 0.5 * (s.fake - fake).square().mean()

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """Half the mean squared distance of fake scores from the generator's aim."""
        return 0.5 * (s.fake - self.aim).square().mean()
