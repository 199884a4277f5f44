"""A folder, or a zip, of images."""

from __future__ import annotations

import logging
import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ganzoo import cache_folder, errors, user_path
from ganzoo.image_formats import suffixes

from ._arrays import ARRAYS, Axes, LazyArrays, Range, stacked
from ._augmented import ImageData
from ._decode import How, Resize, Size, sides
from ._files import Files, listed, not_looked_at
from ._images import ImageSet, shown
from ._labels import Labelled, labelled
from ._lazy import LazyImages, Tally, depth

_log = logging.getLogger("ganzoo")


class Folder(ImageData):
    """Folder: your own images, a folder tree or a .zip of images of any kind and shape, with folders as classes.

    Args:
        path: the folder, or the .zip, which is read without being unpacked, or one ``.npy`` or ``.npz`` file.
        axes: of ``.npy`` and ``.npz`` samples, the axes besides the channels: 1 for sequences, 2 for images, 3 for
            volumes. An array with one axis more has its channels first. ``auto`` takes arrays of one or two axes
            without channels, of three axes as images with channels, and of four axes as volumes with channels.
        range: the two numbers that become -1 (black) and 1 (white), such as ``0,4095``, of ``.npy`` and ``.npz``
            samples, and of images of 16 bits or of floating-point numbers. Exported arrays are scaled back. none looks
            at the values of 16-bit images, and says how many bits are used. none takes bytes from 0 to 255, images of
            floating-point numbers from 0 to 1, and other numbers from -1 to 1.
        size: side in pixels that every image is resized to, at least 1, or height and width such as ``64x96``.
        resize: ``crop`` cuts the largest piece of the aspect ratio from the middle, ``pad`` adds black margins,
            ``stretch`` distorts. The filter is bicubic and antialiased.
        channels: 3 for colour, 1 for grey (luma), 4 for colour and opacity.
        dtype: ``uint8`` keeps 8 bits a channel, ``float32`` keeps what 16-bit and floating-point images have.
        labels: a CSV or JSON file with the labels, by its path, or by its name in the folder or zip. ``auto`` looks for
            dataset.json, labels.csv, labels.json and metadata.csv there. none takes folders as classes.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square, or height and width such as ``64x96``, that is cut out of each image at a random place.
            none takes the whole image. Images to look at and to measure are cut in the middle.
        limit: largest number of images that are used, at least 2, spread evenly over all images. none for all images.
        max_skipped: share of the files that may be unreadable, from 0 to 1. Unreadable files are named and left out. A
            larger share is an error.
        memory: size in GiB up to which decoded images are held in memory, at least 0.
        cache: folder for a larger set, which is decoded once into a file. ``auto`` is the user's cache folder. With
            ``none`` images are decoded each time.

    Raises:
        DataError: the path does not exist or holds fewer than two images, or more files than ``max_skipped`` allows are
            unreadable.

    Notes:
        The folders at the first level are the classes, where there are at least two and every image lies in a folder. A
        single outer folder is looked through. Order, classes and labels follow the names, with numbers by value (2
        before 10). Hidden files are ignored, and files that do not end like an image are counted. HEIC and JPEG XL are
        read where pillow-heif or pillow-jxl-plugin is installed. The content of a file
        decides its format. Of an animation the first frame is used. The orientation of EXIF is applied, transparent
        pixels become white unless ``channels=4`` keeps them, and 16-bit grey is scaled to 8 bits unless
        ``dtype=float32`` keeps it. Pillow reads 8 bits of 16-bit colour. Images of more than 33
        million pixels count as unreadable, but for JPEG, which is decoded at a smaller size. In a set larger than
        ``memory`` the next readable image replaces an unreadable image, and without a cache each worker process counts
        separately. A file in the cache can be read by the user alone, is made again when an image changes, and may be
        deleted at any time.

        A CSV file has a line an image: the name of the file and the label, with a header such as ``file_name,label``.
        A JSON file is ``{"a.png": "cat"}``, ``{"labels": [["a.png", 0]]}`` as StyleGAN has it, or a list of records.
        Whole numbers from 0 are class numbers, and other labels are names of classes. Images without a label are left
        out.

        Where the path holds ``.npy`` or ``.npz`` files and no images, each file is a sample, in the shape of its array.
        One ``.npy`` or ``.npz`` file as the path has a sample a row. The array is called ``samples``, or is the only
        one, and labels may lie beside the samples as ``labels``, ``targets`` or ``y``: class numbers, one-hot rows, or
        names. Floating-point arrays stay floating-point.
        size, resize, channels, max_skipped and cache are of images alone. Arrays larger than ``memory`` are read file
        by file.

    Example:
        >>> import ganzoo, pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as path:
        ...     for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        ...         file = pathlib.Path(path, name)
        ...         file.parent.mkdir(exist_ok=True)
        ...         Image.new("RGB", (20, 30)).save(file)
        ...     images = ganzoo.part("data", f"folder:path={path},size=8").dataset()
        >>> len(images), images.classes, images[2][0].shape
        (3, ['cat', 'dog'], torch.Size([3, 8, 8]))
    """

    path_parameter = "path"

    path: str
    size: Size = 64
    resize: Resize = "crop"
    channels: Literal[1, 3, 4] = 3
    dtype: Literal["uint8", "float32"] = "uint8"
    labels: str | None = "auto"
    flip: bool = False
    crop: Size | None = None
    limit: Annotated[int, Ge(2)] | None = None
    max_skipped: Annotated[float, Ge(0), Le(1)] = 0.05
    memory: Annotated[float, Ge(0)] = 2.0
    cache: str | None = "auto"
    axes: Axes = "auto"
    range: Range | None = None

    def __post_init__(self) -> None:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range={self.range[0]:g},{self.range[1]:g}: the first number must be below the second")

    def _arrays(self) -> ImageSet | LazyArrays | None:
        """Samples from arrays of numbers, None where the path holds images or neither."""
        place = user_path(self.path)
        if place.suffix.lower() in ARRAYS and place.is_file():
            self._require_array_options(place.name)
            if self.labels not in ("auto", None):
                raise errors.DataError(
                    f"folder: labels={shown(self.labels)} labels files, and {shown(place.name)} is one file: put an "
                    "array called labels beside the samples, as np.savez does, or leave labels out"
                )
            return stacked(place, self.axes, self.range, self.limit, with_labels=self.labels is not None)
        files = listed(self.path, endings=ARRAYS)
        if not files.names or listed(self.path).names:
            return None
        names = files.names
        if len(names) < 2:
            raise errors.DataError(f"folder: only one array in {shown(self.path)}, and a GAN needs many: name the file")
        self._require_array_options(names[0])
        used = self._used(files)
        arrays = LazyArrays(files, used, self.axes, self.range)
        first = arrays.sample(0)
        return arrays.whole() if len(used.names) * first.nbytes <= self.memory * 2**30 else arrays

    def _require_array_options(self, name: str) -> None:
        """Refuse what is of images alone: arrays would keep their shape without a word."""
        of_images = {"size": self.size, "resize": self.resize, "channels": self.channels, "dtype": self.dtype}
        if given := {key: value for key, value in of_images.items() if value != getattr(Folder, key)}:
            words = ",".join(f"{key}={value}" for key, value in given.items())
            raise errors.DataError(
                f"folder: {words} is of images, and {shown(name)} holds numbers: bring the arrays to the shape "
                "yourself, or say by axes=1, 2 or 3 how many axes a sample has beside its channels"
            )

    def dataset(self) -> ImageSet | LazyImages | LazyArrays:
        """The images, whole in memory where the images fit, with labels where the folders are classes.

        Raises:
            DataError: see the class.
        """
        if (arrays := self._arrays()) is not None:
            return arrays
        files = listed(self.path)
        names, tally = files.names, Tally(shown(self.path), len(files.skipped), self.max_skipped, files.skipped)
        if len(names) < 2:
            found = f"only one image in {tally.where}, and a GAN needs many" if names else f"no images in {tally.where}"
            unread = f" that can be read: {tally.named()}" if files.skipped else ""
            other = f"; not looked at: {not_looked_at(files)}" if files.ignored else ""
            raise errors.DataError(f"folder: {found}{unread}: expected files that end in {' '.join(suffixes())}{other}")
        used = self._used(files)
        tally.files += len(used.names)
        bits = depth("folder", files, used.names, used.notes, self.range)
        how = How(self.size, self.channels, self.resize, bits.span, self.dtype)
        images = LazyImages(how, files, used, tally, bits.data_range)
        pixels = self.channels * math.prod(sides(self.size)) * np.dtype(self.dtype).itemsize
        if len(used.names) * pixels <= self.memory * 2**30:
            return images.decoded()
        if self.cache is not None:
            try:
                place = cache_folder() if self.cache == "auto" else user_path(self.cache)
                return images.kept(place)
            except (OSError, RuntimeError) as error:  # the latter where there is no home
                why = getattr(error, "strerror", None) or error
                _log.warning(
                    "folder: images are decoded as they are used, for they cannot be kept (%s): make room, or "
                    "name another folder by cache=",
                    shown(why),
                )
        tally.report(len(used.names))
        return images

    def _used(self, files: Files) -> Labelled:
        """The files that are used, with their labels, and with what is left out in the notes."""
        used = labelled(files, self.labels, self.path)
        if files.ignored:
            total = len(files.names) + files.ignored.total()
            used.notes.append(
                f"folder: {files.ignored.total()} of {total} files in {shown(self.path)} are not looked at: "
                f"{not_looked_at(files)}"
            )
        if files.empty and used.classes:
            used.notes.append(f"folder: no image in the folder {', '.join(map(shown, files.empty[:8]))}")
        if len(used.names) < 2:
            raise errors.DataError(
                f"folder: {len(used.names)} files in {shown(self.path)} have a label: label more files"
            )
        return used.spread(self.limit)
