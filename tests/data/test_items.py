"""People's own datasets: items of any usual kind, labels of any kind, and one line for what cannot be taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

import ganzoo
from ganzoo import errors
from ganzoo.data import choose
from ganzoo.data.feed import Feed
from ganzoo.data.items import labels_of, read_item
from ganzoo.data.streamed import Streamed

CPU = torch.device("cpu")


class Items(Dataset[Any]):
    """A dataset of given items."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]() if callable(self.items[i]) else self.items[i]


def fed(dataset: Any, batch: int = 2) -> Feed:
    return choose.feed(dataset, "mine", batch, 0, CPU, torch.float32)


def refused(dataset: Any, why: str, batch: int = 2) -> None:
    def read_all() -> None:
        made = fed(dataset, batch)
        for k in range(max(1, made.batches)):
            made.reals(k)

    with pytest.raises(errors.DataError, match=why) as caught:
        read_all()
    assert "\n" not in str(caught.value)
    assert "data mine" in str(caught.value)


FORMS: list[tuple[str, Any, tuple[int, ...]]] = [
    ("tensor", torch.zeros(3, 8, 9, dtype=torch.uint8), (3, 8, 9)),
    ("array CHW", np.zeros((3, 8, 9), np.float32), (3, 8, 9)),
    ("array HWC", np.zeros((8, 9, 3), np.uint8), (3, 8, 9)),
    ("array HW", np.zeros((8, 9), np.uint8), (1, 8, 9)),
    ("mask", np.zeros((8, 9), np.bool_), (1, 8, 9)),
    ("PIL grey", Image.new("L", (9, 8)), (1, 8, 9)),
    ("PIL colour", Image.new("RGB", (9, 8)), (3, 8, 9)),
    ("PIL palette", Image.new("P", (9, 8)), (3, 8, 9)),
    ("PIL alpha", Image.new("RGBA", (9, 8)), (4, 8, 9)),
    ("PIL bits", Image.new("1", (9, 8)), (1, 8, 9)),
    ("signal", np.zeros(5, np.float32), (5,)),
    ("number", 0.5, (1,)),
    ("0-d tensor", torch.tensor(0.5), (1,)),
]


@pytest.mark.parametrize(("item", "shape"), [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
@pytest.mark.parametrize("wrap", ["alone", "tuple", "list", "pair", "mapping"])
def test_an_item_may_be_any_usual_kind(item: Any, shape: tuple[int, ...], wrap: str) -> None:
    wrapped = {
        "alone": item,
        "tuple": (item,),
        "list": [item, 1],
        "pair": (item, np.int64(1)),
        "mapping": {"image": item},
    }
    made = fed(Items([wrapped[wrap]] * 4))
    assert made.shape == shape
    assert made.reals(0).images.shape == (2, *shape)
    assert made.classes == (2 if wrap in ("list", "pair") else 0)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (None, "item 3 has image of type NoneType"),
        ("x.png", "item 3 has image of type str"),
        ((torch.zeros(1, 8, 8), 1, 2), "item 3 is a tuple of 3 entries"),
        ({"pixels": 1}, "item 3 is a mapping with pixels and no 'image'"),
        ((torch.zeros(1, 8, 8), "cat"), "item 3 has the label 'cat': give the number of the class"),
        (torch.zeros(1, 8, 9), r"item 3 has image of shape \(1, 8, 9\), and item 0 has \(1, 8, 8\)"),
        ((torch.zeros(1, 8, 8), 0), "item 3 has label of shape .* item 0 has no such entry"),
        (torch.full((1, 8, 8), math.nan), "item 3 has image with NaN"),
        (np.array(["a"]), "item 3 has image as an array of <U1"),
        (lambda: 1 / 0, "item 3 cannot be read: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_taken_is_one_line_with_the_number_of_the_item(item: Any, why: str) -> None:
    refused(Items([torch.zeros(1, 8, 8)] * 3 + [item]), why)


def test_the_line_is_the_same_from_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Streamed, "_workers", lambda self: 1)
    refused(Items([torch.zeros(1, 8, 8)] * 3 + [torch.zeros(1, 8, 9)]), "item 3 has image of shape")


def test_a_dataset_without_length_is_refused() -> None:
    class Endless(Dataset[Any]):
        def __getitem__(self, i: int) -> Any:
            return torch.zeros(2)

    refused(Endless(), "the Endless tells no length")


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 5)])
def test_what_is_not_finite_in_memory_is_refused_with_the_items(shape: tuple[int, ...]) -> None:
    values = torch.rand(20, *shape) * 2 - 1
    values[3], values[11] = math.nan, math.inf
    refused(TensorDataset(values), "has NaN or infinity in item 3, 11: leave these items out")


