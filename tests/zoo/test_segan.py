"""SegAN: the multi-scale loss, its nets, its data and its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import ganzoo
from ganzoo.cli import main
from ganzoo.errors import DataError, Incompatible, SettingsError

# -- the loss ----------------------------------------------------------------------------------------------------------


def scores(fake: list[torch.Tensor], real: list[torch.Tensor]) -> ganzoo.Scores:
    """Features of the first map, which is the masked photo itself, of a photo of ones: masks m are samples 2m - 1."""
    return ganzoo.Scores(
        fake_output={"features": fake},
        real_output={"features": real},
        fake_images=2 * fake[0].detach() - 1,
        real_images=2 * real[0].detach() - 1,
    )


def full(value: float, *shape: int) -> torch.Tensor:
    return torch.full((2, *shape), value, dtype=torch.float64)


def test_the_distance_is_a_mean_over_maps_or_one_long_vector() -> None:
    fake, real = [full(0.5, 1, 4, 4), full(1.0, 3, 2, 2)], [full(1.0, 1, 4, 4), full(4.0, 3, 2, 2)]
    s = scores(fake, real)
    mean: Any = ganzoo.part("loss", "segan")
    assert float(mean.generator(scores(fake[:1], real[:1]))) == pytest.approx(0.5)  # f the identity, x = y = 1, S = 1/2
    assert float(mean.generator(s)) == pytest.approx((0.5 + 3.0) / 2)
    assert float(mean.discriminator(s)) == pytest.approx(-(0.5 + 3.0) / 2)
    long: Any = ganzoo.part("loss", "segan:layers=concatenated")
    assert float(long.generator(s)) == pytest.approx((16 * 0.5 + 4 * 12 * 3.0) / (16 + 12))
    five = [full(0.0, 1, 1, k) for k in (1, 2, 3, 4, 5)], [full(1.0 + k, 1, 1, k) for k in (1, 2, 3, 4, 5)]
    due = sum(t * k * (1 + k) for t, k in zip((1, 1, 2, 2, 4), (1, 2, 3, 4, 5), strict=True))
    assert float(long.generator(scores(*five))) == pytest.approx(due / (1 + 2 + 3 + 4 + 5))
    maps = [torch.cat([t * m.flatten(1) for t, m in zip((1, 1, 2, 2, 4), side, strict=True)], 1) for side in five]
    assert float(long.generator(scores(*five))) == pytest.approx(float((maps[0] - maps[1]).abs().mean()))


def test_at_the_true_mask_there_is_nothing_to_learn() -> None:
    y = full(1.0, 1, 4, 4)
    p = y.clone().requires_grad_()
    loss: Any = ganzoo.part("loss", "segan")
    value = loss.generator(scores([p], [y]))
    (slope,) = torch.autograd.grad(value, p)
    assert value == 0
    assert not slope.any()


def test_the_players_gradients_are_opposite() -> None:
    p = torch.rand(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    s = scores([p], [full(1.0, 1, 4, 4)])
    loss: Any = ganzoo.part("loss", "segan:weight=2")
    (up,), (down,) = (torch.autograd.grad(getattr(loss, who)(s), p) for who in ("discriminator", "generator"))
    assert down.any()
    assert torch.equal(up, -down)


@pytest.mark.parametrize(("p", "y", "due"), [(1.0, 1.0, 0.0), (0.5, 1.0, 0.2), (0.0, 0.0, 0.0), (0.0, 1.0, 1.0)])
def test_soft_dice(p: float, y: float, due: float) -> None:
    loss: Any = ganzoo.part("loss", "segan:weight=0,dice=1")
    assert float(loss.generator(scores([full(p, 1, 4, 4)], [full(y, 1, 4, 4)]))) == pytest.approx(due, abs=1e-6)


def test_plain_l1() -> None:
    loss: Any = ganzoo.part("loss", "segan:weight=0,l1=3")
    assert float(loss.generator(scores([full(0.25, 1, 4, 4)], [full(1.0, 1, 4, 4)]))) == pytest.approx(2.25)


# -- the nets ----------------------------------------------------------------------------------------------------------


def test_the_critic_sees_the_photo_through_the_mask() -> None:
    part: Any = ganzoo.part("architecture", "segan:width=4,d_norm=none")
    nets = part.build(
        ganzoo.Spec(shape=(1, 16, 16), latent_dim=4, inputs={"condition": ganzoo.TensorSpec((3, 16, 16))})
    )
    photo, mask = torch.randn(2, 3, 16, 16), torch.rand(2, 1, 16, 16)
    output = part.judge(nets.discriminator, 2 * mask - 1, ganzoo.Batch(condition=photo))
    assert_close(output["features"][0], photo * mask)
    assert [tuple(f.shape[1:]) for f in output["features"]] == [(3, 16, 16), (4, 8, 8), (8, 4, 4)]
    black = part.judge(nets.discriminator, -torch.ones(2, 1, 16, 16), ganzoo.Batch(condition=photo))
    assert not black["features"][0].any()


def test_one_photo_has_one_mask_whatever_the_noise() -> None:
    part: Any = ganzoo.part("architecture", "segan:width=4")
    nets = part.build(
        ganzoo.Spec(shape=(1, 16, 16), latent_dim=4, inputs={"condition": ganzoo.TensorSpec((3, 16, 16))})
    )
    nets.generator.eval()
    photo = torch.randn(2, 3, 16, 16)
    one, two = (part.generate(nets.generator, ganzoo.Batch(latent=torch.randn(2, 4), condition=photo)) for _ in "ab")
    assert torch.equal(one, two)
    assert -1 < one.min() <= one.max() < 1


SEGAN = {"loss": "segan", "arch": "segan:width=4", "data": "digits-masks:size=16"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "segan"}, "this data has no pairs: use data such as pairs or digits-masks"),
        ({**SEGAN, "data": "digits"}, "gives no photo as a condition"),
        ({**SEGAN, "arch": "dcgan:width=4"}, "this data gives condition of shape"),
        ({"metrics": ["dice"]}, "metric dice compares pairs, and data digits gives no condition"),
        ({**SEGAN, "data": "digits-masks:size=16,hold_out=0", "metrics": ["iou"]}, "holds none out"),
    ],
)
def test_what_is_not_of_pairs_is_refused_in_a_line(experiment: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Incompatible, match=said) as caught:
        experiment(**settings)
    assert "\n" not in str(caught.value)


def test_each_fake_is_the_mask_of_its_own_reals_photo(experiment: Any) -> None:
    made = experiment(**SEGAN)
    game, run = made.game, made.run
    run.generator.eval()
    game.begin(0, 0.0)
    s = game.round()
    assert torch.equal(s.condition, made.feed.reals(0)["condition"])
    assert_close(s.fake_images, run.generator(s.condition))
    assert torch.equal(s.real_images, made.feed.reals(0).images)
    assert run.state.counters.draws == 1


def test_sampling_wants_a_condition_and_refuses_one_that_has_no_use(experiment: Any) -> None:
    run = experiment(**SEGAN).run
    assert run.sample(3, inputs={"condition": torch.zeros(3, 3, 16, 16)}).shape == (3, 1, 16, 16)
    with pytest.raises(SettingsError, match=r"makes each sample for condition of shape \(3, 3, 16, 16\)"):
        run.sample(3)
    with pytest.raises(SettingsError, match="takes none"):
        experiment().run.sample(2, inputs={"condition": torch.zeros(2, 3, 16, 16)})


def test_a_run_shows_photo_mask_and_prediction_and_scores_held_out_pairs(tmp_path: Path) -> None:
    words = [
        "run",
        "--arch",
        "segan:width=4",
        "--loss",
        "segan:dice=1",
        "-r",
        "weight-clip:value=0.05",
        "--data",
        "digits-masks:size=16",
        "--metric",
        "dice",
        "--metric",
        "iou",
        "--steps",
        "3",
        "--batch-size",
        "8",
        "--samples",
        "4",
        "--logdir",
        str(tmp_path),
        "--name",
        "a",
        "-q",
    ]
    assert main(words) == 0
    lines = [json.loads(line) for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    (figures,) = [line for line in lines if "metrics/dice/dice" in line]
    assert 0 <= figures["metrics/iou/iou"] <= figures["metrics/dice/dice"] <= 1
    sizes = {}
    for kind in ("00000000-real", "00000003-ema"):
        with Image.open(tmp_path / f"a/samples/{kind}.png") as image:
            sizes[kind] = image.size
    assert sizes["00000000-real"] == (2 * (2 + 4 * 32) + 2, 2 * (2 + 4 * 16) + 2)  # photo, mask; four times as large
    assert sizes["00000003-ema"] == (2 * (2 + 4 * 48) + 2, 2 * (2 + 4 * 16) + 2)  # photo, mask, prediction
    assert main(["sample", str(tmp_path / "a"), "--count", "4", "--out", str(tmp_path / "s.png")]) == 0
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == sizes["00000003-ema"]


# -- the data ----------------------------------------------------------------------------------------------------------


def test_digits_masks_are_the_same_at_every_call_and_parted() -> None:
    data: Any = ganzoo.part("data", "digits-masks:size=16")
    train, again, held = data.dataset(), data.dataset(), data.held_out()
    assert (len(train), len(held)) == (1438, 359)
    assert torch.equal(train[5]["condition"], again[5]["condition"])
    assert train[0]["image"].shape == (1, 16, 16)
    assert train[0]["condition"].shape == (3, 16, 16)
    assert set(train.images.unique().tolist()) == {0, 255}
    covered = train.images.flatten(1).float().mean(1) / 255
    assert covered.min() > 0.01
    assert covered.max() < 0.6
    every = {photo.numpy().tobytes() for photo in (*train.conditions, *held.conditions)}
    assert len(every) == 1797  # no photo is in both


def test_no_threshold_of_brightness_finds_the_digits() -> None:
    data: Any = ganzoo.part("data", "digits-masks")
    held = data.held_out()
    y = held.images[:, 0] > 0
    grey = held.conditions.float().mean(1)
    best = 0.0
    for cut in range(20, 240, 10):
        for p in (grey > cut, grey < cut):
            best = max(best, float((2 * (p & y).sum((1, 2)) / (p.sum((1, 2)) + y.sum((1, 2)))).mean()))
    assert best < 0.6


def pair(folder: Path, name: str, level: int = 255, size: tuple[int, int] = (20, 16)) -> None:
    width, height = size
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    Image.new("RGB", (20, 16), (10, 200, 30)).save(folder / "images" / f"{name}.jpg")
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = level
    Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


def test_pairs_are_matched_by_name(tmp_path: Path) -> None:
    for i in range(10):
        pair(tmp_path, f"p{i}", level=255 if i % 2 else 1)  # masks of 0 and 1 are masks too
    data: Any = ganzoo.part("data", "pairs", path=str(tmp_path), size=8)
    train, held = data.dataset(), data.held_out()
    assert (len(train), len(held)) == (8, 2)
    item = train[0]
    assert item["condition"].shape == (3, 8, 8)
    assert item["image"].tolist() == [[[0] * 4 + [255] * 4] * 8]
    assert ganzoo.part("data", "pairs", path=str(tmp_path), hold_out=0.0).held_out() is None  # type: ignore[attr-defined]


def test_pairs_that_are_none_are_said_in_a_line(tmp_path: Path) -> None:
    def refused(said: str) -> None:
        with pytest.raises(DataError, match=said) as caught:
            ganzoo.part("data", "pairs", path=str(tmp_path)).dataset()  # type: ignore[attr-defined]
        assert "\n" not in str(caught.value)

    (tmp_path / "images").mkdir()
    refused("no images and no masks in")
    for i in range(3):
        pair(tmp_path, f"p{i}")
    (tmp_path / "masks/p1.png").unlink()
    refused("p1, whose photo has no mask")
    pair(tmp_path, "p1", size=(16, 16))
    refused("masks/p1.png is 16x16, not 20x16")
    (tmp_path / "masks/p1.png").write_bytes(b"no picture")
    refused(r"images/p1.jpg or its mask cannot be read \(not an image\)")
    with pytest.raises(DataError, match=r"pairs: path=.*nowhere does not exist"):
        ganzoo.part("data", "pairs", path=str(tmp_path / "nowhere")).dataset()  # type: ignore[attr-defined]


# -- the figures -------------------------------------------------------------------------------------------------------


def test_dice_and_iou_of_known_masks() -> None:
    real = torch.tensor([[1.0, 1, -1, -1], [1, 1, 1, 1], [-1, -1, -1, -1]]).view(3, 1, 2, 2)
    fake = torch.tensor([[0.2, -0.2, 0.9, -1], [1, 1, 1, 1], [-0.1, -1, -1, -1]]).view(3, 1, 2, 2)
    dice, iou = (ganzoo.part("metric", name) for name in ("dice", "iou"))
    data = ganzoo.part("data", "digits-masks")
    assert dice.score(real, fake, data)["dice"] == pytest.approx((0.5 + 1 + 1) / 3)  # type: ignore[attr-defined]
    assert iou.score(real, fake, data)["iou"] == pytest.approx((1 / 3 + 1 + 1) / 3)  # type: ignore[attr-defined]
