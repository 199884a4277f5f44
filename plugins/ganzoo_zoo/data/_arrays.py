"""Arrays of numbers as samples: ``.npy`` and ``.npz`` files, alone, in a folder, or in a zip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator
from torch.utils.data import Dataset

from ganzoo import errors

from ._decode import Unreadable, reason
from ._files import Files
from ._images import ImageSet, shown
from ._labels import Labelled, Unfit, class_numbers

if TYPE_CHECKING:
    from torch import Tensor

ARRAYS = (".npy", ".npz")
"""The endings of files with arrays."""

LABELS = ("labels", "label", "targets", "target", "classes", "y")
"""The names of an array with labels."""

UNNAMED = {"arr_0", "arr_1"}
"""numpy's names of two arrays that were saved without names."""

Axes = Literal["auto", "1", "2", "3"]
"""The annotation of the parameter ``axes``: the number of axes of an array besides the channels."""


def _in_dots(value: object) -> object:
    """``0..4095`` in place of ``0,4095``."""
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str) and ".." in value[0]:
        return value[0].split("..")
    return value


Range = Annotated[tuple[float, float], BeforeValidator(_in_dots)]
"""The annotation of the parameter ``range``: the numbers that become -1 and 1."""

Array = NDArray[Any]


def read(stream: BinaryIO, name: str) -> dict[str, Array]:
    """The arrays of a file by name. The array of a ``.npy`` file is called ``samples``.

    Args:
        stream: the file, at its start.
        name: of the file, whose ending tells the kind.

    Raises:
        Unreadable: the file is no array, or holds objects.
    """
    try:
        found = np.load(io.BytesIO(stream.read()), allow_pickle=False)  # a pickle could run any program
        if isinstance(found, np.ndarray):
            return {"samples": found}
        arrays = {key: _numbers(found, key) for key in found.files}
        # np.savez(file, samples, labels) names arrays by number.
        return {"samples": arrays["arr_0"], "labels": arrays["arr_1"]} if set(arrays) == UNNAMED else arrays
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("an array that memory has no room for") from error
    except Exception as error:  # numpy and zipfile raise almost anything on damaged files
        raise Unreadable("no array of numbers") from error


def _numbers(archive: Any, key: str) -> Array:
    try:
        found: Array = archive[key]
        return found
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        kind = "an array of Python objects: save numbers, or text as np.array(..., dtype=str)"
        raise Unreadable(f"{key} is {kind}") from error


def the_samples(arrays: dict[str, Array]) -> Array:
    """The array with samples: ``samples``, or the only array besides those with a name of ``LABELS``.

    Args:
        arrays: the arrays of a file by name.

    Raises:
        Unreadable: there are several arrays, and none is called ``samples``.
    """
    names = [name for name in arrays if name not in LABELS]
    if "samples" in arrays:
        return arrays["samples"]
    if len(names) != 1:
        raise Unreadable(f"several arrays ({', '.join(sorted(arrays)[:4])}) and none called samples")
    return arrays[names[0]]


def as_sample(array: Array, axes: Axes, span: Range | None) -> Tensor:
    """One sample as a tensor with channels first: bytes, or float32 numbers in [-1, 1].

    Args:
        array: the numbers of a sample.
        axes: the axes besides the channels. ``auto`` takes an array of one or two axes without channels.
        span: the numbers that become -1 and 1. None takes numbers from -1 to 1 as they are.

    Raises:
        Unreadable: numbers that are not real and finite, numbers beyond the range, or another number of axes.

    Example:
        >>> as_sample(np.array([[0.0, 5.0], [10.0, 10.0]]), "auto", (0.0, 10.0)).tolist()
        [[[-1.0, 0.0], [1.0, 1.0]]]
    """
    if array.dtype.kind not in "fiub":
        raise Unreadable(f"numbers of the type {array.dtype}: expected integers or floating-point numbers")
    wanted = {"auto": {1: 1, 2: 2, 3: 2, 4: 3}.get(array.ndim, 0)}.get(axes) or int(axes if axes != "auto" else 0)
    if not wanted or array.ndim not in (wanted, wanted + 1):
        told = "1 to 4 axes" if axes == "auto" else f"{axes} or {int(axes) + 1} axes, as axes={axes} says"
        raise Unreadable(f"a sample of {array.ndim} axes: expected {told}")
    array = array if array.ndim == wanted + 1 else array[None]
    if array.dtype == np.uint8 and span is None:
        return torch.from_numpy(np.ascontiguousarray(array))
    numbers = array.astype(np.float64)
    low, high = span or (-1.0, 1.0)
    least, most = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise Unreadable("numbers that are not finite")
    if least < low or most > high:
        beyond = f"beyond range={low:g},{high:g}" if span else "beyond [-1, 1]"
        raise Unreadable(f"numbers from {least:g} to {most:g}, {beyond}: give range=LOW,HIGH of all numbers")
    scaled = (numbers - low) * (2.0 / (high - low)) - 1.0 if span else numbers
    return torch.from_numpy(np.ascontiguousarray(scaled.astype(np.float32)))


