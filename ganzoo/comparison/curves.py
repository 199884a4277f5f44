"""Curves of figures over images seen, on one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT, LEFT, TOP, LINE = 560, 240, 70, 24, 14
COLOURS = (
    *((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75)),
    *((227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)),
)
"""The colours of the curves, in the order of the recipes. The colours repeat after ten recipes, with thinner lines."""

Curve = Sequence[tuple[float, float]]
"""Points (images, figure)."""


def draw(panels: Mapping[str, Mapping[str, Sequence[Curve]]]) -> Image:
    """Draw a panel for each figure, with a curve for each run in the colour of the recipe.

    Args:
        panels: by figure and by recipe, the curves of the runs.

    Returns:
        The picture.
    """
    from PIL import Image as Images
    from PIL import ImageDraw, ImageFont

    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    legend = LINE * len(names) + 10
    image = Images.new("RGB", (WIDTH, len(panels) * (HEIGHT + TOP + 20) + legend), "white")
    draw_, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for place, (figure, curves) in enumerate(panels.items()):
        top = place * (HEIGHT + TOP + 20) + TOP
        points = [p for runs in curves.values() for run in runs for p in run if math.isfinite(p[1])]
        if not points:
            continue
        (x0, x1), (y0, y1) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
        wide, high = (x1 - x0) or 1.0, (y1 - y0) or 1.0
        right, bottom = WIDTH - 12, top + HEIGHT - 16
        draw_.text((LEFT, top - 14), figure, "black", font)
        draw_.rectangle((LEFT, top, right, bottom), outline=(200, 200, 200))
        for share in (0.0, 0.5, 1.0):
            y = bottom - share * (bottom - top)
            draw_.text((LEFT - 4, y), f"{y0 + share * high:.3g}", "black", font, anchor="rm")
            x = LEFT + share * (right - LEFT)
            draw_.text(
                (x, bottom + 3), f"{x0 + share * wide:.3g}", "black", font, anchor=("la", "ma", "ra")[int(2 * share)]
            )
        for name, runs in curves.items():
            number = names.index(name)
            for run in runs:
                path = [
                    (LEFT + (x - x0) / wide * (right - LEFT), bottom - (y - y0) / high * (bottom - top))
                    for x, y in run
                    if math.isfinite(y)
                ]
                draw_.line(path, fill=COLOURS[number % len(COLOURS)], width=2 if number < len(COLOURS) else 1)
    base = image.height - legend + 4
    for number, name in enumerate(names):
        y = base + number * LINE
        draw_.line((8, y + 6, 28, y + 6), fill=COLOURS[number % len(COLOURS)], width=2)
        draw_.text((34, y), name[:90], "black", font)
    return image


def mean_curve(runs: Sequence[Curve]) -> list[tuple[float, float]]:
    """The mean over runs at every number of images that all runs recorded.

    Args:
        runs: the curves of the runs of a recipe.

    Returns:
        The curve of the means.

    Example:
        >>> mean_curve([[(8, 1.0), (16, 2.0)], [(8, 3.0)]])
        [(8, 2.0)]
    """
    tables = [dict(run) for run in runs if run]
    shared = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    return [(x, sum(table[x] for table in tables) / len(tables)) for x in shared]
