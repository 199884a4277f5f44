"""The checks of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ganzoo import parts, words
from ganzoo.errors import DataError, Incompatible
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    fail,
    remembered_state,
    require,
    require_same_state,
)


class _Points(parts.Data):
    """Two Gaussians in the plane."""

    std: float = 0.05

    def dataset(self) -> Dataset[Any]:
        centres = self.modes()
        return TensorDataset(centres[torch.arange(4096) % 2] + self.std * torch.randn(4096, 2))

    def modes(self) -> Tensor:
        return torch.tensor([[0.5, 0.0], [-0.5, 0.0]])


class _Pictures(parts.Data):
    """Coloured discs."""

    def dataset(self) -> Dataset[Any]:
        y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
        place, colour = torch.rand(2048, 2, 1, 1) - 0.5, torch.rand(2048, 3, 1, 1)
        inside = (x - place[:, :1]).square() + (y - place[:, 1:]).square() < 0.15
        return TensorDataset(2 * inside * colour - 1)


def _to_score(metric: parts.Metric) -> tuple[parts.Data, Tensor, Tensor, Tensor, Mapping[str, float]]:
    """Data that a metric takes, reals, good and bad fakes of it, and the figures of the good ones."""
    for data in (_Points(), _Pictures()):
        torch.manual_seed(0)
        pool = data.dataset()[torch.randperm(2048)]
        samples = pool[0][torch.arange(2 * metric.samples) % 2048]
        real, good = samples[::2].clone(), samples[1::2].clone()
        if metric.pairs:
            good = real.clone()  # each fake is to be its own real
        bad = torch.rand_like(good) * 2 - 1
        kept = real.clone(), good.clone()
        torch.manual_seed(0)
        try:
            told = metric.score(real, good, data)
        except (Incompatible, DataError):
            continue
        require(real.equal(kept[0]) and good.equal(kept[1]), "score() changes the samples in place")
        return data, real, good, bad, told
    fail("score() refuses both points in the plane with known modes and 32x32 pictures")


@asks("metric")
def _tells_good_from_bad(metric: parts.Metric) -> None:
    """Figures are finite numbers by the names that the metric declares; what is said to be better one way is no worse
    for real samples than for noise; nothing is changed.

    Asked on two Gaussians in the plane, or on small pictures where the metric refuses those.
    """
    data, real, good, bad, told = _to_score(metric)
    torch.manual_seed(0)
    again, worse = metric.score(real, good, data), metric.score(real, bad, data)
    require(told and all(isinstance(k, str) for k in told), "score() gives no mapping of named figures")
    require(all(math.isfinite(v) for v in told.values()), f"a figure is not finite: {dict(told)}")
    require(dict(told) == dict(again), "figures differ under one torch.manual_seed")
    require(told.keys() == worse.keys(), "the names of the figures depend on the samples")
    require(
        told.keys() == metric.figures.keys(),
        f"score() gives {', '.join(told)}, and the class declares figures = {dict(metric.figures)}",
    )
    for name, up in metric.figures.items():
        gap = told[name] - worse[name]
        better = up is None or (gap >= 0 if up else gap <= 0)
        require(better, f"{name} is {told[name]:g} for real samples and {worse[name]:g} for noise: which way is up?")
    require(any(told[k] != worse[k] for k in told), "no figure tells real samples from noise")


@asks("metric")
def _scores_without_memory(metric: parts.Metric) -> None:
    """Samples have the same figures whatever was scored before: what a metric remembers would be lost on resume."""
    metric = words.bind(metric).part
    data, real, good, bad, told = _to_score(metric)
    before = remembered_state(metric)
    metric.score(real, bad, data)
    require_same_state(before, remembered_state(metric), "a metric keeps nothing")
    torch.manual_seed(0)
    again = metric.score(real, good, data)
    require(dict(again) == dict(told), f"figures were {dict(told)}, and are {dict(again)} once others were scored")