def test_tables_far_from_zero_and_samples_all_alike_are_noted() -> None:
    assert fed(TensorDataset(torch.rand(8, 3))).notes == []
    (note,) = fed(TensorDataset(torch.rand(8, 3) * 1e5)).notes
    assert "networks learn best from values of about 1" in note
    (note,) = fed(TensorDataset(torch.ones(8, 3))).notes
    assert "all the same" in note


IMAGES = [torch.rand(1, 8, 8) * 2 - 1 for _ in range(6)]


@pytest.mark.parametrize("where", ["items", "labels", "targets", "subset", "joined", "memory"])
def test_fakes_have_labels_in_the_proportions_of_every_kind_of_dataset(where: str) -> None:
    labels = [0, 2, 2, 2, 2, 0]
    pairs = list(zip(IMAGES, labels, strict=True))
    made: Any = {
        "items": Items(pairs),
        "labels": Items(pairs, labels=torch.tensor(labels), classes=["a", "b", "c"]),
        "targets": Items(pairs, targets=labels),
        "subset": Subset(Items([*pairs, (IMAGES[0], 7)], targets=[*labels, 7]), range(6)),
        "joined": ConcatDataset([Items(pairs[:2], targets=labels[:2]), Items(pairs[2:], targets=labels[2:])]),
        "memory": TensorDataset(torch.stack(IMAGES), torch.tensor(labels)),
    }[where]
    source = fed(made)
    assert source.classes == 3
    source.give_labels(3)
    drawn = source.labels(2000, torch.Generator().manual_seed(0))
    assert drawn is not None
    assert (torch.bincount(drawn, minlength=3) / 2000 - torch.tensor([2, 0, 4]) / 6).abs().max() < 0.05
    assert any("no sample of class 1" in note for note in source.notes)
    assert list(source.class_names) == (["a", "b", "c"] if where == "labels" else [])


@pytest.mark.parametrize("memory", [True, False])
def test_negative_labels_are_refused_where_the_networks_are_given_labels(memory: bool) -> None:
    labels = [-1, 0, 1, 1, 0, 1]
    made: Any = Items(list(zip(IMAGES, labels, strict=True)))
    if memory:
        made = TensorDataset(torch.stack(IMAGES), torch.tensor(labels))
    source = fed(made)
    source.give_labels(0)
    assert source.reals(0).labels is None
    with pytest.raises(errors.DataError, match="data mine has labels from -1 to 1: give whole numbers from 0"):
        source.give_labels(2)


def test_one_hot_rows_and_columns_of_labels_are_class_numbers() -> None:
    one_hot = torch.eye(3)[[0, 2, 2, 1, 0, 2]]
    for labels in (one_hot, one_hot.argmax(1)[:, None], one_hot.argmax(1).int()):
        source = fed(TensorDataset(torch.stack(IMAGES), labels))
        source.give_labels(3)
        assert source.classes == 3
        assert source.reals(0).labels.dtype == torch.int64


def test_labels_that_are_told_are_read_without_the_items() -> None:
    assert labels_of(Items([], targets=["cat", "dog"]), 2) is None
    assert labels_of(Items([], targets=[0.5, 1.0]), 2) is None
    assert labels_of(Items([], labels=np.array([1, 0], np.uint8)), 2).tolist() == [1, 0]


def test_a_run_on_a_dataset_of_pil_images_with_a_label_trains(tmp_path: Path) -> None:
    class Photos(ganzoo.Data):
        """Photos of two classes."""

        def dataset(self) -> Any:
            items = [(Image.new("RGB", (8, 8), (30 * i, 0, 0)), i % 2) for i in range(8)]
            return Items(items, classes=["cat", "dog"])

    run = ganzoo.run(
        data=Photos(),
        arch="dcgan:width=4,conditional=auto",
        steps=2,
        batch_size=4,
        latent_dim=4,
        samples=4,
        logdir=str(tmp_path),
        device="cpu",
        quiet=True,
    )
    assert run.class_names == ["cat", "dog"]
    assert torch.equal(run.sample(3, labels="dog"), run.sample(3, labels=1))


