"""Samples as a person sees them: grids of images, density maps of points, curves of signals."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

DENSITY = 256  # pixels a side of a density map
REACH = 1.5  # it shows the square [-1.5, 1.5]^2


def picture(samples: Tensor, columns: int | None = None) -> Tensor:
    """One picture of many samples, (3, H, W) uint8.

    Args:
        samples: (N, C, H, W) images in [-1, 1] (1 or 3 channels; of others the first is shown), (N, 2) points, or
            anything else, shown as one row of pixels a sample.
        columns: images in a row; a square grid unless told.
    """
    samples = samples.detach().float().cpu()
    if samples.dim() == 2 and samples.shape[1] == 2:
        return _density(samples)
    if samples.dim() != 4:
        samples = samples.flatten(1)[:, None, None, :]
        columns = 1
    return _grid(samples, columns)


def single(sample: Tensor) -> Tensor:
    """One sample's own picture, (3, H, W) uint8: an image pixel by pixel, anything else as in a grid of one."""
    if sample.dim() != 3:
        return picture(sample[None])
    image = sample if len(sample) in (1, 3) else sample[:1]
    return image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).expand(3, -1, -1)


def _grid(images: Tensor, columns: int | None) -> Tensor:
    from torchvision.utils import make_grid

    if images.shape[1] not in (1, 3):
        images = images[:, :1]
    side = max(images.shape[-2:])
    enlarge = max(1, 64 // side)  # an 8x8 image is seen as 64x64, its pixels as squares
    if enlarge > 1:
        images = images.repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3)
    grid = make_grid(images.clamp(-1, 1), nrow=columns or math.ceil(math.sqrt(len(images))), padding=2, pad_value=1.0)
    shown: Tensor = grid.add(1).mul(127.5).round().to(torch.uint8)
    return shown


def _density(points: Tensor) -> Tensor:
    """Where points lie, dark = many, on a square root scale so that single points are seen."""
    cells = ((points.flip(1) * torch.tensor([-1.0, 1.0]) / REACH + 1) / 2 * DENSITY).long()
    inside = ((cells >= 0) & (cells < DENSITY)).all(1)
    flat = cells[inside, 0] * DENSITY + cells[inside, 1]
    counts = torch.bincount(flat, minlength=DENSITY * DENSITY).float().view(1, DENSITY, DENSITY)
    shade = (counts / counts.max().clamp(min=1)).sqrt()
    return (255 * (1 - shade)).round().to(torch.uint8).expand(3, -1, -1)


def save(picture_: Tensor, path: Path) -> None:
    """Write a (3, H, W) uint8 picture as PNG."""
    from PIL import Image

    Image.fromarray(picture_.permute(1, 2, 0).contiguous().numpy()).save(path)
