"""Points in the plane and trajectories, as pixels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.disk import pictures
from ganzoo.disk.pictures import CENTRE, DATA, GENERATED, PLANE, REACH


def pixel(picture, x, y):
    """The colour where a point is drawn: x to the right, y upwards."""
    column, row = (round((1 + sign * v / REACH) / 2 * PLANE) for sign, v in ((1, x), (-1, y)))
    return tuple(picture[:, min(row, PLANE - 1), min(column, PLANE - 1)].tolist())


def test_data_lies_beneath_the_generators_points_on_fixed_axes():
    data = torch.tensor([[0.5, 0.0]]).repeat(9, 1)
    seen = pictures.picture(torch.tensor([[0.0, 0.75]]), among=data)
    assert seen.shape == (3, PLANE, PLANE)
    assert seen.dtype == torch.uint8
    assert pixel(seen, 0.5, 0.0) == DATA
    assert pixel(seen, 0.0, 0.75) == GENERATED
    assert pixel(seen, 0.0, -0.75) == (255, 255, 255)
    assert pixel(pictures.picture(data), 0.5, 0.0) == DATA


def test_a_single_point_is_seen_beside_a_heap():
    heap = torch.cat([torch.zeros(10_000, 2), torch.tensor([[0.5, 0.5]])])
    assert max(pixel(pictures.picture(heap), 0.5, 0.5)) < 256
    assert pixel(pictures.picture(heap), 0.5, 0.5) != (255, 255, 255)


def test_what_is_outside_is_on_the_edge_and_what_is_no_number_is_nowhere():
    seen = pictures.picture(torch.tensor([[5.0, 0.0], [math.nan, 0.0], [math.inf, 0.0]]), among=torch.zeros(0, 2))
    assert pixel(seen, REACH, 0.0) == GENERATED
    assert pixel(seen, 0.0, 0.0) == (255, 255, 255)


def test_known_centres_are_ringed():
    seen = pictures.picture(torch.zeros(1, 2), among=torch.zeros(1, 2), centres=torch.tensor([[0.5, 0.5]]))
    ring = (seen == torch.tensor(CENTRE).view(3, 1, 1)).all(0).nonzero().double().mean(0)
    assert torch.allclose(ring, torch.tensor([0.3, 0.7], dtype=torch.float64) * PLANE, atol=1.0)


def test_the_columns_of_a_grid_hold_a_class_each_with_its_name_above():
    images = torch.linspace(-1, 1, 6).reshape(6, 1, 1, 1).expand(6, 1, 64, 64)
    plain = pictures.picture(images, 3)
    seen = pictures.picture(images, 3, names=["cat", "ship", "x"])
    head = seen.shape[1] - plain.shape[1]
    assert torch.equal(seen[:, head:], plain)
    ink = [(seen[:, :head, 2 + 66 * i : 66 + 66 * i] < 128).sum().item() for i in range(3)]
    assert min(ink) > 0
    assert ink[2] < min(ink[:2])  # one letter is less ink than three and four
    long = pictures.picture(images, 3, names=["a name that does not fit"] * 3)
    assert (long[:, : long.shape[1] - plain.shape[1], 66:68] == 255).all()  # nothing reaches into the next column


def test_columns_are_a_multiple_of_the_classes_near_a_square():
    assert [pictures.class_columns(k, 64) for k in (0, 1, 2, 3, 10, 32, 33)] == [None, 8, 8, 9, 10, 32, None]


def test_real_images_are_arranged_by_class_with_white_where_one_is_missing():
    images = torch.arange(5.0).reshape(5, 1, 1, 1) / 10
    placed = pictures.by_class(images, torch.tensor([1, 1, 0, 1, 1]), columns=2, rows=3, classes=2)
    torch.testing.assert_close(placed.flatten(), torch.tensor([0.2, 0.0, 1.0, 0.1, 1.0, 0.3]))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "RGB"), (3, "RGB"), (4, "RGBA"), (5, "RGB")])
def test_a_single_image_is_written_with_its_own_channels(tmp_path, channels, mode):
    values = torch.linspace(-1, 1, channels)[:, None, None].expand(-1, 2, 3)
    pictures.save(pictures.single(values), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as seen:
        assert (seen.mode, seen.size) == (mode, (3, 2))
        first = seen.getpixel((0, 0))
    due = ((values[:3, 0, 0] + 1) * 127.5).round().int().tolist()
    assert (list(first)[: min(3, channels)] if channels > 1 else [first]) == due
    assert pictures.picture(values[None]).shape[0] == 3


def test_a_run_on_points_shows_many_of_them(tmp_path):
    run = ganzoo.run(
        arch="mlp:width=4,depth=1",
        data="ring",
        loss="sgan",
        regularizers=[],
        steps=2,
        batch_size=8,
        latent_dim=2,
        samples=4,
        logdir=str(tmp_path),
        device="cpu",
        quiet=True,
    )
    with Image.open(run.dir / "samples" / "00000002-generator.png") as image:
        assert image.size == (PLANE, PLANE)
        colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert CENTRE in colours
    with Image.open(run.dir / "samples" / "00000000-real.png") as image:
        drawn = sum(n for n, colour in image.getcolors(1 << 20) if colour not in ((255, 255, 255), (225, 225, 225)))
    assert drawn > 8 * 9 * 4  # many points a mode, none of them the generator's


def test_trajectories_are_a_square_each_in_the_colour_of_their_verdict():
    spiral = [(math.cos(t / 9) * 0.99**t, math.sin(t / 9) * 0.99**t) for t in range(400)]
    panels = [
        ("wgan\nonestep", "r1:\ngamma=1", "converged", spiral),
        ("wgan\nonestep", "none", "diverges", [(1, 0), (9, 9)]),
        ("sgan\nonestep", "none", "refused", []),
        ("sgan\nonestep", "r1:\ngamma=1", "diverges", [(0, 1), (math.inf, 0)]),
    ]
    image = pictures.trajectories(panels)
    width, height = image.size
    assert width == pictures.MARGIN + 2 * (pictures.PANEL + 8)
    assert height > 2 * pictures.PANEL
    found = {colour for _, colour in image.getcolors(1 << 20)}
    assert {pictures.VERDICTS[v] for v in ("converged", "diverges", "refused")} <= found
    assert pictures.VERDICTS["orbits"] not in found


def test_opacity_is_drawn_on_white_and_grey_pictures_are_grey_files(tmp_path: Path) -> None:
    image = torch.tensor([-1.0, -1, -1, 0])[None, :, None, None].expand(1, 4, 64, 64)
    assert pictures.picture(image)[:, 20, 20].tolist() == [128, 128, 128]
    assert tuple(pictures.picture(torch.zeros(3, 7, 64, 64)).shape) == (3, 134, 134)
    pictures.save(pictures.picture(torch.zeros(4, 1, 64, 64)), tmp_path / "grey.png")
    pictures.save(pictures.single(torch.ones(3, 2, 2) * torch.tensor([1.0, 0, 0])[:, None, None]), tmp_path / "rgb.png")
    modes = []
    for name in ("grey", "rgb"):
        with Image.open(tmp_path / f"{name}.png") as image:
            modes.append(image.mode)
    assert modes == ["L", "RGB"]
