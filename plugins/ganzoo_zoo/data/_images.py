"""What the data parts share: images held in memory, and resizing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate
from torch.utils.data import Dataset, TensorDataset

if TYPE_CHECKING:
    from torch import Tensor


class ImageSet(TensorDataset):
    """Images held whole in memory, as every map-style dataset is read or by its ``tensors`` at once.

    Attributes:
        labels: (N,) int64 class numbers, None when there are none.
        classes: the names of the classes, in the order of their numbers.
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None, classes: Iterable[str] = ()) -> None:
        super().__init__(*(images,) if labels is None else (images, labels))
        self.labels = labels
        self.classes = list(classes)


class PairSet(Dataset[Any]):
    """Samples with their conditions, held whole in memory: masks with their photos."""

    def __init__(self, images: Tensor, conditions: Tensor) -> None:
        """Keep both.

        Args:
            images: (N, C, H, W), what is to be generated.
            conditions: (N, C', H, W), what it is generated for.
        """
        self.images, self.conditions = images, conditions

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index], "condition": self.conditions[index]}


def parted(count: int, held: float) -> tuple[Tensor, Tensor]:
    """Row numbers for training, in order, and those of the share that is held out; the same at every call."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0), device="cpu")
    out = round(count * held)
    return order[out:].sort().values, order[:out].sort().values


def resized(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) uint8 images at another size, bilinear, antialiased where they shrink."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def shown(name: object) -> str:
    """A path or a message as it fits on one line: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
