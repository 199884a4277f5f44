"""Losses of sources whose real is low: the same losses, at scores of the other sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


class Reversed(ganzoo.Loss):
    """A loss for a discriminator whose real is low (an energy): any loss, with both scores negated.

    Formula:
        L_reversed(r, f) = L(-r, -f)

    Args:
        loss: the loss that is meant, in words.

    Notes:
        For nets that come from elsewhere, and to compare with sources that write real low; not in the catalogue, where
        high means real for every part: targets, penalties and records that look at scores read them so.

    Source:
        Su 2019, kexue.fm/archives/6387 (the hinge of one-step training is written so).
    """

    loss: str = "hinge"

    def __post_init__(self) -> None:
        meant = ganzoo.part("loss", self.loss)
        for fact in ("has_targets", "bounded", "saturates", "needs_grad_of", "per_sample_gradients"):
            object.__setattr__(self, fact, getattr(meant, fact))
        object.__setattr__(self, "_meant", meant)

    def discriminator(self, s: ganzoo.Scores) -> Tensor:
        """The meant loss of negated scores."""
        value: Tensor = self._meant.discriminator(Negated(s))  # type: ignore[attr-defined]  # set beside the fields
        return value

    def generator(self, s: ganzoo.Scores) -> Tensor:
        """The meant loss of negated scores."""
        value: Tensor = self._meant.generator(Negated(s))  # type: ignore[attr-defined]
        return value


class Negated(ganzoo.Scores):
    """A round whose scores have the other sign; everything else is that of the round."""

    def __init__(self, s: ganzoo.Scores) -> None:
        self._s = s

    def __getattr__(self, name: str) -> Any:  # asked for what is not here yet
        value = getattr(self._s, name)
        value = -value if name in ("real", "fake") else value
        setattr(self, name, value)
        return value

    def judge(self, images: Tensor, *, as_is: bool = False, fake: bool = False) -> Tensor:
        """Score other images."""
        return -self._s.judge(images, as_is=as_is, fake=fake)
