"""Items of datasets in one form: tensors by name, from tensors, numpy arrays, PIL images, tuples and mappings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from ganzoo import errors
from ganzoo.names import brief, one_line
from ganzoo.parts import TensorSpec

WANTED = "give a tensor, a numpy array or a PIL image, alone or as (image, label), or a mapping with an entry 'image'"
"""What an item of a dataset may be."""

PLANES = (1, 2, 3, 4)
"""The numbers of channels by which the last side of an array is taken for the channels."""


CHECKED_ROWS = 4096
"""The number of items that are checked for NaN at a time, so that the check takes little memory."""


def read(
    dataset: Dataset[Any],
    row: int,
    name: str,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    classes: bool = False,
) -> dict[str, Tensor]:
    """Read an item of a dataset.

    Args:
        dataset: the dataset.
        row: the number of the item.
        name: the name of the data, for messages.
        shapes: the shapes that the entries of every item have, by name. None does not compare shapes.
        classes: whether labels are class numbers, so that 3.0 is class 3.

    Returns:
        ``image``, ``label`` if there is one, and the other tensors of the item.

    Raises:
        DataError: the dataset raises an exception, the item has a form that is not known, another shape, or a number
            that is not finite.
    """
    said = f"data {name}: item {row}"
    try:
        item = dataset[row]
    # Such an error says already what is wrong, in one line.
    except (errors.GanzooError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a dataset may raise anything, SystemExit too
        raise errors.DataError(f"{said} cannot be read: {one_line(error)}") from error
    return checked(item, said, shapes, classes)


def checked(
    item: object, said: str, shapes: Mapping[str, tuple[int, ...]] | None = None, classes: bool = False
) -> dict[str, Tensor]:
    """Bring an item to tensors, and compare the tensors with those of other items.

    Args:
        item: the item, as the dataset gives it.
        said: how messages call the item.
        shapes: the shapes that the entries of every item have, by name. None does not compare shapes.
        classes: whether labels are class numbers, so that 3.0 is class 3.

    Returns:
        ``image``, ``label`` if there is one, and the other tensors of the item.

    Raises:
        DataError: the item has a form that is not known, another shape, or a number that is not finite.
    """
    found = read_item(item, said)
    if classes and is_whole_float(found):
        found["label"] = found["label"].long()
    if shapes is not None and shapes.get("label") == () and found.get("label", torch.tensor(0)).ndim == 1:
        if not is_one_hot(found):
            raise errors.DataError(
                f"{said} has the label {found['label'].tolist()[:8]}, and other items have one-hot labels: give one "
                "kind"
            )
        found["label"] = found["label"].argmax()
    for key, value in found.items():
        if shapes is not None and shapes.get(key) != tuple(value.shape):
            due = f"{tuple(shapes[key])}" if key in shapes else "no such entry"
            raise errors.DataError(
                f"{said} has {key} of shape {tuple(value.shape)}, and item 0 has {due}: give one shape"
            )
        # Here the check costs little. A NaN that reached the device would stop the run without a name.
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise errors.DataError(f"{said} has {key} with NaN or infinity: leave the item out, or mend the item")
    if shapes is not None and (gone := shapes.keys() - found.keys()):
        raise errors.DataError(
            f"{said} has no {', '.join(sorted(gone))}, and item 0 has: give every item the same entries"
        )
    return found


def read_item(item: object, said: str = "the item") -> dict[str, Tensor]:
    """Bring an item of any usual kind to tensors by name.

    An array with its channels last becomes (C, H, W), and so does a tensor of bytes. A grey image in bytes without
    channels becomes (1, H, W).

    Args:
        item: a sample; ``(sample,)`` or ``(sample, label)`` as a tuple or list; or a mapping with ``image``. A sample
            is a tensor, a numpy array, a PIL image or a number.
        said: how messages call the item.

    Returns:
        ``image``, ``label`` if there is one, and the other entries of a mapping.

    Raises:
        DataError: the item has another form.

    Example:
        >>> {name: tuple(value.shape) for name, value in read_item((np.zeros((8, 9, 3), np.uint8), 4)).items()}
        {'image': (3, 8, 9), 'label': ()}
    """
    if isinstance(item, Mapping):
        if "image" not in item:
            has = ", ".join(map(str, item)) or "nothing"
            raise errors.DataError(f"{said} is a mapping with {has} and no 'image': {WANTED}")
        found = dict(item)
    elif isinstance(item, list) and len(item) > 1 and all(isinstance(each, float) for each in item):
        found = {"image": torch.tensor(item)}  # a point as a list of numbers
    elif isinstance(item, tuple | list):
        if len(item) not in (1, 2):
            raise errors.DataError(f"{said} is a {type(item).__name__} of {len(item)} entries: {WANTED}")
        found = dict(zip(("image", "label"), item, strict=False))
    else:
        found = {"image": item}
    if "label" not in found and np.ndim(found.get("labels", ())) == 0:
        found["label"] = found.pop("labels")  # a single number or name: a class, as in many published sets
    # Test sets often give None as the label of each item.
    if found.get("label", ()) is None:
        del found["label"]
    brought = {
        key: _label(value, said) if key == "label" else _tensor(value, key, said) for key, value in found.items()
    }
    if not brought["image"].numel():
        raise errors.DataError(
            f"{said} has an image of shape {tuple(brought['image'].shape)}, without a number: {WANTED}"
        )
    if brought["image"].ndim == 0:
        brought["image"] = brought["image"].reshape(1)
    elif brought["image"].dtype == torch.uint8:
        brought["image"] = with_channels_first(brought["image"][None])[0]
    return brought


def with_channels_first(images: Tensor) -> Tensor:
    """Bytes as (N, C, H, W): grey images without channels, and images with their channels last, are brought there.

    Args:
        images: (N, ...) uint8.

    Example:
        >>> with_channels_first(torch.zeros(2, 8, 9, dtype=torch.uint8)).shape
        torch.Size([2, 1, 8, 9])
        >>> with_channels_first(torch.zeros(2, 8, 9, 3, dtype=torch.uint8)).shape
        torch.Size([2, 3, 8, 9])
    """
    if images.ndim == 3:  # such as torchvision's MNIST.data
        return images[:, None]
    if images.ndim == 4 and are_last(tuple(images.shape[1:])):
        return images.permute(0, 3, 1, 2).contiguous()
    return images


def are_last(shape: tuple[int, ...]) -> bool:
    """Whether an image of a shape has its channels last, as in PIL and OpenCV.

    Maps whose sides are as short as channels, such as (512, 4, 4), have the channels first, as torch has them.

    Args:
        shape: of one image.

    Example:
        >>> are_last((64, 64, 3)), are_last((3, 64, 64)), are_last((512, 4, 4))
        (True, False, False)
    """
    return len(shape) == 3 and shape[2] in PLANES and min(shape[:2]) > PLANES[-1]


def plain_tensor(value: Tensor, said: str) -> Tensor:
    """A tensor without its graph.

    Args:
        value: the tensor.
        said: the beginning of the message.

    Raises:
        DataError: the tensor is sparse or quantized, or of complex numbers.
    """
    given: Tensor = value.detach()
    if given.layout != torch.strided or given.is_quantized or given.is_complex():
        what = "complex numbers" if given.is_complex() else "a sparse or quantized tensor"
        raise errors.DataError(f"{said} {what}: give a dense tensor of real numbers")
    return given


def as_bytes(images: Tensor) -> Tensor:
    """True and False as white and black: as numbers both would be nearly black. Other images stay.

    Args:
        images: of any shape.
    """
    return images.to(torch.uint8) * 255 if images.dtype == torch.bool else images


def _tensor(value: Any, key: str, said: str) -> Tensor:
    """An entry of an item as a tensor. Arrays and PIL images become (C, H, W)."""
    if isinstance(value, Tensor):
        given = plain_tensor(value, f"{said} has {key} as")
        return as_bytes(given) if key == "image" else given
    if type(value).__module__.startswith("PIL.") and hasattr(value, "getbands"):
        if value.mode == "I" or value.mode.startswith("I;16"):  # 16 bits in 65,535 steps, which a byte does not hold
            grey = np.asarray(value, dtype=np.float32)
            if grey.min() < 0 or grey.max() > 65535:
                raise errors.DataError(f"{said} has {key} with integers beyond 16 bits: give an array in [-1, 1]")
            return torch.from_numpy(grey / 32767.5 - 1)[None]
        if value.mode == "F":
            return torch.from_numpy(np.array(value, dtype=np.float32))[None]
        if value.mode == "1":
            value = value.convert("L")
        if value.mode not in ("L", "RGB", "RGBA", "LA"):
            clear = value.mode in ("PA", "La", "RGBa") or "transparency" in value.info
            value = value.convert("RGBA" if clear else "RGB")
        pixels = np.array(value)
        return torch.from_numpy(pixels)[None] if pixels.ndim == 2 else torch.from_numpy(pixels).permute(2, 0, 1)
    if isinstance(value, np.ndarray | np.generic):
        # torch takes no negative strides, which a flipped array has, and no foreign byte order, which FITS files have.
        array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
        if array.dtype.kind not in "biuf":
            raise errors.DataError(f"{said} has {key} as an array of {array.dtype}: {WANTED}")
        if key == "image" and array.dtype == np.bool_:
            array = array.astype(np.uint8) * 255
        if key == "image" and are_last(array.shape):
            array = np.ascontiguousarray(array.transpose(2, 0, 1))
        return torch.from_numpy(array.reshape(np.shape(value)) if array.ndim == np.ndim(value) == 0 else array)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return torch.tensor(value)
    raise errors.DataError(f"{said} has {key} of type {type(value).__name__}: {WANTED}")


def _label(value: object, said: str) -> Tensor:
    """A label as a tensor: a class number, or a label of another kind as the data has it. One-hot becomes a number."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, str):
        raise errors.DataError(
            f"{said} has the label {value[:40]!r}: give the number of the class, and the names as the list "
            "`classes` of the dataset"
        )
    try:
        label = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise errors.DataError(f"{said} has a label of type {type(value).__name__}: give a whole number") from error
    if label.dtype == torch.bool:
        label = label.long()
    # Label files with one column give a vector of length 1 for each item.
    label = label.detach()
    if label.ndim == 1 and len(label) == 1 and not label.is_floating_point():
        label = label[0]
    return label.long() if label.ndim == 0 and not label.is_floating_point() else label


