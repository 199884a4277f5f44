"""Small pictures and their large originals: pairs for super-resolution, made from any data of images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from PIL import Image, ImageFilter

from ganzoo import errors

from ._tasks import Task

if TYPE_CHECKING:
    from torch import Tensor


class Superres(Task):
    """Super-resolution: any images, with the small pictures that they are to be made from.

    The sample is the picture. The condition is the picture at a smaller size.

    Formula:
        condition = JPEG(bicubic(blur(picture)) + noise n),  n ~ N(0, I)

    Args:
        of: the data of images, such as ``of=cifar10`` or ``of=folder:path=photos``.
        factor: how many times the picture is as large as the condition.
        blur: deviation of a Gaussian blur before the picture shrinks, in pixels of the picture, at least 0.
        noise: standard deviation of noise that is added to the small picture, at least 0, for levels from 0 to 1.
        jpeg: quality of a JPEG that the small picture is saved as, from 1 to 100. none saves no JPEG.
        hold_out: share of the images that training never sees, from 0 to below 1, where ``of`` holds none out itself.
        flip: whether a picture is mirrored at random.
        crop: side of a square that is cut out of each picture at a random place, at least 1. none takes the whole
            picture. Held-out pictures are cut in the middle.

    Raises:
        DataError: the data are missing or hold no pictures, or a size that is no multiple of the factor.

    Notes:
        Bicubic is Pillow's filter, which widens as the picture shrinks.

    Example:
        >>> import ganzoo
        >>> item = ganzoo.part("data", "superres:of=digits:size=16,factor=2").dataset()[0]
        >>> tuple(item["image"].shape), tuple(item["condition"].shape)
        ((1, 16, 16), (1, 8, 8))
    """

    factor: Literal[2, 4, 8] = 4
    blur: Annotated[float, Ge(0)] = 0.0
    noise: Annotated[float, Ge(0)] = 0.0
    jpeg: Annotated[int, Ge(1), Le(100)] | None = None

    def check(self, picture: Tensor) -> None:
        """Refuse sizes that are no multiples of the factor."""
        height, width = picture.shape[-2:]
        if height % self.factor or width % self.factor:
            near = max(1, min(height, width) // self.factor) * self.factor
            raise errors.DataError(
                f"superres: a picture of {height}x{width} is no multiple of factor={self.factor}: set the data's size "
                f"to a multiple, or crop={near}"
            )

    def pair(self, picture: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """The picture, and the picture at a smaller size."""
        return {"image": picture, "condition": self.smaller(picture, generator)}

    def smaller(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """A picture at a smaller size.

        Args:
            picture: (C, H, W) uint8, of 1 or 3 channels.
            generator: gives the noise.

        Returns:
            (C, H / factor, W / factor) uint8.
        """
        image = to_pillow(picture)
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(self.blur))
        size = (image.width // self.factor, image.height // self.factor)
        small = from_pillow(image.resize(size, Image.Resampling.BICUBIC))
        if self.noise:
            noise = 255 * self.noise * torch.randn(small.shape, generator=generator)
            small = (small + noise).round().clamp(0, 255).to(torch.uint8)
        if self.jpeg is not None:
            saved = io.BytesIO()
            to_pillow(small).save(saved, "JPEG", quality=self.jpeg)
            saved.seek(0)
            with Image.open(saved) as again:
                small = from_pillow(again)
        return small


def to_pillow(picture: Tensor) -> Image.Image:
    """A picture for Pillow.

    Args:
        picture: (C, H, W) uint8, of 1 or 3 channels.
    """
    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if picture.shape[0] == 1 else pixels)


def from_pillow(image: Image.Image) -> Tensor:
    """A picture of Pillow, (C, H, W) uint8.

    Args:
        image: of mode L or RGB.

    Example:
        >>> from_pillow(Image.new("RGB", (4, 3))).shape
        torch.Size([3, 3, 4])
    """
    pixels = np.array(image)
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1)))
