"""The tables of runs that make a picture from a picture, on held-out pairs, and a sheet of what the runs made.

``python examples/picture_to_picture.py comparisons/inpaint --sheet sheet.png``, after the comparison was made by
``ganzoo compare --plan examples/comparisons/inpaint.yaml --out comparisons/inpaint``.

The figures are over the hole where the data give a mask, and over the whole picture elsewhere:

- l1: mean absolute difference from the truth, for pixels in [-1, 1].
- psnr: mean over pictures of 10 log10(4 / mean squared difference), in dB.
- ssim: of the whole picture.
- sharpness: sum of the squared differences of neighbours, one of which is in the region, relative to that of the truth.
- colour (pictures in colour): mean distance of the three channels from their mean, relative to that of the truth.

A row is the mean and the standard deviation over the seeds. Super-resolution has a row of bicubic interpolation.
The sheet has a row for each picture: condition, truth, then the recipes of the first seed.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

import ganzoo

Pairs = dict[str, Tensor]


def held_out(run: ganzoo.Run, count: int) -> Pairs:
    """Held-out pairs of a run, spread over all of them: image, condition and, for holes, mask, in [-1, 1]."""
    items = run.parts.data.held_out()
    count = min(count, len(items))
    rows = [items[i * len(items) // count] for i in range(count)]
    return {name: torch.stack([row[name] for row in rows]) / 127.5 - 1 for name in rows[0]}


def energy(pictures: Tensor, region: Tensor) -> float:
    """The squared differences of neighbours, one of which is in the region."""
    total = 0.0
    for axis in (2, 3):
        near = region.unfold(axis, 2, 1).amax(-1)
        total += float((pictures.diff(dim=axis).square() * near).sum())
    return total


def figures(made: Tensor, truth: Tensor, region: Tensor) -> dict[str, float]:
    """The figures of pictures (N, C, H, W) over a region (N, 1, H, W) of zeros and ones."""
    made, truth, region = made.clamp(-1, 1).double(), truth.double(), region.double()
    share = region / region.sum((1, 2, 3), keepdim=True) / truth.shape[1]
    squared = ((made - truth).square() * share).sum((1, 2, 3))
    ssim = structural_similarity_index_measure(made, truth, data_range=2.0)
    assert isinstance(ssim, Tensor)
    found = {
        "l1": float(((made - truth).abs() * share).sum((1, 2, 3)).mean()),
        "psnr": float((10 * torch.log10(4 / squared.clamp(min=4e-10))).mean()),
        "ssim": float(ssim),
        "sharpness": energy(made, region) / energy(truth, region),
    }
    if truth.shape[1] == 3:
        found["colour"] = saturation(made) / saturation(truth)
    return found


def saturation(pictures: Tensor) -> float:
    """How far the channels are from grey, on average."""
    return float((pictures - pictures.mean(1, keepdim=True)).abs().mean())


def rows_of(folder: Path, count: int, sheet: Path | None, shown: int) -> dict[str, list[dict[str, float]]]:
    """The figures of every run of a comparison, by the name of the recipe, and the sheet."""
    table: dict[str, list[dict[str, float]]] = defaultdict(list)
    columns: list[Tensor] = []
    for place in sorted((folder / "runs").iterdir(), key=lambda path: (path.name.rpartition("-seed")[2], path.name)):
        recipe, _, seed = place.name.partition("-")[2].rpartition("-seed")
        run = ganzoo.load(place)
        pairs = held_out(run, count)
        truth, condition, mask = pairs["image"], pairs["condition"], pairs.get("mask")
        region = torch.ones_like(truth[:, :1]) if mask is None else (mask > 0).float()
        made = torch.cat([
            run.apply(condition[i : i + 64], mask=None if mask is None else mask[i : i + 64])
            for i in range(0, len(truth), 64)
        ])  # fmt: skip
        enlarged = F.interpolate(condition, truth.shape[2:], mode="bicubic")
        if not columns:
            columns = [F.interpolate(condition, truth.shape[2:], mode="nearest"), truth]
            if condition.shape[2:] != truth.shape[2:]:
                table["bicubic"].append(figures(enlarged, truth, region))
                columns.append(enlarged)
            first = seed
        if seed == first:
            columns.append(made)
        table[recipe].append(figures(made, truth, region))
    if sheet is not None:
        draw([column[:: max(1, len(column) // shown)][:shown] for column in columns], sheet)
    return table


def draw(columns: list[Tensor], path: Path) -> None:
    """Save a picture with a column for each batch and a row for each of its pictures, three times as large."""
    wide = [column.expand(-1, 3, -1, -1).clamp(-1, 1) for column in columns]
    padded = torch.stack([F.pad(column, (1, 1, 1, 1), value=1.0) for column in wide], 1)  # rows, columns, 3, H, W
    count, across, _, height, width = padded.shape
    pixels = padded.permute(0, 3, 1, 4, 2).reshape(count * height, across * width, 3)
    image = Image.fromarray(((pixels + 1) * 127.5).round().to(torch.uint8).numpy())
    image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST).save(path, optimize=True)


def main() -> None:
    """Print the table of each comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("comparison", type=Path, help="the folder that `ganzoo compare --out` made")
    parser.add_argument("--count", type=int, default=512, help="held-out pairs [512]")
    parser.add_argument("--sheet", type=Path, help="a PNG of some pairs and of what the first seed made")
    parser.add_argument("--shown", type=int, default=8, help="pairs in the sheet [8]")
    asked = parser.parse_args()
    table = rows_of(asked.comparison, asked.count, asked.sheet, asked.shown)
    names = [*next(iter(table.values()))[0]]
    print(f"| recipe | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for recipe, runs in table.items():
        cells = []
        for name in names:
            values = [run[name] for run in runs]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        print(f"| {recipe.replace('-', ' ')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
