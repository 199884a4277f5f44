"""The layers of the convolutional nets: norms, resampling, and statistics of a batch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.batch_statistics import MinibatchDiscrimination, MinibatchStddev
from ganzoo_zoo.architectures.layers.norms import norm as make_norm
from ganzoo_zoo.architectures.layers.resampling import DownConv, SubpixelConv, UpConv, upsampling


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# -- norms ------------------------------------------------------------------------------------------------------------


def test_pixel_norm() -> None:
    norm = make_norm("pixel", 2)
    x = torch.tensor([3.0, 4.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    expected = torch.tensor([0.848528, 1.131371], dtype=torch.float64)
    torch.testing.assert_close(norm(x).flatten(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(norm(7 * x), norm(x), rtol=0, atol=1e-8)
    assert norm(torch.zeros(1, 2, 1, 1)).isfinite().all()


@pytest.mark.parametrize(("name", "over"), [("instance", (2, 3)), ("layer", (1, 2, 3)), ("batch", (0, 2, 3))])
def test_norms_are_over_the_dimensions_that_they_say(name: Any, over: tuple[int, ...]) -> None:
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64) * 2 + 1
    norm: Any = make_norm(name, 4).double()
    assert norm.weight.shape == norm.bias.shape == (4,)
    with torch.no_grad():
        norm.weight.normal_(), norm.bias.normal_()
    centred = (x - x.mean(over, keepdim=True)) / (x.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = centred * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["instance", "layer", "pixel"])
def test_per_sample_norms_do_not_mix_samples(name: Any) -> None:
    x = torch.randn(4, 6, 5, 5, dtype=torch.float64)
    other = x.clone()
    other[1:] = torch.randn(3, 6, 5, 5, dtype=torch.float64) * 10
    norm = make_norm(name, 6).double()
    torch.testing.assert_close(norm(x)[0], norm(other)[0], rtol=1e-12, atol=1e-14)
    batch = make_norm("batch", 6).double()
    assert not torch.allclose(batch(x)[0], batch(other)[0])


# -- resampling -------------------------------------------------------------------------------------------------------


def test_nearest_repeats_every_pixel() -> None:
    up = UpConv(1, 1).double()
    with torch.no_grad():
        up.weight.zero_()[0, 0, 1, 1] = 1.0  # the 3x3 kernel that does nothing
        up.bias.zero_()  # type: ignore[union-attr]  # made with a bias
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)[None, None]
    assert up(x).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]
    assert torch.equal(F.avg_pool2d(up(x), 2), x)


def test_upconv_is_nearest_then_convolution_and_downconv_is_convolution_then_pooling() -> None:
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    up, down = UpConv(3, 4).double(), DownConv(3, 4).double()
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), up.weight, up.bias, padding=1)
    torch.testing.assert_close(up(x), plain, rtol=1e-12, atol=1e-12)
    plain = F.avg_pool2d(F.conv2d(x, down.weight, down.bias, padding=1), 2)
    torch.testing.assert_close(down(x), plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["nearest", "transposed", "pixel-shuffle"])
def test_every_upsampling_covers_every_pixel_equally(name: Any) -> None:
    """All-ones kernels on an all-ones image: away from the border, no checkerboard."""
    up: Any = upsampling(name, 1, 1, bias=False)
    nn.init.ones_(up.weight)
    inside = up(torch.ones(1, 1, 8, 8))[..., 2:-2, 2:-2]
    assert inside.unique().numel() == 1


def test_pixel_shuffle_takes_the_four_pixels_from_neighbouring_channels() -> None:
    up = SubpixelConv(1, 3, bias=False)
    with torch.no_grad():
        up.weight.zero_()[:, 0, 1, 1] = torch.arange(12.0)
    pixels = up(torch.ones(1, 1, 1, 1))[0]
    assert pixels.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9], [10, 11]]]


# -- batch statistics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 2])
@pytest.mark.parametrize("values", [(0.0, 0, 2, 2), (1.0, 1, 3, 3)])
def test_minibatch_stddev_groups_by_stride(size: int, values: tuple[float, ...]) -> None:
    x = torch.tensor(values, dtype=torch.float64).reshape(4, 1, 1, 1)
    y = MinibatchStddev(size)(x)
    assert torch.equal(y[:, :1], x)
    torch.testing.assert_close(y[:, 1], torch.ones(4, 1, 1, dtype=torch.float64), rtol=0, atol=1e-8)


def test_minibatch_stddev_of_two_groups_and_of_equal_samples() -> None:
    x = torch.tensor([0.0, 5, 2, 5], dtype=torch.float64).reshape(4, 1, 1, 1).expand(-1, 3, 2, 2)
    plane = MinibatchStddev(2)(x)[:, 3]
    expected = torch.tensor([1.0, 1e-4, 1.0, 1e-4], dtype=torch.float64)  # groups {0, 2} and {1, 3}
    torch.testing.assert_close(plane, expected[:, None, None].expand_as(plane), rtol=1e-7, atol=0)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (2, 2), (3, 3), (5, 1), (6, 3), (7, 1), (8, 4), (9, 3), (10, 2)])
def test_minibatch_stddev_falls_back_to_the_largest_group_that_divides(n: int, size: int) -> None:
    x = torch.randn(n, 2, 3, 3, dtype=torch.float64)
    plane = MinibatchStddev()(x)[:, 2, 0, 0]
    groups = x.reshape(size, n // size, -1)
    expected = (groups.var(0, correction=0) + 1e-8).sqrt().mean(1)
    torch.testing.assert_close(plane, expected.repeat(size))


def minibatch_nearness(values: list[float]) -> Tensor:
    layer = MinibatchDiscrimination(1, 1, dims=1).double()
    nn.init.ones_(layer.project.weight)
    nearness: Tensor = layer(torch.tensor(values, dtype=torch.float64)[:, None])
    return nearness.flatten()


def test_minibatch_discrimination_leaves_out_the_sample_itself() -> None:
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(minibatch_nearness([0.0, math.log(2)]), half, rtol=1e-12, atol=0)
    assert minibatch_nearness([3.0] * 5).tolist() == [4.0] * 5
    assert minibatch_nearness([3.0]).tolist() == [0.0]


def test_minibatch_discrimination_is_the_formula() -> None:
    layer = MinibatchDiscrimination(6, 3, dims=2).double()
    f = torch.randn(4, 6, dtype=torch.float64)
    m = layer.project(f).detach().view(4, 3, 2)
    expected = [
        [sum(math.exp(-float((m[i, b] - m[j, b]).abs().sum())) for j in range(4) if j != i) for b in range(3)]
        for i in range(4)
    ]
    torch.testing.assert_close(layer(f), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)
    lengths = MinibatchDiscrimination(4096, 20).project.weight.norm(dim=1)
    assert (lengths - 1).abs().max() < 0.1
