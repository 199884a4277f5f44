"""The difference that paired losses are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ganzoo

if TYPE_CHECKING:
    from torch import Tensor


def difference(s: ganzoo.Scores, name: str) -> Tensor:
    """r_i - f_i, (N,): the i-th real score minus the i-th fake one.

    Raises:
        ValueError: the shapes differ: (N, 1) minus (N,) would pair all with all.
    """
    if s.real.shape != s.fake.shape:
        raise ValueError(
            f"{name} pairs each real score with a fake one: found shapes {tuple(s.real.shape)} and "
            f"{tuple(s.fake.shape)}; give as many fakes as reals, both (N,)"
        )
    return s.real - s.fake
