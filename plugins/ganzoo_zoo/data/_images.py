"""What several data parts use: images held in memory, and resizing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate
from torch.utils.data import Dataset, TensorDataset

if TYPE_CHECKING:
    from torch import Tensor


class ImageSet(TensorDataset):
    """Images that are held whole in memory, so that ganzoo reads ``tensors`` at once.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 class numbers, None without labels.
        classes: the names of the classes, in the order of their numbers.
        notes: what is remarkable about the images, a line each.
        data_range: the numbers of the files that became -1 and 1, None of bytes.

    Attributes:
        labels: (N,) int64 class numbers, None without labels.
        classes: the names of the classes, in the order of their numbers.
        notes: what is remarkable about the images, a line each.
        data_range: the numbers of the files that became -1 and 1, None of bytes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        classes: Iterable[str] = (),
        notes: Iterable[str] = (),
        data_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(*(images,) if labels is None else (images, labels))
        self.data_range = data_range
        self.labels = labels
        self.classes = list(classes)
        self.notes = list(notes)


class PairSet(Dataset[Any]):
    """Samples with their conditions, held whole in memory: masks with their photos.

    Args:
        images: (N, C, H, W) uint8, the samples, which are generated.
        conditions: (N, C', H, W) uint8, the photo that each sample is generated for.
        notes: what is remarkable about the pairs, a line each.
        data_range: the numbers of the photos' files that became -1 and 1, None of bytes.
    """

    def __init__(
        self,
        images: Tensor,
        conditions: Tensor,
        notes: Iterable[str] = (),
        data_range: tuple[float, float] | None = None,
    ) -> None:
        self.images, self.conditions, self.notes = images, conditions, list(notes)
        self.data_range = data_range

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index], "condition": self.conditions[index]}


def parted(count: int, held: float) -> tuple[Tensor, Tensor]:
    """The row numbers for training, in order, and the row numbers that are held out: the same at every call.

    Args:
        count: number of rows.
        held: share that is held out, from 0 to 1.

    Example:
        >>> training, held_out = parted(10, 0.2)
        >>> len(training), len(held_out)
        (8, 2)
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0), device="cpu")
    out = round(count * held)
    return order[out:].sort().values, order[:out].sort().values


def resized(images: Tensor, size: int) -> Tensor:
    """Images at another size, bilinear, and antialiased where the images shrink.

    Args:
        images: (N, C, H, W) uint8.
        size: height and width in pixels.

    Returns:
        (N, C, size, size) uint8.
    """
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def shown(name: object) -> str:
    r"""A path or a message as text of a single line. Characters that cannot be printed are escaped.

    Args:
        name: the path or the message.

    Example:
        >>> shown(f"a{chr(10)}b")
        'a\\nb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
