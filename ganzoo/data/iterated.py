"""Data that come in an order of their own: an ``IterableDataset``, such as a stream of files or a simulation."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ganzoo import errors
from ganzoo.data.feed import Feed, Reading
from ganzoo.data.items import checked, collate, is_class_number, is_one_hot, other_tensors, spec_of
from ganzoo.data.workers import kept_random_state
from ganzoo.names import one_line
from ganzoo.parts import Batch
from ganzoo.step.randomness import derive_seed

ResultT = TypeVar("ResultT")

LOOKED_AT = 1024
"""The number of items, from the first on, that are kept in memory to look at and to measure."""

LOOKED_AT_BYTES = 256 << 20
"""The bytes that these items may take. A batch is always kept."""


class Iterated(Feed):
    """The items of an ``IterableDataset``, in the order in which the dataset gives them.

    Batch number k is made of the items k B to (k + 1) B - 1. Where the dataset ends, it is read again from its
    beginning, and the items go on counting. The training process reads the items itself. A run that is resumed reads
    the items of the earlier batches again, so that its batches are the same. Random numbers of torch, numpy and Python
    are seeded before every item, by the seed of the run and the number of the item.

    Args:
        dataset: the dataset.
        reading: how the dataset is read.

    Raises:
        DataError: the dataset gives fewer items than a batch.
    """

    def __init__(self, dataset: IterableDataset[Any], reading: Reading) -> None:
        super().__init__(reading)
        self.dataset = dataset
        self.shapes: dict[str, tuple[int, ...]] | None = None
        self._first: list[dict[str, Tensor]] = []
        self._items: Iterator[dict[str, Tensor]] = iter(())
        self._position, self._read = 0, -1
        self._kept: dict[str, Tensor] = {}
        self._has_classes = False
        # Before anything else: shapes, classes and size are those of the items that were looked at.
        self._look_ahead()
        self.size = len(self._first)
        self.shape = self.augmented_shape(tuple(self._first[0]["image"].shape))
        self.stored = self._first[0]["image"].dtype
        self._has_classes = is_class_number(self._first[0])
        if self._has_classes:
            self._know(dataset, torch.stack([item["label"] for item in self._first]))
        self.inputs = {key: spec_of(value) for key, value in other_tensors(self._first[0], self._has_classes).items()}
        self.notes.append(
            f"data {self.name} is read in its own order, as an IterableDataset; its first {self.size:,} items are "
            "those that are looked at and measured"
        )

    def _look_ahead(self) -> None:
        """Keep the first items of the first pass."""
        taken = 0
        # The same seeds as training's first pass, so that what is looked at is what training reads.
        for item in self._pass(0, 0):
            self._first.append(item)
            taken += sum(value.nbytes for value in item.values())
            enough = len(self._first) >= LOOKED_AT or taken >= LOOKED_AT_BYTES
            # Never fewer than a batch, whatever the bytes: a look needs as many samples as a step.
            if enough and len(self._first) >= self.batch_size:
                break
        if len(self._first) < self.batch_size:
            raise errors.DataError(
                f"data {self.name} gives {len(self._first)} items, fewer than a batch of {self.batch_size}: give "
                f"--batch-size {max(2, len(self._first))} or less"
            )

    def _pass(self, number: int, position: int) -> Iterator[dict[str, Tensor]]:
        """The items of one pass through the dataset."""
        with kept_random_state():
            # iter() may draw too, for the order of the files for example.
            self._seed(position)
            source = self._guarded(lambda: iter(self.dataset), "cannot be read")
        row = 0
        while True:
            said = f"item {row}" + (f" of pass {number + 1}" if number else "")
            with kept_random_state():
                self._seed(position + row)
                # The feed itself marks the end: no item of a dataset is this object, and None may be an item.
                found = self._guarded(lambda: next(source, self), f"{said} cannot be read")
                if found is self:
                    return
                item = checked(found, f"data {self.name}: {said}", self.shapes)
            if self.shapes is None and is_one_hot(item):
                item["label"] = item["label"].argmax()
            if self.shapes is None:
                self.shapes = {key: tuple(value.shape) for key, value in item.items()}
            # Later items may have classes that the first did not show, when the networks are built already.
            label = int(item["label"]) if self.classes and self._has_classes and not self._label_fault else 0
            if not 0 <= label < max(1, self.classes):
                raise errors.DataError(
                    f"data {self.name}: {said} has the label {label}, and the first {self.size} items have labels "
                    f"from 0 to {self.classes - 1}: name all classes in the list `classes` of the dataset"
                )
            yield item
            row += 1

    def _guarded(self, call: Callable[[], ResultT], what: str) -> ResultT:
        """Call the dataset. An exception of the dataset becomes an error that names the data and the item."""
        try:
            return call()
        except (errors.GanzooError, MemoryError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a dataset may raise anything, SystemExit too
            raise errors.DataError(f"data {self.name}: {what}: {one_line(error)}") from error

    def _seed(self, position: int) -> None:
        number = derive_seed(self.seed, "items", position)
        torch.default_generator.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)

    def _endless(self) -> Iterator[dict[str, Tensor]]:
        position, number = 0, 0
        while True:
            before = position
            for item in self._pass(number, position):
                yield item
                position += 1
            # Without this an iterator that is used up would be asked for ever.
            if position == before:
                raise errors.DataError(
                    f"data {self.name} gives no items at pass {number + 1}: an IterableDataset must begin anew each "
                    "time that iter() is called"
                )
            number += 1

    @property
    def batches(self) -> int:
        """Batches after which the items that are looked at have been seen once."""
        # An endless stream has no epoch of its own.
        return max(1, self.size // self.batch_size)

    def reals(self, draw: int, piece: int = 0) -> Batch:
        with self.waiting():
            return self._reals(draw, piece)

    def _reals(self, draw: int, piece: int) -> Batch:
        if draw != self._read:
            # Only forwards: a stream that is needed from an earlier batch begins anew and is read up to there.
            if draw * self.batch_size < self._position or self._read < 0:
                self._items, self._position = self._endless(), 0
            # Read and thrown away, because a stream cannot be entered in the middle. A late resume costs this reading.
            while self._position < draw * self.batch_size:
                next(self._items)
                self._position += 1
            self._kept = collate([next(self._items) for _ in range(self.batch_size)])
            self._position += self.batch_size
            self._read = draw
        size = self.batch_size // self.pieces
        # Every process reads the whole batch and keeps its own part: a stream cannot be shared out by rows.
        start = (self.first_piece + piece) * size
        # The whole batch is kept on the CPU until the last of its pieces was given.
        item = {key: value[start : start + size].to(self.device) for key, value in self._kept.items()}
        if self.part is not None:
            item["image"] = self._augmented_at(item["image"], draw * self.batch_size + start)
        return self.batch(item, self._has_classes, with_classes=self.with_labels)

    def _augmented_at(self, images: Tensor, position: int) -> Tensor:
        assert self.part is not None
        drawn = []
        for k in range(len(images)):
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", position + k))
            drawn.append(torch.rand(self.part.random_numbers, generator=generator, device="cpu"))
        return self.part.augment(images, torch.stack(drawn).to(images.device))

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        items = collate([self._first[row] for row in rows.tolist()])
        items["image"] = self.augmented(items["image"])
        return self.batch(items, self._has_classes)
