"""A dataset that is read batch by batch.

Tensors that are too large for a GPU are gathered beside the GPU. Any other dataset streams through torch's DataLoader,
whose worker processes read ahead where reading ahead saves time.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from weakref import WeakSet, finalize, proxy

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

from ganzoo import errors
from ganzoo.data import workers
from ganzoo.data.feed import Feed, Reading
from ganzoo.data.items import (
    collate,
    is_class_number,
    is_one_hot,
    is_whole_float,
    labels_of,
    length_of,
    other_tensors,
    read,
    spec_of,
)
from ganzoo.launcher import launch
from ganzoo.parts import Batch

WORTH_WORKERS = 2e-3
"""Seconds that the items of a batch take from which on workers read them: handing one over takes about 0.5 ms."""

MOST_WORKERS = 8
"""Processes that read ahead."""

HANDED_BYTES = 1 << 30
"""Bytes that all copies of a dataset in workers may take."""

MANY_LABELS = 64
"""The number of items whose labels are looked at, to tell one-hot labels from attributes."""

COMPARED = 16
"""Items whose labels are compared with the labels that the dataset tells."""

MANY_ITEMS = 2000
"""The number of items from which on it is said that the labels are read from the items."""


class _Pieces(Sampler[list[int]]):
    """The feed's own pieces from one of them on, without end: batch number, place in the batch, row numbers."""

    def __init__(self, feed: Feed, draw: int, piece: int) -> None:
        self.feed, self.draw, self.piece = feed, draw, piece

    def __iter__(self) -> Iterator[list[int]]:
        feed, draw, piece, epoch = self.feed, self.draw, self.piece, -1
        while True:
            # A permutation of all rows costs more than a batch, so it is made once an epoch.
            if epoch != draw // feed.batches:
                epoch = draw // feed.batches
                order = feed.order(epoch)
            rows = feed.rows(order, draw, piece).tolist()
            # The number of the batch and the place in the batch seed the items, so they travel with the rows.
            yield [draw, (feed.first_piece + piece) * len(rows), *rows]
            draw, piece = feed.after(draw, piece)


