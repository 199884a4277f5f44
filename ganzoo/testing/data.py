"""The checks of data parts: the items of the dataset, and the dataset in a worker process."""

from __future__ import annotations

import pickle
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ganzoo import parts
from ganzoo.data.items import read_item
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    as_text,
    require,
)


def _item(item: object, number: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The sample, the label and the condition of an item, as training reads the item. None for a missing entry."""
    found = read_item(item, f"item {number}")
    return found["image"], found.get("label"), found.get("condition")


def _some(dataset: Any) -> dict[int, Any]:
    """The first, middle and last item by number. The first three items of an IterableDataset."""
    if isinstance(dataset, IterableDataset):
        return dict(enumerate(islice(iter(dataset), 3)))
    size = len(dataset)
    return {i: dataset[i] for i in (0, size // 2, size - 1) if i >= 0}


@asks("data")
def _items_are_samples(data: parts.Data) -> None:
    """The first, middle and last item hold bytes, or floating-point numbers in [-1, 1], and a label from 0 up.

    A sample is a tensor, a numpy array or a PIL image. Of an IterableDataset the first three items are looked at.
    The items agree in shape, in dtype, and in whether labels and conditions are present.
    """
    items = _some(data.dataset())
    require(len(items) >= 2, f"the dataset has {len(items)} samples: a GAN needs two at least")
    shapes = set()
    for i, item in items.items():
        sample, label, condition = _item(item, i)
        require(sample.ndim >= 1, f"sample {i} has no dimensions")
        kind = sample.dtype
        require(kind == torch.uint8 or kind.is_floating_point, f"sample {i} is {kind}, not uint8 or floating")
        if kind.is_floating_point:
            most = sample.abs().max()
            require(most <= 1, f"sample {i} reaches {as_text(most)}: samples lie in [-1, 1]")
        whole = label is None or label.ndim > 0 or (float(label) >= 0 and float(label) == int(label))
        require(whole, f"label {i} is {label}: labels are whole numbers from 0, or vectors")
        beside = None if condition is None else tuple(condition.shape)
        shapes.add((tuple(sample.shape), kind, label is None, beside))
    require(len(shapes) == 1, f"samples are of different kinds: {shapes}")
    modes = data.modes()
    if modes is not None:
        (shape, *_) = shapes.pop()
        require(tuple(modes.shape[1:]) == shape, f"modes are {tuple(modes.shape)}: (K, *{shape}) is expected")


@asks("data")
def _goes_to_workers(data: parts.Data) -> None:
    """The dataset can be pickled, as worker processes require, and the copy has items of equal shape and dtype."""
    dataset: Any = data.dataset()
    there = pickle.loads(pickle.dumps(dataset))
    if isinstance(dataset, IterableDataset):
        return  # read by the training process
    here, far = (_item(d[0], 0)[0] for d in (dataset, there))
    require(here.shape == far.shape and here.dtype == far.dtype, "a pickled dataset has other items")


@asks("data")
def _augments_by_its_numbers(data: parts.Data) -> None:
    """What is augmented is a function of the random numbers alone, and has one shape and dtype with and without."""
    if not data.random_numbers:
        return
    items = [_item(item, i)[0] for i, item in _some(data.dataset()).items()]
    images = torch.stack(items)
    random = torch.rand(len(images), data.random_numbers, generator=torch.Generator().manual_seed(0))
    once, again, plain = (data.augment(images.clone(), numbers) for numbers in (random, random, None))
    require(once.shape == plain.shape and once.dtype == plain.dtype == images.dtype, "samples change shape or dtype")
    require(torch.equal(once, again), "equal random numbers give other samples")
    alone = torch.cat([data.augment(images[i : i + 1], random[i : i + 1]) for i in range(len(images))])
    require(torch.equal(alone, once), "a sample depends on the other samples of the batch")
