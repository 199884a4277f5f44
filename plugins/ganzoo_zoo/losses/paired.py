"""The difference of scores that the paired losses share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


def difference(s: ganzoo.Scores, name: str) -> Tensor:
    """The real score minus the fake score of each pair: r_i - f_i, (N,).

    Args:
        s: the round, with as many fakes as reals.
        name: the loss, for the message.

    Raises:
        ValueError: the shapes differ. (N, 1) minus (N,) would pair each real score with all fake scores.

    Example:
        >>> import ganzoo, torch
        >>> difference(ganzoo.Scores(real=torch.tensor([3.0, 1.0]), fake=torch.tensor([1.0, 1.0])), "rpgan")
        tensor([2., 0.])
    """
    if s.real.shape != s.fake.shape:
        raise ValueError(
            f"{name} pairs each real score with a fake one: found shapes {tuple(s.real.shape)} and "
            f"{tuple(s.fake.shape)}; give as many fakes as reals, both (N,)"
        )
    return s.real - s.fake
