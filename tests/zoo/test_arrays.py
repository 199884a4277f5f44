"""``folder`` reads arrays of numbers as samples, and exported samples have the units of the data."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo import cli, errors
from ganzoo.data.choose import feed


def dataset(path: Path, words: str = "") -> torch.utils.data.TensorDataset:
    found: torch.utils.data.TensorDataset = ganzoo.part("data", f"folder:path={path}{words}").dataset()
    return found


def files(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, array)
    return folder


def test_rows_of_one_file_are_samples_and_floats_stay_floats(tmp_path: Path) -> None:
    rows = np.linspace(-3, 5, 4 * 2 * 8).reshape(4, 2, 8)
    np.save(tmp_path / "x.npy", rows)
    found = dataset(tmp_path / "x.npy", ",axes=1,range=-3,5")
    images = found.tensors[0]
    assert found.data_range == (-3, 5)
    assert images.shape == (4, 2, 8)
    assert images.dtype == torch.float32
    np.testing.assert_allclose(images.numpy(), (rows + 3) / 4 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "axes", "sample"),
    [
        ((16,), "auto", (1, 16)),
        ((8, 6), "auto", (1, 8, 6)),
        ((2, 16), "1", (2, 16)),
        ((4, 8, 6), "auto", (4, 8, 6)),
        ((4, 8, 6), "3", (1, 4, 8, 6)),
        ((2, 4, 8, 6), "auto", (2, 4, 8, 6)),
    ],
)
def test_the_axes_of_an_array(tmp_path: Path, shape: tuple[int, ...], axes: str, sample: tuple[int, ...]) -> None:
    folder = files(tmp_path, {f"{i}.npy": np.full(shape, i / 4) for i in range(3)})
    found = dataset(folder, f",axes={axes}").tensors[0]
    assert tuple(found.shape[1:]) == sample
    assert found[:, 0].flatten(1)[:, 0].tolist() == [0.0, 0.25, 0.5]


def test_folders_are_classes_and_a_zip_is_read(tmp_path: Path) -> None:
    folder = files(tmp_path / "a", {"cat/1.npy": np.zeros(8), "cat/2.npy": np.ones(8), "dog/1.npy": -np.ones(8)})
    read = dataset(folder)
    assert read.tensors[1].tolist() == [0, 0, 1]
    assert read.classes == ["cat", "dog"]  # type: ignore[attr-defined]  # of the data set of ganzoo
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("cat/1.npy", "cat/2.npy", "dog/1.npy"):
            archive.write(folder / name, name)
    assert dataset(tmp_path / "a.zip").tensors[0].equal(read.tensors[0])


def test_labels_lie_beside_the_samples_and_bytes_stay_bytes(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz", samples=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), labels=np.array([0, 1, 1, 2])
    )
    read = dataset(tmp_path / "x.npz")
    assert read.tensors[0].dtype == torch.uint8
    assert read.tensors[1].tolist() == [0, 1, 1, 2]
    assert dataset(tmp_path / "x.npz", ",limit=2").tensors[1].tolist() == [0, 1]


def test_a_set_that_exceeds_the_memory_is_read_file_by_file(tmp_path: Path) -> None:
    folder = files(tmp_path, {f"{i}.npy": np.full((2, 8), i / 10) for i in range(6)})
    lazy = dataset(folder, ",axes=1,memory=0")
    assert not hasattr(lazy, "tensors")
    source = feed(lazy, "folder", 2, 0, torch.device("cpu"), torch.float32)
    assert sorted(source.at(torch.arange(6)).images[:, 0, 0].tolist()) == pytest.approx([i / 10 for i in range(6)])
    source.close()


@pytest.mark.parametrize(
    ("arrays", "words", "said"),
    [
        (
            {"1.npy": np.zeros(8), "2.npy": np.full(8, 3.0)},
            "",
            "numbers from 3 to 3, beyond [-1, 1]: give range=LOW,HIGH",
        ),
        ({"1.npy": np.zeros(8), "2.npy": np.full(8, 3.0)}, ",range=0,2", "beyond range=0,2"),
        ({"1.npy": np.zeros(8), "2.npy": np.full(8, np.nan)}, "", "numbers that are not finite"),
        ({"1.npy": np.zeros(8), "2.npy": np.zeros(9)}, "", "all arrays need one shape"),
        ({"1.npy": np.zeros((2, 2, 2, 2, 2)), "2.npy": np.zeros(9)}, "", "a sample of 5 axes"),
        ({"1.npy": np.zeros(8, dtype=complex), "2.npy": np.zeros(8)}, "", "numbers of the type complex128"),
        ({"1.npy": np.array([{}], dtype=object), "2.npy": np.zeros(8)}, "", "no array of numbers"),
        ({"1.npy": np.zeros(8)}, "", "only one array"),
    ],
)
def test_arrays_that_cannot_be_samples_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str, said: str
) -> None:
    for name, array in arrays.items():
        np.save(tmp_path / name, array, allow_pickle=True)
    with pytest.raises(errors.DataError) as caught:
        dataset(tmp_path, words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_range_is_in_order() -> None:
    with pytest.raises(errors.GanzooError, match="the first number must be below the second"):
        ganzoo.part("data", "folder:path=x,range=1,0")


@pytest.mark.parametrize(("shape", "arch"), [((2, 16), "dcgan:width=2"), ((2, 8, 8, 8), "mlp:width=8,depth=1")])
def test_exported_samples_have_the_units_of_the_data(tmp_path: Path, shape: tuple[int, ...], arch: str) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.uniform(100, 200, (16, *shape)).astype(np.float32))
    data = f"folder:path={tmp_path / 'x.npy'},axes={len(shape) - 1},range=100,200"
    run = ganzoo.run(
        data=data,
        arch=arch,
        loss="hinge",
        steps=2,
        batch_size=4,
        latent_dim=4,
        samples=4,
        logdir=str(tmp_path / "runs"),
        name="a",
        device="cpu",
        threads=1,
        precision="fp32",
    )
    assert run.dir is not None
    out = tmp_path / "made.npy"
    assert cli.main(["sample", str(run.dir), "--count", "3", "--out", str(out)]) == 0
    made = np.load(out)
    assert made.shape == (3, *shape)
    np.testing.assert_allclose(made, 150 + 50 * run.sample(3).numpy(), rtol=1e-5)


@pytest.mark.parametrize("place", ["x.npy", "many"])
def test_bytes_are_exported_as_they_were(place: str, tmp_path: Path) -> None:
    rows = np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 2, 2)
    np.save(tmp_path / "x.npy", rows)
    files(tmp_path / "many", {f"{k}.npy": row for k, row in enumerate(rows)})
    assert dataset(tmp_path / place).data_range == (0.0, 255.0)
    assert dataset(tmp_path / "many", ",memory=0").data_range == (0.0, 255.0)


@pytest.mark.parametrize("more", ["size=4x64", "channels=1", "resize=pad"])
def test_what_is_of_images_alone_is_refused_for_arrays(more: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 2, 64), np.float32))
    files(tmp_path / "many", {f"{k}.npy": np.zeros((2, 64), np.float32) for k in range(3)})
    for place in ("x.npy", "many"):
        with pytest.raises(
            errors.DataError, match=rf"folder: {more} is of images, and .*\.npy holds numbers: .* axes=1"
        ):
            dataset(tmp_path / place, f",{more}")


def test_labels_of_a_single_file_are_in_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", samples=np.zeros((4, 2, 8), np.float32), labels=np.arange(4))
    found: Any = dataset(tmp_path / "x.npz", ",labels=none")
    assert found.labels is None
    with pytest.raises(
        errors.DataError, match=r"labels=own\.csv labels files, and x\.npz is one file: put an array called"
    ):
        dataset(tmp_path / "x.npz", ",labels=own.csv")
    np.savez(tmp_path / "y.npz", samples=np.zeros((2, 2, 8)), labels=np.array(["a", None], dtype=object))
    with pytest.raises(errors.DataError, match=r"labels is an array of Python objects: save numbers, or text as"):
        dataset(tmp_path / "y.npz")
