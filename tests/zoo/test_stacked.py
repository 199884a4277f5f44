"""Stacked MNIST and its modes: by hand-made digits everywhere, by the real ones where they are."""

from __future__ import annotations

import logging
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import ganzoo
from ganzoo.errors import Incompatible


def write_idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    path.write_bytes(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes())


def bars(labels: torch.Tensor) -> torch.Tensor:
    """(N, 28, 28) pictures that are easily told apart: digit k is a bar in row 2k + 4."""
    images = torch.zeros(len(labels), 28, 28, dtype=torch.uint8)
    images[torch.arange(len(labels)), 2 * labels + 4, 4:24] = 255
    return images


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MNIST of bars, in MNIST's own files."""
    root = tmp_path_factory.mktemp("data")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 3000), ("t10k", 200)):
        labels = (torch.arange(count) + 3 * (split == "t10k")) % 10
        write_idx(raw / f"{split}-images-idx3-ubyte", bars(labels).numpy())
        write_idx(raw / f"{split}-labels-idx1-ubyte", labels.to(torch.uint8).numpy())
    return root


def stacked(root: Path, **values: Any) -> Any:
    return ganzoo.part("data", "stacked-mnist", root=str(root), **values)


def test_the_label_is_the_number_that_the_channels_spell(root: Path) -> None:
    data = stacked(root, count=500, size=28)
    images, labels = data.dataset().tensors
    assert images.shape == (500, 3, 28, 28)
    rows = images[:, :, :, 10].argmax(2)
    read = (rows - 4) // 2
    assert torch.equal((read * torch.tensor([100, 10, 1])).sum(1), labels)
    assert len(labels.unique()) > 300
    assert torch.equal(images, data.dataset().tensors[0])
    assert len(data.dataset().classes) == 1000
    assert data.held_out().tensors[0].shape == (500, 3, 28, 28)
    assert not torch.equal(data.held_out().tensors[1], labels)


def test_modes_are_read_channel_by_channel(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, metric = stacked(root, count=1000, size=28), ganzoo.part("metric", "stacked-modes", cache=str(tmp_path))
    assert metric.samples == 26_000  # type: ignore[attr-defined]  # metrics have it
    every = torch.arange(1000)
    digits = torch.stack([every // 100, every // 10 % 10, every % 10], 1)
    fake = torch.stack([bars(channel) for channel in digits.T], 1).float() / 127.5 - 1
    with caplog.at_level(logging.WARNING, "ganzoo"):
        found = metric.score(fake, fake, data)  # type: ignore[attr-defined]
    assert "100.00 % right on the test images" in caplog.text
    assert found["modes"] == 1000
    assert found["kl"] == pytest.approx(0, abs=1e-9)
    assert found["floor"] == pytest.approx(999 / 2000)
    assert found["accuracy"] == 1.0
    one = metric.score(fake, fake[123:124].expand(50, -1, -1, -1), data)  # type: ignore[attr-defined]
    assert (one["modes"], one["kl"]) == (1, pytest.approx(math.log(1000)))
    half = metric.score(fake, fake[:500], data)  # type: ignore[attr-defined]
    assert (half["modes"], half["kl"]) == (500, pytest.approx(math.log(2)))
    assert (half["jsd"], found["jsd"]) == (pytest.approx(0.75 * math.log(4 / 3)), pytest.approx(0, abs=1e-12))

    (kept,) = tmp_path.iterdir()  # and the next process reads it
    module = __import__(type(metric).__module__, fromlist=["classifier"])
    module.classifier.cache_clear()
    monkeypatch.setattr(module, "_train", None)
    assert metric.score(fake, fake, data) == found  # type: ignore[attr-defined]
    module.classifier.cache_clear()
    monkeypatch.undo()
    kept.write_bytes(kept.read_bytes()[:100])  # a torn file is made again
    assert metric.score(fake, fake, data) == found  # type: ignore[attr-defined]


def test_a_perfect_sampler_has_the_kl_that_is_told_as_the_floor(root: Path, tmp_path: Path) -> None:
    data, metric = stacked(root, count=5000, size=28), ganzoo.part("metric", "stacked-modes", cache=str(tmp_path))
    fake = data.dataset().tensors[0].float() / 127.5 - 1
    found = metric.score(fake, fake, data)  # type: ignore[attr-defined]
    assert found["kl"] == pytest.approx(found["floor"], rel=0.15)  # the bars are equally many


def test_other_data_is_refused(root: Path) -> None:
    metric: Any = ganzoo.part("metric", "stacked-modes")
    for data, shape in ((ganzoo.part("data", "digits"), (4, 1, 8, 8)), (stacked(root), (4, 1, 28, 28))):
        with pytest.raises(Incompatible, match="use it with stacked-mnist"):
            metric.score(torch.zeros(shape), torch.zeros(shape), data)


def test_a_cache_that_cannot_be_written_is_no_hindrance(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    metric: Any = ganzoo.part("metric", "stacked-modes", cache="/proc/nowhere")
    fake = torch.zeros(10, 3, 28, 28)
    assert metric.score(fake, fake, stacked(root, size=28))["modes"] == 1
    assert "cannot be kept" in caplog.text


@pytest.mark.data
def test_the_real_ones(real_data: Path) -> None:
    dataset = stacked(real_data, count=26_000, size=28).dataset()
    assert isinstance(dataset, TensorDataset)
    share = torch.bincount(dataset.tensors[1], minlength=1000).double() / 26_000
    kl = float(torch.xlogy(share, 1000 * share).sum())
    assert 0.019 < kl < 0.029  # 0.0192 by chance and 0.0043 of MNIST's uneven digits
    assert int((share > 0).sum()) == 1000