class LazyArrays(Dataset[Any]):
    """Samples of one file each, which are read when an item is read.

    Args:
        files: the files.
        used: the files that are used, with their labels.
        axes: as of ``as_sample``.
        span: as of ``as_sample``.
    """

    def __init__(self, files: Files, used: Labelled, axes: Axes, span: Range | None) -> None:
        self.files, self.names, self.labels, self.classes = files, used.names, used.labels, used.classes
        self.notes, self.axes, self.span = used.notes, axes, span

    @property
    def data_range(self) -> Range | None:
        """The numbers of the files that become -1 and 1."""
        return _data_range(self.sample(0), self.span)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, int]:
        sample = self.sample(index)
        return sample if self.labels is None else (sample, int(self.labels[index]))

    def sample(self, index: int) -> Tensor:
        """Read one sample.

        Args:
            index: number of the sample.

        Raises:
            DataError: the file cannot be read, or holds no sample.
        """
        name = self.names[index]
        try:
            with self.files.open(name) as stream:
                return as_sample(the_samples(read(stream, name)), self.axes, self.span)
        except (OSError, Unreadable) as error:
            raise errors.DataError(f"folder: {shown(name)} cannot be used ({reason(error)})") from error

    def whole(self) -> ImageSet:
        """All samples in memory.

        Raises:
            DataError: a file cannot be used, or two samples differ in shape.
        """
        samples = [self.sample(0)]
        for index in range(1, len(self)):
            sample = self.sample(index)
            if sample.shape != samples[0].shape or sample.dtype != samples[0].dtype:
                found, due = (f"{tuple(s.shape)} of {str(s.dtype)[6:]}" for s in (sample, samples[0]))
                raise errors.DataError(
                    f"folder: {shown(self.names[index])} is {found}, and {shown(self.names[0])} is {due}: all arrays "
                    "need one shape and one type"
                )
            samples.append(sample)
        return ImageSet(torch.stack(samples), self.labels, self.classes, self.notes, self.data_range)


def stacked(path: Path, axes: Axes, span: Range | None, limit: int | None, with_labels: bool = True) -> ImageSet:
    """The samples of one file, the rows of the array ``samples``, with the classes in the array ``labels``.

    Args:
        path: the file.
        axes: as of ``as_sample``.
        span: as of ``as_sample``.
        limit: largest number of samples, spread evenly. None for all samples.
        with_labels: whether labels are read where the file holds labels.

    Raises:
        DataError: the file cannot be read, or holds fewer than two samples.
    """
    where = shown(str(path))
    try:
        with path.open("rb") as stream:
            arrays = read(stream, path.name)
        rows = the_samples(arrays)
        if rows.ndim < 2 or len(rows) < 2:
            raise Unreadable(f"an array of shape {rows.shape}: expected at least two samples along the first axis")
        count = len(rows) if limit is None else min(limit, len(rows))
        chosen = [i * len(rows) // count for i in range(count)]
        samples = torch.stack([as_sample(rows[i], axes, span) for i in chosen])
        key = next((name for name in LABELS if with_labels and name in arrays), None)
        classes, labels = ([], None) if key is None else _labels(key, arrays[key], len(rows))
    except (OSError, Unreadable) as error:
        raise errors.DataError(f"folder: {where} cannot be used ({reason(error)})") from error
    numbers = None if labels is None else labels[chosen]
    return ImageSet(samples, numbers, classes, data_range=_data_range(samples, span))


def _data_range(samples: Tensor, span: Range | None) -> Range | None:
    return (0.0, 255.0) if samples.dtype == torch.uint8 else span


def _labels(key: str, given: Array, rows: int) -> tuple[list[str], Tensor]:
    """The names of the classes, and the class numbers (N,) of an array: numbers, one-hot rows, or names."""
    found = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if found.ndim not in (1, 2) or len(found) != rows or found.dtype.kind not in "biufU":
        raise Unreadable(
            f"{key} of shape {given.shape} and type {given.dtype}: expected a label for each of {rows} rows"
        )
    try:
        return class_numbers(found.tolist(), [f"row {k}" for k in range(rows)])
    except Unfit as why:
        raise Unreadable(f"{key} {why}") from None