class Streamed(Feed):
    """Any other dataset, batch by batch; on a GPU the next batch is copied there while one is used.

    Args:
        dataset: the dataset, as a data part made it.
        reading: how the dataset is read.
    """

    def __init__(self, dataset: Dataset[Any], reading: Reading) -> None:
        super().__init__(reading)
        self.dataset, name = dataset, self.name
        self.size = length_of(dataset, name)
        # Item 0 tells the shapes. The dataset may draw random numbers for it, which must not move those of the parts.
        with workers.kept_random_state():
            item = read(dataset, 0, name)
            # In a single item attributes may look like one-hot labels, and continuous labels like a class number.
            for looks_so, number in ((is_one_hot, torch.argmax), (is_whole_float, torch.Tensor.long)):
                if looks_so(item):
                    rows = torch.linspace(0, self.size - 1, min(self.size, MANY_LABELS)).long().tolist()
                    if all(looks_so(read(dataset, row, name)) for row in rows):
                        item["label"] = number(item["label"])
        self.items = workers.SeededItems(
            dataset, self.seed, name, {key: tuple(value.shape) for key, value in item.items()}
        )
        self.shape, self.stored = self.augmented_shape(tuple(item["image"].shape)), item["image"].dtype
        self._has_classes = self.items.classes = is_class_number(item)
        self.inputs = {name: spec_of(value) for name, value in other_tensors(item, self._has_classes).items()}
        if self._has_classes:
            labels = labels_of(dataset, self.size)
            self._know(dataset, labels if labels is not None and self._agree(labels) else self._read_labels())
        self._epoch, self._order = -1, torch.empty(0)
        self._next: tuple[int, int] | None = None
        self._batches: Iterator[dict[str, Tensor]] = iter(())
        self._readers: list[multiprocessing.process.BaseProcess] = []
        self._dropped: finalize[..., Streamed] | None = None
        self._watchdog: workers.Watchdog | None = None

    def _agree(self, labels: Tensor) -> bool:
        """Whether labels are those of the items. A dataset may change its items' labels, and leave ``targets``."""
        rows = torch.linspace(0, self.size - 1, min(self.size, COMPARED)).long().tolist()
        with workers.kept_random_state():
            found = [read(self.dataset, row, self.name, self.items.shapes, classes=True).get("label") for row in rows]
        # Single items may differ: a folder puts another image, with its label, in the place of one that is damaged.
        same = sum(
            own is not None and own.ndim == 0 and int(own) == int(labels[row])
            for own, row in zip(found, rows, strict=True)
        )
        agree = 2 * same >= len(rows)
        if not agree:
            self.notes.append(
                f"data {self.name}: the labels of its items differ from its `targets` or `labels`, and the items count"
            )
        return agree

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
            # Once, at the start: classes must be known before the networks are built.
            for row in range(self.size):
                item = read(self.dataset, row, self.name, self.items.shapes, classes=True)
                if not is_class_number(item):
                    said = f"data {self.name}: item {row} has the label {item['label'].tolist()}"
                    raise errors.DataError(f"{said}, and item 0 a whole number: give whole numbers from 0")
                found.append(int(item["label"]))
        return torch.tensor(found)

    def share(self, pieces: int, first: int = 0, own: int | None = None) -> None:
        super().share(pieces, first, own)
        self.close()  # what was read ahead is cut otherwise

    def reals(self, draw: int, piece: int = 0) -> Batch:
        with self.waiting():
            return self._reals(draw, piece)

    def _reals(self, draw: int, piece: int) -> Batch:
        # Batches are read ahead in order only. A resumed run or a trial begins anew from its batch.
        if (draw, piece) != self._next:
            self.close()
            before = multiprocessing.active_children()
            self._batches = self._read(_Pieces(proxy(self), draw, piece))  # no cycle: dropped with the feed
            # torch tells its workers nowhere in public: they are the children that have come since.
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
                # Set only while a batch is waited for: a long look or save in between is no fault of the workers.
                self._watchdog.waiting_since = time.monotonic()
            item = next(self._batches)
            if self._watchdog is not None:
                self._watchdog.waiting_since = None
        # Ctrl-C too: whatever breaks off a wait leaves an iterator that torch cannot continue.
        except BaseException as error:
            why = workers.failure(error, self._readers, self._watchdog is not None and self._watchdog.expired)
            self.close()
            if why is not None:
                raise why from error
            raise
        self._next = self.after(draw, piece)
        if self.part is not None:
            epoch = draw // self.batches
            # Random numbers of an augmentation are indexed by row, so the rows of the batch are needed here too.
            if epoch != self._epoch:
                self._epoch, self._order = epoch, self.order(epoch)
            rows = self.rows(self._order, draw, piece)
            item = {**item, "image": self.augmented(item["image"], rows, epoch)}
        return self.batch(item, self._has_classes, with_classes=self.with_labels)

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        with self.waiting():
            items = collate(self.items.__getitems__([-1, first, *rows.tolist()]))
        items["image"] = self.augmented(items["image"])
        return self.batch(items, self._has_classes)

    def close(self) -> None:
        if self._dropped is not None:
            self._dropped.detach()
        if self._watchdog is not None:
            # torch waits for each worker in turn, and a worker that waits in its dataset does not end by itself.
            self._watchdog.waiting_since, self._watchdog.closing_since = None, time.monotonic()
        self._next, self._batches, self._dropped = None, iter(()), None  # a loader that is dropped ends its workers
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        for each in self._readers:
            if each.is_alive():  # after seconds of patience; it hears no SIGTERM
                each.kill()
                each.join(workers.CLOSING_SECONDS)
        self._readers = []
        _reading.discard(self)

    def _read(self, pieces: _Pieces) -> Iterator[dict[str, Tensor]]:
        """Batches from a piece on, on the device."""
        gpu = self.device.type == "cuda"
        if isinstance(self.dataset, TensorDataset):
            batches = _gathered(self.dataset, pieces, pin=gpu)
        else:
            # Measured anew at each start of reading: it takes five items, and the machine may be busier than before.
            count = self._workers()
            loader = DataLoader(
                self.items,
                batch_sampler=pieces,
                generator=torch.Generator(),  # or else it draws from the parts' random numbers, here and nowhere else
                num_workers=count,
                multiprocessing_context=workers.context() if count else None,
                pin_memory=gpu,
                worker_init_fn=workers.start_worker,
                collate_fn=workers.shared if count else collate,
            )
            # Workers start when the iterator is made, so the iterator is made inside.
            with workers.isolated() if count else nullcontext():
                batches = iter(loader)
        return _copied(batches, self.device) if gpu else batches

    def _workers(self) -> int:
        """How many processes read ahead; batches are the same with any number.

        None where items are nearly free: handing a batch from process to process would cost more. Otherwise as many as
        there are cores that training leaves: on the CPU it takes those of torch's threads, on a GPU one that feeds it,
        for each of the processes that train on this machine.
        """
        # On a GPU one core launches kernels all the time, and no other thread of torch computes.
        busy = torch.get_num_threads() if self.device.type == "cpu" else 1
        free = workers.cores() // launch().local_world_size - busy
        if free < 1 or multiprocessing.current_process().daemon:  # such a process may have no children
            return 0
        items, costs = self.items, []
        for row in self.order(-1)[:5].tolist():
            began = time.perf_counter()
            items.__getitems__([-1, 0, row])
            costs.append(time.perf_counter() - began)
        # The median, because the first item may import a decoder or open a file.
        if statistics.median(costs) * (self.batch_size // self.pieces) < WORTH_WORKERS:
            return 0
        size = workers.pickled_size(self.dataset)
        if size is None:
            return 0
        batch = sum(value.nbytes for value in collate(items.__getitems__([-1, 0, 0])).values()) * (
            self.batch_size // self.pieces
        )
        return min(free, MOST_WORKERS, HANDED_BYTES // max(1, size), workers.room_for(batch))


_reading: WeakSet[Streamed] = WeakSet()


@atexit.register
def _close_all() -> None:
    """End the workers before Python ends: torch does not end them then, and the workers ignore signals."""
    for each in list(_reading):
        each.close()


def _gathered(dataset: TensorDataset, pieces: _Pieces, *, pin: bool) -> Iterator[dict[str, Tensor]]:
    """Batches of tensors that lie in memory or in a mapped file, one gather each: no item is made, no worker needed."""
    for _, _, *rows in pieces:
        batch = {
            # index_select and not [rows]: a tenth of the time for rows of images.
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

    # The first copy has nothing to hide behind. Each later one runs while the step computes.
    coming = start()
    while True:
        here, current = coming, torch.cuda.current_stream(device)
        current.wait_stream(aside)  # until this copy is done, and not the next, which is not asked for yet
        aside.wait_stream(current)  # the next may get the memory of the batch before, which was read until here
        coming = start()
        yield here
