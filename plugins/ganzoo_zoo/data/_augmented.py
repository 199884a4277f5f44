"""Images that training sees mirrored or cut out at random: what the data parts of images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import ganzoo
from ganzoo import errors

from ._decode import Size, sides

if TYPE_CHECKING:
    from torch import Tensor


class ImageData(ganzoo.Data):
    """Images that may be mirrored and cut at random while training reads them.

    What is random is a function of the seed of the run, the epoch and the image. A subclass declares the parameters
    ``flip`` (whether an image is mirrored at random, left to right) and ``crop`` (the size of the piece that is cut out
    at a random place, or None), behind its own parameters.
    """

    if TYPE_CHECKING:
        flip: bool = False
        crop: Size | None = None

    @property
    def random_numbers(self) -> int:
        """A number for the mirror, and two for the place of the cut. 0 where images stay as they are."""
        return 3 if self.flip or self.crop is not None else 0

    def augment(self, images: Tensor, random: Tensor | None) -> Tensor:
        """Images, cut and mirrored.

        Args:
            images: (N, C, H, W).
            random: (N, 3), from 0 to below 1: mirror, top and left. None cuts in the middle and mirrors nothing.

        Returns:
            (N, C, h, w).

        Raises:
            DataError: the samples are no images, or smaller than the cut.
        """
        if images.ndim != 4:
            raise errors.DataError(f"flip and crop are for images, and a sample has shape {tuple(images.shape[1:])}")
        if self.crop is not None:
            images = self._cut(images, random)
        if self.flip and random is not None:
            mirrored = (random[:, 0] < 0.5)[:, None, None, None]
            images = torch.where(mirrored, images.flip(-1), images)
        return images

    def _cut(self, images: Tensor, random: Tensor | None) -> Tensor:
        assert self.crop is not None
        (height, width), (tall, wide) = images.shape[-2:], sides(self.crop)
        if tall > height or wide > width:
            raise errors.DataError(f"crop={self.crop} of an image of {height}x{width}: give a smaller crop")
        if random is None:
            top, left = (height - tall) // 2, (width - wide) // 2
            return images[..., top : top + tall, left : left + wide]
        # The rows and columns of each image's piece, gathered for all images at once.
        rows = (random[:, 1] * (height - tall + 1)).long()[:, None] + torch.arange(tall, device=images.device)
        columns = (random[:, 2] * (width - wide + 1)).long()[:, None] + torch.arange(wide, device=images.device)
        count, channels = images.shape[:2]
        images = images.gather(2, rows[:, None, :, None].expand(count, channels, tall, width))
        return images.gather(3, columns[:, None, None, :].expand(count, channels, tall, wide))
