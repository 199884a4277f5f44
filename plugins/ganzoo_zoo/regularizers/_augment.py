"""Differentiable transforms of images, (N, C, H, W) -> (N, C, H, W), with a draw for each sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from torch import Tensor

    import ganzoo


def images_only(part: str, spec: ganzoo.Spec, channels: tuple[int, ...] = ()) -> None:
    """Raise Incompatible unless samples are images.

    Args:
        part: name of the regularizer, for the message.
        spec: of the samples.
        channels: the numbers of channels that are taken. Empty takes any number.
    """
    if len(spec.shape) != 3 or (channels and spec.shape[0] not in channels):
        wanted = f"images of {' or '.join(map(str, channels))} channels" if channels else "images"
        raise Incompatible(f"{part} transforms {wanted}, and samples are of shape {spec.shape}: leave {part} out")


def each(images: Tensor, *values: int) -> tuple[int, ...]:
    """The shape of a number a sample: (N, 1, 1, 1), or (N, *values).

    Args:
        images: (N, C, H, W).
        values: sizes in place of the ones.
    """
    return (len(images), *(values or (1, 1, 1)))


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """A number from U(low, high) for each sample.

    Args:
        images: (N, C, H, W).
        low: lower end.
        high: upper end.
    """
    return low + (high - low) * torch.rand(each(images), device=images.device, dtype=images.dtype)


def shifts(images: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Whole numbers of pixels down and right for each sample, (N, 1) each.

    Args:
        images: (N, C, H, W).
        down: largest shift down or up, in pixels.
        right: largest shift right or left, in pixels.
    """
    return (
        torch.randint(-down, down + 1, (len(images), 1), device=images.device),
        torch.randint(-right, right + 1, (len(images), 1), device=images.device),
    )


def translated(images: Tensor, *, mirrored: bool = False) -> Tensor:
    """Images moved by whole pixels, by up to 1/8 of each side.

    Args:
        images: (N, C, H, W).
        mirrored: whether the image is mirrored at its borders, and 1/8 of the side is rounded down (as StudioGAN's
            consistency regularization does). Otherwise the border is zero, and 1/8 of the side is rounded to the
            nearest number (as DiffAugment's code does).

    Example:
        >>> import torch
        >>> x = torch.ones(100, 1, 12, 12)
        >>> translated(x).unique().tolist(), translated(x, mirrored=True).unique().tolist()
        ([0.0, 1.0], [1.0])
    """
    height, width = images.shape[2:]
    down, right = shifts(images, *(int(side / 8 + (0 if mirrored else 0.5)) for side in (height, width)))
    rows = torch.arange(height, device=images.device) - down  # (N, H): the row that each row is copied from
    columns = torch.arange(width, device=images.device) - right
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    if mirrored:
        rows, columns = _mirrored(rows, height), _mirrored(columns, width)
        return images[sample, :, rows[:, :, None], columns[:, None]].movedim(-1, 1)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    moved = images[sample, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
    return moved.movedim(-1, 1) * inside[:, None]


def flipped(images: Tensor) -> Tensor:
    """Images of which each is mirrored left to right with probability 1/2.

    Args:
        images: (N, C, H, W).
    """
    mirrored = torch.rand(each(images), device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def cut_out(images: Tensor, share: float = 0.5) -> Tensor:
    """Images with a rectangle of zeros, which is smaller where the rectangle reaches over the border.

    Args:
        images: (N, C, H, W).
        share: share of each side that the rectangle takes.
    """
    inside = []
    for axis, side in enumerate(images.shape[2:]):
        size = int(side * share + 0.5)
        start = torch.randint(0, side + 1 - size % 2, (len(images), 1), device=images.device) - size // 2
        along = torch.arange(side, device=images.device)
        within = (along >= start) & (along < start + size)
        inside.append(within[:, None, :, None] if axis == 0 else within[:, None, None, :])
    return images * ~(inside[0] & inside[1])


def warped(images: Tensor, matrix: Tensor) -> Tensor:
    """Images whose pixel at p, counted from the centre, is the input's at M p: bilinear, mirrored at the borders.

    The pixels are gathered. ``grid_sample`` has no second derivative, which gradient penalties need.

    Args:
        images: (N, C, H, W).
        matrix: (N, 2, 3), of (x, y, 1) in pixels.
    """
    height, width = images.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device, dtype=matrix.dtype) - (height - 1) / 2,
        torch.arange(width, device=images.device, dtype=matrix.dtype) - (width - 1) / 2,
        indexing="ij",
    )
    place = matrix @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)  # (N, 2, H W)
    across, down = _mirrored(place[:, 0] + (width - 1) / 2, width), _mirrored(place[:, 1] + (height - 1) / 2, height)
    left, top = across.floor(), down.floor()
    flat = images.flatten(2)
    total = torch.zeros_like(flat)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1 - (across - left - dx).abs()) * (1 - (down - top - dy).abs())
        index = (top + dy).clamp(max=height - 1).long() * width + (left + dx).clamp(max=width - 1).long()
        total = total + weight[:, None].to(flat.dtype) * flat.gather(2, index[:, None].expand_as(flat))
    return total.view_as(images)


