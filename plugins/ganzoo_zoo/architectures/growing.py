"""Networks that grow during training: the phases of growth, and real samples of the size of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.options import other_nets

Size = tuple[int, int]
"""Height and width of maps."""


class Point(NamedTuple):
    """The layers that are in use.

    Attributes:
        level: number of doublings of the smallest maps.
        blend: share of the newest level, from 0 to 1, beside the level before. None uses the newest level alone.
    """

    level: int
    blend: float | Tensor | None = None


class Growing(ganzoo.Architecture):
    """Architectures whose networks begin with small samples and double the side of the samples in phases.

    Formula:
        phase 0: samples with the smaller side ``start``.  phase 2i - 1: the i-th doubling fades in, with blend a from
        0 to 1: x = (1 - a) up(x_old) + a x_new.  phase 2i: the doubled samples alone

    Real samples are averaged over boxes to the size of the phase, and fade in the same way: x = (1 - a) up(down(x)) +
    a x.

    Args:
        start: smaller side of the samples in the first phase. The smaller side of the data means no growth.
        phase_images: real images that the discriminator meets in a phase. 0 takes phases of equal length, by
            ``grown_at``.
        grown_at: share of the run after which the networks are whole, where ``phase_images`` is 0.
        fresh_optimizers: whether the optimizers begin anew with each phase. Otherwise Adam's average of squares is
            close to 0 for new layers, and corrected as if it were old, so that the first moves of new layers are
            longer than the learning rate.

    Notes:
        With ``phase_images`` = 0, a run that ``resume --steps`` prolongs has phases of the new length, and keeps what
        has grown.
    """

    start: Annotated[int, Ge(1)] = 4
    phase_images: Annotated[int, Ge(0)] = 0
    grown_at: Annotated[float, Gt(0), Le(1)] = 0.6
    fresh_optimizers: bool = True

    def first_level(self, sizes: Sequence[Size]) -> int:
        """The level of the first phase.

        Args:
            sizes: height and width of the maps of each level.

        Raises:
            Incompatible: the samples are smaller than ``start``.
        """
        for level, size in enumerate(sizes):
            if min(size) >= self.start:
                return level
        side = min(sizes[-1])
        raise Incompatible(
            f"growth begins at side start={self.start}, and the samples have side {side}: give a start from "
            f"{min(sizes[0])} to {side}, or a larger size of the data"
        )

    def stage(self, spec: ganzoo.Spec, progress: float, images: int) -> ganzoo.Stage | None:
        """The phase, and how far the phase is.

        Args:
            spec: shape of samples.
            progress: of the run, from 0 to 1.
            images: real images drawn before the step.
        """
        sizes = level_sizes(type(self).__name__, spec.shape)
        last = 2 * (len(sizes) - 1 - self.first_level(sizes))
        position = images / self.phase_images if self.phase_images else progress / self.grown_at * last
        phase = min(int(position), last)
        return ganzoo.Stage(phase, position - phase if phase % 2 else 1.0, self.fresh_optimizers)

    def resize(self, images: Tensor, stage: ganzoo.Stage) -> Tensor:
        """Real samples of the size of a phase.

        Args:
            images: (N, C, H, W) of full size.
            stage: the phase.

        Returns:
            (N, C, h, w).
        """
        sizes = level_sizes(type(self).__name__, images.shape[1:])
        level, blend = self.point(sizes, stage)
        small = F.avg_pool2d(images, 2 ** (len(sizes) - 1 - level))
        if blend is None:
            return small
        return fade(double(F.avg_pool2d(small, 2)), small, blend)

    def point(self, sizes: Sequence[Size], stage: ganzoo.Stage | None) -> Point:
        """The layers that are in use at a stage.

        Args:
            sizes: height and width of the maps of each level.
            stage: the phase. None uses the whole networks.
        """
        if stage is None:
            return Point(len(sizes) - 1)
        level = self.first_level(sizes) + (stage.phase + 1) // 2
        return Point(level, stage.blend if stage.phase % 2 else None)


def level_sizes(name: str, shape: Sequence[int]) -> list[Size]:
    """Height and width of the maps of each level, from the smallest maps to the samples.

    The smallest maps have a smaller side from 4 to 7, where the sides can be halved so far.

    Args:
        name: of the architecture, for the message.
        shape: of a sample, without the batch.

    Raises:
        Incompatible: the samples are no images, or a side cannot be halved.

    Example:
        >>> level_sizes("pggan", (3, 64, 96))
        [(4, 6), (8, 12), (16, 24), (32, 48), (64, 96)]
    """
    if len(shape) != 3:
        raise Incompatible(f"{name} makes images, and this data gives {tuple(shape)}: {other_nets(shape)}")
    _, height, width = shape
    sizes = [(height, width)]
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width = height // 2, width // 2
        sizes.append((height, width))
    if len(sizes) < 2 or max(height, width) > 16:
        raise Incompatible(
            f"{name} makes images of 8 pixels a side or more, whose sides are 4 to 16 times one power of two, such as "
            f"32x32 or 64x96, and this data gives {'x'.join(map(str, shape))}: bring the samples to such a size"
        )
    return sizes[::-1]


def double(x: Tensor) -> Tensor:
    """Upsample x2, nearest neighbour.

    Args:
        x: (N, C, H, W).

    Returns:
        (N, C, 2H, 2W).
    """
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def fade(old: Tensor, new: Tensor, blend: float | Tensor) -> Tensor:
    """Blend two tensors: (1 - blend) old + blend new.

    Args:
        old: what the blend 0 gives.
        new: what the blend 1 gives, of the same shape.
        blend: from 0 to 1, a number or ().

    Example:
        >>> import torch
        >>> fade(torch.zeros(2), torch.ones(2), 0.25).tolist()
        [0.25, 0.25]
    """
    # Not torch.lerp, whose backward computes 1 - blend in another precision for a number than for a tensor.
    return old + (new - old) * (blend.to(old.dtype) if isinstance(blend, Tensor) else blend)
