"""Read a user's own pictures at their own size, and write what a run made of the pictures."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ganzoo import errors
from ganzoo.disk.regular import descriptor
from ganzoo.image_depth import BeyondRange, is_deep, unit_values, usual_range
from ganzoo.image_formats import formats, suffixes
from ganzoo.names import one_line

LARGEST = 2**30
"""Bytes that a picture in a zip may unpack to."""

DARK = 1 / 8
"""Share of the range up to which a picture of more than 8 bits is said to be dark: its range may be another."""


@dataclass(frozen=True)
class Source:
    """A picture on the disk or in a zip.

    Args:
        name: the path below the folder or in the zip, or the name of a single file.
        file: the file, or the zip.
        member: the name in the zip, or None.
    """

    name: PurePosixPath
    file: Path
    member: str | None = None

    def open(self) -> BinaryIO:
        """The bytes of the picture."""
        if self.member is None:
            return os.fdopen(descriptor(self.file), "rb")
        with zipfile.ZipFile(self.file) as archive:
            info = archive.getinfo(self.member)
            if info.file_size > LARGEST:
                raise ValueError("unpacks to more than a GiB")
            # A member may unpack to more than the zip states. `read` with a number unpacks no more than the number.
            with archive.open(info) as member:
                content = member.read(info.file_size + 1)
            if len(content) != info.file_size:
                raise ValueError("of another size than the zip states")
            return io.BytesIO(content)


@dataclass(frozen=True)
class Photo:
    """A picture at its own size, upright.

    Args:
        pixels: (C, H, W) in [-1, 1].
        alpha: (H, W) uint8, or None for a picture without transparency.
        data_range: the numbers that are black and white, of a picture of more than 8 bits. None for 8 bits.
        note: what is remarkable about the picture, or nothing.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    data_range: tuple[float, float] | None = None
    note: str = ""


def sources(path: Path) -> Iterator[Source]:
    """The pictures of a path, in the order of their names.

    Args:
        path: a picture, a folder or a zip.

    Raises:
        DataError: the path does not exist, or holds no picture.
    """
    if path.is_dir():
        found = [
            Source(PurePosixPath(file.relative_to(path).as_posix()), file)
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in suffixes()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.is_file()
        ]
    elif path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        except (OSError, zipfile.BadZipFile) as error:
            raise errors.DataError(f"{path} is not a readable zip ({one_line(error)}): copy it again") from error
        found = [
            Source(PurePosixPath(name), path, name)
            for name in names
            if PurePosixPath(name).suffix.lower() in suffixes()
            and not name.startswith("/")
            and not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
        ]
    elif path.is_file():
        found = [Source(PurePosixPath(path.name), path)]
    else:
        raise errors.DataError(f"{path} does not exist: name a picture, a folder or a .zip of pictures")
    if not found:
        raise errors.DataError(f"no pictures in {path}: expected files that end in {' '.join(suffixes())}")
    yield from found


def read(source: Source, channels: int, data_range: tuple[float, float] | None = None) -> Photo:
    """Read a picture of any mode, depth and orientation.

    Args:
        source: the picture.
        channels: 1 for grey, 3 for colour.
        data_range: the numbers that are black and white, of a picture of more than 8 bits. None takes 0 and 1 of
            floating-point numbers, and 0 and 65535 of integers.

    Raises:
        DataError: the file is no picture that can be read, or has numbers beyond the range.
    """
    try:
        with source.open() as stream, Image.open(stream, formats=formats(source.name.suffix)) as image:
            image.load()
            upright: Image.Image = image
            with contextlib.suppress(Exception):  # damaged EXIF data says nothing about the pixels, which are loaded
                upright = ImageOps.exif_transpose(image)
            return _photo(upright, channels, data_range, str(source.name))
    except BeyondRange as error:
        raise errors.DataError(f"{source.name} has {error}: give --range LOW,HIGH (black and white)") from error
    except Exception as error:  # Pillow raises almost anything on damaged files
        unknown = isinstance(error, UnidentifiedImageError)  # the message shows the address of a file object
        said = getattr(error, "strerror", None) or one_line(error)[:80]
        reason = "no image that Pillow knows" if unknown else said
        raise errors.DataError(
            f"{source.name} cannot be read ({reason}): give an image such as a PNG or a JPEG"
        ) from error


