"""Data to batches on the device.

Batch number k of a run is a function of (seed, k): epochs are permutations seeded by (seed, epoch), a last short batch
is left out. A ``TensorDataset`` lives on the device as it is (uint8 stays uint8) and is gathered and normalised there;
one that is too large for a GPU is gathered beside it, and any other dataset streams through torch's DataLoader, whose
worker processes read ahead where that is worth it.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any
from weakref import WeakSet, finalize, proxy

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

from ganzoo import errors
from ganzoo.data import workers
from ganzoo.data.items import (
    check_range,
    class_names_of,
    class_numbers,
    labels_of,
    length_of,
    read,
    require_finite,
)
from ganzoo.launcher import launch
from ganzoo.parts import Batch, TensorSpec
from ganzoo.step.randomness import derive_seed

RESIDENT_BYTES = 4 << 30
"""A dataset up to this size lives on the GPU, where the GPU has room for the dataset."""

RESIDENT_SHARE = 0.25
"""The share of a device's free memory that a dataset may take: the rest is for the networks and the step."""

WORTH_WORKERS = 2e-3
"""Seconds that the items of a batch take from which on workers read them: handing one over takes about 0.5 ms."""

MOST_WORKERS = 8
"""Processes that read ahead."""

HANDED_BYTES = 1 << 30
"""Bytes that all copies of a dataset in workers may take."""

MANY_ITEMS = 2000
"""The number of items from which on it is said that the labels are read from the items."""

MANY_CLASSES = 1000
"""The number of classes up to which there may be more than two classes a sample."""

FAR = 100.0
"""The distance from 0 from which on values of samples other than images are said to be large."""

FINGERPRINTED = 64
"""The number of samples in the digest of a dataset."""

FINGERPRINTED_BYTES = 1 << 29
"""Bytes up to which a digest of all samples is made too."""


