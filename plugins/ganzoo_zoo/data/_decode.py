"""One image file -> one array, by Pillow. Errors name what is wrong with a file in a few words."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated, BinaryIO, Literal, TypeAlias

import numpy as np
from annotated_types import Ge, doc
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import StringConstraints

from ganzoo.image_depth import BeyondRange, is_deep, unit_values
from ganzoo.image_formats import formats

from ._images import shown

Resize = Literal["crop", "pad", "stretch"]

Size = (
    Annotated[int, Ge(1)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$"), doc("HEIGHTxWIDTH")]
)
"""The annotation of the parameter ``size``: the side of a square, or height and width such as ``64x96``."""
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

_PIXELS = 2**25  # pixels of an image that is decoded whole: 33 million, which take 0.5 GiB in several steps


class Unreadable(Exception):
    """A file without an image that can be used. The message is the reason."""


@dataclass(frozen=True)
class How:
    """How an image file becomes an array.

    Args:
        size: the side in pixels that the image is resized to, or height and width such as ``64x96``.
        channels: 1 for grey, 3 for RGB, 4 for RGB and opacity.
        resize: how an image of another aspect ratio is fitted.
        range: the values of 16-bit, integer and floating-point images that become black and white. None takes 0 to
            65535 of integers, and 0 to 1 of floating-point values.
        dtype: uint8, or float32 for values from -1 to 1 in the precision of the file.
    """

    size: int | str
    channels: int
    resize: Resize
    range: tuple[float, float] | None = None
    dtype: Literal["uint8", "float32"] = "uint8"


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


def decode(stream: BinaryIO, how: How, suffix: str = "") -> Pixels:
    """The pixels of an image file of any mode, depth, orientation and shape.

    Args:
        stream: the file, at its start.
        how: size, channels, resizing, range and type.
        suffix: the ending of the file.

    Returns:
        (channels, height, width), uint8, or float32 in [-1, 1].

    Raises:
        Unreadable: an empty file, or numbers without a known range. Pillow raises almost any other exception.
    """
    image = opened(stream, suffix, sides(how.size))
    if how.dtype == "uint8":
        pixels = np.asarray(to_size(flat(image, how.channels, how.range), how.size, how.resize))
        return pixels[None] if how.channels == 1 else pixels.transpose(2, 0, 1)
    if is_deep(image):
        planes = [Image.fromarray(_unit(image, how.range))] * min(how.channels, 3)
        planes += [Image.new("F", image.size, 1.0)] * (how.channels - 3)
    else:
        whole = flat(image, how.channels)
        planes = [Image.fromarray(np.asarray(band, np.float32) / np.float32(255)) for band in whole.split()]
    fitted = [np.asarray(to_size(plane, how.size, how.resize)) for plane in planes]
    return np.stack(fitted).clip(0, 1) * np.float32(2) - np.float32(1)  # bicubic filters overshoot at edges


def opened(stream: BinaryIO, suffix: str = "", size: tuple[int, int] | None = None) -> Image.Image:
    """An image file, decoded and upright.

    Args:
        stream: the file, at its start.
        suffix: the ending of the file.
        size: height and width that are wanted. A JPEG much larger than that is decoded at 1/2, 1/4 or 1/8.

    Raises:
        Unreadable: an empty file, or too many pixels. Pillow raises almost any other exception.
    """
    if not stream.read(1):
        raise Unreadable("empty")
    stream.seek(0)
    with Image.open(stream, formats=formats(suffix)) as image:
        if size is not None:
            image.draft(None, (2 * size[1], 2 * size[0]))
        if image.width * image.height > _PIXELS:
            raise Unreadable("too many pixels")
        image.load()
        upright: Image.Image = image
        with contextlib.suppress(Exception):  # damaged EXIF data says nothing about the pixels, which are loaded
            upright = ImageOps.exif_transpose(image)
        return upright


def _unit(image: Image.Image, data_range: tuple[float, float] | None) -> NDArray[np.float32]:
    """The values of a deep image from 0 to 1."""
    try:
        return unit_values(image, data_range)
    except BeyondRange as error:
        advice = "leave the file out, or mend it" if "NaN" in str(error) else "give range=LOW,HIGH of all images"
        raise Unreadable(f"{error}: {advice}") from error


def flat(image: Image.Image, channels: int, span: tuple[float, float] | None = None) -> Image.Image:
    """An image with 8 bits a channel, grey, RGB or RGBA, on white where the image was transparent and has no alpha now.

    Args:
        image: an image of any mode.
        channels: 1 for grey, 3 for RGB, 4 for RGB and opacity.
        span: the values of a deep image that become black and white.

    Returns:
        The image in mode L, RGB or RGBA.

    Raises:
        Unreadable: numbers without a known range.
    """
    if is_deep(image):  # scaled, where Pillow's convert would clip
        image = Image.fromarray(np.rint(_unit(image, span) * 255).astype(np.uint8))
    elif channels != 4 and image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])


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
    if isinstance(error, Unreadable):
        return shown(str(error))
    if "truncat" in str(error).lower():
        return "truncated"
    return shown((str(error).splitlines() or [""])[0][:80] or type(error).__name__)
