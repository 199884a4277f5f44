from __future__ import annotations

import hashlib
import math
import pickle
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

import ganzoo
from ganzoo import errors, words
from ganzoo_zoo.data._images import resized, shown
from ganzoo_zoo.data.cifar10 import CIFAR10
from ganzoo_zoo.data.digits import Digits, bitmaps, blurred
from ganzoo_zoo.data.fashion_mnist import FashionMNIST
from ganzoo_zoo.data.grid import Grid
from ganzoo_zoo.data.mnist import MNIST
from ganzoo_zoo.data.ring import Ring

REAL = Path(__file__).parents[3] / "shared" / "data"
real = [
    pytest.mark.data,
    pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="the real MNIST is not beside the checkout"),
]


def one_line(part: ganzoo.Data, match: str) -> str:
    with pytest.raises(errors.DataError, match=match) as caught:
        part.dataset()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# digits


def test_digits_are_all_there_with_every_grey_level():
    digits = Digits(size=8).dataset()
    images, labels = digits.tensors
    assert isinstance(digits, TensorDataset)
    assert (images.shape, images.dtype, labels.dtype) == ((1797, 1, 8, 8), torch.uint8, torch.int64)
    assert images.unique().tolist() == [round(v * 255 / 16) for v in range(17)]
    assert labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.classes == list("0123456789")


def test_digits_are_the_ones_of_their_labels():
    images, labels = Digits(size=8).dataset().tensors
    means = torch.stack([images[labels == k].double().mean(0).flatten() for k in range(10)])
    guess = torch.cdist(images.double().flatten(1), means).argmin(1)
    assert (guess == labels).double().mean() > 0.85  # the nearest class mean; a shuffled pairing gives 0.1


def test_the_bitmaps_have_exactly_the_counts_and_smooth_outlines():
    counts = torch.from_numpy(load_digits().images)[:200]
    found = bitmaps(counts)
    assert found.unique().tolist() == [0, 1]
    assert torch.equal(found.unfold(1, 4, 4).unfold(2, 4, 4).sum((3, 4)), counts)
    # The outline of a bitmap, in pixel edges, is shorter than that of blocks filled in a random order by far.
    g = torch.Generator().manual_seed(0)
    order = torch.rand(*counts.shape, 16, generator=g).argsort(3).argsort(3)
    random = (order < counts[..., None]).double().unflatten(3, (4, 4)).transpose(2, 3).reshape(-1, 32, 32)
    outline = [x.diff(dim=1).abs().sum() + x.diff(dim=2).abs().sum() for x in (found, random)]
    assert outline[0] < 0.5 * outline[1]


def test_a_blur_keeps_the_sum_and_a_wide_blur_is_flat():
    spot = torch.zeros(1, 33, 33, dtype=torch.float64)
    spot[0, 16, 16] = 1
    seen = blurred(spot, 2.0)
    assert seen.sum().item() == pytest.approx(1, abs=1e-6)
    assert (seen[0, 16] * (torch.arange(33) - 16).square()).sum() / seen[0, 16].sum() == pytest.approx(4, rel=1e-3)


def test_enlarged_digits_are_near_the_counts_of_their_blocks():
    small, large = (Digits(size=size).dataset().tensors[0].double() for size in (8, 32))
    gap = torch.nn.functional.avg_pool2d(large, 4) - small
    assert gap.square().mean().sqrt() < 12  # of 255, by the blur of 0.7 pixels alone; 27 by a bilinear enlargement
    for size in (12, 16, 64):
        assert Digits(size=size).dataset().tensors[0].shape == (1797, 1, size, size)


def test_digits_enlarged_keep_their_brightness():
    small, large = Digits(size=8).dataset().tensors[0], Digits(size=32).dataset().tensors[0]
    assert large.shape == (1797, 1, 32, 32)
    assert large.double().mean().item() == pytest.approx(small.double().mean().item(), abs=1)