class Feed:
    """Real batches, and labels for fakes.

    Args:
        batch_size: the number of samples in a batch.
        seed: the seed of the order of the samples.
        device: the device of the batches.
        dtype: the floating-point type of the samples in a batch.

    Attributes:
        shape: of one sample.
        classes: number of classes in the data, 0 when it has no labels.
        class_names: the names of the classes, in the order of their numbers. Empty where the dataset names none.
        inputs: the tensors by name that an item brings beside the image and the class.
        size: samples in the dataset.
        notes: what is remarkable about the data, a line each.
        held_out: a feed of samples that training never sees; None where there are none, or nobody asks for them.
    """

    shape: tuple[int, ...]
    inputs: Mapping[str, TensorSpec] = MappingProxyType({})
    classes: int = 0
    class_names: Sequence[str] = ()
    size: int
    held_out: Feed | None = None

    def __init__(self, batch_size: int, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        self.batch_size, self.seed, self.device, self.dtype = batch_size, seed, device, dtype
        self.with_labels = False  # set at assembly, when the nets want to be given labels
        self.pieces, self.first_piece, self.own_pieces = 1, 0, 1
        self._frequencies: Tensor | None = None
        self.notes: list[str] = []
        self._label_fault = ""

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return self.size // self.batch_size

    def share(self, pieces: int, first: int = 0, own: int | None = None) -> None:
        """Cut every batch into equal pieces, for several processes or one after another: together they are the batch.

        Args:
            pieces: how many; they divide the batch.
            first: number of the first one that this feed gives.
            own: how many it gives from there on; all that are left unless told.
        """
        own = pieces - first if own is None else own
        assert self.batch_size % pieces == 0, (self.batch_size, pieces)
        assert 0 <= first < first + own <= pieces, (pieces, first, own)
        self.pieces, self.first_piece, self.own_pieces = pieces, first, own

    def reals(self, draw: int, piece: int = 0) -> Batch:
        """Batch number ``draw`` of the run, or of this feed's pieces of it the one with that number.

        Args:
            draw: the number of the batch, from 0.
            piece: the number of the piece among the pieces of this feed, from 0.
        """
        raise NotImplementedError

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        """The samples of some rows, with labels and conditions, on the CPU.

        Args:
            rows: (N,) numbers of samples.
            first: the place of the first row among all rows that are read, which seeds random crops and flips.
        """
        raise NotImplementedError

    def look(self, count: int) -> Batch:
        """Samples to look at, with labels and conditions, on the CPU. A seed fixes the samples.

        Args:
            count: the number of samples.
        """
        return self.at(self.order(-1)[:count])

    def in_pieces(self, count: int, size: int) -> Iterator[Batch]:
        """The samples of ``look`` in pieces, on the CPU. All samples of the data come in the order of the data.

        Args:
            count: the number of samples.
            size: the number of samples in a piece. The last piece may be smaller.
        """
        rows = self.order(-1)[:count] if count < self.size else torch.arange(self.size, device="cpu")
        for k, piece in enumerate(torch.split(rows, size)):
            yield self.at(piece, k * size)

    def first(self, count: int) -> Tensor:
        """(count, *shape): the images that ``look`` gives.

        Args:
            count: the number of samples.
        """
        return self.look(count).images

    def labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Labels for fakes, in the proportions of the data where these are known; None when nets are given none.

        Args:
            count: the number of labels.
            generator: the source of random numbers, on the device of the feed.
        """
        if not self.with_labels:
            return None
        if self._frequencies is not None:
            return torch.multinomial(self._frequencies, count, replacement=True, generator=generator)
        return torch.randint(self.classes, (count,), generator=generator, device=self.device)

    def close(self) -> None:
        """End the workers. The next call of ``reals`` starts new workers."""

    def fingerprint(self) -> dict[str, Any]:
        """What tells this data from other data, as plain data; ``digest`` is of the first samples to look at."""
        seen = self.look(min(self.size, FINGERPRINTED))
        digest = hashlib.sha256()
        for value in seen.values():
            digest.update(value.contiguous().numpy().tobytes())
        return {
            "size": self.size,
            "shape": list(self.shape),
            "classes": self.classes,
            "class_names": list(self.class_names),
            "digest": digest.hexdigest(),
        }

    def content(self) -> dict[str, Any]:
        """What tells the samples from other samples, whatever the order in which the seed reads them."""
        found = self.fingerprint()
        if "content" not in found:
            spread = torch.linspace(0, self.size - 1, min(self.size, FINGERPRINTED)).long()
            digest = hashlib.sha256()
            for value in self.at(spread).values():
                digest.update(value.contiguous().numpy().tobytes())
            found["content"] = digest.hexdigest()
        return {key: value for key, value in found.items() if key != "digest"}

    def rows(self, order: Tensor, draw: int, piece: int) -> Tensor:
        """The samples of a piece of a batch, out of the order of the batch's epoch.

        Args:
            order: (size,) the permutation of the batch's epoch, as ``order`` gives.
            draw: the number of the batch, from 0.
            piece: the number of the piece among the pieces of this feed, from 0.
        """
        assert 0 <= piece < self.own_pieces, (piece, self.own_pieces)
        size = self.batch_size // self.pieces
        start = draw % self.batches * self.batch_size + (self.first_piece + piece) * size
        return order[start : start + size]

    def after(self, draw: int, piece: int) -> tuple[int, int]:
        """The number of the batch, and of its piece, that this feed gives next.

        Args:
            draw: the number of the present batch.
            piece: the number of the present piece.
        """
        return (draw, piece + 1) if piece + 1 < self.own_pieces else (draw + 1, 0)

    def order(self, epoch: int) -> Tensor:
        """The permutation of an epoch, on the CPU.

        Args:
            epoch: the number of the epoch, from 0.
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "data", epoch))
        return torch.randperm(self.size, generator=generator, device="cpu")

    def give_labels(self, classes: int) -> None:
        """Give the networks the labels, or no labels.

        Args:
            classes: the number of classes that the networks are built for, 0 for networks without labels.

        Raises:
            DataError: the networks need labels, and the labels of the data are no whole numbers from 0.
        """
        if classes and self._label_fault:
            raise errors.DataError(self._label_fault)
        self.with_labels = classes > 0

    def _know(self, dataset: Dataset[Any], labels: Tensor, name: str) -> None:
        """Count the classes by the labels of all items. A class without a sample counts too, where it has a name."""
        names = class_names_of(dataset)
        low, high = int(labels.min()), int(labels.max())
        if low < 0:
            self._label_fault = f"data {name} has labels from {low} to {high}: give whole numbers from 0"
        elif high > max(MANY_CLASSES, 2 * self.size):
            self._label_fault = (
                f"data {name} has labels up to {high} for {self.size} samples: number the classes from 0 without gaps"
            )
        if self._label_fault:
            self.classes = 1  # asked for by the networks or not: see ``give_labels``
            return
        self.classes = max(1 + high, len(names))
        counts = torch.bincount(labels.long(), minlength=self.classes)
        self._frequencies = counts.to(self.device, torch.float32)
        if len(names) == self.classes:
            self.class_names = names
        if empty := (counts == 0).nonzero()[:, 0].tolist():
            listed = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
            self.notes.append(f"data {name} has no sample of class {listed}: fakes are of the other classes")

    def prepared(self, values: Tensor) -> Tensor:
        """Bring bytes and floating values to the floating-point type of the run. Other types, such as tokens, stay.

        Args:
            values: (N, ...).
        """
        return self.normalised(values) if values.is_floating_point() or values.dtype == torch.uint8 else values

    def normalised(self, images: Tensor) -> Tensor:
        """(N, *shape) in [-1, 1]: bytes by x / 127.5 - 1, floating values unchanged.

        Args:
            images: (N, *shape).
        """
        if images.dtype == torch.uint8:
            return images.to(self.dtype).mul_(1 / 127.5).sub_(1.0)
        return images.to(self.dtype)


