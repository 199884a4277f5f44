"""scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le

import ganzoo

from ._images import ImageSet, resized


class Digits(ganzoo.Data):
    """Digits: 1797 real handwritten digits, 8x8, embedded in scikit-learn, so that nothing is downloaded.

    Args:
        size: height and width in pixels; beyond 8 the same digits, enlarged bilinearly.

    Notes:
        Grey levels 0..16 become 0..255. Ten classes, 174 to 183 images each. The images are MNIST's elder cousins:
        32x32 bitmaps of which each 4x4 block was counted.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49
    """

    size: Annotated[int, Ge(8), Le(256)] = 8

    def dataset(self) -> ImageSet:
        """All 1797 images with their labels."""
        from sklearn.datasets import load_digits  # half a second, and only this part needs it

        digits = load_digits()
        images = torch.from_numpy(digits.images)[:, None].mul(255 / 16).round().to(torch.uint8)
        return ImageSet(resized(images, self.size), torch.from_numpy(digits.target).long(), "0123456789")
