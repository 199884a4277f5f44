"""Stacked MNIST: a thousand modes that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge

from ._images import ImageSet
from ._torchvision import TorchvisionData


class StackedMNIST(TorchvisionData):
    """Stacked MNIST: three random MNIST digits as the red, green and blue of an image; 1000 modes to be covered.

    Args:
        root: folder that holds torchvision's ``MNIST/raw``.
        download: fetch the files to ``root`` when they are not there.
        split: which of MNIST's two sets the digits come from.
        size: height and width in pixels; 32 is a black margin of 2 pixels, 28 the images as they are, any other
            size resizes the 28x28 image.
        count: how many images are stacked, the same ones at every call.

    Raises:
        DataError: the files are missing or damaged, or cannot be fetched.

    Notes:
        The label of an image is the number that its digits spell, red first: 0 to 999. The digits of MNIST are not
        equally many, nor are the modes: the training set's KL from uniform is 0.0043, three times 0.00143. The metric
        ``stacked-modes`` counts the modes of a generator.

    Source: Metz et al., Unrolled GANs, 2017, arXiv:1611.02163, section 3.3.1; Srivastava et al., VEEGAN, 2017,
        arXiv:1705.07761, section 4.2; Lin et al., PacGAN, 2017, arXiv:1712.04086, section 4.2
    """

    name: ClassVar[str] = "stacked-mnist"
    reader: ClassVar[str] = "MNIST"
    home: ClassVar[str] = "MNIST/raw"

    count: Annotated[int, Ge(2)] = 60_000

    def dataset(self) -> ImageSet:
        """(count, 3, size, size) images, with labels from 0 to 999."""
        single = super().dataset()
        images, labels = single.tensors
        rows = torch.randint(len(images), (self.count, 3), generator=torch.Generator().manual_seed(0))
        spelled = (labels[rows] * torch.tensor([100, 10, 1])).sum(1)
        return ImageSet(images[rows, 0], spelled, (f"{k:03d}" for k in range(1000)))

    def digits(self, split: Literal["train", "test"]) -> ImageSet:
        """MNIST itself, at the same size: what a classifier of the three channels is trained and tested on."""
        return TorchvisionData.dataset(replace(self, split=split))
