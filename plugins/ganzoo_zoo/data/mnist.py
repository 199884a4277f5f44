"""MNIST."""

from __future__ import annotations

from typing import ClassVar

from ._torchvision import TorchvisionData


class MNIST(TorchvisionData):
    """MNIST: 60,000 (test: 10,000) grey handwritten digits in ten classes, 28x28 in a margin to 32x32.

    Args:
        root: folder that holds torchvision's ``MNIST/raw``.
        download: fetch the files to ``root`` when they are not there.
        split: which of the two sets.
        size: height and width in pixels; 32 is a black margin of 2 pixels, 28 the images as they are, any other
            size resizes the 28x28 image.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998,
        Proceedings of the IEEE 86(11), section III
    """

    name: ClassVar[str] = "mnist"
    reader: ClassVar[str] = "MNIST"
    home: ClassVar[str] = "MNIST/raw"