def bands() -> Tensor:
    """(4, 43) symmetric filters, from the lowest octave of frequencies to the highest. Their sum is the identity.

    The filters are those of an undecimated wavelet transform: with the low-pass filter h of the second Daubechies
    wavelet (sym2), h h~ / 2 keeps the lower half of the frequencies, and 1 - h h~ / 2 the upper half. An octave more
    puts zeros between the taps of all filters, keeps their lower half, and adds the upper half.

    Example:
        >>> bands().shape, [round(value, 12) + 0.0 for value in bands().sum(0)[19:24].tolist()]
        (torch.Size([4, 43]), [0.0, 0.0, 1.0, 0.0, 0.0])
    """
    root = math.sqrt(3)
    low = torch.tensor([1 - root, 3 - root, 3 + root, 1 + root], dtype=torch.float64) / (4 * math.sqrt(2))
    half = _convolved(low[None], low.flip(0))[0] / 2  # (7,), symmetric about its middle
    rest = -half
    rest[3] += 1.0
    filters = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(3):
        spread = torch.zeros(len(filters), 2 * filters.shape[1] - 1, dtype=torch.float64)
        spread[:, ::2] = filters
        filters = _convolved(spread, half)
        beside = (filters.shape[1] - len(rest)) // 2
        filters = torch.cat([filters, torch.nn.functional.pad(rest, (beside, beside))[None]])
    return filters


def _convolved(rows: Tensor, taps: Tensor) -> Tensor:
    padded = torch.nn.functional.pad(rows, (len(taps) - 1, len(taps) - 1))
    return padded.unfold(1, len(taps), 1) @ taps.flip(0)


def filtered(images: Tensor, gains: Tensor, filters: Tensor) -> Tensor:
    """Images whose bands of frequencies, along both axes, are multiplied by gains. Images are mirrored at the borders.

    Args:
        images: (N, C, H, W).
        gains: (N, 4), from the lowest octave of frequencies to the highest.
        filters: (4, 43), as ``bands`` gives them, on the device of the images.
    """
    count, channels, height, width = images.shape
    taps = gains @ filters.to(gains.dtype)
    reach = taps.shape[1] // 2
    rows = _mirrored(torch.arange(-reach, height + reach, device=images.device), height)
    columns = _mirrored(torch.arange(-reach, width + reach, device=images.device), width)
    wide = images[:, :, rows][..., columns].reshape(1, count * channels, height + 2 * reach, width + 2 * reach)
    kernel = taps.to(images.dtype).repeat_interleave(channels, 0)[:, None]  # (N C, 1, taps): each image has its own
    wide = torch.nn.functional.conv2d(wide, kernel[:, :, None], groups=count * channels)
    wide = torch.nn.functional.conv2d(wide, kernel[..., None], groups=count * channels)
    return wide.view_as(images)


def _mirrored(place: Tensor, side: int) -> Tensor:
    if side == 1:
        return torch.zeros_like(place)
    last = side - 1
    return last - (place.remainder(2 * last) - last).abs()


def coloured(images: Tensor, matrix: Tensor) -> Tensor:
    """Images whose pixels are multiplied by a matrix of (red, green, blue, 1), in grey images by the effect on grey.

    Args:
        images: (N, C, H, W), C is 1 or 3.
        matrix: (N, 4, 4).
    """
    if images.shape[1] == 3:
        mixed = matrix[:, :3, :3] @ images.flatten(2) + matrix[:, :3, 3:]
        return mixed.view_as(images)
    row = matrix[:, :3].mean(1)
    return images * row[:, :3].sum(1).view(each(images)) + row[:, 3].view(each(images))


def about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations about an axis in colour space, (N, 4, 4).

    Args:
        axis: (3,), of length 1.
        angle: (N,), in radians.
    """
    x, y, z = axis.unbind()
    s, c = angle.sin(), angle.cos()
    cross = torch.zeros(4, 4, device=axis.device, dtype=axis.dtype)
    cross[0, 1], cross[0, 2], cross[1, 0], cross[1, 2], cross[2, 0], cross[2, 1] = -z, y, z, -x, -y, x
    own = torch.zeros_like(cross)
    own[:3, :3] = torch.outer(axis, axis)
    eye = torch.eye(4, device=axis.device, dtype=axis.dtype)
    flat = eye.clone()
    flat[3:, 3:] = 0.0  # into a slice: a number into a single element would wait for the device
    last = eye - flat
    s, c = s.view(-1, 1, 1), c.view(-1, 1, 1)
    return last + c * flat + s * cross + (1 - c) * own


GREY = 1 / math.sqrt(3)
"""Each part of the axis of greys."""
