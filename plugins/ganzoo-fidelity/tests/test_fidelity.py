"""Closed forms through ganzoo's own path, and the figures of torch-fidelity's own command."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torch_fidelity
from ganzoo_fidelity.metrics import density_coverage
from ganzoo_fidelity.networks import INCEPTION_FILE, Inception, loaded, to_bytes
from torch import Tensor

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.testing import checks_for

FLAT = """
import torch

class Flat(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1), 10 * x.flatten(1)

def network(device):
    return Flat()
"""


@pytest.fixture
def flat(tmp_path: Path) -> str:
    (tmp_path / "flat.py").write_text(FLAT)
    return f"features=file,path={tmp_path / 'flat.py'}"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def evaluated(words: str, real: Tensor, fake: Tensor) -> dict[str, float]:
    samples = ganzoo.Samples(real=real, fake=fake, data=ganzoo.part("data", "ring"), batch=64)
    metric: Any = ganzoo.part("metric", words)
    figures = dict(metric.evaluate(samples))
    assert figures.keys() == metric.figures.keys()
    return figures


def whitened(x: Tensor) -> Tensor:
    """Rows with mean 0 and covariance 1 exactly."""
    x = x.double() - x.double().mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_the_distance_of_two_gaussians_is_exact(flat: str) -> None:
    x = whitened(noise(200, 3))
    y = 2 * x + torch.tensor([3.0, 0.0, 0.0])
    # |m|^2 + tr (1 + 4 - 2 * 2) = 9 + 3
    assert evaluated(f"fd:{flat}", x, y) == {"flat": pytest.approx(12.0, rel=1e-5)}
    assert evaluated(f"fd:{flat}", x, x)["flat"] == pytest.approx(0.0, abs=1e-5)


def test_kid_is_the_unbiased_estimate(flat: str) -> None:
    x, y = noise(6, 2), noise(6, 2, seed=1)

    def mean(a: Tensor, b: Tensor, same: bool) -> float:
        k = ((a.double() @ b.double().T) / 2 + 1) ** 3
        return float((k.sum() - k.trace()) / 30 if same else k.mean())

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    figures = evaluated(f"kid:{flat},size=6,subsets=2", x, y)
    assert figures == {"flat-kid": pytest.approx(expected, rel=1e-6), "flat-std": pytest.approx(0.0, abs=1e-9)}
    many = [
        evaluated(f"kid:{flat},size=20,subsets=1", noise(20, 2, seed=k), noise(20, 2, seed=99 + k)) for k in range(60)
    ]
    values = torch.tensor([each["flat-kid"] for each in many])
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(60)
    assert float(values.min()) < 0


def test_the_score_of_constructed_predictors(flat: str) -> None:
    sure = 10 * torch.eye(4).repeat(10, 1)  # four classes, each sample sure of one: the score is 4
    assert evaluated(f"is:{flat},parts=2", sure, sure) == {
        "flat-is": pytest.approx(4.0, rel=1e-6),
        "flat-std": pytest.approx(0.0, abs=1e-6),
    }
    assert evaluated(f"is:{flat},parts=2", sure, sure[:1].repeat(40, 1))["flat-is"] == pytest.approx(1.0)


def test_precision_recall_density_coverage_of_constructed_sets(flat: str) -> None:
    real = torch.cat([noise(20, 2) / 100, 5 + noise(20, 2, seed=1) / 100])
    half = real[:20] + 1e-6  # covers one of two clusters
    figures = evaluated(f"prdc:{flat}", real, half)
    assert figures["flat-precision"] == 1.0
    assert figures["flat-recall"] == 0.5
    assert figures["flat-coverage"] == 0.5
    far = evaluated(f"prdc:{flat}", real, real + 100)
    assert set(far.values()) == {0.0}
    assert evaluated(f"prdc:{flat}", real, real)["flat-density"] > 0.99


def test_density_and_coverage_count_open_balls() -> None:
    """As the authors' code does: five places of four equal samples have balls without extent for three neighbours."""
    real = torch.arange(5.0)[:, None].repeat(4, 1)
    assert density_coverage(real, real, k=3) == (0.0, 0.0)
    assert density_coverage(real, real, k=4) == (1.0, 1.0)


def test_figures_of_inception_are_those_of_torch_fidelity(weights: Path, tmp_path: Path) -> None:
    """The library's own command on PNG files, and ganzoo's path on tensors, in features that are few enough."""
    from PIL import Image

    real, fake = (torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(k)) * 2 - 1 for k in (0, 1))
    for name, images in {"real": real, "fake": fake}.items():
        (tmp_path / name).mkdir()
        for k, image in enumerate(to_bytes(images)):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{k:03d}.png")
    library = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "fake"),
        input2=str(tmp_path / "real"),
        kid=True,
        isc=True,
        prc=True,
        cuda=False,
        verbose=False,
        cache=False,
        batch_size=8,
        save_cpu_ram=True,
        kid_subset_size=24,
        kid_subsets=1,
        isc_splits=1,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
    )
    own = evaluated(f"kid:weights={weights},size=24,subsets=1", real, fake)["kid"]
    assert own == pytest.approx(library["kernel_inception_distance_mean"], rel=1e-4)
    assert evaluated(f"is:weights={weights},parts=1", real, fake)["is"] == pytest.approx(
        library["inception_score_mean"], rel=1e-5
    )
    precise = evaluated(f"prdc:weights={weights}", real, fake)
    assert precise["precision"] == pytest.approx(library["precision"])
    assert precise["recall"] == pytest.approx(library["recall"])


