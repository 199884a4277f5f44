"""A dataset of tensors, whole on the device.

A ``TensorDataset`` lives on the device as it is (uint8 stays uint8) and is gathered and normalised there.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from ganzoo.data.feed import FINGERPRINTED, Feed, Reading, bytes_of
from ganzoo.data.items import class_numbers, is_class_number, labels_of, require_finite, spec_of
from ganzoo.parts import Batch

FINGERPRINTED_BYTES = 1 << 29
"""Bytes up to which a digest of all samples is made too."""


class Resident(Feed):
    """A dataset of tensors, whole on the device: a batch costs one gather.

    Args:
        dataset: the dataset, as a data part made it.
        reading: how the dataset is read.
    """

    def __init__(self, dataset: TensorDataset, reading: Reading) -> None:
        super().__init__(reading)
        require_finite(dataset.tensors, self.name)
        self.images = dataset.tensors[0].to(self.device)
        # Single numbers are vectors of length 1, as networks take them.
        if self.images.ndim == 1:
            self.images = self.images[:, None]
        self.size, self.shape = len(self.images), self.augmented_shape(tuple(self.images.shape[1:]))
        self.stored = self.images.dtype
        self._labels = None
        self._others: dict[str, Tensor] = {}
        if len(dataset.tensors) > 1:
            labels = class_numbers(dataset.tensors[1]).to(self.device)
            # One label tells for all: a tensor has one type and one shape.
            if is_class_number({"label": labels[0]}):
                self._labels = labels.long()
                told = labels_of(dataset, self.size)
                self._know(dataset, self._labels if told is None else told)
            else:
                self._others = {"labels": labels}
                self.inputs = {"labels": spec_of(labels[0])}
        self._epoch, self._order, self._order_on_host = -1, torch.empty(0), torch.empty(0)

    def reals(self, draw: int, piece: int = 0) -> Batch:
        epoch = self._open_epoch(draw)
        rows = self.rows(self._order, draw, piece)
        # An augmentation takes the random numbers of the epoch, by row.
        return self._made(rows, self.augmented(self._images(rows), rows, epoch))

    def sample_numbers(self, draw: int, piece: int = 0) -> Tensor | None:
        # The random numbers of an augmentation change with the epoch: the device would not know them.
        if self.part is not None:
            return None
        self._open_epoch(draw)
        return self.rows(self._order_on_host, draw, piece)

    def gather(self, numbers: Tensor) -> Batch:
        rows = numbers.to(self.device)
        return self._made(rows, self._images(rows))

    def _open_epoch(self, draw: int) -> int:
        """Have the permutation of the epoch of a batch at hand. Returns the number of the epoch."""
        epoch = draw // self.batches
        # The permutation goes to the device once an epoch; a step then indexes without a copy.
        if epoch != self._epoch:
            order = self.order(epoch)
            order = order.pin_memory() if self.device.type == "cuda" else order  # or the host would wait for the copy
            self._epoch, self._order, self._order_on_host = epoch, order.to(self.device, non_blocking=True), order
        return epoch

    def _images(self, rows: Tensor) -> Tensor:
        return self.images.index_select(0, rows)  # a tenth of the time of [rows]

    def _made(self, rows: Tensor, images: Tensor) -> Batch:
        labels = self._labels[rows] if self.with_labels and self._labels is not None else None
        others = {name: self.prepared(self._others[name][rows]) for name in self.inputs}
        return Batch(images=self.normalised(images), labels=labels).replace(**others)

    def fingerprint(self) -> dict[str, object]:
        """The same, and ``content``, a digest of all there is, where that takes half a second at most."""
        found = super().fingerprint()
        # A digest of 512 MiB takes about half a second, which is what a start may cost.
        if self.images.nbytes > FINGERPRINTED_BYTES:
            return found
        digest = hashlib.sha256()
        for value in (self.images, self._labels, *self._others.values()):
            if value is None:
                continue
            # In pieces, because a copy of the whole from the GPU would double the host's memory for a moment.
            for piece in torch.split(value, FINGERPRINTED):
                digest.update(bytes_of(piece.cpu()))
        return {**found, "content": digest.hexdigest()}

    def at(self, rows: Tensor, first: int = 0) -> Batch:
        rows = rows.to(self.device)
        labels = None if self._labels is None else self._labels[rows].cpu()
        others = {name: self.prepared(self._others[name][rows]).cpu() for name in self.inputs}
        images = self.augmented(self.images[rows])
        return Batch(images=self.normalised(images).cpu(), labels=labels).replace(**others)