def _photo(image: Image.Image, channels: int, data_range: tuple[float, float] | None, name: str) -> Photo:
    if is_deep(image):
        values = torch.from_numpy(unit_values(image, data_range))
        low, high = data_range or usual_range(image)
        note = ""
        if (most := float(values.max())) < DARK:
            top = low + most * (high - low)
            note = (
                f"{name} is dark: its values go up to {top:g}, and {low:g} to {high:g} become black to white: if the "
                "picture has another range, give --range LOW,HIGH"
            )
        if image.mode == "F" and channels == 1 and not note:
            note = (
                f"{name} has floating-point numbers: a grey result is written with 0 to 65535 for {low:g} to {high:g}"
            )
        pixels = values.mul(2).sub(1).expand(channels, -1, -1).contiguous()
        return Photo(pixels, data_range=(low, high), note=note)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = torch.from_numpy(np.array(image.getchannel("A")))
    flat = np.array(image.convert("L" if channels == 1 else "RGB"))
    pixels = torch.from_numpy(flat[None] if channels == 1 else np.ascontiguousarray(flat.transpose(2, 0, 1)))
    return Photo(pixels.float().div(127.5).sub(1), alpha)


def remarks(photo: Photo, name: str, given: tuple[float, float] | None) -> list[str]:
    """What a command says of a picture before the picture is used.

    Args:
        photo: the picture.
        name: of its file.
        given: the range that the user gave.
    """
    vain = f"--range changes nothing: {name} has 8 bits, and bytes go from 0 to 255"
    return [*filter(None, [photo.note]), *([vain] if given is not None and photo.data_range is None else [])]


def write(file: Path, pixels: Tensor, like: Photo) -> None:
    """Write a result as PNG, with the transparency of its picture.

    A grey result of a picture of more than 8 bits has 16 bits, and the black and the white of the picture where the
    range of the picture is one of 16 bits.

    Args:
        file: the PNG.
        pixels: (1 or 3, H, W) in [-1, 1].
        like: the picture that the result was made from.

    Raises:
        RunError: the file cannot be written.
    """
    shown = pixels if len(pixels) in (1, 3) else pixels[:1]
    unit = shown.clamp(-1, 1).add(1).div(2)
    if like.data_range is not None and len(shown) == 1:
        low, high = like.data_range
        if low < 0 or high > 65535 or high <= 1:  # no range of whole numbers that a PNG holds
            low, high = 0.0, 65535.0
        image = Image.fromarray(unit[0].mul(high - low).add(low).round().numpy().astype(np.uint16))
    else:
        levels = unit.mul(255).round().to(torch.uint8)
        image = Image.fromarray(levels[0].numpy() if len(levels) == 1 else levels.permute(1, 2, 0).numpy())
    if like.alpha is not None and image.mode in ("RGB", "L"):
        alpha = Image.fromarray(like.alpha.numpy()).resize(image.size, Image.Resampling.BICUBIC)
        image.putalpha(alpha)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, "PNG")
    except OSError as error:
        raise errors.RunError(f"{file} cannot be written ({error.strerror or error}): give another --out") from error


def sheet(pictures: list[Tensor]) -> Tensor:
    """Pictures side by side, each brought to the size of the largest by its nearest pixels.

    Args:
        pictures: (1 or 3, H, W) in [-1, 1] each.

    Returns:
        (3, H, W') in [-1, 1].

    Example:
        >>> sheet([torch.zeros(1, 2, 2), torch.ones(3, 4, 4)]).shape
        torch.Size([3, 4, 10])
    """
    height = max(each.shape[-2] for each in pictures)
    width = max(each.shape[-1] for each in pictures)
    columns: list[Tensor] = []
    for each in pictures:
        shown = (each if len(each) in (1, 3) else each[:1]).float().expand(3, -1, -1)
        if columns:
            columns.append(torch.ones(3, height, 2))
        columns.append(torch.nn.functional.interpolate(shown[None], (height, width), mode="nearest")[0])
    return torch.cat(columns, 2)