def labels_of(dataset: object, size: int) -> Tensor | None:
    """The labels of all items, where the dataset tells the labels without reading the items.

    Args:
        dataset: the dataset. The attributes ``labels`` and ``targets`` are read, of subsets and joined sets too. The
            second tensor of a ``TensorDataset`` counts where there is no such attribute.
        size: the number of items.

    Returns:
        (N,) int64, or None where the dataset tells no class numbers.

    Example:
        >>> whole = TensorDataset(torch.zeros(3, 1), torch.tensor([0, 2, 1]))
        >>> labels_of(Subset(whole, [2, 0]), 2).tolist()
        [1, 0]
    """
    if isinstance(dataset, Subset):
        inner = labels_of(dataset.dataset, len(dataset.dataset))  # type: ignore[arg-type]  # it has a length
        # A subset has no labels of its own, so that those of the whole are indexed.
        return None if inner is None else inner[torch.as_tensor(list(dataset.indices))]
    if isinstance(dataset, ConcatDataset):
        parts = [labels_of(each, len(each)) for each in dataset.datasets]  # type: ignore[arg-type]
        return torch.cat([p for p in parts if p is not None]) if all(p is not None for p in parts) else None
    told: object = next((v for v in (getattr(dataset, n, None) for n in ("labels", "targets")) if v is not None), None)
    if told is None and isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1:
        told = dataset.tensors[1]
    if not isinstance(told, Tensor | np.ndarray | Sequence) or isinstance(told, str):
        return None
    try:
        labels = torch.as_tensor(told)
    except (TypeError, ValueError, RuntimeError):  # names, or lists of several lengths
        return None
    whole = not (labels.is_floating_point() or labels.is_complex())
    return labels.long() if labels.shape == (size,) and whole else None


