"""A folder, or a zip, of photos with their masks, or of pictures with pictures."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Le, Lt
from PIL import Image
from torch.utils.data import Dataset

import ganzoo
from ganzoo import errors

from ._arrays import Range
from ._decode import Resize, Size, flat, opened, reason, sides, to_size
from ._files import Files, listed, not_looked_at
from ._images import PairSet, parted, shown
from ._lazy import depth
from ._tasks import Moved, middle
from .superres import from_pillow

if TYPE_CHECKING:
    from torch import Tensor


class Pairs(ganzoo.Data):
    """Pairs of pictures, from a folder or a .zip of your own: photos with masks, or pictures with pictures.

    The sample is the mask (1, size, size), or the picture that is to be made. The condition is the photo.

    Args:
        path: a folder, or a .zip, that holds two folders, or pictures whose halves belong together.
        sample: mask (segmentation: black and white), or picture (translation).
        folders: names of the folders of conditions and of samples. A condition and its sample have the same name, up to
            the ending.
        halves: none, or the half of each picture that is the sample: left or right, as pix2pix has its data.
        size: side in pixels that both are resized to, at least 1, or height and width such as ``64x96``.
        resize: ``crop`` cuts the largest piece of the aspect ratio from the middle, ``pad`` adds black margins,
            ``stretch`` distorts.
        channels: 3 for conditions in colour, 1 for grey.
        sample_channels: 3 for samples in colour, 1 for grey, where the samples are pictures.
        threshold: grey level, from 0 to 254, above which a pixel is inside of the mask. 0 takes all pixels that are not
            black. Masks saved as JPEG need 127.
        load: side in pixels that both pictures are resized to before a piece of ``size`` is cut out at a random place,
            the same in both. none cuts nothing. pix2pix has 286 for a size of 256.
        flip: whether both sides are mirrored at random, alike.
        range: the two numbers of 16-bit and floating-point pictures that become black and white, such as ``0,4095``.
            none looks at the values, and says how many bits are used.
        hold_out: share of the pairs that training never sees, from 0 to below 1, the same pairs in every run.

    Raises:
        DataError: the path does not exist, a photo has no mask or a mask has no photo, two files have one name up to
            the ending, the sizes of a pair differ, or a file cannot be read.

    Notes:
        All pairs are held in memory. A mask is made black and white before and after the resizing. Held-out pairs are
        cut in the middle, and not mirrored.

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
    sample: Literal["mask", "picture"] = "mask"
    folders: tuple[str, str] = ("images", "masks")
    halves: Literal["none", "left", "right"] = "none"
    size: Size = 64
    resize: Resize = "crop"
    channels: Literal[1, 3] = 3
    sample_channels: Literal[1, 3] = 3
    threshold: Annotated[int, Ge(0), Le(254)] = 0
    load: Size | None = None
    flip: bool = False
    range: Range | None = None
    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.2

    def __post_init__(self) -> None:
        if self.load is not None and any(a < b for a, b in zip(sides(self.load), sides(self.size), strict=True)):
            raise ValueError(f"load={self.load} is smaller than size={self.size}, which is cut out: give a larger load")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range={self.range[0]:g},{self.range[1]:g}: the first number must be below the second")
        if self.folders[0] == self.folders[1]:
            raise ValueError(f"folders={self.folders[0]},{self.folders[1]} names one folder twice: name two folders")

    def dataset(self) -> Dataset[Any]:
        """The samples for training, with their conditions.

        Raises:
            DataError: see the class.
        """
        pairs = self._part(held=False)
        return Moved(pairs, "pairs", sides(self.size), self.flip) if self.flip or self.load is not None else pairs

    def held_out(self) -> PairSet | None:
        """The samples that are held out, with their conditions, or None where no pair is held out.

        Raises:
            DataError: see the class.
        """
        if not self.hold_out:
            return None
        pairs = self._part(held=True)
        return middle("pairs", sides(self.size), pairs)

    @property
    def _side(self) -> int | str:
        return self.load or self.size

    def _part(self, *, held: bool) -> PairSet:
        files, where = listed(self.path, "pairs"), shown(self.path)
        whole = [(name, name) for name in files.names]
        names = matched(files, where, self.folders) if self.halves == "none" else whole
        rows = parted(len(names), self.hold_out)[held].tolist()
        if len(rows) < 1 + (not held):
            raise errors.DataError(
                f"pairs: {len(names)} pairs in {where}, of which hold_out={self.hold_out:g} leaves too few: "
                "give more pairs, or another hold_out"
            )
        notes: list[str] = []
        found = depth("pairs", files, [name for pair in names for name in pair[: self._deep]], notes, self.range)
        read = [self._read(files, photo, sample, found.span) for photo, sample in (names[row] for row in rows)]
        if self.sample == "mask" and (empty := sum(not bool(sample.any()) for _, sample in read)):
            dark = f"no pixel is above threshold={self.threshold}"
            notes.append(f"pairs: {empty} of {len(read)} masks in {where} are empty: {dark}")
        if files.ignored:
            notes.append(f"pairs: files in {where} that are not looked at: {not_looked_at(files)}")
        samples, conditions = torch.stack([sample for _, sample in read]), torch.stack([photo for photo, _ in read])
        return PairSet(samples, conditions, notes, found.data_range)

    @property
    def _deep(self) -> int:
        """The number of pictures in a pair whose values matter: those of a mask do not."""
        return 2 if self.sample == "picture" else 1

    def _read(self, files: Files, photo: str, sample: str, span: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
        try:
            with files.open(photo) as stream:
                left = opened(stream, PurePosixPath(photo).suffix)
            if self.halves == "none":
                with files.open(sample) as stream:
                    right = opened(stream, PurePosixPath(sample).suffix)
            else:
                left, right = _halves(left)
                left, right = (left, right) if self.halves == "right" else (right, left)
            if right.size != left.size:
                found = f"{right.width}x{right.height}, not {left.width}x{left.height}"
                what = "its photo" if self.sample == "mask" else "its condition"
                raise errors.DataError(f"pairs: {shown(sample)} is {found} as {what}: bring both to one size")
            condition = self._pixels(left, self.channels, span)
            if self.sample == "picture":
                return condition, self._pixels(right, self.sample_channels, span)
            return condition, self._mask(right)
        except errors.DataError:
            raise
        except Exception as error:  # Pillow raises almost anything on damaged files
            where = f"{shown(photo)} or its {self.sample}" if photo != sample else shown(photo)
            raise errors.DataError(f"pairs: {where} cannot be read ({reason(error)}): mend or remove both") from error

    def _pixels(self, image: Image.Image, channels: int, span: tuple[float, float] | None) -> Tensor:
        return from_pillow(to_size(flat(image, channels, span), self._side, self.resize))

    def _mask(self, image: Image.Image) -> Tensor:
        # Pillow would cut the fractions of floating values off, and the upper half of 16 bits.
        values = np.asarray(image if image.mode == "F" or image.mode.startswith("I") else image.convert("L"))
        inside = Image.fromarray((values > self.threshold).astype(np.uint8) * 255)
        small = (np.asarray(to_size(inside, self._side, self.resize)) > 127).astype(np.uint8) * 255
        return torch.from_numpy(small)[None]


def _halves(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The left and the right half of a picture. A column in the middle is left out of both."""
    half = image.width // 2
    if half < 1:
        raise errors.DataError(f"pairs: a picture of {image.width}x{image.height} has no halves: give wider pictures")
    left = image.crop((0, 0, half, image.height))
    return left, image.crop((image.width - half, 0, image.width, image.height))


def matched(files: Files, where: str, folders: tuple[str, str] = ("images", "masks")) -> list[tuple[str, str]]:
    """The names of each condition and its sample, in the order of the conditions' names.

    Args:
        files: the files of both folders.
        where: the path, for messages.
        folders: names of the folders of conditions and of samples.

    Raises:
        DataError: a folder is missing, or a file has no counterpart.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in folders}
    for name in files.names:
        path = PurePosixPath(name)
        for kind in found.keys() & set(path.parts[:-1]):
            stem = str(PurePosixPath(*(p for p in path.parts if p != kind)).with_suffix(""))
            if stem in found[kind]:
                raise errors.DataError(
                    f"pairs: {shown(found[kind][stem])} and {shown(name)} in {where} have one name up to the ending: "
                    "remove or rename one of the two"
                )
            found[kind][stem] = name
    photos, masks = (found[name] for name in folders)
    if not photos or not masks:
        missing = " and no ".join(kind for kind in found if not found[kind])
        raise errors.DataError(
            f"pairs: no {missing} in {where}: expected {folders[0]}/NAME.png and {folders[1]}/NAME.png"
        )
    alone = sorted(photos.keys() ^ masks.keys())
    if alone:
        if folders == ("images", "masks"):
            of = "photo has no mask" if alone[0] in photos else "mask has no photo"
        else:
            here, there = folders if alone[0] in photos else folders[::-1]
            of = f"file in {here} has none in {there}"
        raise errors.DataError(
            f"pairs: {len(alone)} files in {where} have no counterpart, such as {shown(alone[0])}, whose {of}: "
            "give both the same name"
        )
    return [(photos[stem], masks[stem]) for stem in photos]
