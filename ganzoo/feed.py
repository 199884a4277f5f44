"""Data to batches on the device.

Batch number k of a run is a function of (seed, k): epochs are permutations seeded by (seed, epoch), a last short batch
is left out. A ``TensorDataset`` lives on the device as it is (uint8 stays uint8) and is gathered and normalised there;
any other dataset streams through torch's DataLoader.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

from ganzoo import errors
from ganzoo.parts import Batch
from ganzoo.state import mix

RESIDENT_BYTES = 4 << 30
"""A dataset up to this size lives on the device."""

FINGERPRINTED = 64
"""Samples that tell one dataset from another."""


class Feed:
    """Real batches, and labels for fakes.

    Attributes:
        shape: of one sample.
        classes: number of classes in the data, 0 when it has no labels.
        condition_shape: of an item's condition, None when it has none.
        size: samples in the dataset.
        held_out: a feed of samples that training never sees; None where there are none, or nobody asks for them.
    """

    shape: tuple[int, ...]
    condition_shape: tuple[int, ...] | None = None
    classes: int = 0
    size: int
    held_out: Feed | None = None

    def __init__(self, batch_size: int, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        self.batch_size, self.seed, self.device, self.dtype = batch_size, seed, device, dtype
        self.with_labels = False  # set at assembly, when the nets want to be given labels
        self._frequencies: Tensor | None = None

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return self.size // self.batch_size

    def reals(self, draw: int) -> Batch:
        """Batch number ``draw`` of the run."""
        raise NotImplementedError

    def look(self, count: int) -> Batch:
        """Samples to look at, with their labels and conditions, the same ones for a seed, on the CPU."""
        raise NotImplementedError

    def first(self, count: int) -> Tensor:
        """(count, *shape): the images that ``look`` gives."""
        images = self.look(count).images
        assert images is not None
        return images

    def labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Labels for fakes, in the proportions of the data where these are known; None when nets are given none."""
        if not self.with_labels:
            return None
        if self._frequencies is not None:
            return torch.multinomial(self._frequencies, count, replacement=True, generator=generator)
        return torch.randint(self.classes, (count,), generator=generator, device=self.device)

    def fingerprint(self) -> dict[str, Any]:
        """What tells this data from other data, as plain data; ``digest`` is of the first samples to look at."""
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(mix(self.seed, "fingerprint"))  # for datasets that crop and flip
        seen = self.look(min(self.size, FINGERPRINTED))
        torch.default_generator.set_state(before)
        digest = hashlib.sha256()
        for value in (seen.images, seen.labels, seen.condition):
            if value is not None:
                digest.update(value.contiguous().numpy().tobytes())
        return {
            "size": self.size, "shape": list(self.shape), "classes": self.classes, "digest": digest.hexdigest(),
        }  # fmt: skip

    def order(self, epoch: int) -> Tensor:
        """The permutation of an epoch, on the CPU."""
        generator = torch.Generator().manual_seed(mix(self.seed, "data", epoch))
        return torch.randperm(self.size, generator=generator)

    def normalised(self, images: Tensor) -> Tensor:
        """(N, *shape) in [-1, 1]: bytes by x / 127.5 - 1, floating values as they are."""
        if images.dtype == torch.uint8:
            return images.to(self.dtype).mul_(1 / 127.5).sub_(1.0)
        return images.to(self.dtype)


class Resident(Feed):
    """A dataset of tensors, whole on the device: a batch costs one gather."""

    def __init__(
        self, dataset: TensorDataset, batch_size: int, seed: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(batch_size, seed, device, dtype)
        self.images = dataset.tensors[0].to(device)
        self.size, self.shape = len(self.images), tuple(self.images.shape[1:])
        self._labels = None
        if len(dataset.tensors) > 1:
            self._labels = dataset.tensors[1].to(device).long()
            self.classes = _classes(dataset, self._labels)
            self._frequencies = torch.bincount(self._labels, minlength=self.classes).to(torch.float32)
        self._epoch, self._order = -1, torch.empty(0)

    def reals(self, draw: int) -> Batch:
        epoch, position = divmod(draw, self.batches)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch).to(self.device)
        rows = self._order[position * self.batch_size : (position + 1) * self.batch_size]
        labels = self._labels[rows] if self.with_labels and self._labels is not None else None
        return Batch(images=self.normalised(self.images[rows]), labels=labels)

    def look(self, count: int) -> Batch:
        rows = self.order(-1)[:count].to(self.device)
        labels = None if self._labels is None else self._labels[rows].cpu()
        return Batch(images=self.normalised(self.images[rows]).cpu(), labels=labels)


class _Batches(Sampler[list[int]]):
    """Batch by batch, from batch number ``start`` on, without end: the batch's number, and its row numbers."""

    def __init__(self, feed: Feed, start: int) -> None:
        self.feed, self.start = feed, start

    def __iter__(self) -> Iterator[list[int]]:
        epoch, position = divmod(self.start, self.feed.batches)
        while True:
            order = self.feed.order(epoch).tolist()
            for i in range(position, self.feed.batches):
                rows = order[i * self.feed.batch_size : (i + 1) * self.feed.batch_size]
                yield [epoch * self.feed.batches + i, *rows]
            epoch, position = epoch + 1, 0


