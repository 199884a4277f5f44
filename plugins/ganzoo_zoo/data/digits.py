"""scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Le, Lt

import ganzoo

from ._images import ImageSet, parted, resized


class Digits(ganzoo.Data):
    """Digits: 1797 real handwritten digits, 8x8, embedded in scikit-learn, so that nothing is downloaded.

    Args:
        size: height and width in pixels, from 8 to 256. At 8 the digits are unchanged, beyond 8 the digits are enlarged
            bilinearly, which is easier to read.
        hold_out: share of the images that training never sees, from 0 to below 1, the same images in every run.

    Notes:
        Grey levels 0..16 become 0..255. Each of the ten classes has 174 to 183 images. The images come from 32x32
        bitmaps, of which the pixels of each 4x4 block were counted.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49

    Example:
        >>> import ganzoo
        >>> digits = ganzoo.part("data", "digits:size=8").dataset()
        >>> len(digits), digits[0][0].shape, digits[0][1]
        (1797, torch.Size([1, 8, 8]), tensor(0))
    """

    size: Annotated[int, Ge(8), Le(256)] = 16

    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.0

    def dataset(self) -> ImageSet:
        """The images (N, 1, size, size) with their labels: all 1797, or the images that are not held out."""
        return self._part(held=False)

    def held_out(self) -> ImageSet | None:
        """The images that are held out, with their labels, or None where no image is held out."""
        return self._part(held=True) if self.hold_out else None

    def _part(self, *, held: bool) -> ImageSet:
        from sklearn.datasets import load_digits  # half a second, and only this part needs it

        digits = load_digits()
        images = torch.from_numpy(digits.images)[:, None].mul(255 / 16).round().to(torch.uint8)
        rows = parted(len(images), self.hold_out)[held]
        labels = torch.from_numpy(digits.target).long()
        return ImageSet(resized(images[rows], self.size), labels[rows], "0123456789")
