"""Losses of sources whose real scores are low: the same losses, at scores of the other sign."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Reversed(ganzoo.Loss):
    """A loss for a discriminator whose real scores are low (an energy): any loss, with both scores negated.

    Formula:
        L_reversed(r, f) = L(-r, -f)

    Args:
        loss: the loss that is meant, as the command line writes a loss.

    Notes:
        The part serves nets from elsewhere, and comparisons with sources that write low real scores. The part is not in
        the catalogue, where high scores mean real for every part: targets, penalties and records that look at scores
        rely on the sign.

    Source:
        Su 2019, kexue.fm/archives/6387 (the hinge of one-step training is written so).

    Example:
        >>> import ganzoo, torch
        >>> s = ganzoo.Scores(real=torch.tensor([-3.0]), fake=torch.tensor([1.0]))
        >>> Reversed(loss="wgan").discriminator(s)
        tensor(-4.)
    """

    loss: str = "hinge"

    @cached_property
    def _meant(self) -> ganzoo.Loss:
        loss = ganzoo.part("loss", self.loss)
        assert isinstance(loss, ganzoo.Loss)
        return loss

    @property
    def has_targets(self) -> bool:
        """The meant loss reads targets."""
        return self._meant.has_targets

    @property
    def bounded(self) -> bool:
        """The meant loss is bounded."""
        return self._meant.bounded

    @property
    def saturates(self) -> bool:
        """The meant loss saturates."""
        return self._meant.saturates

    @property
    def needs_grad_of(self) -> frozenset[str]:
        """The images by which the meant loss differentiates the scores."""
        return self._meant.needs_grad_of

    @property
    def per_sample_gradients(self) -> bool:
        """The meant loss takes one gradient a sample."""
        return self._meant.per_sample_gradients

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The meant loss of negated scores."""
        return self._meant.discriminator(s.negated())

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The meant loss of negated scores."""
        return self._meant.generator(s.negated())
