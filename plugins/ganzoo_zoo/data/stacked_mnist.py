"""Stacked MNIST: a thousand modes that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge

from ._images import ImageSet
from ._torchvision import TorchvisionData


class StackedMNIST(TorchvisionData):
    """Stacked MNIST: three random MNIST digits as the red, green and blue of an image, with 1000 modes to be covered.

    Args:
        root: folder that holds torchvision's ``MNIST/raw``.
        download: whether to fetch the files to ``root`` where the files are missing.
        split: train or test: the set that the digits come from.
        size: height and width in pixels, at least 4. 32 adds a black margin of 2 pixels, 28 keeps the images, any other
            size resizes the 28x28 images.
        count: number of images that are stacked, at least 2, the same images in every run.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square that is cut out of each image at a random place, or height and width such as ``24x28``.
            none takes the whole image. Images to look at and to measure are cut in the middle.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Notes:
        The label of an image is the number that its digits spell, red first: 0 to 999. The digits of MNIST are not
        equally many, so that the modes are not equally many either: the KL of the training set from uniform is 0.0043,
            three times
        0.00143. The metric ``stacked-modes`` counts the modes of a generator.

    Source: Metz et al., Unrolled GANs, 2017, arXiv:1611.02163, section 3.3.1; Srivastava et al., VEEGAN, 2017,
        arXiv:1705.07761, section 4.2; Lin et al., PacGAN, 2017, arXiv:1712.04086, section 4.2

    Example:
        >>> import ganzoo
        >>> ganzoo.part("data", "stacked-mnist:count=1000").count
        1000
    """

    name: ClassVar[str] = "stacked-mnist"
    reader: ClassVar[str] = "MNIST"
    home: ClassVar[str] = "MNIST/raw"

    count: Annotated[int, Ge(2)] = 60_000

    def dataset(self) -> ImageSet:
        """The images (count, 3, size, size), with labels from 0 to 999.

        Raises:
            DataError: the files are missing or damaged, or cannot be fetched.
        """
        single = super().dataset()
        images, labels = single.tensors
        rows = torch.randint(len(images), (self.count, 3), generator=torch.Generator().manual_seed(0))
        spelled = (labels[rows] * torch.tensor([100, 10, 1])).sum(1)
        return ImageSet(images[rows, 0], spelled, (f"{k:03d}" for k in range(1000)))

    def digits(self, split: Literal["train", "test"]) -> ImageSet:
        """MNIST itself at the same size, on which a classifier of the three channels is trained and tested.

        Args:
            split: train or test.

        Raises:
            DataError: the files are missing or damaged, or cannot be fetched.
        """
        return TorchvisionData.dataset(replace(self, split=split))