class Resident(Feed):
    """A dataset of tensors, whole on the device: a batch costs one gather.

    Args:
        dataset: the dataset, as a data part made it.
        batch_size: the number of samples in a batch.
        seed: the seed of the order of the samples.
        device: the device of the batches.
        dtype: the floating-point type of the samples in a batch.
        name: the name of the data part, for messages.
    """

    def __init__(
        self,
        dataset: TensorDataset,
        batch_size: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        name: str = "of the run",
    ) -> None:
        super().__init__(batch_size, seed, device, dtype)
        require_finite(dataset.tensors, name)
        self.images = dataset.tensors[0].to(device)
        if self.images.ndim == 1:
            self.images = self.images[:, None]
        self.size, self.shape = len(self.images), tuple(self.images.shape[1:])
        self._labels = None
        self._others: dict[str, Tensor] = {}
        if len(dataset.tensors) > 1:
            labels = class_numbers(dataset.tensors[1]).to(device)
            if _is_class({"label": labels[0]}):
                self._labels = labels.long()
                told = labels_of(dataset, self.size)
                self._know(dataset, self._labels if told is None else told, name)
            else:
                self._others = {"labels": labels}
                self.inputs = {"labels": _spec_of(labels[0])}
        self._epoch, self._order = -1, torch.empty(0)

    def reals(self, draw: int, piece: int = 0) -> Batch:
        epoch = draw // self.batches
        if epoch != self._epoch:
            order = self.order(epoch)
            order = order.pin_memory() if self.device.type == "cuda" else order  # or the host would wait for the copy
            self._epoch, self._order = epoch, order.to(self.device, non_blocking=True)
        rows = self.rows(self._order, draw, piece)
        labels = self._labels[rows] if self.with_labels and self._labels is not None else None
        images = self.images.index_select(0, rows)  # a tenth of the time of [rows]
        others = {name: self.prepared(value[rows]) for name, value in self._others.items()}
        return Batch(images=self.normalised(images), labels=labels).replace(**others)

    def fingerprint(self) -> dict[str, Any]:
        """The same, and ``content``, a digest of all there is, where that takes half a second at most."""
        found = super().fingerprint()
        if self.images.nbytes > FINGERPRINTED_BYTES:
            return found
        digest = hashlib.sha256()
        for value in (self.images, self._labels, *self._others.values()):
            if value is None:
                continue
            for piece in torch.split(value, FINGERPRINTED):
                digest.update(piece.cpu().contiguous().numpy().tobytes())
        return {**found, "content": digest.hexdigest()}

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        rows = rows.to(self.device)
        labels = None if self._labels is None else self._labels[rows].cpu()
        others = {name: self.prepared(value[rows]).cpu() for name, value in self._others.items()}
        return Batch(images=self.normalised(self.images[rows]).cpu(), labels=labels).replace(**others)


