"""Pictures with holes: pairs for inpainting, made from any data of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw

from ganzoo import errors

from ._decode import opened, reason
from ._files import listed
from ._images import shown
from ._tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

GREY = 127
"""The level of the condition in the hole, next to the middle of [-1, 1]."""


class Inpaint(Task):
    """Inpainting: any images with holes, for networks that fill the holes.

    The sample is the picture. The condition is the picture, grey in the hole. ``mask`` (1, H, W) is 1 in the hole and
    -1 elsewhere.

    Args:
        of: the data of images, such as ``of=cifar10`` or ``of=folder:path=photos``.
        holes: strokes (free-form, of a brush), box, border (all but a box), or mixed (one of the three).
        ratio: smallest and largest share of the picture that a hole takes, above 0 and below 1.
        masks: folder or .zip of masks, white in the hole, one of which is drawn for each picture. none draws ``holes``.
        hold_out: share of the images that training never sees, from 0 to below 1, where ``of`` holds none out itself.
        flip: whether a picture is mirrored at random.
        crop: side of a square that is cut out of each picture at a random place, at least 1. none takes the whole
            picture. Held-out pictures are cut in the middle.

    Raises:
        DataError: the data are missing or hold no pictures, or a mask is unreadable, empty or a hole over everything.

    Notes:
        Held-out pictures have fixed holes. A mask from a file is brought to the size of the picture by its nearest
        pixels, where a level above 127 is inside of the hole.

    Source: the strokes: Yu et al., Free-form image inpainting with gated convolution, 2019, arXiv:1806.03589, section
        3.5 and algorithm 1 of the supplement.

    Example:
        >>> import ganzoo
        >>> item = ganzoo.part("data", "inpaint:of=digits:size=16").dataset()[0]
        >>> {name: tuple(value.shape) for name, value in item.items()}
        {'image': (1, 16, 16), 'condition': (1, 16, 16), 'mask': (1, 16, 16)}
    """

    holes: Literal["strokes", "box", "border", "mixed"] = "strokes"
    ratio: tuple[float, float] = (0.1, 0.4)
    masks: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.ratio[0] <= self.ratio[1] < 1:
            raise ValueError(
                f"ratio={self.ratio[0]:g},{self.ratio[1]:g} is no range of shares: give two numbers above 0 and below "
                "1, the smaller one first"
            )

    def pair(self, picture: Tensor, generator: torch.Generator) -> Mapping[str, Tensor]:
        """The picture, the picture with a hole, and the hole."""
        hole = self.hole((picture.shape[-2], picture.shape[-1]), generator)
        return {
            "image": picture,
            "condition": picture.masked_fill(hole, GREY),
            "mask": hole.to(torch.uint8) * 255,
        }

    def hole(self, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """A random hole, (1, H, W), true inside of the hole.

        Args:
            size: H and W.
            generator: gives the random numbers.
        """
        if self.masks is not None:
            files = self._files
            hole = files[int(torch.randint(len(files), (), generator=generator))]
            return fitted(hole, size)
        kind: str = self.holes
        if kind == "mixed":
            kind = ("strokes", "box", "border")[int(torch.randint(3, (), generator=generator))]
        low, high = self.ratio
        share = low + (high - low) * float(torch.rand((), generator=generator))
        if kind == "strokes":
            return strokes(size, share, high, generator)
        inside = box(size, share if kind == "box" else 1 - share, generator)
        return inside if kind == "box" else ~inside

    def check(self, picture: Tensor) -> None:
        """Read the masks, and refuse pictures that are too small for a hole."""
        if min(picture.shape[-2:]) < 4:
            raise errors.DataError(
                f"inpaint: pictures of {picture.shape[-2]}x{picture.shape[-1]} are too small for a hole: give at least "
                "4x4"
            )
        if self.masks is not None:
            assert self._files

    @cached_property
    def _files(self) -> list[Tensor]:
        assert self.masks is not None
        files, found = listed(self.masks, "inpaint"), []
        for name in files.names:
            try:
                with files.open(name) as stream:
                    image = opened(stream, PurePosixPath(name).suffix).convert("L")
                hole = torch.from_numpy(np.array(image) > 127)[None]
            except Exception as error:  # Pillow raises almost anything on damaged files
                raise errors.DataError(f"inpaint: mask {shown(name)} cannot be read ({reason(error)})") from error
            refuse_useless(f"inpaint: mask {shown(name)}", hole)
            found.append(hole)
        if not found:
            raise errors.DataError(f"inpaint: no masks in {shown(self.masks)}: name a folder of pictures of masks")
        return found

    def inputs_for(self, pictures: Tensor, mask: Tensor | None = None) -> Mapping[str, Tensor]:
        """The condition and the mask of a user's pictures.

        Args:
            pictures: (N, C, H, W) in [-1, 1].
            mask: (N, 1, H, W), above 0 in the hole.

        Raises:
            DataError: no mask is given, or the mask has another size, is empty, or a hole over everything.
        """
        if mask is None:
            raise errors.DataError("this run fills holes, and no hole is given: give --mask (in Python mask=)")
        if mask.shape[-2:] != pictures.shape[-2:]:
            (h, w), (height, width) = mask.shape[-2:], pictures.shape[-2:]
            raise errors.DataError(f"the mask is {w}x{h}, and its picture is {width}x{height}: bring both to one size")
        hole = mask > 0
        for each in hole:
            refuse_useless("the mask", each)
        grey = GREY / 127.5 - 1
        return {"condition": pictures.masked_fill(hole, grey), "mask": hole.to(pictures.dtype) * 2 - 1}


def refuse_useless(what: str, hole: Tensor) -> None:
    """Refuse a hole that is empty, and a hole over everything.

    Args:
        what: the mask, for messages.
        hole: true inside of the hole.

    Raises:
        DataError: see above.
    """
    if not bool(hole.any()):
        raise errors.DataError(f"{what} is empty: white pixels, above 127, are to be filled")
    if bool(hole.all()):
        raise errors.DataError(f"{what} is a hole over everything: black pixels, up to 127, are what is known")


def fitted(hole: Tensor, size: tuple[int, int]) -> Tensor:
    """A hole at another size, by the nearest pixels. At least one pixel stays inside, and one outside.

    Args:
        hole: (1, h, w), true inside of the hole.
        size: H and W.
    """
    if tuple(hole.shape[-2:]) == size:
        return hole
    small = torch.nn.functional.interpolate(hole[None].float(), size, mode="nearest")[0] > 0.5
    if not bool(small.any()) or bool(small.all()):
        small = small.clone()
        small[0, size[0] // 2, size[1] // 2] = not bool(small.any())
    return small


def box(size: tuple[int, int], share: float, generator: torch.Generator) -> Tensor:
    """A box at a random place, with an aspect from 1/2 to 2, (1, H, W), true inside of the box.

    Args:
        size: H and W.
        share: of the picture that the box takes.
        generator: gives the random numbers.

    Example:
        >>> box((10, 10), 0.25, torch.Generator().manual_seed(0)).float().mean() > 0.15
        tensor(True)
    """
    height, width = size
    aspect = 2 ** (2 * float(torch.rand((), generator=generator)) - 1)
    tall = min(height, max(1, round(height * math.sqrt(share * aspect))))
    wide = min(width, max(1, round(share * height * width / tall)))
    tall = min(height, max(1, round(share * height * width / wide)))  # a box that met the border is made taller
    if tall * wide == height * width:
        wide -= 1
    top = int(torch.randint(height - tall + 1, (), generator=generator))
    left = int(torch.randint(width - wide + 1, (), generator=generator))
    inside = torch.zeros(1, height, width, dtype=torch.bool)
    inside[:, top : top + tall, left : left + wide] = True
    return inside


def strokes(size: tuple[int, int], share: float, most: float, generator: torch.Generator) -> Tensor:
    """Strokes of a brush: polygons with round joints, (1, H, W), true inside of the strokes.

    Args:
        size: H and W.
        share: of the picture that is covered at least.
        most: share of the picture that is covered at most, where a brush of a pixel allows.
        generator: gives the random numbers.

    Example:
        >>> hole = strokes((32, 32), 0.2, 0.4, torch.Generator().manual_seed(0))
        >>> bool(0.2 <= hole.float().mean() <= 0.4)
        True
    """
    height, width = size
    side = math.sqrt(height * width)

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    canvas = Image.new("L", (width, height))
    x, y, left = drawn(0, width), drawn(0, height), 0
    angle, brush = 0.0, 1
    for _ in range(1000):
        covered = float(np.asarray(canvas).mean()) / 255
        if covered >= share:
            break
        if not left:  # a new stroke, at a new place, with another brush
            x, y, left = drawn(0, width), drawn(0, height), int(drawn(2, 7))
            angle, brush = drawn(0, 2 * math.pi), max(1, round(drawn(side / 20, side / 7)))
        # The paper turns by about 2/5 of a circle, to and fro.
        angle += drawn(-math.pi / 15, math.pi / 15) + (2 * math.pi / 5 if left % 2 else -2 * math.pi / 5)
        length = abs(drawn(side / 16, side / 4))
        to_x = min(max(x + length * math.cos(angle), 0), width - 1)
        to_y = min(max(y + length * math.sin(angle), 0), height - 1)
        tried = canvas.copy()
        draw = ImageDraw.Draw(tried)
        draw.line((x, y, to_x, to_y), 255, brush)
        for px, py in ((x, y), (to_x, to_y)):
            draw.ellipse((px - brush // 2, py - brush // 2, px + brush // 2, py + brush // 2), 255)
        x, y, left = to_x, to_y, left - 1
        if float(np.asarray(tried).mean()) / 255 <= most:
            canvas = tried
        else:  # too much: a finer brush, elsewhere
            side, left = max(8.0, side * 0.8), 0
    return torch.from_numpy(np.array(canvas) > 0)[None]
