"""Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar

from ._torchvision import TorchvisionData


class FashionMNIST(TorchvisionData):
    """Fashion-MNIST: 60,000 (test: 10,000) grey pictures of clothes in ten classes, 28x28 in a margin to 32x32.

    Args:
        root: folder that holds torchvision's ``FashionMNIST/raw``.
        download: whether to fetch the files to ``root`` where the files are missing.
        split: train or test.
        size: height and width in pixels, at least 4. 32 adds a black margin of 2 pixels, 28 keeps the images, any other
            size resizes the 28x28 images.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square that is cut out of each image at a random place, or height and width such as ``24x28``.
            none takes the whole image. Images to look at and to measure are cut in the middle.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747

    Example:
        >>> import ganzoo
        >>> ganzoo.part("data", "fashion-mnist:size=28").size
        28
    """

    name: ClassVar[str] = "fashion-mnist"
    reader: ClassVar[str] = "FashionMNIST"
    home: ClassVar[str] = "FashionMNIST/raw"
