"""Grey pictures and their coloured originals: pairs for colorization, made from any data of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from ganzoo import errors

from ._tasks import Task
from .superres import from_pillow, to_pillow

if TYPE_CHECKING:
    from torch import Tensor


class Colorize(Task):
    """Colorization: any images in colour, with the grey pictures that they are to be made from.

    The sample is the picture (3, H, W). The condition is the grey picture (1, H, W).

    Formula:
        grey = 0.299 red + 0.587 green + 0.114 blue

    Args:
        of: the data of images in colour, such as ``of=cifar10`` or ``of=folder:path=photos``.
        hold_out: share of the images that training never sees, from 0 to below 1, where ``of`` holds none out itself.
        flip: whether a picture is mirrored at random.
        crop: side of a square that is cut out of each picture at a random place, at least 1. none takes the whole
            picture. Held-out pictures are cut in the middle.

    Raises:
        DataError: the data are missing, or hold no pictures in colour.

    Source: Isola et al., pix2pix, 2017, arXiv:1611.07004, section 4.3; Zhang et al., Colorful image colorization, 2016,
        arXiv:1603.08511.

    Example:
        >>> from PIL import Image
        >>> import ganzoo, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     for i in range(4):
        ...         Image.new("RGB", (9, 9), (255, 0, 0)).save(pathlib.Path(path, f"{i}.png"))
        ...     item = ganzoo.part("data", f"colorize:of=folder:path={path},size=8,hold_out=0").dataset()[0]
        >>> tuple(item["condition"].shape), int(item["condition"][0, 0, 0])
        ((1, 8, 8), 76)
    """

    def check(self, picture: Tensor) -> None:
        """Refuse pictures without colour."""
        if picture.shape[0] != 3:
            raise errors.DataError(
                f"colorize: of={type(self.of).__name__} gives pictures of {picture.shape[0]} channels: name data in "
                "colour"
            )

    def pair(self, picture: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """The picture, and the grey picture."""
        return {"image": picture, "condition": from_pillow(to_pillow(picture).convert("L"))}