class _Pieces(Sampler[list[int]]):
    """The feed's own pieces from one of them on, without end: batch number, place in the batch, row numbers."""

    def __init__(self, feed: Feed, draw: int, piece: int) -> None:
        self.feed, self.draw, self.piece = feed, draw, piece

    def __iter__(self) -> Iterator[list[int]]:
        feed, draw, piece, epoch = self.feed, self.draw, self.piece, -1
        while True:
            if epoch != draw // feed.batches:
                epoch = draw // feed.batches
                order = feed.order(epoch)
            rows = feed.rows(order, draw, piece).tolist()
            yield [draw, (feed.first_piece + piece) * len(rows), *rows]
            draw, piece = feed.after(draw, piece)


class Streamed(Feed):
    """Any other dataset, batch by batch; on a GPU the next batch is copied there while one is used.

    Args:
        dataset: the dataset, as a data part made it.
        batch_size: the number of samples in a batch.
        seed: the seed of the order of the samples.
        device: the device of the batches.
        dtype: the floating-point type of the samples in a batch.
        name: the name of the data part, for messages.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        name: str = "of the run",
    ) -> None:
        super().__init__(batch_size, seed, device, dtype)
        self.dataset, self.name = dataset, name
        self.size = len(dataset)  # type: ignore[arg-type]  # map-style datasets have a length
        with workers.kept_random_state():
            item = read(dataset, 0, name)
        self.items = workers.SeededItems(dataset, seed, name, {key: tuple(value.shape) for key, value in item.items()})
        self.shape = tuple(item["image"].shape)
        self._has_classes = _is_class(item)
        self.inputs = {name: _spec_of(value) for name, value in _others(item, self._has_classes).items()}
        if self._has_classes:
            labels = labels_of(dataset, self.size)
            self._know(dataset, self._read_labels() if labels is None else labels, name)
        self._next: tuple[int, int] | None = None
        self._batches: Iterator[dict[str, Tensor]] = iter(())
        self._readers: list[multiprocessing.process.BaseProcess] = []
        self._dropped: finalize[..., Streamed] | None = None
        self._watchdog: workers.Watchdog | None = None

    def _read_labels(self) -> Tensor:
        """The labels of all items, by reading every item."""
        if self.size > MANY_ITEMS:
            logging.getLogger("ganzoo").warning(
                "data %s: the labels of %s items are read from the items; the attribute `labels` or `targets` of the "
                "dataset would save the time",
                self.name,
                f"{self.size:,}",
            )
        found = []
        with workers.kept_random_state():
            for row in range(self.size):
                item = read(self.dataset, row, self.name, self.items.shapes)
                if not _is_class(item):
                    said = f"data {self.name}: item {row} has the label {item['label'].tolist()}"
                    raise errors.DataError(f"{said}, and item 0 a whole number: give whole numbers from 0")
                found.append(int(item["label"]))
        return torch.tensor(found)

    def share(self, pieces: int, first: int = 0, own: int | None = None) -> None:
        super().share(pieces, first, own)
        self.close()  # what was read ahead is cut otherwise

    def reals(self, draw: int, piece: int = 0) -> Batch:
        if (draw, piece) != self._next:
            self.close()
            before = multiprocessing.active_children()
            self._batches = self._read(_Pieces(proxy(self), draw, piece))  # no cycle: dropped with the feed
            self._readers = [each for each in multiprocessing.active_children() if each not in before]
            if self._readers:
                self._watchdog = workers.Watchdog(self._readers)
                self._watchdog.start()
            # Where the feed is garbage in a cycle, its iterator is to be dropped whole, after it and not with it: torch
            # could not end its workers with queues that are closed already.
            self._dropped = finalize(self, id, self._batches)
            self._dropped.atexit = False
            _reading.add(self)
        try:
            if self._watchdog is not None:
                self._watchdog.waiting_since = time.monotonic()
            item = next(self._batches)
            if self._watchdog is not None:
                self._watchdog.waiting_since = None
        except BaseException as error:
            why = workers.failure(error, self._readers, self._watchdog is not None and self._watchdog.expired)
            self.close()
            if why is not None:
                raise why from error
            raise
        self._next = self.after(draw, piece)
        return self._batch(item, self.with_labels)

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        items = _collate(self.items.__getitems__([-1, first, *rows.tolist()]))
        return self._batch(items, with_classes=True)

    def _batch(self, item: Mapping[str, Tensor], with_classes: bool) -> Batch:
        """A batch of collated items. The dtype of whole numbers, such as tokens, stays as the data part has it."""
        others = {name: self.prepared(value) for name, value in _others(item, self._has_classes).items()}
        if with_classes and self._has_classes:
            others["labels"] = item["label"]
        return Batch(images=self.normalised(item["image"]), **others)

    def close(self) -> None:
        if self._dropped is not None:
            self._dropped.detach()
        self._next, self._batches, self._dropped = None, iter(()), None  # a loader that is dropped ends its workers
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        for each in self._readers:
            if each.is_alive():  # after seconds of patience; it hears no SIGTERM
                each.kill()
        self._readers = []
        _reading.discard(self)

    def _read(self, pieces: _Pieces) -> Iterator[dict[str, Tensor]]:
        """Batches from a piece on, on the device."""
        gpu = self.device.type == "cuda"
        if isinstance(self.dataset, TensorDataset):
            batches = _gathered(self.dataset, pieces, pin=gpu)
        else:
            count = self._workers()
            loader = DataLoader(
                self.items,
                batch_sampler=pieces,
                generator=torch.Generator(),  # or else it draws from the parts' random numbers, here and nowhere else
                num_workers=count,
                multiprocessing_context=workers.context() if count else None,
                pin_memory=gpu,
                worker_init_fn=workers.start_worker,
                collate_fn=_collate,
            )
            with workers.isolated() if count else nullcontext():
                batches = iter(loader)
        return _copied(batches, self.device) if gpu else batches

    def _workers(self) -> int:
        """How many processes read ahead; batches are the same with any number.

        None where items are nearly free: handing a batch from process to process would cost more. Otherwise as many as
        there are cores that training leaves: on the CPU it takes those of torch's threads, on a GPU one that feeds it,
        for each of the processes that train on this machine.
        """
        busy = torch.get_num_threads() if self.device.type == "cpu" else 1
        free = workers.cores() // launch().local_world_size - busy
        if free < 1 or multiprocessing.current_process().daemon:  # such a process may have no children
            return 0
        items, costs = self.items, []
        for row in self.order(-1)[:5].tolist():
            began = time.perf_counter()
            items.__getitems__([-1, 0, row])
            costs.append(time.perf_counter() - began)
        if statistics.median(costs) * (self.batch_size // self.pieces) < WORTH_WORKERS:
            return 0
        size = workers.pickled_size(self.dataset)
        if size is None:
            return 0
        batch = sum(value.nbytes for value in _collate(items.__getitems__([-1, 0, 0])).values()) * (
            self.batch_size // self.pieces
        )
        return min(free, MOST_WORKERS, HANDED_BYTES // max(1, size), workers.room_for(batch))


_reading: WeakSet[Streamed] = WeakSet()


@atexit.register
def _close_all() -> None:
    """End the workers before Python ends: torch does not end them then, and the workers ignore signals."""
    for each in list(_reading):
        each.close()


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
    size = length_of(dataset, name)
    if size < batch_size:
        raise errors.DataError(
            f"data {name} has {size} samples, fewer than a batch of {batch_size}: "
            f"give --batch-size {max(2, size)} or less"
        )
    small = isinstance(dataset, TensorDataset) and (
        device.type == "cpu" or sum(t.nbytes for t in dataset.tensors) <= _resident_bytes(device)
    )
    made: Feed = (Resident if small else Streamed)(dataset, batch_size, seed, device, dtype, name)  # type: ignore[arg-type]
    seen = made.images if isinstance(made, Resident) else made.first(min(size, 64))
    if len(made.shape) == 3:
        if seen.dtype != torch.uint8:
            check_range(seen, name)
    elif seen.is_floating_point() and float(seen.abs().max()) > FAR:
        made.notes.append(
            f"data {name} has values as far as {float(seen.abs().max()):.3g} from 0: networks learn best from values "
            "of about 1, so scale the data"
        )
    if size > 1 and bool((seen == seen[:1]).all()):
        made.notes.append(f"data {name}: the samples are all the same")
    return made


def _resident_bytes(device: torch.device) -> int:
    """The size up to which a dataset lives on an accelerator."""
    if device.type == "mps":  # memory is shared with the CPU, and torch does not tell how much is free
        return RESIDENT_BYTES
    free = int(torch.accelerator.get_memory_info(device)[0])
    return min(RESIDENT_BYTES, int(RESIDENT_SHARE * free))


_INPUT_NAMES = {"label": "labels"}
"""The names of a batch's tensors where they differ from the names in an item."""


