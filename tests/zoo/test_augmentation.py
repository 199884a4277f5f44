"""Augmentation: what DiffAugment and ADA do to images, and how ADA moves its probability."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from attached import IMAGES, part, prepared, some
from torch import tensor
from torch.testing import assert_close

import ganzoo
from ganzoo.errors import BadParameter, Incompatible
from ganzoo_zoo.regularizers import _augment
from ganzoo_zoo.regularizers.ada import Draw

# -- augmentation ----------------------------------------------------------------------------------------------------


def test_colour_of_a_constant_image_is_only_brightness():
    x = torch.full((64, 3, 8, 8), 0.3, dtype=torch.float64)
    seen = part("diffaugment:policy=color").images(x, None)
    flat = seen.flatten(1)
    assert_close(flat, flat[:, :1].expand_as(flat), atol=1e-12, rtol=0)
    shift = flat[:, 0] - 0.3
    assert shift.abs().max() <= 0.5
    assert shift.std().item() == pytest.approx(1 / math.sqrt(12), abs=0.07)


def test_cutout_takes_a_quarter_at_most():
    seen = part("diffaugment:policy=cutout").images(torch.ones(500, 1, 8, 8), None)
    cut = (seen == 0).flatten(1).sum(1)
    assert cut.max() == 16
    assert cut.min() >= 4
    assert ((seen == 0) | (seen == 1)).all()


def test_translation_moves_whole_pixels_over_zeros():
    x = torch.arange(1.0, 257.0).view(1, 1, 16, 16).repeat(200, 1, 1, 1)
    seen = part("diffaugment:policy=translation").images(x, None)
    found = set()
    for image in seen:
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                due = torch.zeros(1, 16, 16)
                due[:, max(dy, 0) : 16 + min(dy, 0), max(dx, 0) : 16 + min(dx, 0)] = x[
                    0, :, max(-dy, 0) : 16 + min(-dy, 0), max(-dx, 0) : 16 + min(-dx, 0)
                ]
                if torch.equal(image, due):
                    found.add((dy, dx))
    assert len(found) > 20


def test_the_order_of_the_policy_is_the_order_of_the_transforms():
    x = torch.ones(4, 1, 8, 8)
    seen = part("diffaugment:policy=cutout,color").images(x, None)
    assert (seen != 0).any(dim=(1, 2, 3)).all()
    other = part("diffaugment:policy=color,cutout").images(x, None)
    assert (other == 0).flatten(1).any(1).all()
    with pytest.raises(BadParameter, match="policy"):
        part("diffaugment:policy=colour")


@pytest.mark.parametrize("named", ["diffaugment", "ada", "cr", "bcr"])
def test_points_are_no_images(experiment, named):
    with pytest.raises(Incompatible, match=rf"\A{named} transforms images[^\n]*leave {named} out\Z"):
        experiment(arch="mlp:width=8", data="ring", regularizers=[named])


def test_a_warp_by_the_identity_and_by_a_quarter_turn():
    x = some(2, 3, 6, 6)
    eye = torch.eye(2, 3, dtype=torch.float64).expand(2, 2, 3)
    assert_close(_augment.warped(x, eye), x, atol=1e-12, rtol=0)
    turn = tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64).expand(2, 2, 3)
    assert_close(_augment.warped(x, turn), x.rot90(1, (2, 3)).flip(2).flip(3), atol=1e-12, rtol=0)
    right = tensor([[1.0, 0.0, -2.0], [0.0, 1.0, 0.0]], dtype=torch.float64).expand(2, 2, 3)
    moved = _augment.warped(x, right)
    assert_close(moved[..., 2:], x[..., :-2], atol=1e-12, rtol=0)
    assert_close(moved[..., 0], x[..., 2], atol=1e-12, rtol=0)  # mirrored at the border
    half = tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]], dtype=torch.float64).expand(2, 2, 3)
    assert_close(_augment.warped(x, half)[..., :-1], (x[..., 1:] + x[..., :-1]) / 2, atol=1e-12, rtol=0)


def test_a_warp_can_be_differentiated_twice():
    x, map_ = some(2, 1, 4, 4).requires_grad_(), some(2, 2, 3)
    assert torch.autograd.gradgradcheck(lambda x: _augment.warped(x, map_).square(), x)


def test_rotations_of_colour_leave_grey_alone():
    axis = torch.full((3,), _augment.GREY, dtype=torch.float64)
    turned = _augment.about(axis, tensor([0.0, 1.0, 2 * math.pi / 3], dtype=torch.float64))
    assert_close(turned[0], torch.eye(4, dtype=torch.float64), atol=1e-12, rtol=0)
    grey = torch.ones(4, dtype=torch.float64)
    assert_close(turned @ grey, grey.expand(3, 4), atol=1e-12, rtol=0)
    assert_close(turned[2, :3, :3] @ tensor([1.0, 0, 0], dtype=torch.float64), tensor([0, 1.0, 0], dtype=torch.float64))


@pytest.mark.parametrize("channels", [1, 3])
def test_ada_of_probability_zero_changes_nothing_and_of_one_everything(channels):
    x = some(32, channels, 8, 8)
    ada = prepared("ada", spec=IMAGES)
    assert_close(ada.images(x, None), x, atol=1e-12, rtol=0)
    ada.module.p.fill_(0.3)
    changed = (ada.images(x, None) - x).flatten(1).abs().amax(1) > 1e-9
    assert changed.sum() > 0
    ada.module.p.fill_(1.0)
    assert ((ada.images(x, None) - x).flatten(1).abs().amax(1) > 1e-9).all()
    ada.module.p.fill_(7.0)
    assert ada.images(x, None).isfinite().all()


def test_half_of_the_flips_of_probability_one_are_made():
    draw = Draw(torch.zeros(4000, 1, 8, 8, dtype=torch.float64), tensor(1.0))
    coarse = draw.geometry(fine=False)
    turns = coarse[:, :, :2]
    assert_close(turns.abs().sum((1, 2)), torch.full((4000,), 2.0, dtype=torch.float64), atol=1e-9, rtol=0)
    mirrored = torch.linalg.det(turns) < 0
    assert mirrored.double().mean().item() == pytest.approx(0.5, abs=0.04)
    assert_close(coarse[:, :, 2], coarse[:, :, 2].round(), atol=1e-9, rtol=0)  # whole pixels
    assert coarse[:, :, 2].abs().max() <= 1


def test_ada_of_a_given_probability_does_not_follow_overfitting():
    torch.manual_seed(0)
    x = some(400, 1, 8, 8)
    ada = prepared("ada:p=0.3,pipeline=b,interval=1", spec=IMAGES)
    ada.observe("discriminator", ganzoo.Scores(real=torch.ones(64, dtype=torch.float64)))
    assert ada.report()["p"].item() == pytest.approx(0.3)
    unchanged = (ada.images(x, None) == x).flatten(1).all(1).double().mean().item()
    # no flip, no quarter turn, no shift: each is drawn with probability p and is the identity in 1/2, 1/4, 1/9 of draws
    assert unchanged == pytest.approx((1 - 0.3 / 2) * (1 - 0.3 * 3 / 4) * (1 - 0.3 * 8 / 9), abs=0.06)


def test_the_factors_of_ada_for_colour_and_cutout():
    torch.manual_seed(0)
    x = 0.5 + some(200, 3, 8, 8).sigmoid()
    plain = prepared("ada:p=0,cutout=1", spec=IMAGES).images(x, None)
    assert_close(plain, x, atol=1e-12, rtol=0)
    cut = prepared("ada:p=1,pipeline=b,cutout=0.5", spec=IMAGES).images(x, None)
    some_zero = (cut == 0).flatten(1).any(1).double().mean().item()
    assert some_zero == pytest.approx(0.5, abs=0.1)
    assert (cut == 0).double().mean().item() < 0.25 * 0.6
    seen = []
    for ada in (prepared(named, spec=IMAGES) for named in ("ada:p=1,pipeline=bgc,colour=0", "ada:p=1,pipeline=bg")):
        torch.manual_seed(1)
        seen.append(ada.images(x, None))
    assert_close(*seen, atol=1e-9, rtol=0)


def test_ada_shifts_by_an_eighth_of_the_side_of_what_it_shows():
    """The shift comes after flips and turns: M = F R T, so that (F R)^-1 M shifts by W/8 and H/8 at most."""
    torch.manual_seed(0)
    m = Draw(torch.zeros(4000, 3, 16, 8, dtype=torch.float64), tensor(1.0)).geometry(fine=False)
    shift = (m[:, :, :2].mT @ m[:, :, 2:])[:, :, 0].abs()  # F R is orthogonal
    assert_close(shift.amax(0), tensor([1.0, 2.0], dtype=torch.float64), atol=1e-9, rtol=0)


class Fixed(Draw):
    """A draw in which all transforms happen, and whose normal numbers are given."""

    def normal(self, std):
        return torch.full((self.count,), self.numbers.pop(0), **self.like)


def test_ada_shifts_by_parts_of_pixels_last():
    """M = A S, as in the authors' code (G_inv @ new): another last shift moves M's shift by A times the change."""
    images, maps = torch.zeros(50, 3, 8, 8, dtype=torch.float64), []
    for last in ((0.25, 0.5), (0.5, 0.25)):
        torch.manual_seed(0)
        draw = Fixed(images, tensor(1.0, dtype=torch.float64))
        draw.numbers = [0.3, -0.2, *last]
        maps.append(draw.geometry(fine=True))
    first, second = maps
    assert_close(first[:, :, :2], second[:, :, :2], atol=1e-12, rtol=0)
    change = first[:, :, :2] @ tensor([[0.25 * 8], [-0.25 * 8]], dtype=torch.float64)
    assert_close(second[:, :, 2:] - first[:, :, 2:], change, atol=1e-9, rtol=0)


def test_ada_moves_its_probability_by_the_sign_of_overfitting():
    """64 images, every 4 updates, 500 kimg: 5.12e-4 up where real scores are all positive; never below zero."""
    ada = prepared("ada", spec=IMAGES)
    seen = []
    for sign in (1, 1, -1, -1, -1):
        for _ in range(4):
            ada.observe("discriminator", ganzoo.Scores(real=torch.full((64,), 2.0 * sign, dtype=torch.float64)))
            ada.observe("generator", ganzoo.Scores())
        seen.append(ada.report()["p"].item())
    step = 64 * 4 / 500_000
    assert step == pytest.approx(5.12e-4)
    assert seen == pytest.approx([step, 2 * step, step, 0, 0], abs=1e-9)
    assert ada.report()["r_t"].item() == -1


def test_ada_counts_once_in_four_updates():
    ada = prepared("ada:start=0.5,target=0.5", spec=IMAGES)
    signs = tensor([1.0, 1, 1, -1], dtype=torch.float64)  # mean 0.5: at the target, p stays
    for _ in range(3):
        ada.observe("discriminator", ganzoo.Scores(real=torch.ones(4, dtype=torch.float64)))
        assert ada.module.p.item() == 0.5
    for _ in range(5):
        ada.observe("discriminator", ganzoo.Scores(real=signs))
    assert ada.module.p.item() == pytest.approx(0.5 + 4 * 4 / 500_000, abs=1e-12)


# -- ADA's further transforms ----------------------------------------------------------------------------------------


def test_the_bands_are_those_of_the_second_daubechies_wavelet():
    """With y = sin^2(w / 2) half of the frequencies have the answer h(w) = (1 - y)^2 (1 + 2 y)."""
    filters = _augment.bands()
    assert_close(filters, filters.flip(1), atol=1e-15, rtol=0)
    answers = torch.fft.rfft(torch.nn.functional.pad(filters, (0, 1024 - 43)).roll(-21, 1))
    w = torch.arange(513, dtype=torch.float64) * math.pi / 512

    def half(w):
        y = (w / 2).sin().square()
        return (1 - y).square() * (1 + 2 * y)

    below = [half(w) * half(2 * w) * half(4 * w), half(w) * half(2 * w), half(w), torch.ones_like(w)]
    due = torch.stack([below[0], *(high - low for low, high in itertools.pairwise(below))])
    assert_close(answers.real, due, atol=1e-13, rtol=0)
    assert answers.imag.abs().max() < 1e-13


def test_a_wave_is_multiplied_by_the_gain_of_its_band_in_each_image_of_its_own():
    """A cosine about the middles of the border pixels is even there, so that mirrored borders continue the wave."""
    side = 17
    place = torch.arange(side, dtype=torch.float64)
    constant, fastest = torch.full((side,), 0.7, dtype=torch.float64), torch.cos(math.pi * place)
    wave = (constant[:, None] * fastest).expand(2, 3, side, side)
    gains = tensor([[2.0, 1.0, 1.0, 5.0], [3.0, 1.0, 1.0, 0.5]], dtype=torch.float64)
    seen = _augment.filtered(wave, gains, _augment.bands())
    assert_close(seen[0], 10 * wave[0], atol=1e-12, rtol=0)
    assert_close(seen[1], 1.5 * wave[1], atol=1e-12, rtol=0)
    small = some(2, 1, 4, 6)  # mirrored several times over
    assert_close(
        _augment.filtered(small, torch.ones(2, 4, dtype=torch.float64), _augment.bands()), small, atol=1e-13, rtol=0
    )


def test_gains_keep_the_power_of_natural_images():
    """With p = 1 the bands' gains are 2^N(0, 1), each divided by the root of the power (10, 1, 1, 1) / 13."""
    torch.manual_seed(0)
    images = torch.zeros(500, 1, 8, 8, dtype=torch.float64)
    gains = Draw(images, tensor(1.0, dtype=torch.float64)).gains()
    torch.manual_seed(0)
    drawn = []
    for _ in range(4):
        value = 2.0 ** torch.randn(500, dtype=torch.float64)
        torch.rand(500, dtype=torch.float64)
        drawn.append(value)
    power = [10 / 13, 1 / 13, 1 / 13, 1 / 13]
    total = torch.ones(500, dtype=torch.float64)
    for value, share in zip(drawn, power, strict=True):
        total = total * (share * value.square() + 1 - share).sqrt()
    assert_close(gains, torch.stack(drawn, 1) / total[:, None], atol=1e-12, rtol=1e-12)
    assert_close(Draw(images, tensor(0.0, dtype=torch.float64)).gains(), torch.ones_like(gains), atol=1e-15, rtol=0)


def test_noise_has_the_strength_of_a_draw_a_sample():
    """A share p of images has noise, whose standard deviations are |N(0, 0.1^2)|: 0.0798 in the mean."""
    torch.manual_seed(0)
    ada = prepared("ada:p=1,pipeline=b,noise=0.5", spec=IMAGES)
    images = torch.zeros(4000, 1, 8, 8, dtype=torch.float64)
    std = ada.images(images, None).flatten(1).std(1)
    noisy = std > 0
    assert noisy.double().mean().item() == pytest.approx(0.5, abs=0.03)
    assert std[noisy].mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)


def test_the_whole_pipeline_of_the_authors_lets_gradients_of_gradients_through():
    torch.manual_seed(0)
    ada = prepared("ada:p=0.8,filter=1,noise=1,cutout=1", spec=IMAGES)
    x = some(4, 3, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(ada.images(x, None).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), x)
    assert second.isfinite().all()
    assert second.abs().max() > 0