def test_the_forms_of_a_label() -> None:
    image = torch.zeros(1, 8, 8)
    assert read_item((image, np.int16(3)))["label"].item() == 3
    assert read_item((image, torch.tensor([3])))["label"].ndim == 0
    assert read_item((image, True))["label"].item() == 1
    assert "label" not in read_item((image, None))


class Stream(IterableDataset[Any]):
    """Items in their own order, with random numbers in them."""

    def __init__(self, count: int, labels: bool = False) -> None:
        self.count, self.labels = count, labels

    def __iter__(self) -> Iterator[Any]:
        for k in range(self.count):
            image = torch.full((1, 2, 2), k, dtype=torch.uint8)
            noise = torch.rand(1, 1, 2).mul(255).to(torch.uint8)
            whole = torch.cat([image, noise], 1)
            yield (whole, k % 3) if self.labels else whole


def test_an_iterable_dataset_is_read_in_its_own_order_and_again_from_its_beginning() -> None:
    source = fed(Stream(6, labels=True), 4)
    order = [source.normalised(torch.tensor([k], dtype=torch.uint8)).item() for k in (0, 1, 2, 3, 4, 5, 0, 1)]
    seen = torch.cat([source.reals(0).images, source.reals(1).images])
    assert seen[:, 0, 0, 0].tolist() == order
    assert not torch.equal(seen[0], seen[6])  # random numbers are of the item's place in the stream
    assert (source.classes, source.shape, source.size) == (3, (1, 3, 2), 6)
    assert "its own order" in source.notes[0]
    again = fed(Stream(6, labels=True), 4)
    assert torch.equal(again.reals(1).images, seen[4:])  # resumed at the second batch
    assert torch.equal(again.reals(0).images, seen[:4])
    again.share(2, 1)
    assert torch.equal(again.reals(1).images, seen[6:])


def test_an_iterable_dataset_that_cannot_be_read_names_the_item() -> None:
    class Broken(Stream):
        def __iter__(self) -> Iterator[Any]:
            for k, item in enumerate(super().__iter__()):
                if k == 37:
                    raise KeyError("the database is gone")
                yield item

    with pytest.raises(errors.DataError, match=r"data mine: item 37 cannot be read: KeyError: .the database is gone"):
        fed(Broken(100), 64)
    with pytest.raises(errors.DataError, match="gives 3 items, fewer than a batch of 4: give --batch-size 3"):
        fed(Stream(3), 4)

    class Once(Stream):
        def __init__(self) -> None:
            self.items = super().__iter__
            self.generator = (torch.zeros(2) for _ in range(6))

        def __iter__(self) -> Iterator[Any]:
            return self.generator

    source = fed(Once(), 2)
    with pytest.raises(errors.DataError, match="must begin anew each time that iter"):
        source.reals(0)


class Mirrored(ganzoo.Data):
    """Images whose columns are told apart, mirrored by half of the random numbers."""

    random_numbers = 1

    def augment(self, images: torch.Tensor, random: torch.Tensor | None) -> torch.Tensor:
        return images if random is None else torch.where(random[:, :, None, None] < 0.5, images.flip(-1), images)


@pytest.mark.parametrize("memory", [True, False])
def test_augmentation_is_a_function_of_seed_epoch_and_item(memory: bool) -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(16, 1, 1, 4).contiguous()
    dataset: Any = TensorDataset(images) if memory else Items(list(images))
    source = choose.feed(dataset, "mine", 4, 0, CPU, torch.float32, Mirrored())
    epochs = [torch.cat([source.reals(4 * e + k).images for k in range(4)]) for e in range(3)]
    mirrored = [{int(row[0, 0].min() * 127.5 + 127.6): bool(row[0, 0, 0] > row[0, 0, 3]) for row in e} for e in epochs]
    assert all(len(each) == 16 for each in mirrored)
    assert all(4 < sum(each.values()) < 12 for each in mirrored)
    assert mirrored[0] != mirrored[1]
    again = choose.feed(dataset, "mine", 4, 0, CPU, torch.float32, Mirrored())
    assert torch.equal(again.reals(9).images, epochs[2][4:8])
    again.share(2, 1)
    assert torch.equal(again.reals(6).images, epochs[1][10:12])
    assert bool((source.first(16)[:, 0, 0, 0] < source.first(16)[:, 0, 0, 3]).all())
    other = choose.feed(dataset, "mine", 4, 1, CPU, torch.float32, Mirrored())
    assert torch.cat([other.reals(k).images for k in range(4)]).ne(epochs[0]).any()
