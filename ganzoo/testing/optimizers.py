"""The checks of optimizers, on a quadratic with its minimum at 1."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ganzoo import parts
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    require,
)


def _weights() -> list[nn.Parameter]:
    """Two parameters with fixed random values, shaped as the weight of a convolution and as a bias."""
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(5))]


def _descend(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], steps: int) -> None:
    """Minimize half of the squared distance to 1, sum of (p - 1)^2 / 2, for some steps."""
    for _ in range(steps):
        for p in weights:
            p.grad = p.detach() - 1
        optimizer.step()


@asks("optimizer")
def _moves_downhill(part: parts.Optimizer) -> None:
    """Twenty steps lower a quadratic, and the optimizer holds exactly the parameters given to build()."""
    weights = _weights()
    optimizer = part.build(weights)
    found = type(optimizer).__name__
    require(isinstance(optimizer, torch.optim.Optimizer), f"build() gives a {found}, no torch optimizer")
    held = [p for group in optimizer.param_groups for p in group["params"]]
    require({*map(id, held)} == {*map(id, weights)}, "the optimizer is not over exactly the parameters given")
    before = sum(float((p.detach() - 1).square().sum()) for p in weights)
    _descend(optimizer, weights, 20)
    after = sum(float((p.detach() - 1).square().sum()) for p in weights)
    require(after < before, f"twenty steps take a quadratic from {before:g} to {after:g}")


@asks("optimizer")
def _follows_its_learning_rate(part: parts.Optimizer) -> None:
    """Every group begins with the rate of the field ``lr``, and no weight moves when the groups' rate is 0.

    The game sets the learning rate of the groups in each step. A part without a field ``lr`` is not examined.
    """
    if not hasattr(part, "lr"):
        return
    weights = _weights()
    optimizer = part.build(weights)
    require(all(g["lr"] == part.lr for g in optimizer.param_groups), "the groups do not begin at the part's lr")
    _descend(optimizer, weights, 2)
    kept = [p.detach().clone() for p in weights]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _descend(optimizer, weights, 2)
    require(all(p.equal(k) for p, k in zip(weights, kept, strict=True)), "weights move at a learning rate of 0")


@asks("optimizer")
def _goes_on_from_its_state(part: parts.Optimizer) -> None:
    """An optimizer that loads the state_dict of another optimizer continues with equal steps."""
    ends = []
    for stop in (False, True):
        weights = _weights()
        optimizer = part.build(weights)
        _descend(optimizer, weights, 3)
        if stop:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = part.build(weights)
            optimizer.load_state_dict(state)
        _descend(optimizer, weights, 3)
        ends.append(weights)
    same = all(a.equal(b) for a, b in zip(*ends, strict=True))
    require(same, "an optimizer that was stopped and loaded does not go on as if it had not been")
