"""A folder, or a zip, of photos with their masks."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le, Lt
from PIL import Image

import ganzoo
from ganzoo import errors

from ._decode import Resize, Size, decode, reason, to_size
from ._files import Files, listed
from ._images import PairSet, parted, shown

if TYPE_CHECKING:
    from torch import Tensor


class Pairs(ganzoo.Data):
    """Pairs of photos and masks, from a folder or a .zip of your own, for segmentation.

    The sample is the mask (1, size, size), the condition is the photo (channels, size, size).

    Args:
        path: a folder, or a .zip, that holds two folders: ``images`` and ``masks``. A photo and its mask have the same
            name, up to the ending.
        size: side in pixels that both are resized to, at least 1, or height and width such as ``64x96``.
        resize: ``crop`` cuts the largest piece of the aspect ratio from the middle, ``pad`` adds black margins,
            ``stretch`` distorts.
        channels: 3 for photos in colour, 1 for grey.
        threshold: grey level, from 0 to 254, above which a pixel is inside of the mask. 0 takes all pixels that are not
            black. Masks saved as JPEG need 127.
        hold_out: share of the pairs that training never sees, from 0 to below 1, the same pairs in every run.

    Raises:
        DataError: the path does not exist, a photo has no mask or a mask has no photo, the sizes of a pair differ, or a
        file
            cannot be read.

    Notes:
        All pairs are held in memory. A mask is made black and white before and after the resizing.

    Example:
        >>> import ganzoo, pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as path:
        ...     for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png"):
        ...         file = pathlib.Path(path, name)
        ...         file.parent.mkdir(exist_ok=True)
        ...         Image.new("L", (20, 30), "white").save(file)
        ...     pairs = ganzoo.part("data", f"pairs:path={path},size=8,hold_out=0").dataset()
        >>> len(pairs), pairs[0]["condition"].shape
        (2, torch.Size([3, 8, 8]))
    """

    path: str
    size: Size = 64
    resize: Resize = "crop"
    channels: Literal[1, 3] = 3
    threshold: Annotated[int, Ge(0), Le(254)] = 0
    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.2

    def dataset(self) -> PairSet:
        """The masks for training, with their photos.

        Raises:
            DataError: see the class.
        """
        return self._part(held=False)

    def held_out(self) -> PairSet | None:
        """The masks that are held out, with their photos, or None where no pair is held out.

        Raises:
            DataError: see the class.
        """
        return self._part(held=True) if self.hold_out else None

    def _part(self, *, held: bool) -> PairSet:
        files = listed(self.path, "pairs")
        names = matched(files, shown(self.path))
        rows = parted(len(names), self.hold_out)[held].tolist()
        if len(rows) < 1 + (not held):
            raise errors.DataError(
                f"pairs: {len(names)} pairs in {shown(self.path)}, of which hold_out={self.hold_out:g} leaves too few: "
                "give more pairs, or another hold_out"
            )
        read = [self._read(files, *names[row]) for row in rows]
        return PairSet(torch.stack([mask for _, mask in read]), torch.stack([photo for photo, _ in read]))

    def _read(self, files: Files, photo: str, mask: str) -> tuple[Tensor, Tensor]:
        try:
            with files.open(photo) as stream:
                pixels = decode(stream, self.size, self.channels, self.resize)
                stream.seek(0)
                with Image.open(stream) as image:
                    turned = image.getexif().get(0x0112, 1) >= 5  # EXIF's orientation, which decode() followed
                    size = image.size[::-1] if turned else image.size
            with files.open(mask) as stream, Image.open(stream) as image:
                if image.size != size:
                    found = f"{image.width}x{image.height}, not {size[0]}x{size[1]}"
                    raise errors.DataError(f"pairs: {shown(mask)} is {found} as its photo: bring both to one size")
                levels = np.asarray(image.convert("L"))
        except errors.DataError:
            raise
        except Exception as error:  # Pillow raises almost anything on damaged files
            where = f"{shown(photo)} or its mask"
            raise errors.DataError(f"pairs: {where} cannot be read ({reason(error)}): mend or remove both") from error
        inside = Image.fromarray((levels > self.threshold).astype(np.uint8) * 255)
        small = (np.asarray(to_size(inside, self.size, self.resize)) > 127).astype(np.uint8) * 255
        return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(small)[None]


def matched(files: Files, where: str) -> list[tuple[str, str]]:
    """The names of each photo and its mask, in the order of the photos' names.

    Args:
        files: the files of both folders.
        where: the path, for messages.

    Raises:
        DataError: a folder is missing, or a file has no counterpart.
    """
    found: dict[str, dict[str, str]] = {"images": {}, "masks": {}}
    for name in files.names:
        path = PurePosixPath(name)
        for kind in found.keys() & set(path.parts[:-1]):
            found[kind][str(PurePosixPath(*(p for p in path.parts if p != kind)).with_suffix(""))] = name
    photos, masks = found["images"], found["masks"]
    if not photos or not masks:
        missing = " and no ".join(kind for kind in found if not found[kind])
        raise errors.DataError(f"pairs: no {missing} in {where}: expected images/NAME.png and masks/NAME.png")
    alone = sorted(photos.keys() ^ masks.keys())
    if alone:
        of = "photo has no mask" if alone[0] in photos else "mask has no photo"
        raise errors.DataError(
            f"pairs: {len(alone)} files in {where} have no counterpart, such as {shown(alone[0])}, whose {of}: "
            "give both the same name"
        )
    return [(photos[stem], masks[stem]) for stem in photos]
