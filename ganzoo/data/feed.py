"""Real batches, by number: what every feed has in common.

Batch number k of a run is a function of (seed, k): epochs are permutations seeded by (seed, epoch), and a last short
batch is left out. ``ganzoo.data.resident``, ``ganzoo.data.streamed`` and ``ganzoo.data.iterated`` read the samples,
and ``ganzoo.data.choose`` takes the one that suits a dataset.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from ganzoo import errors
from ganzoo.data.items import class_names_of, other_tensors
from ganzoo.parts import Batch, Data, TensorSpec
from ganzoo.step.randomness import derive_seed

MANY_CLASSES = 1000
"""The number of classes up to which there may be more than two classes a sample."""

FINGERPRINTED = 64
"""The number of samples in the digest of a dataset."""


@dataclass(frozen=True)
class Reading:
    """How a feed reads a dataset.

    Args:
        batch_size: the number of samples in a batch.
        seed: the seed of the order of the samples, and of random items.
        device: the device of the batches.
        dtype: the floating-point type of the samples in a batch.
        name: the name of the data part, for messages.
        part: the data part, which augments the samples. None augments nothing.
    """

    batch_size: int
    seed: int
    device: torch.device
    dtype: torch.dtype
    name: str = "of the run"
    part: Data | None = None


def bytes_of(value: Tensor) -> bytes:
    """The bytes of a tensor of any type on the CPU, also of those that numpy has not, such as bfloat16.

    Args:
        value: (N, ...).
    """
    return value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


class Feed:
    """Real batches, and labels for fakes.

    Args:
        reading: how the dataset is read.

    Attributes:
        shape: of one sample.
        stored: the dtype of the samples in the dataset. Bytes are brought to [-1, 1] batch by batch.
        classes: number of classes in the data, 0 when it has no labels.
        class_names: the names of the classes, in the order of their numbers. Empty where the dataset names none.
        data_range: the numbers that became -1 and 1, where the dataset tells the two.
        inputs: the tensors by name that an item brings beside the image and the class.
        size: samples in the dataset.
        notes: what is remarkable about the data, a line each.
        held_out: a feed of samples that training never sees; None where there are none, or nobody asks for them.
        waiting_since: the time (``time.monotonic``) since which samples are being read, or None. A signal ends a wait
            that is too long.
    """

    shape: tuple[int, ...]
    stored: torch.dtype
    inputs: Mapping[str, TensorSpec] = MappingProxyType({})
    classes: int = 0
    class_names: Sequence[str] = ()
    data_range: tuple[float, float] | None = None
    size: int
    held_out: Feed | None = None
    waiting_since: float | None = None

    def __init__(self, reading: Reading) -> None:
        self.batch_size, self.seed, self.name = reading.batch_size, reading.seed, reading.name
        self.device, self.dtype, part = reading.device, reading.dtype, reading.part
        # None, and not a part that changes nothing: an augmentation costs a pass over every batch.
        self.part = part if part is not None and part.random_numbers else None
        # The random numbers of one epoch: a sample is shown once an epoch, so its row of numbers is its own.
        self._random_epoch, self._random = -1, torch.empty(0)
        self.with_labels = False  # set at assembly, when the nets want to be given labels
        self.pieces, self.first_piece, self.own_pieces = 1, 0, 1
        self._frequencies: Tensor | None = None
        self.notes: list[str] = []
        self._label_fault = ""

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        # Rounded down: a short batch at the end would change batch norm's statistics and the weight of its samples.
        return self.size // self.batch_size

    def share(self, pieces: int, first: int = 0, own: int | None = None) -> None:
        """Cut every batch into equal pieces, for several processes or one after another: together they are the batch.

        Args:
            pieces: how many; they divide the batch.
            first: number of the first one that this feed gives.
            own: how many it gives from there on; all that are left unless told.
        """
        own = pieces - first if own is None else own
        # Pieces of different sizes would weigh their samples differently in the mean over the pieces.
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

    def sample_numbers(self, draw: int, piece: int = 0) -> Tensor | None:
        """(N,) the numbers of the samples of a batch, int64 on the CPU. None where ``gather`` cannot make the batch.

        Args:
            draw: the number of the batch, from 0.
            piece: the number of the piece among the pieces of this feed, from 0.
        """
        return None

    def gather(self, numbers: Tensor) -> Batch:
        """The samples with some numbers, made by the device alone: the batch that ``reals`` gives.

        Args:
            numbers: (N,) as ``sample_numbers`` gives, on any device.
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
        # Epoch -1 has a permutation of its own, which training never reads: what is looked at is no batch of training.
        return self.at(self.order(-1)[:count])

    def in_pieces(self, count: int, size: int) -> Iterator[Batch]:
        """The samples of ``look`` in pieces, on the CPU. All samples of the data come in the order of the data.

        Args:
            count: the number of samples.
            size: the number of samples in a piece. The last piece may be smaller.
        """
        # All samples are read in order: neighbours in a file are read together, and no permutation is needed.
        rows = self.order(-1)[:count] if count < self.size else torch.arange(self.size, device="cpu")
        for k, piece in enumerate(torch.split(rows, size)):
            # The place goes on counting over the pieces, so that random crops do not repeat from piece to piece.
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
            # On the device: a draw on the CPU would make every step wait for a copy.
            return torch.multinomial(self._frequencies, count, replacement=True, generator=generator)
        return torch.randint(self.classes, (count,), generator=generator, device=self.device)

    def close(self) -> None:
        """End the workers. The next call of ``reals`` starts new workers."""

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A context in which samples are read, which takes as long as a dataset likes."""
        # The outer of two such contexts counts: a wait is as long as what waits.
        before, self.waiting_since = self.waiting_since, self.waiting_since or time.monotonic()
        try:
            yield
        finally:
            self.waiting_since = before

    def fingerprint(self) -> dict[str, object]:
        """What tells this data from other data, as plain data; ``digest`` is of the first samples to look at."""
        seen = self.look(min(self.size, FINGERPRINTED))
        digest = hashlib.sha256()
        for value in seen.values():
            digest.update(bytes_of(value))
        return {
            "size": self.size,
            "shape": list(self.shape),
            "classes": self.classes,
            "class_names": list(self.class_names),
            "data_range": None if self.data_range is None else list(self.data_range),
            "digest": digest.hexdigest(),
        }

    def content(self) -> dict[str, object]:
        """What tells the samples from other samples, whatever the order in which the seed reads them."""
        found = self.fingerprint()
        if "content" not in found:
            # Not from a permutation, so that runs with different seeds compare the same samples.
            spread = torch.linspace(0, self.size - 1, min(self.size, FINGERPRINTED)).long()
            digest = hashlib.sha256()
            for value in self.at(spread).values():
                digest.update(bytes_of(value))
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
        # Pieces lie side by side in the batch, so any number of processes together sees the batch of one process.
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
        # A generator of its own for each epoch: a resumed run makes the permutation without the ones before.
        # On the CPU, because the generators of devices give other numbers.
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "data", epoch))
        return torch.randperm(self.size, generator=generator, device="cpu")

    def augmented(self, images: Tensor, rows: Tensor | None = None, epoch: int = 0) -> Tensor:
        """Samples as the data part augments them.

        Args:
            images: (N, *shape), as the dataset gives them.
            rows: (N,) the numbers of the samples, for training. None gives the samples to look at.
            epoch: the number of the epoch.
        """
        if self.part is None:
            return images
        if rows is None:
            return self.part.augment(images, None)
        if epoch != self._random_epoch:
            # For the whole epoch at once, and indexed by row, so the numbers do not depend on the cut into pieces.
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", epoch))
            drawn = torch.rand(self.size, self.part.random_numbers, generator=generator, device="cpu")
            self._random_epoch, self._random = epoch, drawn.to(self.device)
        return self.part.augment(images, self._random[rows.to(self.device)])

    def augmented_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample after the augmentation.

        Args:
            shape: of one sample of the dataset.
        """
        # Asked of a sample of zeros, because a crop may change the size and a part does not say to what.
        return tuple(self.augmented(torch.zeros(1, *shape)).shape[1:])

    def give_labels(self, classes: int) -> None:
        """Give the networks the labels, or no labels.

        Args:
            classes: the number of classes that the networks are built for, 0 for networks without labels.

        Raises:
            DataError: the networks need labels, and the labels of the data are no whole numbers from 0.
        """
        if classes and self._label_fault:
            # Not raised when the data is read: a run without classes can use data with odd labels.
            raise errors.DataError(self._label_fault)
        self.with_labels = classes > 0

    def _know(self, dataset: Dataset[Any], labels: Tensor) -> None:
        """Count the classes by the labels of all items. A class without a sample counts too, where it has a name."""
        names = class_names_of(dataset)
        if isinstance(dataset, ConcatDataset):
            several = dict.fromkeys(", ".join(class_names_of(each)) for each in dataset.datasets)
            if len(several) > 1:
                named = "; ".join(name or "none" for name in several)
                self.notes.append(
                    f"data {self.name} joins datasets with different classes ({named[:200]}): equal numbers count as "
                    "one class"
                )
        low, high = int(labels.min()), int(labels.max())
        if low < 0:
            self._label_fault = f"data {self.name} has labels from {low} to {high}: give whole numbers from 0"
        elif high > max(MANY_CLASSES, 2 * self.size):
            self._label_fault = (
                f"data {self.name} has labels up to {high} for {self.size} samples: number the classes from 0 without "
                "gaps"
            )
        if self._label_fault:
            self.classes = 1  # asked for by the networks or not: see ``give_labels``
            return
        # A name without a sample counts: a network that is trained on part of the data keeps the numbers of the whole.
        self.classes = max(1 + high, len(names))
        counts = torch.bincount(labels.long(), minlength=self.classes)
        # float32 counts up to 2^24 exactly, and a ratio of larger counts is as good as exact.
        self._frequencies = counts.to(self.device, torch.float32)
        # Fewer names than classes would name the wrong ones.
        if len(names) == self.classes and len(set(names)) == len(names):
            self.class_names = names
        elif names:
            self.notes.append(
                f"data {self.name} has {self.classes} classes and the names {', '.join(names)[:100]}: the names are "
                "not used, for each class needs one of its own"
            )
        if empty := (counts == 0).nonzero()[:, 0].tolist():
            listed = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
            self.notes.append(f"data {self.name} has no sample of class {listed}: fakes are of the other classes")

    def counts(self, most: int = 20) -> str:
        """The classes with the numbers of their samples, such as ``cat (120), dog (80)``. Empty where none are known.

        Args:
            most: the largest number of classes that are listed.
        """
        if self._frequencies is None:
            return ""
        names = self.class_names or [str(k) for k in range(self.classes)]
        each = [f"{name} ({int(n)})" for name, n in zip(names, self._frequencies.tolist(), strict=True)]
        return ", ".join(each[:most]) + (", ..." if len(each) > most else "")

    def prepared(self, values: Tensor) -> Tensor:
        """Bring bytes and floating values to the floating-point type of the run. Other types, such as tokens, stay.

        Args:
            values: (N, ...).
        """
        return self.normalised(values) if values.is_floating_point() or values.dtype == torch.uint8 else values

    def keep_inputs(self, names: Container[str]) -> None:
        """Leave out tensors that the networks are not given.

        Args:
            names: the names of the tensors beside the image and the class that the networks are given.
        """
        self.inputs = {name: spec for name, spec in self.inputs.items() if name in names}

    def batch(self, item: Mapping[str, Tensor], has_classes: bool, *, with_classes: bool = True) -> Batch:
        """A batch of collated items. The dtype of whole numbers, such as tokens, stays as the data part has it.

        Args:
            item: the tensors of the items by name.
            has_classes: whether the labels are class numbers.
            with_classes: whether the batch gets the class numbers.
        """
        found = {name: value for name, value in other_tensors(item, has_classes).items() if name in self.inputs}
        found = {name: self.prepared(value) for name, value in found.items()}
        if with_classes and has_classes:
            found["labels"] = item["label"]
        return Batch(images=self.normalised(item["image"]), **found)

    def normalised(self, images: Tensor) -> Tensor:
        """(N, *shape) in [-1, 1]: bytes by x / 127.5 - 1, floating values unchanged.

        Args:
            images: (N, *shape).
        """
        if images.dtype == torch.uint8:
            # In place on the copy that the conversion made: a batch costs one new tensor and not three.
            return images.to(self.dtype).mul_(1 / 127.5).sub_(1.0)
        return images.to(self.dtype)
