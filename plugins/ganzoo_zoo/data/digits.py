"""scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Le, Lt
from torch.nn.functional import interpolate

from ._augmented import ImageData
from ._decode import Size
from ._images import ImageSet, parted, resized

if TYPE_CHECKING:
    from torch import Tensor


class Digits(ImageData):
    """Digits: 1797 real handwritten digits, 8x8, embedded in scikit-learn, so that nothing is downloaded.

    Args:
        size: height and width in pixels, from 8 to 256. At 8 the digits are unchanged. Beyond 8 the bitmaps from which
            the 8x8 images were counted are estimated, and resized.
        hold_out: share of the images that training never sees, from 0 to below 1, the same images in every run.
        flip: whether an image is mirrored at random, left to right.
        crop: side of a square that is cut out of each image at a random place, or height and width such as ``24x28``.
            none takes the whole image. Images to look at and to measure are cut in the middle.

    Notes:
        Grey levels 0..16 become 0..255. Each of the ten classes has 174 to 183 images. The 8x8 images come from 32x32
        bitmaps, of which the white pixels of each 4x4 block were counted. A bilinear enlargement is so blurred that the
        means of its 4x4 blocks are far from these counts. Here a bitmap is found that has exactly these counts and
        smooth outlines (``bitmaps``). The bitmap is blurred by 0.7 pixels, so that its edges are grey, and resized
        where the size is not 32.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49

    Example:
        >>> import ganzoo
        >>> digits = ganzoo.part("data", "digits:size=8").dataset()
        >>> len(digits), digits[0][0].shape, digits[0][1]
        (1797, torch.Size([1, 8, 8]), tensor(0))
    """

    size: Annotated[int, Ge(8), Le(256)] = 16

    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.0
    flip: bool = False
    crop: Size | None = None

    def dataset(self) -> ImageSet:
        """The images (N, 1, size, size) with their labels: all 1797, or the images that are not held out."""
        return self._part(held=False)

    def held_out(self) -> ImageSet | None:
        """The images that are held out, with their labels, or None where no image is held out."""
        return self._part(held=True) if self.hold_out else None

    def _part(self, *, held: bool) -> ImageSet:
        from sklearn.datasets import load_digits  # half a second, and only this part needs it

        digits = load_digits()
        rows = parted(len(digits.images), self.hold_out)[held]
        counts = torch.from_numpy(digits.images)[rows]
        labels = torch.from_numpy(digits.target).long()
        shares = counts / FULL if self.size == SIDE // CELL else blurred(bitmaps(counts), EDGE)
        images = shares[:, None].mul(255).round().to(torch.uint8)
        return ImageSet(resized(images, self.size), labels[rows], "0123456789")


SIDE, CELL = 32, 4
"""Side of a bitmap, and of the blocks whose white pixels were counted, in pixels."""

FULL = CELL * CELL
"""The count of a block that is white throughout."""

EDGE = 0.7
"""Standard deviation of the blur of the finished bitmaps, in pixels."""

SMOOTHING, ROUNDS = 2.0, 5
"""Standard deviation of the blur between two rounds, in pixels, and the number of rounds: further rounds change less
than one pixel in 200."""


def bitmaps(counts: Tensor) -> Tensor:
    """Bitmaps with given numbers of white pixels in each block, and with smooth outlines.

    Formula:
        b_0 = bicubic enlargement,  b_(k+1) = the counts[i, j] pixels of each block at which G * b_k is largest, where G
        is a Gaussian

    Args:
        counts: (N, 8, 8), whole numbers from 0 to 16.

    Returns:
        (N, 32, 32), 0 or 1, whose sums over blocks of 4x4 are the counts.

    Notes:
        The rounds are the threshold dynamics of motion by mean curvature, with a threshold per block that keeps the
        count.

    Source: B. Merriman, J. Bence, S. Osher, Motion of multiple junctions: a level set approach, 1994, Journal of
        Computational Physics 112.

    Example:
        >>> import torch
        >>> counts = torch.zeros(1, 8, 8)
        >>> counts[0, 3, 3:5] = 8
        >>> bitmaps(counts)[0, 12:16, 12:20].int().tolist()
        [[0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]]
    """
    counts = counts.double()
    field = interpolate(counts[:, None] / FULL, (SIDE, SIDE), mode="bicubic", align_corners=False)[:, 0]
    first, white = 1e-3 * field, counts.reshape(-1).long()
    ranks = torch.arange(FULL, device="cpu")
    outlined = (white.remainder(FULL) > 0).nonzero()[:, 0]  # the other blocks are white or black throughout
    pixels = (white == FULL).double()[:, None].repeat(1, FULL)
    for _ in range(ROUNDS):
        # Rounded, since two values that are equal by symmetry could differ in their last bit on another processor. The
        # order of equal values is that of the pixels.
        values = _blocks(field).reshape(-1, FULL)[outlined].mul(1e6).round()
        order = values.argsort(dim=1, descending=True, stable=True)
        chosen = (ranks < white[outlined, None]).double()
        pixels[outlined] = torch.zeros_like(values).scatter_(1, order, chosen)
        bitmap = _from_blocks(pixels.reshape(*counts.shape, FULL))
        # The small share of the first field decides between pixels of equal values.
        field = blurred(bitmap, SMOOTHING) + first
    return bitmap


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images blurred by a Gaussian, with zeros beyond their borders.

    Args:
        images: (N, S, S), float64.
        sigma: standard deviation in pixels.

    Returns:
        (N, S, S).

    Example:
        >>> import torch
        >>> blurred(torch.eye(3).double()[None], 0.5)[0, 1].round(decimals=2).tolist()
        [0.17, 0.64, 0.17]
    """
    reach = images.shape[-1]
    gaussian = torch.arange(-reach, reach + 1, dtype=torch.float64, device="cpu").square().div(-2 * sigma**2).exp()
    gaussian /= gaussian.sum()
    # Row i holds the weights of all pixels of a line for pixel i of the blurred line.
    weights = torch.stack([gaussian[reach - i : 2 * reach - i] for i in range(reach)])
    return weights @ images @ weights.T


def _blocks(images: Tensor) -> Tensor:
    """(N, 32, 32) -> (N, 8, 8, 16), the pixels of each block."""
    return images.unfold(1, CELL, CELL).unfold(2, CELL, CELL).flatten(3)


def _from_blocks(blocks: Tensor) -> Tensor:
    """(N, 8, 8, 16) -> (N, 32, 32)."""
    return blocks.reshape(*blocks.shape[:3], CELL, CELL).transpose(2, 3).reshape(len(blocks), SIDE, SIDE)
