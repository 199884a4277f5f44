"""The checks of data parts: the items of the dataset, and the dataset in a worker process."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganzoo import parts
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import (
    as_text,
    require,
)


def _item(item: Any) -> tuple[Tensor, Any, Any]:
    """The sample, the label and the condition of an item of a dataset, with None for a missing entry."""
    if isinstance(item, Mapping):
        require("image" in item, f"an item is a mapping without 'image': it has {', '.join(map(str, item))}")
        return item["image"], item.get("label"), item.get("condition")
    if isinstance(item, (tuple, list)):
        require(1 <= len(item) <= 2, f"an item is a sequence of {len(item)}: a sample, and a label where there is one")
        return item[0], item[1] if len(item) == 2 else None, None
    return item, None, None


@asks("data")
def _items_are_samples(data: parts.Data) -> None:
    """The first, middle and last item hold a uint8 tensor, or a floating tensor in [-1, 1], and a label from 0 up.

    The items agree in shape, in dtype, and in whether labels and conditions are present.
    """
    dataset = data.dataset()
    size = len(dataset)  # type: ignore[arg-type]  # map-style datasets have a length, which torch does not declare
    require(size >= 2, f"the dataset has {size} samples: a GAN needs two at least")
    shapes = set()
    for i in (0, size // 2, size - 1):
        sample, label, condition = _item(dataset[i])
        require(isinstance(sample, Tensor), f"sample {i} is a {type(sample).__name__}, not a tensor")
        require(sample.ndim >= 1, f"sample {i} has no dimensions")
        kind = sample.dtype
        require(kind == torch.uint8 or kind.is_floating_point, f"sample {i} is {kind}, not uint8 or floating")
        if kind.is_floating_point:
            most = sample.abs().max()
            require(most <= 1, f"sample {i} reaches {as_text(most)}: samples lie in [-1, 1]")
        whole = label is None or (float(label) >= 0 and float(label) == int(label))
        require(whole, f"label {i} is {label}: labels are whole numbers from 0")
        require(condition is None or isinstance(condition, Tensor), f"condition {i} is a {type(condition).__name__}")
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
    dataset = data.dataset()
    there = pickle.loads(pickle.dumps(dataset))
    here, far = (_item(d[0])[0] for d in (dataset, there))
    require(here.shape == far.shape and here.dtype == far.dtype, "a pickled dataset has other items")