def test_grey_images_are_three_equal_channels(weights: Path) -> None:
    compute = loaded(Inception(weights=weights), torch.device("cpu"))
    x = torch.rand(2, 1, 8, 8) * 2 - 1
    features, logits = compute(x)
    assert features.shape == (2, 2048)
    assert logits is not None
    assert logits.shape == (2, 1008)
    assert features.equal(compute(x.expand(-1, 3, -1, -1))[0])


def test_weights_are_found_in_the_hub_cache(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    assert Inception().identity.endswith(INCEPTION_FILE)
    place.parent.mkdir(parents=True)
    shutil.copy(weights, place)
    assert Inception().load(torch.device("cpu"))(torch.zeros(1, 3, 8, 8))[0].shape == (1, 2048)
    assert Inception().identity == Inception(weights=weights).identity


def offline(*args: object, **options: object) -> None:
    raise URLError(socket.gaierror(-3, "Temporary failure in name resolution"))


def test_absent_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", offline)
    monkeypatch.setattr("torch.hub.load", offline)
    with pytest.raises(errors.DataError, match=rf"{INCEPTION_FILE}.*at {tmp_path}/torch.*or give weights=PATH$"):
        Inception().load(torch.device("cpu"))
    with pytest.raises(errors.DataError, match=r"put the repository facebookresearch/dinov2 into .*dinov2_vitl14"):
        evaluated("fd-dinov2", torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8))
    with pytest.raises(errors.DataError, match="is no file"):
        evaluated("is:weights=nowhere.pth", torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8))
    (tmp_path / "torn.pth").write_bytes(b"torn")
    with pytest.raises(errors.DataError, match="does not hold torch-fidelity's Inception"):
        evaluated(f"is:weights={tmp_path / 'torn.pth'}", torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8))


def test_dinov2_is_loaded_from_the_hub_cache() -> None:
    folder = Path(torch.hub.get_dir()) / "facebookresearch_dinov2_main"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(
        "import torch\n"
        "def dinov2_vitl14(pretrained=True):\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.AvgPool2d(56), torch.nn.Flatten(), torch.nn.Linear(48, 4))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.hub.urlopen", offline)
        figures = evaluated("fd-dinov2", noise(8, 3, 8, 8).clamp(-1, 1), noise(8, 3, 8, 8, seed=1).clamp(-1, 1))
    assert 0 < figures["fd"] < math.inf


@pytest.mark.parametrize(
    ("words", "shape", "reals", "said"),
    [
        ("fid", (2,), 10**5, "takes images of 1 or 3 channels, and samples of 2 are"),
        (
            "fid:count=1000",
            (3, 8, 8),
            10**5,
            "1000 samples are too few for a covariance of 2048 .*count=4096.*or use kid",
        ),
        ("fid", (3, 8, 8), 1000, "1000 samples are too few"),
        ("kid", (3, 8, 8), 500, "kid has 500 samples, and a subset has 1000: give kid:size=250"),
        ("prdc", (3, 8, 8), 3, "3 samples, and looks for 3 neighbours"),
    ],
)
def test_samples_that_do_not_suit_are_refused(words: str, shape: tuple[int, ...], reals: int, said: str) -> None:
    spec = ganzoo.Spec(shape=shape, latent_dim=2, classes=0, inputs={})
    with pytest.raises(errors.Incompatible, match=said):
        ganzoo.part("metric", words).check(spec, reals)  # type: ignore[attr-defined]


def test_too_few_samples_of_a_network_of_unknown_size(flat: str) -> None:
    with pytest.raises(errors.Incompatible, match="3 samples are too few for a covariance of 4 features of flat"):
        evaluated(f"fd:{flat}", noise(3, 4), noise(3, 4))


@pytest.mark.parametrize(
    "words", ["fd:{},count=300", "kid:{},count=200,size=100", "prdc:{},count=100", "is:{},count=100"]
)
@pytest.mark.parametrize("check", checks_for("metric"), ids=lambda check: check.name)
def test_every_metric_passes_the_exam(words: str, check: Any, flat: str) -> None:
    check(ganzoo.part("metric", words.format(flat)))


def test_a_run_records_what_evaluate_computes(flat: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ganzoo.run(
        data="digits:size=8",
        arch="mlp:width=4,depth=1",
        regularizers=None,
        metrics=[f"fd:{flat},count=300", "swd"],
        best="fd/flat",
        steps=2,
        batch_size=8,
        latent_dim=3,
        samples=4,
        device="cpu",
        logdir=tmp_path / "runs",
        quiet=True,
    )
    (found,) = ganzoo.evaluate(run.dir, metrics=f"fd:{flat},count=300")
    assert found.figures["flat"] == run.metrics["metrics/fd/flat"]
    assert list(found.tags) == ["metrics/fd/flat"]
    assert main(["evaluate", str(run.dir), "--metric", f"fd:{flat},count=3"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "too few" in said[0]
    assert main(["show", "metric:fid"]) == 0
    assert main(["list", "networks"]) == 0
    assert "mnist-cnn" in capsys.readouterr().out


MEASURED = """
import resource, sys
import ganzoo
ganzoo.evaluate(sys.argv[1], metrics=sys.argv[2], record=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_number_of_samples(flat: str, tmp_path: Path) -> None:
    run = ganzoo.run(
        data="digits:size=8",
        arch="mlp:width=4,depth=1",
        regularizers=None,
        steps=1,
        batch_size=8,
        latent_dim=64,
        samples=4,
        device="cpu",
        logdir=tmp_path / "runs",
        quiet=True,
    )
    peaks = []
    for count in (5_000, 50_000):
        words = f"fd:{flat},count={count}"
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(run.dir), words], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert abs(peaks[1] / peaks[0] - 1) < 0.1, peaks


def test_fid_never_takes_another_network() -> None:
    with pytest.raises(errors.BadParameter):
        ganzoo.part("metric", "fid:features=inception")
