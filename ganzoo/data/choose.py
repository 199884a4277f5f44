"""The feed that suits a dataset: whole on the device, or read batch by batch."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, TensorDataset

from ganzoo import errors
from ganzoo.data.feed import Feed, Reading
from ganzoo.data.items import as_bytes, check_range, data_range_of, length_of, plain_tensor, with_channels_first
from ganzoo.data.iterated import Iterated
from ganzoo.data.resident import Resident
from ganzoo.data.streamed import Streamed
from ganzoo.parts import Data

RESIDENT_BYTES = 4 << 30
"""A dataset up to this size lives on the GPU, where the GPU has room for the dataset."""

RESIDENT_SHARE = 0.25
"""The share of a device's free memory that a dataset may take: the rest is for the networks and the step."""

DARK = -0.75
"""A set of images whose largest value is below is said to be dark. Images of 12 bits in 16 go up to -0.87."""

FAR = 100.0
"""The distance from 0 from which on values of samples other than images are said to be large."""


def feed(
    dataset: Dataset[Any],
    name: str,
    batch_size: int,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    part: Data | None = None,
) -> Feed:
    """The feed that suits a dataset.

    Args:
        dataset: as a data part made it.
        name: of the data part, for messages.
        batch_size: samples in a batch.
        seed: of the order.
        device: where batches go.
        dtype: of the samples in a batch.
        part: the data part, which augments the samples. None augments nothing.

    Raises:
        DataError: fewer samples than a batch, or values outside [-1, 1].
    """
    reading = Reading(batch_size, seed, device, dtype, name, part)
    if isinstance(dataset, TensorDataset):
        dataset = _brought(dataset, name)
    if isinstance(dataset, IterableDataset):
        streamed = Iterated(dataset, reading)
        return _looked_at(streamed, dataset, name, streamed.size)
    size = length_of(dataset, name)
    if size < min(2, batch_size):  # data to look at, such as what is held out, may be a single sample
        raise errors.DataError(f"data {name} has {size} samples, and a GAN needs many: give more")
    if size < batch_size:
        raise errors.DataError(
            f"data {name} has {size} samples, fewer than a batch of {batch_size}: "
            f"give --batch-size {max(2, size)} or less"
        )
    # On the CPU the tensors lie in memory already, so that a resident set costs nothing more.
    made: Feed
    if isinstance(dataset, TensorDataset) and (
        device.type == "cpu" or sum(t.nbytes for t in dataset.tensors) <= _resident_bytes(device)
    ):
        made = Resident(dataset, reading)
    else:
        made = Streamed(dataset, reading)
    return _looked_at(made, dataset, name, size)


def _brought(dataset: TensorDataset, name: str) -> TensorDataset:
    """A dataset in memory as ``read_item`` brings items: without graphs, masks as black and white, channels first."""
    images, *others = (plain_tensor(tensor, f"data {name} has") for tensor in dataset.tensors)
    if not images.numel():
        what = f"a tensor of shape {tuple(images.shape)}, without a number"
        raise errors.DataError(f"data {name} is {what}: give a dense tensor of real numbers, a row a sample")
    images = as_bytes(images)
    if images.dtype == torch.uint8:
        images = with_channels_first(images)
    brought = copy.copy(dataset)  # the dataset is the user's
    brought.tensors = (images, *others)
    return brought


def _looked_at(made: Feed, dataset: Dataset[Any], name: str, size: int) -> Feed:
    """Look at some samples: refuse values that no image has, and note what is remarkable.

    Raises:
        DataError: the values are not those of images in [-1, 1].
    """
    # What a data part noticed while it read the files, such as pictures that were left out.
    told = getattr(dataset, "notes", ())
    # The name is a likely one for an attribute of the user's own.
    made.notes += [told] if isinstance(told, str) else map(str, told if isinstance(told, list | tuple) else ())
    made.data_range = data_range_of(dataset)
    if isinstance(dataset, ConcatDataset):
        ranges = [data_range_of(each) for each in dataset.datasets]
        if len(set(ranges)) > 1:
            made.notes.append(
                f"data {name} joins datasets with different data_range ({', '.join(map(str, ranges))[:200]}): exported "
                "numbers stay in [-1, 1]"
            )
    # All samples where they lie in memory, and 64 where each one must be decoded.
    seen = made.images if isinstance(made, Resident) else made.first(min(size, 64))
    if len(made.shape) == 3:
        # Bytes have a known range. Floating values in [0, 255] or [0, 1] are the usual mistake.
        if made.stored != torch.uint8:
            check_range(seen, name)
            if (most := float(seen.max())) < DARK:
                made.notes.append(
                    f"data {name} is dark: its values go up to {most:.3g}, and 1 is white: images of 12 bits in 16 "
                    "have such values, so scale the data to [-1, 1]"
                )
    elif seen.dtype != torch.uint8 and (far := _largest(seen)) > FAR:
        made.notes.append(
            f"data {name} has values as far as {far:.3g} from 0: networks learn best from values of about 1, so scale "
            "the data"
        )
    if looks := _looks_like(made.shape):
        made.notes.append(f"data {name} has samples of shape {'x'.join(map(str, made.shape))}, {looks}")
    if size > 1 and bool((seen == seen[:1]).all()):
        made.notes.append(f"data {name}: the samples are all the same")
    return made


def _largest(values: Tensor) -> float:
    """The largest absolute value. Integers are brought to float64, since torch has no abs of unsigned integers."""
    return float((values if values.is_floating_point() else values.double()).abs().max())


def _looks_like(shape: tuple[int, ...]) -> str:
    """What a shape may be meant for, where networks read the shape as something else."""
    if len(shape) == 2 and min(shape) >= 8 and max(shape) <= 4 * min(shape):
        return (
            f"which is read as sequences of {shape[1]} numbers with {shape[0]} channels: images need their channels "
            f"first, as (1, {shape[0]}, {shape[1]})"
        )
    if len(shape) == 3 and shape[2] <= 16 and 4 * shape[2] <= min(shape[:2]):
        return (
            f"which is read as images of {shape[1]}x{shape[2]} with {shape[0]} channels: where the channels are last, "
            f"bring them first, as ({shape[2]}, {shape[0]}, {shape[1]})"
        )
    return ""


def _resident_bytes(device: torch.device) -> int:
    """The size up to which a dataset lives on an accelerator."""
    if device.type == "mps":  # memory is shared with the CPU, and torch does not tell how much is free
        return RESIDENT_BYTES
    # Free and not total: other programs may use the same device.
    free = int(torch.accelerator.get_memory_info(device)[0])
    return min(RESIDENT_BYTES, int(RESIDENT_SHARE * free))
