"""Tasks: pairs made from any data of images, reproducible, and refused in one line where they cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import errors
from ganzoo.data.workers import SeededItems
from ganzoo_zoo.data.inpaint import GREY, box, strokes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    levels = np.random.default_rng(0).integers(0, 256, (10, 20, 16, 3), dtype=np.uint8)
    for i, pixels in enumerate(levels):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def read(dataset: Any, seed: int, draw: int) -> list[dict[str, torch.Tensor]]:
    return SeededItems(dataset, seed).__getitems__([draw, 0, *range(4)])


def test_the_hole_alone_differs_from_the_picture(photos: Path) -> None:
    data = ganzoo.part("data", f"inpaint:of=folder:path={photos},size=16,ratio=0.2,0.3")
    for item in read(data.dataset(), 0, 0):
        hole = item["mask"] == 255
        assert set(item["mask"].unique().tolist()) == {0, 255}
        assert 0.15 <= hole.float().mean() <= 0.35
        known = ~hole.expand(3, -1, -1)
        assert torch.equal(item["condition"][known], item["image"][known])
        assert set(item["condition"][~known].tolist()) == {GREY}


@pytest.mark.parametrize("holes", ["strokes", "box", "border", "mixed"])
def test_holes_keep_their_share(holes: str) -> None:
    part = ganzoo.part("data", f"inpaint:of=digits,holes={holes},ratio=0.1,0.4")
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([part.hole((32, 32), generator).float().mean() for _ in range(40)])
    assert shares.min() > 0.07
    assert shares.max() < 0.43
    assert shares.std() > 0.02


def test_holes_of_tiny_pictures_leave_something() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        for hole in (box((4, 4), 0.95, generator), strokes((4, 4), 0.05, 0.9, generator)):
            assert 0 < hole.sum() < 16


def test_pairs_are_a_function_of_seed_batch_and_place(photos: Path) -> None:
    data = ganzoo.part("data", f"inpaint:of=folder:path={photos},size=16,flip=true,crop=12")
    first, again, next_batch, other = (read(data.dataset(), s, d) for s, d in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert all(torch.equal(a[k], b[k]) for a, b in zip(first, again, strict=True) for k in a)
    assert any(not torch.equal(a["mask"], b["mask"]) for a, b in zip(first, next_batch, strict=True))
    assert any(not torch.equal(a["mask"], b["mask"]) for a, b in zip(first, other, strict=True))


def test_held_out_pairs_are_fixed_and_apart(photos: Path) -> None:
    data = ganzoo.part("data", f"inpaint:of=folder:path={photos},size=16,hold_out=0.3,flip=true,crop=12")
    held, training = data.held_out(), data.dataset()
    assert (len(held), len(training)) == (3, 7)
    one, two = (SeededItems(held, s).__getitems__([7, 0, 0, 1, 2]) for s in (0, 1))
    assert all(torch.equal(a[k], b[k]) for a, b in zip(one, two, strict=True) for k in a)
    assert sorted(held.rows + training.rows) == list(range(10))
    assert ganzoo.part("data", f"inpaint:of=folder:path={photos},hold_out=0").held_out() is None


def test_superres_shrinks_by_bicubic_and_degrades(photos: Path) -> None:
    data = ganzoo.part("data", f"superres:of=folder:path={photos},size=16,factor=2")
    item = read(data.dataset(), 0, 0)[0]
    large = Image.fromarray(item["image"].permute(1, 2, 0).numpy())
    small = np.asarray(large.resize((8, 8), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert torch.equal(item["condition"], torch.tensor(small))
    rough = ganzoo.part("data", f"superres:of=folder:path={photos},size=16,factor=2,blur=1,noise=0.1,jpeg=40")
    assert not torch.equal(read(rough.dataset(), 0, 0)[0]["condition"], item["condition"])
    fixed = rough.held_out()
    assert torch.equal(fixed[0]["condition"], fixed[0]["condition"])


def test_colorize_gives_the_luma(photos: Path) -> None:
    item = read(ganzoo.part("data", f"colorize:of=folder:path={photos},size=16").dataset(), 0, 0)[0]
    luma = (item["image"].double() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    assert (item["condition"][0] - luma).abs().max() <= 1


def test_masks_from_files(photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    level = np.zeros((32, 32), np.uint8)
    level[:16] = 255
    Image.fromarray(level).save(masks / "half.png")
    data = ganzoo.part("data", f"inpaint:of=folder:path={photos},size=16,masks={masks}")
    mask = read(data.dataset(), 0, 0)[0]["mask"]
    assert mask[0, :8].min() == 255
    assert mask[0, 8:].max() == 0
    Image.fromarray(np.zeros_like(level)).save(masks / "none.png")
    with pytest.raises(errors.DataError, match=r"\Ainpaint: mask none\.png is empty: [^\n]*\Z"):
        ganzoo.part("data", f"inpaint:of=folder:path={photos},masks={masks}").dataset()
    Image.fromarray(np.full_like(level, 255)).save(masks / "none.png")
    with pytest.raises(errors.DataError, match=r"\Ainpaint: mask none\.png is a hole over everything"):
        ganzoo.part("data", f"inpaint:of=folder:path={photos},masks={masks}").dataset()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "superres:of=digits:size=10,factor=4",
            "10x10 is no multiple of factor=4: set the data's size to a multiple, or crop=8",
        ),
        ("superres:of=ring", r"of=Ring gives samples of shape \(2,\), not pictures"),
        ("inpaint:of=digits-masks:size=16", "of=DigitsMasks gives pairs: give images"),
        ("colorize:of=digits", "of=Digits gives pictures of 1 channels: name data in colour"),
        ("inpaint:of=digits:size=8,crop=9", "crop=9 of a picture of 8x8: give a smaller crop"),
        ("inpaint:of=digits,masks=nowhere", "path=nowhere does not exist"),
    ],
)
def test_data_that_no_task_can_use(named: str, said: str) -> None:
    with pytest.raises(errors.DataError, match=said) as caught:
        ganzoo.part("data", named).dataset()
    assert "\n" not in str(caught.value)


def test_ratios_that_are_none() -> None:
    with pytest.raises(errors.BadParameter, match=r"ratio=0,0\.4 is no range of shares"):
        ganzoo.part("data", "inpaint:of=digits,ratio=0,0.4")


def test_inputs_for_a_users_picture() -> None:
    part = ganzoo.part("data", "inpaint:of=digits")
    picture, mask = torch.zeros(1, 3, 8, 8), -torch.ones(1, 1, 8, 8)
    for bad, said in ((None, "no hole is given"), (mask, "is empty"), (-mask, "over everything")):
        with pytest.raises(errors.DataError, match=said):
            part.inputs_for(picture, bad)
    with pytest.raises(errors.DataError, match="the mask is 4x4, and its picture is 8x8"):
        part.inputs_for(picture, mask[..., :4, :4])
    with pytest.raises(errors.Incompatible, match="takes none"):
        ganzoo.part("data", "digits").inputs_for(picture, mask)
    mask[..., :2, :2] = 1
    given = part.inputs_for(picture, mask)
    assert given["condition"][..., :2, :2].unique().tolist() == pytest.approx([GREY / 127.5 - 1])
