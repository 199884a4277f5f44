"""Metrics of pairs of pictures, against their formulas, and pairs of pictures from files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_weights import feature_weights
from PIL import Image

import ganzoo
from ganzoo import errors
from ganzoo.data.workers import SeededItems

DATA = ganzoo.part("data", "digits")


def pictures(seed: int = 0) -> torch.Tensor:
    return torch.rand(5, 3, 12, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def figure(named: str, real: torch.Tensor, fake: torch.Tensor) -> float:
    (value,) = ganzoo.part("metric", named).score(real, fake, DATA).values()
    return value


def test_psnr_is_the_mean_over_pictures_in_decibel() -> None:
    real, fake = pictures(), pictures(1)
    due = [10 * math.log10(4 / float((f - r).square().mean())) for r, f in zip(real, fake, strict=True)]
    assert figure("psnr", real, fake) == pytest.approx(sum(due) / 5, rel=1e-5)
    assert figure("psnr", real, real) == 100.0


def test_ssim_l1_and_sharpness() -> None:
    real, fake = pictures(), pictures(1)
    assert figure("ssim", real, real) == pytest.approx(1.0)
    assert figure("ssim", real, fake) < 0.2
    assert figure("l1", real, fake) == pytest.approx(float((real - fake).abs().mean()), rel=1e-6)
    assert figure("sharpness", real, real / 2) == pytest.approx(0.25)
    assert figure("sharpness", real, torch.zeros_like(real)) == 0.0


def test_lpips_tells_own_weights_from_published_ones(tmp_path: Path) -> None:
    file = feature_weights(tmp_path, "alexnet", 13)
    real, fake = pictures()[:2], pictures(1)[:2]
    metric = ganzoo.part("metric", f"lpips:weights={file}")
    told = metric.score(real, fake, DATA)
    assert list(told) == ["lpips_own_weights"]
    assert told["lpips_own_weights"] > 0
    assert metric.score(real, real, DATA)["lpips_own_weights"] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("named", ["psnr", "ssim", "l1", "sharpness", "lpips"])
def test_samples_that_are_no_pictures_are_refused(named: str) -> None:
    with pytest.raises(errors.Incompatible, match=f"metric {named} compares pictures"):
        figure(named, torch.zeros(4, 2), torch.zeros(4, 2))


def two_folders(root: Path, count: int = 5) -> Path:
    levels = np.random.default_rng(0).integers(0, 256, (2, count, 20, 20, 3), dtype=np.uint8)
    for side, name in enumerate(("photos", "labels")):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(levels[side, i]).save(root / name / f"{i}.png")
    return root


def test_two_folders_of_pictures_move_alike(tmp_path: Path) -> None:
    root = two_folders(tmp_path)
    for name in ("0.png", "1.png", "2.png", "3.png", "4.png"):
        Image.open(root / "photos" / name).save(root / "labels" / name)  # the same picture on both sides
    named = f"pairs:path={root},sample=picture,folders=photos,labels,size=16,load=20,flip=true"
    data = ganzoo.part("data", named).dataset()
    items = [SeededItems(data, 0).__getitems__([draw, 0, 0])[0] for draw in range(8)]
    assert all(torch.equal(item["image"], item["condition"]) for item in items)
    assert items[0]["image"].shape == (3, 16, 16)
    assert any(not torch.equal(items[0]["image"], item["image"]) for item in items[1:])
    held = ganzoo.part("data", named).held_out()
    assert held is not None
    assert held[0]["image"].shape == (3, 16, 16)


def test_one_picture_is_cut_in_halves(tmp_path: Path) -> None:
    for i in range(3):
        pixels = np.zeros((8, 17, 3), np.uint8)
        pixels[:, :8] = 255
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    for half, level in (("left", 255), ("right", 0)):
        named = f"pairs:path={tmp_path},sample=picture,halves={half},size=8,hold_out=0"
        item = ganzoo.part("data", named).dataset()[0]
        assert item["image"].unique().tolist() == [level]
        assert item["condition"].unique().tolist() == [255 - level]


def test_folders_that_do_not_match_are_told(tmp_path: Path) -> None:
    root = two_folders(tmp_path)
    (root / "labels" / "3.png").unlink()
    named = f"pairs:path={root},sample=picture,folders=photos,labels,size=16"
    with pytest.raises(errors.DataError, match=r"1 files in .* such as 3, whose file in photos has none in labels"):
        ganzoo.part("data", named).dataset()
    with pytest.raises(errors.DataError, match=r"no a and no b in .*: expected a/NAME.png and b/NAME.png"):
        ganzoo.part("data", named.replace("photos,labels", "a,b")).dataset()
    with pytest.raises(errors.BadParameter, match="load=8 is smaller than size=16"):
        ganzoo.part("data", f"{named},load=8")
    with pytest.raises(errors.BadParameter, match="names one folder twice"):
        ganzoo.part("data", named.replace("photos,labels", "photos,photos"))
    Image.new("RGB", (9, 20)).save(root / "labels" / "3.png")
    with pytest.raises(errors.DataError, match="9x20, not 20x20 as its condition"):
        ganzoo.part("data", f"{named},hold_out=0").dataset()


@pytest.mark.parametrize(
    ("preset", "arch"),
    [
        ("pix2pix", "unet:width=2,d_width=2"),
        ("inpaint-gated", "gated:width=2,d_width=2,attention=true,d_layers=6"),
        ("coarse-to-refine", "gated:width=2,d_width=2,first=0.33,d_layers=6"),
        ("srresnet", "srresnet:width=2,blocks=1,d_width=2,alone=1"),
    ],
)
def test_presets_train(preset: str, arch: str, tmp_path: Path) -> None:
    run = ganzoo.run(
        preset=preset,
        arch=arch,
        batch_size=2,
        steps=2,
        samples=2,
        latent_dim=2,
        metrics=[],
        device="cpu",
        quiet=True,
        logdir=str(tmp_path),
        precision="fp32",
    )
    assert run.step == 2


@pytest.mark.parametrize("preset", ["srgan", "esrgan"])
def test_presets_with_published_weights_say_what_is_missing(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*given: object, **named: object) -> object:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(errors.DataError, match=r"vgg19-dcbb9e9d.pth and cannot be fetched") as caught:
        ganzoo.run(preset=preset, arch="srresnet:width=2,blocks=1,d_width=2", logdir=str(tmp_path), quiet=True)
    assert "\n" not in str(caught.value)