def test_resizing_keeps_a_flat_image_flat_and_averages_where_it_shrinks():
    flat = torch.full((1, 3, 10, 10), 77, dtype=torch.uint8)
    assert resized(flat, 23).unique().tolist() == [77]
    checkers = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).mul(255).to(torch.uint8)[None, None]
    assert (resized(checkers, 16).int() - 127).abs().max() < 12  # without antialiasing: 0 or 255
    assert resized(flat, 10) is flat


# ring and grid


@pytest.mark.parametrize("data", [Ring(), Grid(), Ring(gaussians=3, radius=2, std=0.5), Grid(side=2, spacing=1, std=1)])
def test_points_have_the_moments_of_the_mixture(data):
    x = data.dataset().tensors[0]
    assert (x.shape, x.dtype) == ((100_000, 2), torch.float32)
    owner = torch.arange(len(x)) % len(data.modes())
    noise = (x - data.modes()[owner]) / data.std
    assert noise.mean(0).abs().max() < 4 / math.sqrt(len(x))
    assert torch.allclose(noise.T.cov(), torch.eye(2), atol=0.03)
    assert owner.bincount().max() - owner.bincount().min() <= 1


@pytest.mark.parametrize("data", [Ring(), Grid()])
def test_points_are_the_same_at_every_call_and_inside_the_range_of_tanh(data):
    torch.manual_seed(0)
    first = data.dataset().tensors[0]
    state = torch.random.get_rng_state()
    assert torch.equal(first, data.dataset().tensors[0])
    assert torch.equal(state, torch.random.get_rng_state())  # the run's own randomness is not touched
    assert first.abs().max() < 1


def test_the_centres():
    assert torch.allclose(
        Ring(gaussians=4, radius=2).modes(), 2 * torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6
    )
    assert torch.allclose(Ring().modes().norm(dim=1), torch.tensor(0.8))
    assert len(Ring().modes()) == 8
    assert torch.allclose(Grid().modes() * 5, torch.cartesian_prod(*2 * [torch.tensor([-4.0, -2, 0, 2, 4])]))
    assert Ring().std / Ring().radius == pytest.approx(0.02 / 2)
    assert Grid().std / Grid().spacing == pytest.approx(0.05 / 2)
    assert torch.equal(Grid(side=1).modes(), torch.zeros(1, 2))


# what torchvision reads


def idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def fake_mnist(root: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    for part in ("train", "t10k"):
        idx(root / f"{part}-images-idx3-ubyte", images)
        idx(root / f"{part}-labels-idx1-ubyte", labels)
    return root


@pytest.mark.parametrize(("part", "home"), [(MNIST, "MNIST/raw"), (FashionMNIST, "FashionMNIST/raw")])
def test_idx_files_are_read_with_a_black_margin(tmp_path, part, home):
    images = np.random.default_rng(0).integers(1, 256, (6, 28, 28), dtype=np.uint8)
    fake_mnist(tmp_path / home, images, np.arange(6, dtype=np.uint8))
    x, y = part(root=str(tmp_path)).dataset().tensors
    assert (x.shape, x.dtype, y.tolist()) == ((6, 1, 32, 32), torch.uint8, [0, 1, 2, 3, 4, 5])
    assert torch.equal(x[:, 0, 2:30, 2:30], torch.from_numpy(images))
    assert (x == 0).sum() == 6 * (32 * 32 - 28 * 28)
    assert torch.equal(part(root=str(tmp_path), size=28).dataset().tensors[0][:, 0], torch.from_numpy(images))
    assert part(root=str(tmp_path), size=16, split="test").dataset().tensors[0].shape == (6, 1, 16, 16)
    assert len(part(root=str(tmp_path)).dataset().classes) == 10


@pytest.mark.parametrize(("name", "part"), [("mnist", MNIST), ("fashion-mnist", FashionMNIST), ("cifar10", CIFAR10)])
def test_missing_files_say_where_and_what_to_do(tmp_path, name, part):
    said = one_line(part(root=str(tmp_path)), f"^{name}: no files in ")
    assert str(tmp_path / part.home) in said
    assert f"--data {name}:root=DIR" in said
    assert f"--data {name}:download=true" in said
    assert not list(tmp_path.iterdir())


def test_a_file_cut_short_is_said_to_be_damaged(tmp_path):
    home = fake_mnist(tmp_path / "MNIST/raw", np.zeros((6, 28, 28), np.uint8), np.zeros(6, np.uint8))
    file = home / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    one_line(MNIST(root=str(tmp_path)), "^mnist: incomplete or damaged files in ")
    file.unlink()
    one_line(MNIST(root=str(tmp_path)), "^mnist: incomplete or damaged files in ")


def test_a_download_without_a_network_is_one_line(tmp_path, monkeypatch):
    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    for part in (MNIST, FashionMNIST, CIFAR10):
        said = one_line(part(root=str(tmp_path), download=True), "could not download to")
        assert "check the network" in said


def test_cifar_pickles_as_python_2_wrote_them(tmp_path, monkeypatch):
    class OldType:  # dtype("u1", align=0, copy=1): numbers where numpy 2.4 asks for booleans, and warns
        def __reduce__(self):
            return np.dtype, ("u1", 0, 1)

    class OldArray:
        def __init__(self, array):
            self.array = array

        def __reduce__(self):
            make, args, state = self.array.__reduce__()
            return make, args, (*state[:2], OldType(), *state[3:])

    rng = np.random.default_rng(0)
    home, listed = tmp_path / CIFAR10.home, {}
    home.mkdir()

    def put(name, content):
        (home / name).write_bytes(pickle.dumps(content, protocol=2))
        listed[name] = hashlib.md5((home / name).read_bytes()).hexdigest()

    batches = [rng.integers(0, 256, (2, 3072), dtype=np.uint8) for _ in range(6)]
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name, batch in zip(names, batches, strict=True):
        put(name, {"data": OldArray(batch), "labels": [3, 9]})
    put("batches.meta", {"label_names": [f"c{k}" for k in range(10)]})
    from torchvision.datasets import CIFAR10 as Reader

    monkeypatch.setattr(Reader, "train_list", [[n, listed[n]] for n in names[:5]])
    monkeypatch.setattr(Reader, "test_list", [[names[5], listed[names[5]]]])
    monkeypatch.setattr(Reader, "meta", {**Reader.meta, "md5": listed["batches.meta"]})

    data = CIFAR10(root=str(tmp_path)).dataset()
    x, y = data.tensors
    assert torch.equal(x, torch.from_numpy(np.concatenate(batches[:5])).reshape(-1, 3, 32, 32))
    assert (y.tolist(), data.classes[3]) == ([3, 9] * 5, "c3")
    assert CIFAR10(root=str(tmp_path), split="test", size=16).dataset().tensors[0].shape == (2, 3, 16, 16)
    (home / "data_batch_2").write_bytes(b"altered")
    one_line(CIFAR10(root=str(tmp_path)), "^cifar10: incomplete or damaged files in ")


class TestReal:
    pytestmark = real

    def test_mnist(self):
        data = MNIST(root=str(REAL), split="test").dataset()
        images, labels = data.tensors
        assert images.shape == (10_000, 1, 32, 32)
        assert labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert images.double().sum() / (10_000 * 784 * 255) == pytest.approx(0.1325, abs=1e-4)  # the mean known for it


def test_values_out_of_range_are_refused_by_the_words():
    for part, key, value in [(Digits, "size", "4"), (MNIST, "split", "val"), (Ring, "std", "0"), (Grid, "side", "0")]:
        with pytest.raises(errors.BadParameter, match=f"{key}={value} is not"):
            words.make(part, "data", {key: value})


def test_every_parameter_says_what_it_means():
    for part in (Digits, MNIST, FashionMNIST, CIFAR10, Ring, Grid):
        assert all(p.meaning for p in words.parameters(part).values())


def test_shown_fits_on_one_line():
    assert shown("é\n\udcff\x1b[0m.png") == "é\\n\\udcff\\x1b[0m.png"
