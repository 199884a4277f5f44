"""The formats of image files that are read, by the endings of the files, and the packages that read more of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

FORMATS: Mapping[str, str] = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".j2k": "JPEG2000",
    ".jfif": "JPEG",
    ".jp2": "JPEG2000",
    ".jpeg": "JPEG",
    ".jpf": "JPEG2000",
    ".jpg": "JPEG",
    ".jpx": "JPEG2000",
    ".pbm": "PPM",
    ".pgm": "PPM",
    ".png": "PNG",
    ".pnm": "PPM",
    ".ppm": "PPM",
    ".tga": "TGA",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Pillow's names of the formats that Pillow itself reads, by the ending. Other formats are left out: Pillow would hand
an EPS file to Ghostscript, for example."""

PACKAGES: Mapping[str, tuple[str, str, str]] = {
    ".heic": ("HEIF", "pillow_heif", "pillow-heif"),
    ".heif": ("HEIF", "pillow_heif", "pillow-heif"),
    ".hif": ("HEIF", "pillow_heif", "pillow-heif"),
    ".jxl": ("JXL", "pillow_jxl", "pillow-jxl-plugin"),
}
"""By the ending: Pillow's name of the format, the module that teaches Pillow to read it, and the package to install."""


@cache
def suffixes() -> tuple[str, ...]:
    """The endings of the image files that can be read here.

    Returns:
        The endings in alphabetical order. Those of ``PACKAGES`` are there where the package is installed.

    Example:
        >>> ".png" in suffixes()
        True
    """
    return tuple(sorted([*FORMATS, *(suffix for suffix in PACKAGES if _load(PACKAGES[suffix][1]))]))


@cache
def formats(suffix: str) -> tuple[str, ...]:
    """Pillow's names of the formats that a file may have. The content of a file decides, whatever its ending.

    Args:
        suffix: the ending of the file. TGA, which has no mark of its own, is read from files that end so alone.

    Example:
        >>> "TGA" in formats(".png"), "TGA" in formats(".tga")
        (False, True)
    """
    from PIL import Image

    Image.init()
    suffixes()  # the packages tell Pillow their formats
    known = dict.fromkeys([*FORMATS.values(), *(found[0] for found in PACKAGES.values())])
    return tuple(name for name in known if name in Image.OPEN and (name != "TGA" or suffix.lower() == ".tga"))


def package(suffix: str) -> str:
    """The package that reads files of an ending, where it is not installed. Empty where no package is known.

    Args:
        suffix: the ending of the files, in lower case.
    """
    return PACKAGES[suffix][2] if suffix in PACKAGES and suffix not in suffixes() else ""


@cache
def _load(module: str) -> bool:
    """Import a module that teaches Pillow a format. False where it is not there, or does not work."""
    try:
        found = importlib.import_module(module)
        if hasattr(found, "register_heif_opener"):
            found.register_heif_opener()
    except Exception:  # a broken package is as good as none
        return False
    return True
