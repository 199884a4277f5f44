"""Apply a trained run to pictures of any size: in tiles that overlap, so that no seam is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import errors
from ganzoo.parts import Batch
from ganzoo.step.randomness import derive_seed

if TYPE_CHECKING:
    from ganzoo.training.run import Run

OVERLAP = 96
"""Pixels that neighbouring tiles share. A third is context that is thrown away on either side, a third is blended."""

MEMORY = 1.0
"""GiB that the maps of a tile may take."""

LARGEST_TILE = 4096
"""The side of the largest tile, in pixels."""


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut.

    Args:
        tile: the side of a tile in pixels of the condition, or None for the largest one that ``memory`` allows.
        overlap: pixels that neighbouring tiles share, at least 0.
        memory: GiB that the maps of a tile may take, where ``tile`` is None.
    """

    tile: int | None = None
    overlap: int = OVERLAP
    memory: float = MEMORY


def apply(
    run: Run, net: nn.Module, pictures: Tensor, mask: Tensor | None, tiling: Tiling, seed: int, labels: Tensor | None
) -> Tensor:
    """What a generator makes of pictures, at the size of the pictures times the factor of the run.

    Args:
        run: the run.
        net: the generator, in evaluation mode.
        pictures: (N, C, H, W) in [-1, 1], on the CPU.
        mask: (N, 1, H, W), above 0 where the pictures are to be changed, or None.
        tiling: how the pictures are cut.
        seed: of the noise.
        labels: (N,) class numbers, or None.

    Returns:
        (N, C', factor H, factor W) on the CPU.

    Raises:
        Incompatible: the run makes no picture from a picture.
        SettingsError: pictures of other channels than the run's, or a tiling that is out of range.
    """
    spec = run.spec
    channels, height, width = _condition(run)
    if pictures.dim() != 4 or pictures.shape[1] != channels:
        raise errors.SettingsError(
            f"pictures of shape {tuple(pictures.shape)} are given, and this run takes (N, {channels}, H, W) in [-1, 1]"
        )
    if tiling.overlap < 0 or (tiling.tile is not None and tiling.tile < 1) or not tiling.memory > 0:
        raise errors.SettingsError(
            f"tile {tiling.tile}, overlap {tiling.overlap} and memory {tiling.memory:g} are out of range: give a tile "
            ">= 1, an overlap >= 0 and a memory > 0"
        )
    inputs = run.parts.data.inputs_for(pictures, mask)
    if inputs.keys() != spec.inputs.keys():
        needs, given = ", ".join(spec.inputs), ", ".join(inputs)
        raise errors.Incompatible(
            f"this run's networks are given {needs}, and data {run.parts.labels['data']} makes {given} of a picture: "
            "the data part needs an inputs_for of its own"
        )
    multiple = run.parts.architecture.side_multiple(spec)
    fixed = (height, width) if multiple is None else None
    multiple = 1 if multiple is None else multiple
    size = (pictures.shape[-2], pictures.shape[-1])
    times = spec.shape[1] // height
    due = fixed or (-(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple)
    due = (max(due[0], size[0]), max(due[1], size[1]))
    # Scale the padding of inputs that are not at the size of the picture: none of the zoo's are.
    padded = {name: _padded(value, due) for name, value in inputs.items()}
    noise = torch.Generator().manual_seed(derive_seed(seed, "apply"))
    latent = torch.randn(len(pictures), spec.latent_dim, generator=noise, dtype=torch.float64)
    latent = latent.to(run.device, run.dtype)

    def made(piece: Mapping[str, Tensor]) -> Tensor:
        there = {name: value.to(run.device, run.dtype) for name, value in piece.items()}
        batch = Batch(latent=latent, labels=labels).replace(**there)
        return run.parts.architecture.generate(net, batch).to("cpu", torch.float32)

    side = fixed or _tile(run, net, tiling, multiple, made)
    overlaps = [min(tiling.overlap, side[i] - 1) for i in (0, 1)]
    rows = list(_places(due[0], side[0], overlaps[0], multiple))
    columns = list(_places(due[1], side[1], overlaps[1], multiple))
    if len(rows) == len(columns) == 1:
        return made(padded)[..., : times * size[0], : times * size[1]]
    whole = torch.zeros(len(pictures), spec.shape[0], times * due[0], times * due[1])
    weight = torch.zeros(times * due[0], times * due[1])
    for top in rows:
        for left in columns:
            tile = (slice(top, top + min(side[0], due[0])), slice(left, left + min(side[1], due[1])))
            there = tuple(slice(times * part.start, times * part.stop) for part in tile)
            ramps = [_ramp(part, due[i], overlaps[i]).repeat_interleave(times) for i, part in enumerate(tile)]
            share = ramps[0][:, None] * ramps[1]
            whole[..., there[0], there[1]] += share * made({n: v[..., tile[0], tile[1]] for n, v in padded.items()})
            weight[there] += share
    return (whole / weight)[..., : times * size[0], : times * size[1]]


def _condition(run: Run) -> tuple[int, int, int]:
    found = run.spec.inputs.get("condition")
    if found is None or len(found.shape) != 3 or len(run.spec.shape) != 3:
        raise errors.Incompatible(
            "this run makes samples from noise, and no picture from a picture: draw samples with ganzoo sample, or "
            "train on pairs"
        )
    channels, height, width = found.shape
    return channels, height, width


def _padded(value: Tensor, due: tuple[int, int]) -> Tensor:
    """A picture with more rows below and more columns to the right: mirrored, or repeated where there is too little."""
    down, right = due[0] - value.shape[-2], due[1] - value.shape[-1]
    mode = "reflect" if down < value.shape[-2] and right < value.shape[-1] else "replicate"
    return F.pad(value.float(), (0, right, 0, down), mode=mode) if down or right else value


def _places(size: int, tile: int, overlap: int, multiple: int) -> Iterator[int]:
    """Where tiles begin along a side: multiples of ``multiple``, so that every tile falls on the net's own grid."""
    step = max(multiple, (tile - overlap) // multiple * multiple)
    start = 0
    while start + tile < size:
        yield start
        start += step
    yield max(0, size - tile) // multiple * multiple


def _ramp(part: slice, size: int, overlap: int) -> Tensor:
    """The weights of a tile along a side: 0 on a third of the overlap, rising on the next third, then 1."""
    count = part.stop - part.start
    away = overlap // 3
    rise = max(1, overlap - 2 * away)
    at = torch.arange(count, dtype=torch.float32)
    weights = torch.ones(count)
    if part.start > 0:
        weights = torch.minimum(weights, ((at - away + 0.5) / rise).clamp(1e-9, 1))
    if part.stop < size:
        weights = torch.minimum(weights, ((count - at - away - 0.5) / rise).clamp(1e-9, 1))
    return weights


def _tile(run: Run, net: nn.Module, tiling: Tiling, multiple: int, made: Any) -> tuple[int, int]:
    """The sides of a tile: those asked for, or the largest ones that the memory allows."""
    if tiling.tile is not None:
        side = max(multiple, tiling.tile // multiple * multiple)
        return side, side
    largest = [0]

    def note(module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor):
            largest[0] = max(largest[0], output[0].nbytes)

    # One small picture: the largest map of a layer, by the pixel. Three such maps are alive at a time, as a rule.
    hooks = [layer.register_forward_hook(note) for layer in net.modules()]
    shapes = {name: each.shape for name, each in run.spec.inputs.items()}
    count = 1
    try:
        run.parts.architecture.generate(
            net,
            Batch(
                latent=torch.zeros(count, run.spec.latent_dim, device=run.device, dtype=run.dtype),
                labels=torch.zeros(count, device=run.device, dtype=torch.long) if run.spec.classes else None,
            ).replace(**{n: torch.zeros(count, *s, device=run.device, dtype=run.dtype) for n, s in shapes.items()}),
        )
    finally:
        for hook in hooks:
            hook.remove()
    _, height, width = run.spec.inputs["condition"].shape
    by_pixel = 3 * max(1, largest[0]) / (height * width)
    side = int((tiling.memory * 2**30 / by_pixel) ** 0.5)
    side = max(multiple, min(side, LARGEST_TILE) // multiple * multiple)
    return side, side
