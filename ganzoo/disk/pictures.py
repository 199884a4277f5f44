"""Draw samples as pictures: grids of images, density maps of points, rows of pixels for other samples."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

POINTS = 2048
"""The number of samples to draw when samples are points in the plane."""

PLANE = 384
"""The side of a picture of points, in pixels."""

REACH = 1.25
"""A picture of points shows the square [-REACH, REACH]^2. The square is fixed, so that pictures of a run compare."""

DATA, GENERATED, CENTRE = (40, 90, 180), (225, 85, 0), (120, 120, 120)
"""The colours (red, green, blue) of the data's points, of generated points, and of the centres of modes."""


MOST_CLASSES = 32
"""A grid has columns of a class each up to this number of classes."""


def class_columns(classes: int, count: int) -> int | None:
    """The number of columns of a grid whose columns hold a class each.

    Args:
        classes: the number of classes. The classes of the samples are 0, 1, ..., classes - 1, 0, 1, ....
        count: the number of samples.

    Returns:
        The multiple of the number of classes that is nearest to the root of the number of samples. None without classes
        and for more than ``MOST_CLASSES``.

    Example:
        >>> class_columns(10, 64), class_columns(3, 64), class_columns(0, 64)
        (10, 9, None)
    """
    if not 0 < classes <= MOST_CLASSES:
        return None
    return classes * max(1, round(math.sqrt(count) / classes))


def by_class(images: Tensor, labels: Tensor, columns: int, rows: int, classes: int) -> Tensor:
    """Arrange images for a grid whose columns hold a class each.

    Args:
        images: (N, C, H, W) in [-1, 1].
        labels: (N,) class numbers.
        columns: the number of columns, a multiple of the number of classes. Column i holds class i modulo ``classes``.
        rows: the number of rows.
        classes: the number of classes.

    Returns:
        (rows * columns, C, H, W). A place for which there is no image is white.

    Example:
        >>> by_class(torch.zeros(3, 1, 1, 1), torch.tensor([1, 1, 0]), columns=2, rows=2, classes=2).flatten().tolist()
        [0.0, 0.0, 1.0, 0.0]
    """
    placed = torch.ones(rows * columns, *images.shape[1:], dtype=images.dtype)
    for k in range(classes):
        places = [i for i in range(rows * columns) if i % columns % classes == k]
        found = (labels == k).nonzero()[:, 0][: len(places)]
        placed[places[: len(found)]] = images[found]
    return placed


def picture(
    samples: Tensor,
    columns: int | None = None,
    *,
    names: Sequence[str] = (),
    among: Tensor | None = None,
    centres: Tensor | None = None,
) -> Tensor:
    """Draw one picture of many samples.

    Args:
        samples: (N, C, H, W) images in [-1, 1], (N, 2) points in the plane, or (N, *shape) samples of another shape,
            which are drawn as one row of pixels a sample. Two channels are drawn red and green. A fourth channel
            is the opacity, on white. Of more than four channels the first three are drawn.
        columns: the number of images in a row. None gives a grid that is as square as possible.
        names: words to write above the columns of a grid of images. The words repeat where there are more columns.
        among: (M, 2) points of the data, for samples that are points. The density of the data is drawn in blue, and
            the samples in orange on top.
        centres: (K, 2) centres of the data's modes, for samples that are points. Each centre gets a ring.

    Returns:
        The picture, (3, H, W), uint8.

    Example:
        >>> tuple(picture(torch.zeros(4, 1, 64, 64)).shape)
        (3, 134, 134)
    """
    samples = samples.detach().float().cpu()
    if samples.dim() == 2 and samples.shape[1] == 2:
        return _plane(samples, among, centres)
    if samples.dim() != 4:
        samples = samples.flatten(1)[:, None, None, :]
        columns = 1
    return _grid(samples, columns, names)


