"""Right parts that the tests of the exam spoil in one place each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import ganzoo
from ganzoo.testing import check_part


def refused(part: Any, check: str, message: str) -> None:
    """The exam stops at that check with that message."""
    with pytest.raises(AssertionError, match=message) as caught:
        check_part(part)
    assert f" {type(part).__name__ if not isinstance(part, type) else part.__name__}, {check}: " in str(caught.value)
    assert "\n" not in str(caught.value)


class Good(ganzoo.Loss):
    """A loss that is right."""

    def discriminator(self, s):
        return softplus(-s.real).mean() + softplus(s.fake).mean()

    def generator(self, s):
        return softplus(-s.fake).mean()


class Nets(ganzoo.Architecture):
    """Two small nets that are right."""

    def generator(self, spec):
        size = torch.Size(spec.shape).numel()
        return nn.Sequential(nn.Linear(spec.latent_dim, size), nn.Tanh(), nn.Unflatten(1, spec.shape))

    def discriminator(self, spec):
        size = torch.Size(spec.shape).numel()
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, 1))
