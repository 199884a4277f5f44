"""The checks of metrics, on points of two Gaussians or on pictures of discs."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
    """Points of two Gaussians in the plane, with known modes.

    Args:
        std: the standard deviation of each Gaussian.
    """

    std: float = 0.05

    def dataset(self) -> Dataset[tuple[Tensor, ...]]:
        """4096 points, (2,), from both Gaussians in turn."""
        centres = self.modes()
        return TensorDataset(centres[torch.arange(4096) % 2] + self.std * torch.randn(4096, 2))

    def modes(self) -> Tensor:
        """The means of the Gaussians, (2, 2)."""
        return torch.tensor([[0.5, 0.0], [-0.5, 0.0]])


class _Pictures(parts.Data):
    """Pictures of coloured discs on a black ground."""

    def dataset(self) -> Dataset[tuple[Tensor, ...]]:
        """2048 pictures, (3, 32, 32), in [-1, 1]."""
        y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
        place, colour = torch.rand(2048, 2, 1, 1) - 0.5, torch.rand(2048, 3, 1, 1)
        inside = (x - place[:, :1]).square() + (y - place[:, 1:]).square() < 0.15
        return TensorDataset(2 * inside * colour - 1)


def _score(
    metric: parts.Metric, real: Tensor, fake: Tensor, data: parts.Data, *, of_class: bool = True
) -> Mapping[str, float]:
    """The figures of samples in memory. For a metric of classes, the class is the side on which a sample lies.

    Args:
        metric: the metric.
        real: real samples.
        fake: generated samples.
        data: the data part.
        of_class: whether the generated samples are of the class that they were generated for.
    """
    sides = [(samples.flatten(1).mean(1) > real.mean()).long() for samples in (real, fake)]
    sides[1] = sides[1] if of_class else torch.arange(len(fake)) % 2
    labels = sides if metric.labels else (None, None)
    return metric.evaluate(parts.Samples(real=real, fake=fake, data=data, real_labels=labels[0], fake_labels=labels[1]))


def _to_score(metric: parts.Metric) -> tuple[parts.Data, Tensor, Tensor, Tensor, Mapping[str, float]]:
    """Data that a metric accepts, with samples to score.

    Returns:
        The data part, real samples, good fakes (from the data), bad fakes (noise), and the figures of the good fakes.
    """
    for data in (_Points(), _Pictures()):
        torch.manual_seed(0)
        pool = data.dataset()[torch.randperm(2048)]
        samples = pool[0][torch.arange(2 * metric.samples) % 2048]
        real, good = samples[::2].clone(), samples[1::2].clone()
        if metric.pairs:
            good = real.clone()  # The metric compares fake i with real sample i. The best fake equals the real sample.
        bad = torch.rand_like(good) * 2 - 1
        kept = real.clone(), good.clone()
        torch.manual_seed(0)
        try:
            told = _score(metric, real, good, data)
        except (Incompatible, DataError):
            continue
        require(real.equal(kept[0]) and good.equal(kept[1]), "score() changes the samples in place")
        return data, real, good, bad, told
    fail("the metric refuses both points in the plane with known modes and 32x32 pictures")


@asks("metric")
def _tells_good_from_bad(metric: parts.Metric) -> None:
    """Figures are finite, have the declared names, and are no worse for real samples than for noise.

    The metric scores points of two Gaussians in the plane, or small pictures where the metric refuses points. A figure
    without a declared direction may take any value. Scoring leaves the samples unchanged.
    """
    data, real, good, bad, told = _to_score(metric)
    torch.manual_seed(0)
    again, worse = _score(metric, real, good, data), _score(metric, real, bad, data, of_class=False)
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
    """The figures of samples do not depend on earlier calls: state of a metric would be lost on resume."""
    metric = words.bind(metric).part
    data, real, good, bad, told = _to_score(metric)
    before = remembered_state(metric)
    _score(metric, real, bad, data)
    require_same_state(before, remembered_state(metric), "a metric keeps nothing")
    torch.manual_seed(0)
    again = _score(metric, real, good, data)
    require(dict(again) == dict(told), f"figures were {dict(told)}, and are {dict(again)} once others were scored")