def beside(left: Tensor, right: Tensor) -> Tensor:
    """Put images side by side, such as a condition and the sample that was made for the condition.

    Args:
        left: (N, C, H, W) images in [-1, 1].
        right: (N, C', H, W') images in [-1, 1].

    Returns:
        (N, max(C, C'), H, W + W') images. A grey image beside a colour image becomes a colour image. A left image whose
        height divides that of the right one is drawn enlarged, each pixel as a square. Only ``right`` is returned when
        the two are not images of such heights.

    Example:
        >>> tuple(beside(torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 8, 6)).shape)
        (2, 3, 8, 14)
    """
    if left.dim() != 4 or right.dim() != 4 or right.shape[2] % left.shape[2]:
        return right
    if (times := right.shape[2] // left.shape[2]) > 1:
        left = left.repeat_interleave(times, 2).repeat_interleave(times, 3)
    channels = max(left.shape[1], right.shape[1])
    sides = [x.float().expand(-1, channels, -1, -1) if x.shape[1] == 1 else x.float() for x in (left, right)]
    return torch.cat(sides, 3)


def all_beside(images: Sequence[Tensor]) -> Tensor:
    """Put several images of a sample side by side, see ``beside``. Tensors that are not images are left out.

    Args:
        images: (N, *shape) each, the last one a sample.

    Returns:
        The images, or the last one alone where no other one is an image of the same height.
    """
    joined = images[0]
    for image in images[1:]:
        joined = beside(joined, image)
    return joined


def single(sample: Tensor) -> Tensor:
    """Draw one sample.

    Args:
        sample: (C, H, W) in [-1, 1], or a sample of another shape, which is drawn as by ``picture``.

    Returns:
        The picture, (C, H, W), uint8. An image is drawn pixel by pixel, without a border. An image of one channel is
        grey, and a fourth channel is the opacity. Two channels are red and green. Of more than four channels the first
        three are drawn.

    Example:
        >>> single(torch.ones(1, 2, 2)).tolist()
        [[[255, 255], [255, 255]]]
    """
    if sample.dim() != 3:
        return picture(sample[None])
    image = sample if len(sample) in (1, 4) else _coloured(sample[None])[0]
    return image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def _coloured(images: Tensor) -> Tensor:
    """Images of any number of channels as (N, 1, H, W) or (N, 3, H, W).

    Two channels are red and green. Of four channels the last is the opacity, and the image is drawn on white.
    """
    if images.shape[1] == 4:
        opacity = images[:, 3:].clamp(-1, 1).add(1).div(2)
        return images[:, :3].clamp(-1, 1) * opacity + (1 - opacity)
    if images.shape[1] == 2:
        return torch.cat([images, torch.full_like(images[:, :1], -1.0)], 1)
    return images[:, :3]


def _grid(images: Tensor, columns: int | None, names: Sequence[str]) -> Tensor:
    from torchvision.utils import make_grid

    images = _coloured(images)
    height, width = images.shape[-2:]
    # Pairs and more side by side are wide: the height is then the side of one image.
    side = height if width <= 8 * height else width
    enlarge = max(1, 64 // side)  # an image of 8x8 pixels is drawn with 64x64, each pixel as a square
    if enlarge > 1:
        images = images.repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3)
    columns = columns or math.ceil(math.sqrt(len(images)))
    grid = make_grid(images.clamp(-1, 1), nrow=columns, padding=2, pad_value=1.0)
    if len(images) == 1:  # make_grid gives a single image no border
        grid = torch.nn.functional.pad(grid, (2, 2, 2, 2), value=1.0)
    shown: Tensor = grid.add(1).mul(127.5).round().to(torch.uint8)
    return _headed(shown, [names[i % len(names)] for i in range(min(columns, len(images)))]) if names else shown


def _headed(grid: Tensor, names: Sequence[str]) -> Tensor:
    """Write a word above each column of a grid, as large as fits. A word that is too long is cut."""
    from PIL import Image, ImageDraw, ImageFont

    width = (grid.shape[2] - 2) / len(names)
    fonts = {size: ImageFont.load_default(size) for size in (14, 12, 10, 9)}
    size = next((size for size, each in fonts.items() if max(map(each.getlength, names)) <= width - 2), 9)
    font, head = fonts[size], Image.new("RGB", (grid.shape[2], size + 6), "white")
    draw = ImageDraw.Draw(head)
    for i, name in enumerate(names):
        while len(name) > 1 and font.getlength(name) > width - 2:
            name = name[:-1]  # noqa: PLW2901  # cut until it fits
        draw.text((2 + (i + 0.5) * width - 1, head.height / 2), name, "black", font, anchor="mm")
    return torch.cat([torch.from_numpy(np.array(head)).permute(2, 0, 1), grid], 1)


def _plane(points: Tensor, among: Tensor | None, centres: Tensor | None) -> Tensor:
    """Draw points in the plane, x to the right and y upwards. A point outside of the square is drawn on the edge."""
    from PIL import Image, ImageDraw

    seen = torch.full((3, PLANE, PLANE), 255.0)
    for layer, colour in ((among, DATA), (points, GENERATED if among is not None else DATA)):
        if layer is not None:
            cells = _cells(layer)
            flat = (cells[:, 0] * PLANE + cells[:, 1])[layer.isfinite().all(1).cpu()]
            counts = torch.bincount(flat, minlength=PLANE * PLANE).float().view(1, 1, PLANE, PLANE)
            # A point becomes a dot of 3x3 pixels.
            counts = torch.nn.functional.avg_pool2d(counts, 3, stride=1, padding=1)
            # The power makes single points visible beside cells that hold many.
            shade = (counts[0] / counts.max().clamp(min=1e-9)).pow(0.4)
            seen = seen * (1 - shade) + torch.tensor(colour).view(3, 1, 1) * shade
    image = Image.fromarray(seen.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    draw = ImageDraw.Draw(image)
    for row, column in _cells(centres).tolist() if centres is not None else ():
        draw.ellipse((column - 9, row - 9, column + 9, row + 9), outline=CENTRE)
    for edge in ((-1.0, -1.0), (1.0, 1.0)):  # the square [-1, 1]^2 that the data lies in
        (row, column), end = _cells(torch.tensor([edge]))[0].tolist(), PLANE - 1
        draw.line((column, 0, column, end), fill=(225, 225, 225))
        draw.line((0, row, end, row), fill=(225, 225, 225))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def captioned(parts: Mapping[str, Tensor], columns: int) -> Tensor:
    """Draw several grids beside one another, each below a caption.

    Args:
        parts: (N, C, H, W) images in [-1, 1] by caption.
        columns: the number of images in a row of a grid.

    Returns:
        The picture, (3, H, W), uint8.

    Example:
        >>> tuple(captioned({"generator": torch.zeros(4, 1, 64, 64), "real": torch.zeros(4, 1, 64, 64)}, 2).shape)
        (3, 152, 276)
    """
    from PIL import Image, ImageDraw, ImageFont

    grids = [picture(images, columns) for images in parts.values()]
    gap = 8
    width = sum(grid.shape[2] for grid in grids) + gap * (len(grids) - 1)
    size = max(12, width // 22)  # TensorBoard shows the whole width in about 340 pixels
    head = size + 6
    whole = Image.new("RGB", (width, head + max(grid.shape[1] for grid in grids)), "white")
    draw, font, left = ImageDraw.Draw(whole), ImageFont.load_default(size), 0
    for caption, grid in zip(parts, grids, strict=True):
        draw.text((left + 3, 1), caption, "black", font)
        whole.paste(Image.fromarray(grid.permute(1, 2, 0).contiguous().numpy()), (left, head))
        left += grid.shape[2] + gap
    return torch.from_numpy(np.array(whole)).permute(2, 0, 1)


def field(scores: Tensor, real: Tensor, samples: Tensor) -> Tensor:
    """Draw a field over the plane as a heat map, with points on top.

    Args:
        scores: (S, S), the field on the square [-REACH, REACH]^2, rows from above to below. The lowest score is blue,
            the highest red.
        real: (N, 2) points of the data, drawn black.
        samples: (M, 2) generated points, drawn white.

    Returns:
        The picture, (3, PLANE, PLANE), uint8.

    Example:
        >>> tuple(field(torch.zeros(4, 4), torch.zeros(1, 2), torch.ones(1, 2)).shape)
        (3, 384, 384)
    """
    low, high = scores.min(), scores.max()
    share = (((scores - low) / (high - low).clamp(min=1e-12)).nan_to_num(0.5) * 2 - 1).cpu()
    colours = torch.tensor([(70.0, 110, 200), (245, 245, 235), (215, 80, 60)])
    cold, warm = (-share).clamp(0, 1)[..., None], share.clamp(0, 1)[..., None]
    mixed = cold * colours[0] + warm * colours[2] + (1 - cold - warm) * colours[1]
    large = torch.nn.functional.interpolate(mixed.permute(2, 0, 1)[None], (PLANE, PLANE), mode="bilinear")[0]
    for points, colour in ((real, 0.0), (samples, 255.0)):
        cells = _cells(points[:1000])
        for down in range(2):
            for right in range(2):
                large[:, (cells[:, 0] + down).clamp(max=PLANE - 1), (cells[:, 1] + right).clamp(max=PLANE - 1)] = colour
    return large.round().clamp(0, 255).to(torch.uint8)


def _cells(points: Tensor) -> Tensor:
    """The row and the column of each point's pixel."""
    places = points.detach().float().cpu().nan_to_num().flip(1) * torch.tensor([-1.0, 1.0])
    return ((places / REACH + 1) / 2 * PLANE).long().clamp(0, PLANE - 1)


def titled(rows: Mapping[str, Tensor]) -> Tensor:
    """Stack pictures, each below its title.

    Args:
        rows: pictures (3, H, W) uint8 by title.

    Returns:
        (3, H, W) uint8. Narrow pictures are filled up with white.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, titles = ImageFont.load_default(12), list(rows)
    width = max(each.shape[2] for each in rows.values())
    width = max(width, min(900, 8 + int(max(map(font.getlength, titles)))))
    pieces = []
    for title, picture_ in rows.items():
        head = Image.new("RGB", (width, 18), "white")
        ImageDraw.Draw(head).text((4, 9), title, "black", font, anchor="lm")
        body = torch.full((3, picture_.shape[1], width), 255, dtype=torch.uint8)
        body[:, :, : picture_.shape[2]] = picture_
        pieces += [torch.from_numpy(np.array(head)).permute(2, 0, 1), body]
    return torch.cat(pieces, 1)


def save(picture_: Tensor, path: Path) -> None:
    """Write a picture as a PNG file.

    The file appears complete or not at all. A link at ``path`` is replaced and not followed, so that nothing outside of
    the folder is overwritten.

    Args:
        picture_: (C, H, W), uint8: grey with one channel, coloured with three, and with four the last is the opacity.
            Three channels that are the same are written as grey.
        path: the file.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL import Image

    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # a link of this name must not be followed
    try:
        pixels = picture_.permute(1, 2, 0).contiguous().numpy()
        grey = len(picture_) == 1 or (len(picture_) == 3 and bool((picture_ == picture_[:1]).all()))
        Image.fromarray(pixels[:, :, 0] if grey else pixels).save(draft, format="PNG")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


# -- trajectories in the plane ----------------------------------------------------------------------------------------

PANEL = 116
"""The side of one trajectory's square, in pixels."""

MARGIN = 190
"""The width of the column with the names of the rows, in pixels."""

VERDICTS = {"converged": (20, 130, 60), "orbits": (200, 120, 0), "diverges": (190, 30, 30), "refused": (140, 140, 140)}
"""The colour of each verdict (red, green, blue)."""

Panel = tuple[str, str, str, Sequence[tuple[float, float]]]


def trajectories(panels: Sequence[Panel]) -> Image:
    """Draw a table of trajectories. Each trajectory is a square around the equilibrium (0, 0).

    Args:
        panels: for each trajectory the name of the row, the name of the column, the verdict, and the positions
            (theta, psi) from the first to the last. Theta grows to the right and psi upwards. The window is twice as
            wide as the distance of the first position from the equilibrium. Early positions are drawn pale.

    Returns:
        The picture.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = [*dict.fromkeys(p[0] for p in panels)], [*dict.fromkeys(p[1] for p in panels)]
    top = 12 + 13 * max(1 + name.count("\n") + len(max(name.split("\n"), key=len)) // 19 for name in columns)
    image = Image.new("RGB", (MARGIN + (PANEL + 8) * len(columns), top + (PANEL + 22) * len(rows) + 6), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for i, name in enumerate(rows):
        draw.multiline_text((6, top + i * (PANEL + 22) + 40), _wrapped(name, 30), "black", font)
    for j, name in enumerate(columns):
        draw.multiline_text((MARGIN + j * (PANEL + 8), 6), _wrapped(name, 19), "black", font)
    for row, column, verdict, path in panels:
        x, y = MARGIN + columns.index(column) * (PANEL + 8), top + rows.index(row) * (PANEL + 22)
        colour = VERDICTS[verdict]
        image.paste(_panel(path, colour), (x, y))
        draw.rectangle((x, y, x + PANEL - 1, y + PANEL - 1), outline=colour)
        draw.text((x + 2, y + PANEL + 2), verdict, colour, font)
    return image


def _panel(path: Sequence[tuple[float, float]], colour: tuple[int, int, int]) -> Image:
    from PIL import Image, ImageDraw

    side = 3 * PANEL  # drawn three times as large and scaled down, since Pillow draws lines without soft edges
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    draw.line((side / 2, 0, side / 2, side), (225, 225, 225), 2)
    draw.line((0, side / 2, side, side / 2), (225, 225, 225), 2)
    reach = 2 * max(1e-9, math.hypot(*path[0])) if path else 1.0
    seen = [((1 + x / reach) * side / 2, (1 - y / reach) * side / 2) for x, y in path if math.isfinite(x + y)]
    for k, ends in enumerate(pairwise(seen)):
        age = 0.75 * (1 - k / len(seen))
        draw.line(ends, tuple(round(c + age * (255 - c)) for c in colour), 3)
    for place, radius, fill in ((seen[0], 8, "white"), (seen[-1], 8, colour)) if seen else ():
        draw.ellipse([place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius], fill, colour, 2)
    return image.resize((PANEL, PANEL), Image.Resampling.LANCZOS)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(text[i : i + width] for text in text.split("\n") for i in range(0, max(1, len(text)), width))
