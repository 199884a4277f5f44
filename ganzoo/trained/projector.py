"""Files for TensorBoard's projector: samples and real samples as points in one space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.disk import pictures

MOST = 5000
"""Points that the projector shows without delay. Half are real samples."""

COORDINATES = 64
"""Principal components of the samples that are kept. The projector reduces them further to two or three."""

THUMBNAIL = 32
"""The largest side of the picture of a point."""


def write_projector(
    folder: Path, fake: Tensor, real: Tensor, fake_classes: Sequence[str], real_classes: Sequence[str]
) -> Path:
    """Write what the projector of TensorBoard reads, into a run directory.

    The points are the first principal components of the real samples and of the generated samples together. A good
    generator fills the same regions as the data. Regions with real points alone are modes that the generator misses.

    Args:
        folder: the run directory.
        fake: (N, *shape) samples in [-1, 1].
        real: (M, *shape) real samples.
        fake_classes: N names of classes, or an empty sequence.
        real_classes: M names of classes, or an empty sequence.

    Returns:
        The folder of the files, ``projector`` in the run directory.

    Raises:
        RunError: a file cannot be written.
    """
    both = torch.cat([real, fake]).float().cpu()
    rows = both.flatten(1)
    rows = rows - rows[: len(real)].mean(0)
    kept = min(COORDINATES, *rows.shape)
    axes = torch.linalg.svd(rows, full_matrices=False).Vh[:kept]
    points = rows @ axes.T
    lines = ["\t".join(f"{value:.4g}" for value in row) for row in points.tolist()]
    if kept == 1:  # the projector wants a plane
        lines = [f"{line}\t0" for line in lines]
    classes = [*(real_classes or ["none"] * len(real)), *(fake_classes or ["none"] * len(fake))]
    sources = ["real"] * len(real) + ["generated"] * len(fake)
    labels = ["source and class\tsource\tclass"]
    labels += [f"{source} {name}\t{source}\t{name}" for source, name in zip(sources, classes, strict=True)]
    place = folder / "projector"
    config = [
        "embeddings {",
        '  tensor_name: "samples, real and generated"',
        '  tensor_path: "projector/points.tsv"',
        '  metadata_path: "projector/names.tsv"',
    ]
    try:
        place.mkdir(exist_ok=True)
        (place / "points.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (place / "names.tsv").write_text("\n".join(labels) + "\n", encoding="utf-8")
        if both.dim() == 4:
            sheet, height, width = _sheet(both)
            pictures.save(sheet, place / "pictures.png")
            config += ['  sprite { image_path: "projector/pictures.png"', f"    single_image_dim: {width}"]
            config += [f"    single_image_dim: {height} }}"]
        (folder / "projector_config.pbtxt").write_text("\n".join([*config, "}"]) + "\n", encoding="utf-8")
    except OSError as error:
        raise errors.RunError(f"{place} cannot be written ({error.strerror}): make the run writable") from error
    return place


def _sheet(images: Tensor) -> tuple[Tensor, int, int]:
    """All images as small pictures in a square, row by row, with the height and the width of one picture."""
    shown = torch.stack([pictures.single(image).expand(3, -1, -1) for image in images[:, :3]])
    shrunk = max(1, math.ceil(max(shown.shape[-2:]) / THUMBNAIL))
    shown = shown[..., ::shrunk, ::shrunk]
    side = math.ceil(math.sqrt(len(shown)))
    height, width = shown.shape[-2:]
    sheet = torch.full((side * side, 3, height, width), 255, dtype=torch.uint8)
    sheet[: len(shown)] = shown
    sheet = sheet.reshape(side, side, 3, height, width).permute(2, 0, 3, 1, 4)
    return sheet.reshape(3, side * height, side * width), height, width