def _is_class(item: Mapping[str, Any]) -> bool:
    """Whether the label of an item is a class number."""
    label = item.get("label")
    return isinstance(label, Tensor) and label.ndim == 0 and not label.is_floating_point()


def _others(item: Mapping[str, Tensor], is_class: bool) -> dict[str, Tensor]:
    """The tensors of an item, or of collated items, beside the image and the class, by their names in a batch."""
    left_out = {"image", "label"} if is_class else {"image"}
    return {_INPUT_NAMES.get(name, name): value for name, value in item.items() if name not in left_out}


def _spec_of(value: Tensor) -> TensorSpec:
    """What is known of a named tensor from one item."""
    if value.dtype == torch.uint8:  # an image in bytes becomes floating values in [-1, 1]
        return TensorSpec(tuple(value.shape), "float", (-1.0, 1.0))
    dtype = "float" if value.is_floating_point() else str(value.dtype).removeprefix("torch.")
    return TensorSpec(tuple(value.shape), dtype)


def _collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def _gathered(dataset: TensorDataset, pieces: _Pieces, *, pin: bool) -> Iterator[dict[str, Tensor]]:
    """Batches of tensors that lie in memory or in a mapped file, one gather each: no item is made, no worker needed."""
    for _, _, *rows in pieces:
        batch = {
            key: values.index_select(0, torch.tensor(rows, device="cpu"))
            for key, values in zip(("image", "label"), dataset.tensors, strict=False)
        }
        if "label" in batch and batch["label"].ndim == 1 and not batch["label"].is_floating_point():
            batch["label"] = batch["label"].long()
        yield {key: value.pin_memory() for key, value in batch.items()} if pin else batch


def _copied(batches: Iterator[dict[str, Tensor]], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Batches on a GPU: while one is used, the next one's copy is under way on a stream of its own."""
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's

    def start() -> dict[str, Tensor]:
        with torch.cuda.stream(aside):
            return {key: value.to(device, non_blocking=True) for key, value in next(batches).items()}

    coming = start()
    while True:
        here, current = coming, torch.cuda.current_stream(device)
        current.wait_stream(aside)  # until this copy is done, and not the next, which is not asked for yet
        aside.wait_stream(current)  # the next may get the memory of the batch before, which was read until here
        coming = start()
        yield here
