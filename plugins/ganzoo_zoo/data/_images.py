"""What the data parts share: images held in memory, and resizing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch.nn.functional import interpolate
from torch.utils.data import TensorDataset

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


def resized(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) uint8 images at another size, bilinear, antialiased where they shrink."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def shown(name: object) -> str:
    """A path or a message as it fits on one line: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
