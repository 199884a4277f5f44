"""Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar

from ._torchvision import TorchvisionData


class FashionMNIST(TorchvisionData):
    """Fashion-MNIST: 60,000 (test: 10,000) grey pictures of clothes in ten classes, 28x28 in a margin to 32x32.

    Args:
        root: folder that holds torchvision's ``FashionMNIST/raw``.
        download: fetch the files to ``root`` when they are not there.
        split: which of the two sets.
        size: height and width in pixels; 32 is a black margin of 2 pixels, 28 the images as they are, any other
            size resizes the 28x28 image.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747
    """

    name: ClassVar[str] = "fashion-mnist"
    reader: ClassVar[str] = "FashionMNIST"
    home: ClassVar[str] = "FashionMNIST/raw"
