"""What the data parts that torchvision reads have in common."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch.nn.functional import pad

from ganzoo import errors, user_path

from ._augmented import ImageData
from ._decode import Size
from ._images import ImageSet, resized, shown

if TYPE_CHECKING:
    from torch import Tensor

# What torchvision raises for files that are missing, cut short, altered, or that cannot be fetched.
_READING = (RuntimeError, OSError, ValueError, AssertionError, EOFError, pickle.UnpicklingError)


class TorchvisionData(ImageData):
    """A dataset of torchvision, whole in memory. A subclass names the dataset.

    Class facts:
        name: the name of the part.
        reader: the class in torchvision.datasets.
        home: the folder below ``root`` in which torchvision keeps the files.

    Args:
        root: folder that holds ``home``.
        download: whether to fetch the files to ``root`` where the files are missing.
        split: train or test.
        size: height and width in pixels, at least 4.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square that is cut out of each image at a random place, or height and width such as ``24x28``.
            none takes the whole image.
    """

    name: ClassVar[str]
    reader: ClassVar[str]
    home: ClassVar[str]

    root: str = "data"
    download: bool = False
    split: Literal["train", "test"] = "train"
    size: Annotated[int, Ge(4)] = 32
    flip: bool = False
    crop: Size | None = None

    def dataset(self) -> ImageSet:
        """All images of the split with their labels.

        Raises:
            DataError: the files are missing or damaged, or cannot be fetched.
        """
        found = self._read()
        pixels = torch.as_tensor(found.data)
        images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        labels = torch.as_tensor(found.targets, dtype=torch.int64)
        return ImageSet(self.fitted(images), labels, found.classes)

    def held_out(self) -> ImageSet | None:
        """The test images with their labels where the run trains on the training images, else None.

        Raises:
            DataError: the files are missing or damaged, or cannot be fetched.
        """
        return replace(self, split="test").dataset() if self.split == "train" else None

    def fitted(self, images: Tensor) -> Tensor:
        """The images at the size of the part.

        Args:
            images: (N, C, H, W) uint8.
        """
        if images.shape[-1] == 28 and self.size == 32:
            return pad(images, (2, 2, 2, 2))  # a black margin, as LeNet had it: no pixel is interpolated
        return resized(images, self.size)

    def _read(self) -> Any:
        from torchvision import datasets

        root = user_path(self.root)
        try:
            with warnings.catch_warnings():  # CIFAR-10's pickles predate numpy 2, which says so while reading them
                warnings.simplefilter("ignore")
                return getattr(datasets, self.reader)(root, train=self.split == "train", download=self.download)
        except _READING as error:
            home, place = root / self.home, shown((root / self.home).resolve())
            if self.download:
                reason = shown((str(error).splitlines() or [type(error).__name__])[0])
                said = f"could not download to {place} ({reason}): check the network, or put the files there"
            else:
                found = "incomplete or damaged" if home.is_dir() else "no"
                said = f"{found} files in {place}: name the folder that holds {self.home}, "
                said += f"--data {self.name}:root=DIR, or fetch them, --data {self.name}:download=true"
            raise errors.DataError(f"{self.name}: {said}") from error
