"""Metrics without weights: closed forms, and the libraries that compute the same."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor

import ganzoo
from ganzoo import errors
from ganzoo_zoo.metrics._frechet import frechet


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def evaluated(name: str, real: Tensor, fake: Tensor, **labels: Tensor) -> dict[str, float]:
    samples = ganzoo.Samples(real=real, fake=fake, data=ganzoo.part("data", "ring"), batch=7, **labels)
    metric = ganzoo.part("metric", name)
    figures = dict(metric.evaluate(samples))
    assert figures.keys() == metric.figures.keys()
    return figures


def test_moments_of_batches_are_those_of_all_rows() -> None:
    x = 1e4 + noise(100, 5)
    found = ganzoo.Samples.moments(torch.split(x, 7))
    torch.testing.assert_close(found["mean"], x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(found["covariance"], torch.cov(x.T), rtol=1e-10, atol=1e-10)


def test_the_frechet_distance_is_that_of_the_definition() -> None:
    a, b = ganzoo.Samples.moments([noise(50, 4)]), ganzoo.Samples.moments([noise(60, 4, seed=1) * 2 + 1])
    root = scipy.linalg.sqrtm((a["covariance"] @ b["covariance"]).numpy()).real
    gap = float((a["mean"] - b["mean"]).square().sum())
    expected = gap + float(a["covariance"].trace() + b["covariance"].trace()) - 2 * root.trace()
    assert frechet(a, b) == pytest.approx(expected, rel=1e-10)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-12)
    one = ganzoo.Samples.moments([noise(3, 4)])  # a covariance of rank 2
    assert frechet(one, one) == pytest.approx(0.0, abs=1e-12)


def test_fd_of_scaled_pixels() -> None:
    x = noise(40, 1, 2, 2) / 10
    figures = evaluated("fd-pixels", x, 3 * x + 0.1)
    flat = x.flatten(1)
    gap = (2 * flat.mean(0) + 0.1).square().sum() + 4 * torch.cov(flat.T).trace()
    assert figures["fd"] == pytest.approx(float(gap), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "reals", "said"),
    [
        ("fd-pixels", (3, 64, 64), 10**6, "at most 4096 numbers"),
        ("fd-pixels:count=50", (1, 8, 8), 1000, r"50 samples for a covariance of 64 numbers: .*count=128"),
        ("fd-pixels", (1, 8, 8), 60, "60 samples for a covariance"),
        ("ms-ssim", (2,), 100, "at least 11 pixels a side, and samples of 2 are"),
        ("ms-ssim", (1, 8, 8), 100, "8x8"),
    ],
)
def test_samples_that_do_not_suit_are_refused(name: str, shape: tuple[int, ...], reals: int, said: str) -> None:
    with pytest.raises(errors.Incompatible, match=said):
        ganzoo.part("metric", name).check(ganzoo.Spec(shape=shape, latent_dim=2, classes=0, inputs={}), reals)


def test_sliced_distance_of_one_number_is_the_wasserstein_distance_of_scipy() -> None:
    x, y = noise(30, 1), noise(30, 1, seed=1) + 2
    expected = scipy.stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    figures = evaluated("swd:power=1", x.float(), y.float())
    assert figures["swd"] == pytest.approx(expected, rel=1e-6)
    assert evaluated("swd", x, x)["swd"] == 0.0


def test_ms_ssim_is_that_of_torchmetrics_at_five_scales() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as library

    x = torch.rand(4, 1, 176, 176, generator=torch.Generator().manual_seed(0))
    expected = library(x[::2], x[1::2], data_range=1.0)
    assert evaluated("ms-ssim", 2 * x - 1, 2 * x - 1)["ms_ssim"] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("side", [11, 21, 22, 43, 44, 87, 88, 98, 99, 175])
def test_ms_ssim_of_every_size_is_computed(side: int) -> None:
    """The library refuses more scales than side // (scales - 1)^2 allows, which is stricter than the halving."""
    x = torch.rand(2, 1, side, side + 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    figures = evaluated("ms-ssim", x[:1].repeat(2, 1, 1, 1), x)
    assert figures["real"] == pytest.approx(1.0, abs=1e-5)
    assert figures["ms_ssim"] < 0.5


def test_ms_ssim_compares_within_a_class() -> None:
    a, b = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(k)) * 2 - 1 for k in (0, 1))
    x, y = torch.cat([a, b, a, b]), torch.tensor([0, 1, 0, 1])
    assert evaluated("ms-ssim", x, x, real_labels=y, fake_labels=y)["ms_ssim"] == pytest.approx(1.0, abs=1e-6)
    assert evaluated("ms-ssim", x, x)["ms_ssim"] < 0.5


def test_copies_and_new_samples() -> None:
    real = noise(60, 20)
    figures = evaluated("copies", real, torch.cat([real[:5] + 1e-6, noise(15, 20, seed=1)]))
    assert figures["copies"] == 0.25
    new = evaluated("copies", real, noise(60, 20, seed=1))
    assert new["copies"] == 0.0
    assert 0.8 < new["distance"] < 1.25


@pytest.mark.parametrize("classifier", ["knn", "logistic"])
def test_two_sample_tells_other_means_and_no_equal_laws(classifier: str) -> None:
    x = noise(400, 3)
    other = evaluated(f"two-sample:classifier={classifier}", x[:200], x[200:] + 4)
    equal = evaluated(f"two-sample:classifier={classifier}", x[:200], x[200:])
    assert other["accuracy"] > 0.98
    assert other["p_value"] < 1e-6
    assert abs(equal["accuracy"] - 0.5) < 0.1
    assert equal["p_value"] > 0.01


def test_only_neighbours_see_that_two_laws_of_one_mean_differ() -> None:
    x = noise(400, 3)
    assert evaluated("two-sample:classifier=knn", x[:200], 6 * x[200:])["p_value"] < 1e-6
    assert evaluated("two-sample:classifier=logistic", x[:200], 6 * x[200:])["p_value"] > 0.01


def test_class_accuracy_counts_the_class_that_was_asked_for() -> None:
    y = torch.arange(60) % 3
    x = torch.eye(3).double()[y] + noise(60, 3) / 20
    figures = evaluated("class-accuracy", x, x[:30], real_labels=y, fake_labels=torch.zeros(30).long())
    assert figures == {"accuracy": pytest.approx(1 / 3), "worst": pytest.approx(1 / 3), "real": 1.0}
    asked = torch.tensor([0, 1, 1] * 10)  # the samples are of the classes 0, 1 and 2 in turn
    figures = evaluated("class-accuracy:classes=3", x, x[:30], real_labels=y, fake_labels=asked)
    assert figures["class_0"] == 1
    assert figures["worst"] == figures["class_1"] == pytest.approx(1 / 2)
    assert math.isnan(figures["class_2"])
