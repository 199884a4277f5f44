"""Terms beside the adversarial loss, against their closed forms and with networks of features that the test makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from feature_weights import feature_weights
from safetensors.torch import load_file
from torch import Tensor, tensor
from torch.testing import assert_close

import ganzoo
from ganzoo import errors, words
from ganzoo_zoo.regularizers.perceptual import gram

CORNER = tensor([[1.0, 2.0, 4.0], [0.0, 1.0, 1.0], [2.0, 2.0, 5.0]], dtype=torch.float64)[None, None]


def pair(**more: Tensor) -> ganzoo.Scores:
    g = torch.Generator().manual_seed(0)
    real, fake, coarse = (torch.rand(3, 3, 12, 12, generator=g, dtype=torch.float64) * 2 - 1 for _ in range(3))
    mask = -torch.ones(3, 1, 12, 12, dtype=torch.float64)
    mask[:, :, 2:6, 3:9] = 1.0
    mask[1] = -1.0  # nothing is to be filled
    fake.requires_grad_()
    stages = {"images": fake, "coarse": coarse}
    return ganzoo.Scores(
        real_images=real, fake_images=fake, intermediates=stages, fake_batch=ganzoo.Batch(mask=mask), **more
    )


def value(named: str, s: ganzoo.Scores) -> Tensor:
    bound = words.bind(ganzoo.part("regularizer", named))
    spec = ganzoo.Spec(shape=(3, 12, 12), latent_dim=1, inputs={"mask": ganzoo.TensorSpec((1, 12, 12))})
    module = bound.part.prepare(None, spec)
    bound.values["module"] = None if module is None else module.double()
    return bound.part.generator_penalty(s)


@pytest.mark.parametrize(
    ("named", "due"),
    [("tv:form=l1", 19.0), ("tv:form=l2", 47.0), ("tv:form=block", 6.5)],
)
def test_total_variation_of_a_small_picture(named: str, due: float) -> None:
    s = ganzoo.Scores(fake_images=torch.cat([CORNER, CORNER]))
    assert_close(value(f"{named},weight=1,per=picture", s), tensor(due, dtype=torch.float64))
    assert_close(value(f"{named},weight=9", s), tensor(due, dtype=torch.float64))


def test_total_variation_in_a_hole_counts_pairs_within_one_pixel_of_the_mask() -> None:
    mask = -torch.ones(1, 1, 3, 3)
    mask[0, 0, 0, 0] = 1.0
    s = ganzoo.Scores(fake_images=CORNER, fake_batch=ganzoo.Batch(mask=mask.double()))
    # The hole, one pixel wider, is the 2x2 corner [[1, 2], [0, 1]].
    assert_close(value("tv:weight=1,per=picture,where=hole", s), tensor(4.0, dtype=torch.float64))


def test_gram_matrix() -> None:
    maps = tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 0.0]], dtype=torch.float64).view(1, 2, 2, 2)
    assert gram(maps).tolist() == [[[3.75, 0.625], [0.625, 0.25]]]


@pytest.mark.parametrize(("named", "power"), [("l1", 1), ("l2", 2)])
def test_differences_are_means_over_the_region_of_each_picture(named: str, power: int) -> None:
    s = pair()
    gap = (s.fake_images - s.real_images).abs() ** power
    hole = gap[:, :, 2:6, 3:9].flatten(1).mean(1) * tensor([1.0, 0.0, 1.0])
    assert_close(value(f"{named}:weight=1", s), gap.mean())
    assert_close(value(f"{named}:weight=2,where=hole", s), 2 * hole.mean())
    known = gap.clone()
    known[[0, 2], :, 2:6, 3:9] = 0
    due = (known.flatten(1).sum(1) / (3 * tensor([120.0, 144.0, 120.0]))).mean()
    assert_close(value(f"{named}:weight=1,where=known", s), due)


def test_several_stages_are_added() -> None:
    s = pair()
    due = (s.fake_images - s.real_images).abs().mean() + (s.intermediates["coarse"] - s.real_images).abs().mean()
    assert_close(value("l1:weight=1,stage=images,coarse", s), due)


def test_ssim_of_equal_pictures_is_one() -> None:
    s = pair()
    same = ganzoo.Scores(real_images=s.real_images, fake_images=s.real_images.clone())
    assert_close(value("ssim", same), tensor(0.0, dtype=torch.float64), atol=1e-12, rtol=0)
    assert 0.5 < value("ssim", s).item() < 1.5
    assert value("ssim:where=hole", s) != value("ssim", s)


@pytest.mark.parametrize("named", ["perceptual:layers=relu1_2,conv1_1", "style:layers=relu1_2", "lpips:network=alex"])
def test_feature_terms_read_a_frozen_network(named: str, tmp_path: Path) -> None:
    network, layers = ("alexnet", 13) if "alex" in named else ("vgg16", 5)
    file = feature_weights(tmp_path, network, layers)
    s = pair()
    part = f"{named},weights={file}"
    (slope,) = torch.autograd.grad(value(part, s), s.fake_images)
    assert slope.isfinite().all()
    assert slope.any()
    same = ganzoo.Scores(real_images=s.real_images, fake_images=s.real_images.clone())
    assert_close(value(part, same), tensor(0.0, dtype=torch.float64))
    # Its weights are no part of a run's state: they are not saved, not trained, and stay as they were read.
    module = ganzoo.part("regularizer", part).prepare(None, ganzoo.Spec(shape=(3, 12, 12), latent_dim=1))
    assert not list(module.parameters())
    assert not module.state_dict()
    # A difference outside of the hole is not seen, but for the reach of the network.
    assert value(f"{part},where=hole", s) != value(part, s)


def test_a_perceptual_term_is_the_difference_of_torchvisions_features(tmp_path: Path) -> None:
    file = feature_weights(tmp_path, "vgg16")
    saved = {name: each.double() for name, each in load_file(file).items()}
    s = pair()
    seen = []
    mean, std = tensor([0.485, 0.456, 0.406]).view(3, 1, 1), tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for pictures in (s.fake_images, s.real_images):
        maps = ((pictures + 1) / 2 - mean) / std
        for k in (0, 2):
            maps = torch.conv2d(maps, saved[f"features.{k}.weight"], saved[f"features.{k}.bias"], padding=1).relu()
        seen.append(maps)
    assert_close(
        value(f"perceptual:layers=relu1_2,weight=3,weights={file}", s),
        3 * (seen[0] - seen[1]).square().mean(),
        rtol=1e-6,
        atol=0,
    )


def test_weights_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = pair()
    code = tmp_path / "code.pt"
    torch.save({"features.0.weight": Path("x")}, code)
    wrong = tmp_path / "wrong.pt"
    torch.save({"features.0.weight": torch.zeros(2)}, wrong)
    alone = tmp_path / "alone.pt"
    torch.save(torch.zeros(2), alone)
    for file, said in (
        (tmp_path / "nowhere.pt", "does not exist"),
        (code, r"cannot be read \(UnpicklingError\)"),
        (alone, "holds a Tensor, not a state dict"),
        (wrong, r"weights of another network than vgg16"),
        (feature_weights(tmp_path, "alexnet", 13), r"weights of another network than vgg16"),
    ):
        with pytest.raises(errors.DataError, match=rf"\Aperceptual: weights=[^\n]*{said}[^\n]*\Z"):
            value(f"perceptual:layers=relu1_2,weights={file}", s)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", _offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", _offline)
    with pytest.raises(errors.DataError, match=r"vgg19-dcbb9e9d.pth and cannot be fetched.*download https://"):
        value("style:network=vgg19,layers=relu1_2", s)
    with pytest.raises(errors.BadParameter, match=r"vgg16 has no layer 'relu9_9'; there are relu1_1"):
        value("perceptual:layers=relu9_9", s)
    with pytest.raises(errors.BadParameter, match="layer_weights has 2 numbers for 1 layers"):
        ganzoo.part("regularizer", "perceptual:layer_weights=1,2")


def _offline(*given: object, **named: object) -> object:
    raise OSError("no route to host")


@pytest.mark.parametrize("named", ["l1", "l2", "ssim", "perceptual", "style", "lpips"])
def test_terms_that_need_pairs_are_refused_without_pairs(experiment, named: str) -> None:
    with pytest.raises(errors.Incompatible, match=rf"{named} compares each fake .* gives no pairs") as caught:
        experiment(regularizers=[named])
    assert "\n" not in str(caught.value)


def test_regions_and_stages_that_are_not_there_are_refused(experiment) -> None:
    pairs = {"arch": "segan:width=4,d_norm=none", "data": "digits-masks:size=16"}
    with pytest.raises(errors.Incompatible, match=r"l1 looks at the hole part of a picture, .* gives no mask"):
        experiment(**pairs, regularizers=["l1:where=hole"])
    with pytest.raises(errors.Incompatible, match="l1 reads the stage coarse, and architecture segan makes images"):
        experiment(**pairs, regularizers=["l1:stage=coarse"])
    with pytest.raises(errors.Incompatible, match="tv reads the stage refined, and architecture dcgan makes images"):
        experiment(regularizers=["tv:stage=refined"])


@pytest.mark.parametrize(("form", "one_axis"), [("l1", 7.0), ("l2", 7.0)])
def test_the_variation_of_sequences_and_volumes_is_along_all_axes(form: str, one_axis: float) -> None:
    x = torch.zeros(1, 1, 8)
    x[..., ::2] = 1
    part = ganzoo.part("regularizer", f"tv:weight=1,per=picture,form={form}")
    assert float(part.value(x, None, None)) == one_axis
    volume = torch.zeros(1, 1, 2, 3, 8)
    volume[..., ::2] = 1
    for axis in (2, 3, 4):
        assert float(part.value(volume.transpose(axis, 4), None, None)) == 6 * one_axis
    block = ganzoo.part("regularizer", "tv:weight=1,per=picture,form=block")
    assert float(block.value(volume, None, None)) == 1 * 2 * one_axis / 2  # the pixels with a neighbour along all axes


def test_points_have_no_neighbours(experiment) -> None:
    with pytest.raises(
        errors.Incompatible, match=r"tv compares neighbours, and numbers of a sample of shape \(2,\) have"
    ):
        experiment(arch="mlp:width=4", data="ring", regularizers=["tv"])
