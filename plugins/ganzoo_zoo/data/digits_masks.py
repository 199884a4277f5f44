"""Digits on textured grounds, with their masks: a small segmentation set that needs no download."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch.nn.functional import affine_grid, grid_sample, interpolate
from torch.utils.data import Dataset

import ganzoo

from ._images import PairSet, parted
from ._tasks import Moved, middle

if TYPE_CHECKING:
    from torch import Tensor


class DigitsMasks(ganzoo.Data):
    """Digits with masks: 1797 handwritten digits on textured grounds, and where the digits are, for segmentation.

    The sample is the mask (1, size, size), the condition is the photo (3, size, size).

    Formula:
        photo = (1 - a) ground + a ink + noise n,  n ~ N(0, I),  mask = [a > 1/2]
        a: the digit, enlarged to half to nine tenths of the photo, turned by up to 20 degrees, moved, sharpened
        ground, ink: two colours at a distance of ``contrast``, each with a pattern of blurred noise and of stripes

    Args:
        size: height and width in pixels, from 16 to 256.
        contrast: distance of the two colours, above 0 and at most 1, in units of the range 0..1 of a channel. Patterns
            reach as far as 0.25.
        noise: standard deviation of each channel of each pixel, at least 0, in the same units.
        hold_out: share of the digits that training never sees, from 0 to below 1, the same digits in every run.
        flip: whether photo and mask are mirrored at random, alike.
        crop: side of a square that is cut out of both at a random place, from 1 to the size. none takes the whole.
            Held-out pairs are cut in the middle.

    Notes:
        All random numbers come from a fixed seed, so that the set does not depend on the seed of the run. Each photo
        has other colours, and either colour may be the brighter, so that no threshold finds the digit.

    Source: the digits of Alpaydin and Kaynak, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49,
        as scikit-learn holds them.

    Example:
        >>> import ganzoo
        >>> pairs = ganzoo.part("data", "digits-masks:size=16").dataset()
        >>> pairs[0]["condition"].shape
        torch.Size([3, 16, 16])
    """

    size: Annotated[int, Ge(16), Le(256)] = 32
    contrast: Annotated[float, Gt(0), Le(1)] = 0.6
    noise: Annotated[float, Ge(0)] = 0.04
    hold_out: Annotated[float, Ge(0), Lt(1)] = 0.2

    flip: bool = False
    crop: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop > self.size:
            raise ValueError(f"crop={self.crop} is larger than size={self.size}: give a smaller crop")

    def dataset(self) -> Dataset[Any]:
        """The masks for training, with their photos."""
        pairs, side = self._part(held=False), self.crop or self.size
        return Moved(pairs, "digits-masks", (side, side), self.flip) if self.flip or self.crop else pairs

    def held_out(self) -> PairSet | None:
        """The masks that are held out, with their photos."""
        if not self.hold_out:
            return None
        side = self.crop or self.size
        return middle("digits-masks", (side, side), self._part(held=True))

    def _part(self, *, held: bool) -> PairSet:
        from sklearn.datasets import load_digits  # half a second, and only this part needs it

        digits = torch.from_numpy(load_digits().images)[:, None].float() / 16
        g = torch.Generator().manual_seed(0)
        a = self._placed(digits, g)
        count = len(a)
        base = 0.3 + 0.4 * torch.rand(count, 3, generator=g)
        way = torch.randn(count, 3, generator=g)
        ink = base + self.contrast * way / way.norm(dim=1, keepdim=True)
        ground, painted = (colour[:, :, None, None] + self._pattern(count, g) for colour in (base, ink))
        grain = self.noise * torch.randn(count, 3, self.size, self.size, generator=g)
        photo = ((1 - a) * ground + a * painted + grain).clamp(0, 1)
        rows = parted(count, self.hold_out)[held]
        return PairSet((a[rows] > 0.5).to(torch.uint8) * 255, (photo[rows] * 255).round().to(torch.uint8))

    def _placed(self, digits: Tensor, g: torch.Generator) -> Tensor:
        """(N, 1, size, size) coverage by each digit, at a random place of its photo."""
        count = len(digits)
        share = 0.5 + 0.4 * torch.rand(count, generator=g)
        angle = math.radians(20) * (2 * torch.rand(count, generator=g) - 1)
        shift = (1 - share)[:, None] * (2 * torch.rand(count, 2, generator=g) - 1)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
        turn = turn / share[:, None, None]
        theta = torch.cat([turn, -(turn @ shift[:, :, None])], 2)  # from a place in the photo to one in the digit
        grid = affine_grid(theta, [count, 1, self.size, self.size], align_corners=False)
        return (4 * (grid_sample(digits, grid, align_corners=False) - 0.5) + 0.5).clamp(0, 1)

    def _pattern(self, count: int, g: torch.Generator) -> Tensor:
        """(N, 3, size, size) blurred noise and stripes, from -0.25 to 0.25."""
        blurred = interpolate(torch.randn(count, 3, 6, 6, generator=g), (self.size, self.size), mode="bicubic")
        pitch, angle, phase = (torch.rand(count, 1, 1, 1, generator=g) for _ in range(3))
        y, x = torch.meshgrid(*[torch.linspace(0, 1, self.size)] * 2, indexing="ij")
        along = x * (math.pi * angle).cos() + y * (math.pi * angle).sin()
        stripes = (2 * math.pi * ((3 + 5 * pitch) * along + phase)).sin()
        return (0.08 * blurred + 0.06 * stripes).clamp(-0.25, 0.25)