def class_names_of(dataset: object) -> list[str]:
    """The names of the classes, where the dataset tells them in the attribute ``classes``.

    Args:
        dataset: the dataset. A subset has the classes of the whole.
    """
    if isinstance(dataset, Subset):
        return class_names_of(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        joined = [class_names_of(each) for each in dataset.datasets]
        return joined[0] if all(names == joined[0] for names in joined) else []
    found = getattr(dataset, "classes", ())
    if isinstance(found, Mapping) and set(found) == set(range(len(found))):
        found = [found[k] for k in range(len(found))]  # numbers -> names
    numbers = found if isinstance(found, Mapping) else getattr(dataset, "class_to_idx", None)
    if isinstance(numbers, Mapping) and not (found and isinstance(found, Sequence)):
        in_order = set(numbers.values()) == set(range(len(numbers)))
        found = sorted(numbers, key=lambda name: int(numbers[name])) if in_order else ()
    if isinstance(found, np.ndarray):
        found = found.tolist()
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [_writable(str(name)) for name in found]


def data_range_of(dataset: object) -> tuple[float, float] | None:
    """The numbers that became -1 and 1, where the dataset tells the two in the attribute ``data_range``.

    Args:
        dataset: the dataset. A subset has the range of the whole.

    Raises:
        DataError: the attribute is no pair of numbers, the first below the second.
    """
    if isinstance(dataset, Subset):
        return data_range_of(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        found = {data_range_of(each) for each in dataset.datasets}
        return found.pop() if len(found) == 1 else None
    try:
        told = getattr(dataset, "data_range", None)
    except Exception as error:  # a property of the user's may raise anything
        raise errors.DataError(f"the dataset's data_range cannot be read: {one_line(error)}") from error
    if told is None:
        return None
    try:
        low, high = map(float, told)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise errors.DataError(
            f"the dataset has data_range={brief(told)}: give the two numbers that became -1 and 1, such as "
            "(0.0, 4095.0)"
        )
    return low, high


def _writable(name: str) -> str:
    """A name that files of a run can hold: folders may have names that are no text, as old archives bring."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def length_of(dataset: Any, name: str) -> int:
    """The number of items of a dataset.

    Args:
        dataset: the dataset.
        name: the name of the data, for messages.

    Raises:
        DataError: the dataset has no length, or its items have no numbers.
    """
    if isinstance(dataset, DataLoader):
        raise errors.DataError(f"data {name} is a DataLoader: give its dataset, since ganzoo makes the batches")
    if isinstance(dataset, type):
        raise errors.DataError(f"data {name} is the class {dataset.__name__}: give an object, {dataset.__name__}(...)")
    if isinstance(dataset, Iterator):
        raise errors.DataError(
            f"data {name} is a {type(dataset).__name__}, which can be read once: give an IterableDataset, whose "
            "__iter__ begins anew, or a list of the items"
        )
    try:
        return len(dataset)
    except Exception as error:  # a dataset may raise anything
        raise errors.DataError(
            f"data {name}: the {type(dataset).__name__} tells no length ({one_line(error)}): give a dataset with "
            "__len__ and __getitem__, or an IterableDataset"
        ) from error


def require_finite(tensors: Sequence[Tensor], name: str) -> None:
    """Refuse NaN and infinity in a dataset that lies in memory.

    Args:
        tensors: the tensors of the dataset, with a row an item.
        name: the name of the data, for messages.

    Raises:
        DataError: an item is not finite. The numbers of the first items are named.
    """
    for values in tensors:
        if not values.is_floating_point():
            continue
        rows: list[int] = []
        # isfinite makes a tensor of the size of its argument, which for a whole set may not fit.
        for start in range(0, len(values), CHECKED_ROWS):
            piece = values[start : start + CHECKED_ROWS]
            rows += (start + (~piece.reshape(len(piece), -1).isfinite().all(1)).nonzero()[:, 0]).tolist()
        if rows:
            listed = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
            raise errors.DataError(
                f"data {name} has NaN or infinity in item {listed}: leave these items out, or mend the items"
            )


def class_numbers(labels: Tensor) -> Tensor:
    """Labels of a dataset in memory: (N, 1) and one-hot (N, K) become class numbers, other labels stay.

    Args:
        labels: a row an item.

    Example:
        >>> class_numbers(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
        [1, 0]
    """
    if labels.ndim != 2 or not len(labels):
        return labels
    if labels.shape[1] == 1:
        return labels if labels.is_floating_point() else labels[:, 0]
    one_hot = bool(((labels == 0) | (labels == 1)).all()) and bool((labels.sum(1) == 1).all())
    return labels.argmax(1) if one_hot else labels


def check_range(images: Tensor, name: str) -> None:
    """Refuse images whose values lie outside [-1, 1], or in [0, 1].

    Args:
        images: (N, C, H, W) floating values.
        name: the name of the data, for messages.

    Raises:
        DataError: the values are not those of images in [-1, 1].
    """
    low, high = float(images.min()), float(images.max())
    # A little room for resampling in float32, which overshoots by rounding.
    if low < -1.001 or high > 1.001:
        raise errors.DataError(
            f"data {name} has values from {low:.3g} to {high:.3g}: give uint8, or floating values in [-1, 1]"
        )
    # Images in [-1, 1] without any pixel darker than middle grey are rare, and a whole set of them rarer.
    if low >= 0.0 and high > 0.5:
        raise errors.DataError(
            f"data {name} has values from {low:.3g} to {high:.3g}, as if in [0, 1]: generators make [-1, 1], "
            "so give uint8, or scale by 2 x - 1"
        )


_INPUT_NAMES = {"label": "labels"}
"""The names of a batch's tensors where they differ from the names in an item."""


def is_class_number(item: Mapping[str, object]) -> bool:
    """Whether the label of an item is a class number.

    Args:
        item: the tensors of the item by name.

    Example:
        >>> is_class_number({"label": torch.tensor(3)}), is_class_number({"label": torch.tensor([0.5, 0.5])})
        (True, False)
    """
    label = item.get("label")
    return isinstance(label, Tensor) and label.ndim == 0 and not label.is_floating_point()


def is_whole_float(item: Mapping[str, object]) -> bool:
    """Whether the label of an item is a whole number that is stored as a floating one: a class number in a table.

    Args:
        item: the tensors of the item by name.

    Example:
        >>> is_whole_float({"label": torch.tensor(3.0)}), is_whole_float({"label": torch.tensor(0.5)})
        (True, False)
    """
    label = item.get("label")
    return isinstance(label, Tensor) and label.ndim == 0 and label.is_floating_point() and bool(label == label.round())


def is_one_hot(item: Mapping[str, object]) -> bool:
    """Whether the label of an item is a row of zeros with a single one.

    Args:
        item: the tensors of an item by name.

    Example:
        >>> is_one_hot({"label": torch.tensor([0, 1, 0])}), is_one_hot({"label": torch.tensor([1, 1, 0])})
        (True, False)
    """
    label = item.get("label")
    if not isinstance(label, Tensor) or label.ndim != 1 or len(label) < 2:
        return False
    return bool(((label == 0) | (label == 1)).all()) and int(label.sum()) == 1


def other_tensors(item: Mapping[str, Tensor], has_classes: bool) -> dict[str, Tensor]:
    """The tensors of an item, or of collated items, beside the image and the class, by their names in a batch.

    Args:
        item: the tensors by their names in an item.
        has_classes: whether the labels are class numbers.

    Example:
        >>> sorted(other_tensors({"image": torch.zeros(1), "label": torch.zeros(2)}, False))
        ['labels']
    """
    left_out = {"image", "label"} if has_classes else {"image"}
    return {_INPUT_NAMES.get(name, name): value for name, value in item.items() if name not in left_out}


def spec_of(value: Tensor) -> TensorSpec:
    """What is known of a named tensor from one item.

    Args:
        value: the tensor of an item. An image in bytes becomes floating values in [-1, 1].

    Example:
        >>> spec_of(torch.zeros(3, dtype=torch.int64)).dtype
        'int64'
    """
    if value.dtype == torch.uint8:
        return TensorSpec(tuple(value.shape), "float", (-1.0, 1.0))
    dtype = "float" if value.is_floating_point() else str(value.dtype).removeprefix("torch.")
    return TensorSpec(tuple(value.shape), dtype)


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of items.

    Args:
        items: the tensors of each item by name.
    """
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
