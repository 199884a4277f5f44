"""A plugin file with data of one's own: a dataset class that worker processes can read, and its labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Dataset

import ganzoo


class Waves(Dataset[Any]):
    """Grey images of waves in two directions, as numpy arrays (H, W) of bytes."""

    classes = ("across", "down")

    def __init__(self, count: int) -> None:
        self.count = count
        self.labels = [k % 2 for k in range(count)]  # read at once, so that no item is read for its label

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        x = np.arange(8) * (0.5 + index / self.count)
        wave = np.tile(127.5 + 127.5 * np.sin(x), (8, 1)).astype(np.uint8)
        return {"image": wave.T if self.labels[index] else wave, "label": self.labels[index]}


class OwnData(ganzoo.Data):
    """Waves: images that are computed.

    Args:
        count: number of images.
    """

    count: int = 32

    def dataset(self) -> Waves:
        """The images with their labels."""
        return Waves(self.count)


@ganzoo.hookimpl
def register_data(register: Any) -> None:
    """Register the data part under the name ``waves``."""
    register("waves", OwnData)
