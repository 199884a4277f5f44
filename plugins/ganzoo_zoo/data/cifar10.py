"""CIFAR-10."""

from __future__ import annotations

from typing import ClassVar

from ._torchvision import TorchvisionData


class CIFAR10(TorchvisionData):
    """CIFAR-10: 50,000 (test: 10,000) colour pictures of animals and vehicles in ten classes, 32x32.

    Args:
        root: folder that holds torchvision's ``cifar-10-batches-py``.
        download: fetch the files to ``root`` when they are not there.
        split: which of the two sets.
        size: height and width in pixels; 32 is the images as they are, any other size resizes them.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Notes:
        A folder or zip of the same pictures as files is read by the part ``folder``.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, chapter 3
    """

    name: ClassVar[str] = "cifar10"
    reader: ClassVar[str] = "CIFAR10"
    home: ClassVar[str] = "cifar-10-batches-py"
