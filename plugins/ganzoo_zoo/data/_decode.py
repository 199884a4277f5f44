"""One image file -> one uint8 array, by Pillow. Errors name what is wrong with a file in a few words."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Annotated, BinaryIO, Literal, TypeAlias

import numpy as np
from annotated_types import Ge, doc
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import StringConstraints

from ._images import shown

Resize = Literal["crop", "pad", "stretch"]

Size = (
    Annotated[int, Ge(1)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$"), doc("HEIGHTxWIDTH")]
)
"""The annotation of the parameter ``size``: the side of a square, or height and width such as ``64x96``."""
Pixels: TypeAlias = NDArray[np.uint8]

SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jfif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
_PIXELS = 2**25  # pixels of an image that is decoded whole: 33 million, which take 0.5 GiB in several steps
_LEVELS = np.rint(np.arange(65536) / 257).astype(np.uint8)  # 16 bits -> 8


class Unreadable(Exception):
    """A file without an image that can be used. The message is the reason."""


@cache
def _formats() -> tuple[str, ...]:
    # Named one by one: Pillow would also try EPS, and hand a stranger's file to Ghostscript.
    Image.init()
    return tuple(f for f in ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP") if f in Image.OPEN)


def sides(size: int | str) -> tuple[int, int]:
    """Read the parameter ``size``.

    Args:
        size: the side of a square, or height and width such as ``64x96``.

    Returns:
        Height and width.

    Example:
        >>> sides(64), sides("64x96")
        ((64, 64), (64, 96))
    """
    if isinstance(size, int):
        return size, size
    height, _, width = size.partition("x")
    return int(height), int(width)


def decode(stream: BinaryIO, size: int | str, channels: int, resize: Resize) -> Pixels:
    """The pixels of an image file of any mode, depth, orientation and shape.

    Args:
        stream: the file, at its start.
        size: the side in pixels that the image is resized to, or height and width such as ``64x96``.
        channels: 1 for grey, 3 for RGB.
        resize: how an image of another aspect ratio is fitted.

    Returns:
        (channels, height, width).

    Raises:
        Unreadable: an empty file, or numbers without a known range. Pillow raises almost any other exception.
    """
    if not stream.read(1):
        raise Unreadable("empty")
    stream.seek(0)
    with Image.open(stream, formats=_formats()) as image:
        height, width = sides(size)
        image.draft(None, (2 * width, 2 * height))  # a JPEG much larger than that is decoded at 1/2, 1/4 or 1/8
        if image.width * image.height > _PIXELS:
            raise Unreadable("too many pixels")
        image.load()
        upright: Image.Image = image
        with contextlib.suppress(Exception):  # damaged EXIF data says nothing about the pixels, which are loaded
            upright = ImageOps.exif_transpose(image)
        pixels = np.asarray(to_size(flat(upright, channels), size, resize))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def flat(image: Image.Image, channels: int) -> Image.Image:
    """An image with 8 bits a channel, grey or RGB, on white where the image was transparent.

    Args:
        image: an image of any mode.
        channels: 1 for grey, 3 for RGB.

    Returns:
        The image in mode L or RGB.

    Raises:
        Unreadable: numbers without a known range.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):  # scaled, where Pillow's convert would clip
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise Unreadable("integers beyond 16 bits")
        image = Image.fromarray(_LEVELS[levels])
    elif image.mode == "F":
        values = np.asarray(image)
        if not (values.min() >= 0 and values.max() <= 1):
            raise Unreadable("floating-point values outside [0, 1]")
        image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def to_size(image: Image.Image, size: int | str, resize: Resize) -> Image.Image:
    """An image at another size.

    Args:
        image: an image of any size.
        size: the side in pixels of the result, or height and width such as ``64x96``.
        resize: crop (the largest cut of the aspect ratio, from the middle), pad (black margins) or stretch (distorted).
    """
    width, height = image.size
    new_height, new_width = sides(size)
    bicubic = Image.Resampling.BICUBIC  # Pillow's filters widen as they shrink: antialiased
    if resize == "stretch":
        return image.resize((new_width, new_height), bicubic)
    if resize == "crop":  # the cut comes first, so that a long strip never becomes a huge image
        scale = max(new_width / width, new_height / height)
        cut_width, cut_height = min(width, round(new_width / scale)), min(height, round(new_height / scale))
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        return image.resize((new_width, new_height), bicubic, box=(left, top, left + cut_width, top + cut_height))
    scale = min(new_width / width, new_height / height)
    fitted = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), bicubic)
    canvas = Image.new(image.mode, (new_width, new_height))
    canvas.paste(fitted, ((new_width - fitted.width) // 2, (new_height - fitted.height) // 2))
    return canvas


def reason(error: Exception) -> str:
    """Why a file could not be read, in a few words on a single line.

    Args:
        error: what was raised.

    Example:
        >>> reason(FileNotFoundError())
        'vanished'
    """
    if isinstance(error, FileNotFoundError):
        return "vanished"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels"
    if "truncat" in str(error).lower():
        return "truncated"
    return shown((str(error).splitlines() or [""])[0][:80] or type(error).__name__)
