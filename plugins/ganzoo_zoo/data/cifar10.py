"""CIFAR-10."""

from __future__ import annotations

from typing import ClassVar

from ._torchvision import TorchvisionData


class CIFAR10(TorchvisionData):
    """CIFAR-10: 50,000 (test: 10,000) colour pictures of animals and vehicles in ten classes, 32x32.

    Args:
        root: folder that holds torchvision's ``cifar-10-batches-py``.
        download: whether to fetch the files to ``root`` where the files are missing.
        split: train or test.
        size: height and width in pixels, at least 4. 32 keeps the images, any other size resizes the images.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square that is cut out of each image at a random place, or height and width such as ``24x28``.
            none takes the whole image. Images to look at and to measure are cut in the middle.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Notes:
        The part ``folder`` reads the same pictures from a folder or a zip of image files.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, chapter 3

    Example:
        >>> import ganzoo
        >>> ganzoo.part("data", "cifar10:split=test").size
        32
    """

    name: ClassVar[str] = "cifar10"
    reader: ClassVar[str] = "CIFAR10"
    home: ClassVar[str] = "cifar-10-batches-py"
