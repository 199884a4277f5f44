"""A run is applied to pictures of any size, depth and format: sizes are kept, and tiles leave no seam."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import errors
from ganzoo.cli import group
from ganzoo.data import streamed
from ganzoo.disk import photos as photos_module

TINY: dict[str, Any] = {
    "batch_size": 4,
    "latent_dim": 2,
    "steps": 1,
    "samples": 2,
    "device": "cpu",
    "quiet": True,
    "precision": "fp32",
    "loss": "hinge",
    "schedule": "onestep",
    "optimizer": "adam",
}


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "WORTH_WORKERS", 1e9)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    levels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    for i, pixels in enumerate(levels):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def trained(folder: Path, data: str, arch: str, regularizers: list[str]) -> ganzoo.Run:
    return ganzoo.run(**TINY, arch=arch, data=data, regularizers=regularizers, logdir=str(folder), name="run")


@pytest.fixture(scope="module")
def filling(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> ganzoo.Run:
    data = f"inpaint:of=folder:path={photos},size=16,hold_out=0.3"
    return trained(
        tmp_path_factory.mktemp("i"), data, "gated:width=2,d_width=2,d_layers=2", ["l1:stage=coarse,refined"]
    )


@pytest.fixture(scope="module")
def enlarging(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> ganzoo.Run:
    data = f"superres:of=folder:path={photos},size=16,hold_out=0.3,factor=2"
    return trained(tmp_path_factory.mktemp("s"), data, "srresnet:width=4,blocks=1,d_width=2,residual=true", ["l2"])


def noise(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_tiles_leave_no_seam(enlarging: ganzoo.Run) -> None:
    """The network sees 13 pixels to either side: with an overlap of 48 each tile throws 16 away."""
    picture = noise(3, 100, 130)
    whole = enlarging.apply(picture)
    assert whole.shape == (3, 200, 260)
    tiled = enlarging.apply(picture, tile=64, overlap=48)
    assert float((whole - tiled).abs().max()) < 1e-5
    hard = enlarging.apply(picture, tile=64, overlap=0)
    assert float((whole - hard).abs().max()) > 1e-5


def test_a_memory_is_kept_by_smaller_tiles(enlarging: ganzoo.Run) -> None:
    picture = noise(1, 3, 60, 60)
    whole = enlarging.apply(picture)
    assert whole.shape == (1, 3, 120, 120)
    assert enlarging.apply(picture, memory=1e-4).shape == whole.shape


@pytest.mark.parametrize("size", [(16, 16), (37, 53), (3, 5), (1, 40)])
def test_known_pixels_are_kept_at_any_size(filling: ganzoo.Run, size: tuple[int, int]) -> None:
    picture, mask = noise(3, *size), -torch.ones(*size)
    mask[0, : size[1] // 2] = 1
    made = filling.apply(picture, mask=mask)
    assert made.shape == picture.shape
    known = (mask <= 0).expand(3, -1, -1)
    assert torch.equal(made[known], picture[known])
    assert not torch.equal(made, picture)


def test_a_network_of_one_size_is_applied_in_tiles(tmp_path: Path) -> None:
    run = trained(tmp_path, "digits-masks:size=16", "segan:width=2,norm=none,d_norm=none", [])
    assert run.apply(noise(3, 40, 21)).shape == (1, 40, 21)
    assert run.apply(noise(3, 5, 7)).shape == (1, 5, 7)


def test_what_cannot_be_applied_is_refused(filling: ganzoo.Run, enlarging: ganzoo.Run, tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="no hole is given"):
        filling.apply(noise(3, 16, 16))
    with pytest.raises(errors.Incompatible, match="this run takes none"):
        enlarging.apply(noise(3, 16, 16), mask=torch.ones(16, 16))
    with pytest.raises(errors.SettingsError, match=r"takes \(N, 3, H, W\)"):
        enlarging.apply(noise(1, 16, 16))
    with pytest.raises(errors.SettingsError, match="out of range"):
        enlarging.apply(noise(3, 16, 16), overlap=-1)
    run = ganzoo.run(**TINY, arch="dcgan:width=2", data="digits:size=8", regularizers=[], logdir=str(tmp_path))
    with pytest.raises(errors.Incompatible, match="makes samples from noise"):
        run.apply(noise(1, 8, 8))


def command(*arguments: object) -> tuple[int, str]:
    """The exit code, and what was said. An error is told by its message."""
    done = CliRunner().invoke(group, ["apply", *map(str, arguments)])
    if isinstance(done.exception, errors.GanzooError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


def size_of(file: Path) -> tuple[tuple[int, int], str]:
    with Image.open(file) as image:
        return image.size, image.mode


def test_pictures_of_every_kind_keep_their_size(enlarging: ganzoo.Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(rgb).save(folder / "photo.jpg", exif=exif)
    alpha = np.dstack([rgb, np.full(rgb.shape[:2], 128, np.uint8)])
    Image.fromarray(alpha).save(folder / "alpha.png")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50).save(folder / "deep" / "grey.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    Image.fromarray(np.full((30, 40), np.nan, np.float32)).save(folder / "nan.tif")
    Image.fromarray(np.full((30, 40), 200, np.float32)).save(folder / "wide.tif")
    Image.fromarray(rgb).save(folder / "alpha.jpg")
    code, said = command(enlarging.dir, folder, "--out", tmp_path / "out", "--compare")
    assert code == 0, said
    assert "skipped: broken.jpg cannot be read (no image that Pillow knows): give an image" in said
    assert "nan.tif has floating-point values with NaN: give --range LOW,HIGH" in said
    assert "wide.tif has floating-point values from 200 to 200, beyond 0 to 1: give --range LOW,HIGH" in said
    assert size_of(tmp_path / "out" / "photo.png") == ((60, 80), "RGB")
    assert size_of(tmp_path / "out" / "alpha.png.png") == ((80, 60), "RGBA")
    assert size_of(tmp_path / "out" / "alpha.jpg.png") == ((80, 60), "RGB")
    assert size_of(tmp_path / "out" / "deep" / "grey.png") == ((80, 60), "RGB")
    assert size_of(tmp_path / "out" / "photo.compare.png")[0] == (122, 80)
    code, said = command(enlarging.dir, folder / "broken.jpg")
    assert (code, said.count("\n")) == (2, 0)
    assert "broken.jpg cannot be read" in said


def sixteen(file: Path, top: int, side: int = 16) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    levels = np.linspace(0, top, side * side).round().astype(np.uint16).reshape(side, side)
    Image.fromarray(levels).save(file)
    return file


def test_pictures_have_the_range_that_the_run_was_trained_on(tmp_path: Path) -> None:
    """12 bits in training are 12 bits later: of a run, its copy from the disk, pictures to apply to and to project."""
    for k in range(4):
        sixteen(tmp_path / "mine" / f"{k}.png", 4095)
    inner = f"folder:path={tmp_path / 'mine'},size=16,channels=1"
    small: dict[str, Any] = {
        "steps": 1,
        "batch_size": 2,
        "samples": 2,
        "device": "cpu",
        "quiet": True,
        "precision": "fp32",
    }
    made = ganzoo.run(
        data=f"superres:of=({inner}),factor=2,hold_out=0",
        arch="srresnet:width=2,blocks=1,d_width=2",
        logdir=tmp_path / "runs",
        regularizers=None,
        **small,
    )
    assert made.data_range == ganzoo.load(made.dir).data_range == (0.0, 4095.0)
    read = photos_module.read(next(photos_module.sources(tmp_path / "mine" / "0.png")), 1, made.data_range)
    assert (float(read.pixels.min()), float(read.pixels.max())) == (-1.0, 1.0)
    assert read.note == ""
    code, said = command(made.dir, tmp_path / "mine" / "0.png", "--out", tmp_path / "out")
    assert (code, "warning" in said) == (0, False), said
    with Image.open(tmp_path / "out" / "0.png") as image:
        assert image.mode in ("I;16", "I")  # the latter before Pillow 11
        assert np.asarray(image).max() <= 4095
    above = sixteen(tmp_path / "above.png", 60000)
    code, said = command(made.dir, above)
    assert (code, said) == (
        2,
        "above.png has integers from 0 to 60000, beyond 0 to 4095: give --range LOW,HIGH (black and white)",
    )
    code, said = command(made.dir, above, "--range", "0,65535")
    assert (code, "warning" in said) == (0, False), said
    code, said = command(made.dir, above, "--range", "5,5")
    assert code == 2
    assert "give two numbers, the first below the second, such as 0,4095" in said


def test_a_dark_picture_is_said_to_be_dark(enlarging: ganzoo.Run, tmp_path: Path) -> None:
    code, said = command(enlarging.dir, sixteen(tmp_path / "x.png", 4095))
    assert code == 0
    assert "x.png is dark: its values go up to 4095, and 0 to 65535 become black to white" in said
    assert "is dark" not in command(enlarging.dir, tmp_path / "x.png", "--range", "0..4095")[1]


def test_a_large_picture_is_applied_in_tiles_and_a_folder_of_fifty_is_compared(
    enlarging: ganzoo.Run, tmp_path: Path
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (70, 100, 4), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "large.png")
    code, said = command(enlarging.dir, tmp_path / "large.png", "--tile", 48, "--overlap", 40)
    assert code == 0, said
    with Image.open(tmp_path / "large.applied.png") as image:
        tiled = np.asarray(image).astype(int)
    code, said = command(enlarging.dir, tmp_path / "large.png", "--out", tmp_path / "whole")
    with Image.open(tmp_path / "whole" / "large.png") as image:
        assert (image.size, image.mode) == ((200, 140), "RGBA")
        assert np.abs(np.asarray(image).astype(int) - tiled).max() <= 1  # a level, where rounding meets a half
    folder = tmp_path / "fifty"
    folder.mkdir()
    for i in range(50):
        Image.fromarray(levels[:3, i : i + 2, :3]).save(folder / f"{i}.png")
    code, said = command(enlarging.dir, folder, "--out", tmp_path / "out", "--compare")
    assert code == 0, said
    made = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert made == sorted(name for i in range(50) for name in (f"{i}.png", f"{i}.compare.png"))
    assert {size_of(tmp_path / "out" / f"{i}.png")[0] for i in range(50)} == {(4, 6)}


def test_a_zip_and_a_single_picture(enlarging: ganzoo.Run, photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in photos.iterdir():
            archive.write(file, f"a/{file.name}")
        archive.writestr("../evil.png", b"")
    code, said = command(enlarging.dir, tmp_path / "all.zip", "--out", tmp_path / "out")
    assert code == 0, said
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
    assert not (tmp_path / "evil.png").exists()
    file = tmp_path / "one.png"
    Image.new("RGB", (9, 7)).save(file)
    assert command(enlarging.dir, file)[0] == 0
    assert size_of(tmp_path / "one.applied.png")[0] == (18, 14)


def test_masks_are_matched_by_name(filling: ganzoo.Run, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    hole = np.zeros((16, 16), np.uint8)
    hole[4:9, 5:12] = 255
    for file in photos.iterdir():
        Image.fromarray(hole).save(masks / file.name)
    code, said = command(filling.dir, photos, "--mask", masks, "--out", tmp_path / "out")
    assert code == 0, said
    with Image.open(photos / "0.png") as before, Image.open(tmp_path / "out" / "0.png") as after:
        same = (np.asarray(before) == np.asarray(after)).all(2)
    assert same[hole == 0].all()
    assert not same[hole == 255].all()
    (masks / "3.png").unlink()
    code, said = command(filling.dir, photos, "--mask", masks, "--out", tmp_path / "out")
    assert (code, "1 pictures have no mask in" in said and "3.png" in said) == (2, True), said
    Image.fromarray(hole[:8]).save(masks / "3.png")
    code, said = command(filling.dir, photos / "3.png", "--mask", masks / "3.png", "--out", tmp_path / "out")
    assert (code, "3.png: the mask is 16x8, and its picture is 16x16" in said) == (2, True), said


def test_a_path_that_is_not_there(filling: ganzoo.Run, tmp_path: Path) -> None:
    assert command(filling.dir, tmp_path / "nowhere")[1].endswith("name a picture, a folder or a .zip of pictures")
    (tmp_path / "empty").mkdir()
    assert "no pictures in" in command(filling.dir, tmp_path / "empty")[1]


def test_grids_show_condition_mask_truth_stages_and_result(filling: ganzoo.Run, enlarging: ganzoo.Run) -> None:
    with Image.open(filling.dir / "samples" / "00000001-generator.png") as grid:
        enlarge, columns = 4, 2
        assert grid.width == 2 + columns * (6 * 16 * enlarge + 2)
    with Image.open(enlarging.dir / "samples" / "00000001-generator.png") as grid:
        assert grid.width == 2 + columns * (3 * 16 * enlarge + 2)


def test_a_seed_gives_the_same_picture(filling: ganzoo.Run) -> None:
    assert isinstance(filling.generator, nn.Module)
    mask = -torch.ones(16, 16)
    mask[:4] = 1
    picture = noise(3, 16, 16)
    assert torch.equal(filling.apply(picture, mask=mask), filling.apply(picture, mask=mask))