class _Seeded(Dataset[Any]):
    """A dataset whose items, if they are random (crops, flips), are a function of (seed, batch), in any worker."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitems__(self, drawn: list[int]) -> list[Any]:
        number, *rows = drawn
        before = torch.default_generator.get_state()  # without workers, these are the parts' random numbers
        torch.default_generator.manual_seed(mix(self.seed, "items", number))
        try:
            return [self.dataset[i] for i in rows]
        finally:
            torch.default_generator.set_state(before)


class Streamed(Feed):
    """Any other dataset, through torch's DataLoader, whose workers read ahead."""

    def __init__(
        self, dataset: Dataset[Any], batch_size: int, seed: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(batch_size, seed, device, dtype)
        self.dataset = dataset
        self.size = len(dataset)  # type: ignore[arg-type]  # map-style datasets have a length
        item = _item(dataset[0])
        self.shape = tuple(item["image"].shape)
        if "condition" in item:
            self.condition_shape = tuple(item["condition"].shape)
        labels = getattr(dataset, "labels", None)
        if isinstance(labels, Tensor):
            self.classes = _classes(dataset, labels)
            self._frequencies = torch.bincount(labels.long(), minlength=self.classes).to(device, torch.float32)
        elif "label" in item:
            self.classes = len(getattr(dataset, "classes", ())) or 1 + max(
                int(_item(dataset[i])["label"]) for i in range(self.size)
            )
        self._next = -1
        self._batches: Iterator[dict[str, Tensor]] = iter(())

    def reals(self, draw: int) -> Batch:
        if draw != self._next:
            self._batches = iter(self._loader(draw))
        self._next = draw + 1
        try:
            item = next(self._batches)
        except errors.DataError as error:  # a worker's comes with the worker's traceback for a message
            raise errors.DataError(str(error).strip().splitlines()[-1].rpartition("DataError: ")[2]) from error
        return Batch(
            images=self.normalised(self._here(item["image"])),
            labels=self._here(item["label"]) if self.with_labels else None,
            condition=self.normalised(self._here(item["condition"])) if "condition" in item else None,
        )

    def look(self, count: int) -> Batch:
        items = _collate([self.dataset[i] for i in self.order(-1)[:count].tolist()])
        condition = items.get("condition")
        return Batch(
            images=self.normalised(items["image"]),
            labels=items.get("label"),
            condition=None if condition is None else self.normalised(condition),
        )

    def _loader(self, draw: int) -> DataLoader[Any]:
        workers = min(8, max(0, (os.cpu_count() or 1) - 1)) if self.device.type == "cuda" else 0
        return DataLoader(
            _Seeded(self.dataset, self.seed),
            batch_sampler=_Batches(self, draw),
            generator=torch.Generator(),  # or else it draws from the parts' random numbers, here and nowhere else
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=workers > 0,
            collate_fn=_collate,
        )

    def _here(self, value: Tensor) -> Tensor:
        return value.to(self.device, non_blocking=True)


def feed(
    dataset: Dataset[Any], name: str, batch_size: int, seed: int, device: torch.device, dtype: torch.dtype
) -> Feed:
    """The feed that suits a dataset.

    Args:
        dataset: as a data part made it.
        name: of the data part, for messages.
        batch_size: samples in a batch.
        seed: of the order.
        device: where batches go.
        dtype: of the samples in a batch.

    Raises:
        DataError: fewer samples than a batch, or values outside [-1, 1].
    """
    size = len(dataset)  # type: ignore[arg-type]  # map-style datasets have a length
    if size < batch_size:
        raise errors.DataError(
            f"data {name} has {size} samples, fewer than a batch of {batch_size}: "
            f"give --batch-size {max(2, size)} or less"
        )
    small = isinstance(dataset, TensorDataset) and sum(t.nbytes for t in dataset.tensors) <= RESIDENT_BYTES
    made: Feed = (Resident if small else Streamed)(dataset, batch_size, seed, device, dtype)  # type: ignore[arg-type]
    if len(made.shape) == 3:
        _check_range(made.first(min(size, 64)), name)
    return made


def _classes(dataset: Dataset[Any], labels: Tensor) -> int:
    """Number of classes: a class that happens to have no sample counts too, where the dataset names it."""
    return max(1 + int(labels.max()), len(getattr(dataset, "classes", ())))


def _check_range(images: Tensor, name: str) -> None:
    low, high = float(images.min()), float(images.max())
    if low < -1.001 or high > 1.001:
        raise errors.DataError(
            f"data {name} has values from {low:.3g} to {high:.3g}: give uint8, or floating values in [-1, 1]"
        )
    if low >= 0.0 and high > 0.5:
        raise errors.DataError(
            f"data {name} has values from {low:.3g} to {high:.3g}, as if in [0, 1]: generators make [-1, 1], "
            "so give uint8, or scale by 2 x - 1"
        )


def _item(item: Any) -> dict[str, Tensor]:
    """An item in one form: a mapping with ``image`` and any of ``label``, ``condition``."""
    if isinstance(item, Tensor):
        return {"image": item}
    if isinstance(item, Mapping):
        found = dict(item)
    else:
        found = {"image": item[0], "label": item[1]} if len(item) > 1 else {"image": item[0]}
    if "label" in found:
        found["label"] = torch.as_tensor(found["label"]).long()
    return found


def _collate(items: list[Any]) -> dict[str, Tensor]:
    mappings = [_item(item) for item in items]
    return {key: torch.stack([m[key] for m in mappings]) for key in mappings[0]}
