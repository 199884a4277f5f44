"""Batches: in an order that is a function of (seed, epoch), whole in memory or streamed alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from ganzoo import errors
from ganzoo.feed import Resident, Streamed, feed

CPU = torch.device("cpu")


def pictures(count: int = 20) -> torch.Tensor:
    """Images that say which they are."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()


class Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


def rows(images: torch.Tensor) -> list[int]:
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def made(dataset: Any, **changes: Any) -> Any:
    given = {"batch_size": 6, "seed": 3, "device": CPU, "dtype": torch.float32, **changes}
    return feed(dataset, "toy", **given)


def test_an_epoch_shows_each_sample_at_most_once_and_drops_the_short_batch() -> None:
    fed = made(TensorDataset(pictures()))
    assert isinstance(fed, Resident)
    assert fed.batches == 3
    epochs = [[i for k in range(3) for i in rows(fed.reals(3 * e + k).images)] for e in range(2)]
    assert all(len(set(epoch)) == 18 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    fed, again, other = made(TensorDataset(pictures())), made(TensorDataset(pictures())), made(
        TensorDataset(pictures()), seed=4
    )  # fmt: skip
    late = rows(fed.reals(7).images)
    for k in range(7):
        fed.reals(k)
    assert rows(fed.reals(7).images) == late == rows(again.reals(7).images)
    assert rows(other.reals(7).images) != late


def test_streamed_and_resident_feeds_give_the_same_batches() -> None:
    labels = torch.arange(20) % 3
    whole = made(TensorDataset(pictures(), labels))
    streamed = made(Items([(x, int(y)) for x, y in zip(pictures(), labels, strict=True)]))
    assert isinstance(streamed, Streamed)
    whole.with_labels = streamed.with_labels = True
    for k in (0, 1, 2, 3, 9, 4):  # and out of order
        a, b = whole.reals(k), streamed.reals(k)
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    assert torch.equal(whole.first(5), streamed.first(5))
    assert whole.classes == streamed.classes == 3


def test_bytes_fill_minus_one_to_one_exactly() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).repeat(4)[:, None, None, None].expand(-1, 1, 2, 2)
    batch = made(TensorDataset(images.contiguous()), dtype=torch.float64).reals(0).images
    assert {round(float(v), 12) for v in batch.unique()} == {-1.0, 1.0}


def test_a_mapping_item_brings_a_condition() -> None:
    items = [{"image": x, "condition": x.float() / 127.5 - 1} for x in pictures()]
    fed = made(Items(items))
    assert fed.condition_shape == (1, 2, 2)
    batch = fed.reals(0)
    assert torch.allclose(batch.condition, batch.images)


def test_fake_labels_follow_the_datas_proportions() -> None:
    labels = torch.tensor([0] * 15 + [2] * 5)
    fed = made(TensorDataset(pictures(), labels))
    fed.with_labels = True
    drawn = torch.bincount(fed.labels(4000, torch.Generator().manual_seed(0)), minlength=3) / 4000
    torch.testing.assert_close(drawn, torch.tensor([0.75, 0.0, 0.25]), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (pictures(4), "4 samples, fewer than a batch of 6: give --batch-size 4"),
        (torch.rand(20, 1, 2, 2) * 255, "give uint8"),
        (torch.rand(20, 1, 2, 2), "as if in [0, 1]"),
    ],
)
def test_what_cannot_be_fed_is_said_in_one_line(images: torch.Tensor, said: str) -> None:
    with pytest.raises(errors.DataError) as caught:
        made(TensorDataset(images))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
