"""Samples of any height and width, sequences and volumes: bases, doublings, and layers in one and three dimensions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import ganzoo
from ganzoo import errors
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.layers import resampling_nd
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import SwitchableNorm, norm
from ganzoo_zoo.architectures.layers.resampling import downsampling, upsampling
from ganzoo_zoo.architectures.options import ladder
from ganzoo_zoo.architectures.resnet import ResNet
from ganzoo_zoo.data._decode import to_size

SHAPES = [(3, 28, 28), (2, 48, 48), (3, 32, 48), (1, 20, 32), (4, 4, 4), (2, 64), (1, 24), (1, 8, 8, 8), (2, 6, 8, 12)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("sides", "base", "doublings"),
    [
        ((8, 8), (4, 4), 1),
        ((256, 256), (4, 4), 6),
        ((28, 28), (7, 7), 2),
        ((48, 48), (3, 3), 4),
        ((96, 96), (3, 3), 5),
        ((64, 96), (4, 6), 4),
        ((80, 128), (5, 8), 4),
        ((512, 32), (32, 2), 4),
        ((16000,), None, None),
        ((16384,), (4,), 12),
        ((24, 24, 24), (3, 3, 3), 3),
    ],
)
def test_the_base_of_a_shape(sides: Any, base: Any, doublings: Any) -> None:
    if base is None:
        with pytest.raises(errors.Incompatible, match=r"set the data's size=16384$"):
            ladder("net", (1, *sides), (1, 2, 3))
        return
    found = ladder("net", (1, *sides), (1, 2, 3))
    assert (found.base, found.doublings) == (base, doublings)
    assert found.sizes[-1] == sides


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cls", [DCGAN, ResNet])
def test_every_shape_has_gradients_and_stated_features(cls: Any, shape: tuple[int, ...]) -> None:
    part = cls(width=4, auxiliary=True, d_norm="layer")
    given = ganzoo.Spec(shape=shape, latent_dim=5, classes=3)
    nets = part.build(given)
    labels = torch.tensor([0, 2, 1])
    batch = ganzoo.Batch(latent=torch.randn(3, 5), labels=labels)
    samples = part.generate(nets.generator, batch)
    assert samples.shape == (3, *shape)
    output = part.judge(nets.discriminator, samples, batch)
    assert [tuple(t.shape[1:]) for t in output["features"]] == list(part.outputs(given)["features"])
    (output["logits"].sum() + output["class_logits"].square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for net in nets for p in net.parameters())


@pytest.mark.parametrize("conditional", ["concat", "projection", "heads"])
@pytest.mark.parametrize("shape", [(2, 32), (1, 8, 8, 8), (3, 12, 16)])
@pytest.mark.parametrize("cls", [DCGAN, ResNet])
def test_labels_attention_and_statistics_in_all_dimensions(cls: Any, shape: Any, conditional: Any) -> None:
    more: dict[str, Any] = {"attention": (8,)} if shape == (2, 32) else {}
    nets = cls(width=4, conditional=conditional, minibatch_stddev=True, equalised=True, **more).build(
        ganzoo.Spec(shape=shape, latent_dim=5, classes=3)
    )
    labels = torch.tensor([0, 2, 1, 1])
    samples = nets.generator(torch.randn(4, 5), labels)
    assert nets.discriminator(samples, labels).shape == (4,)
    found = sum(isinstance(m, SelfAttention) for net in nets for m in net.modules())
    assert found == 2 * len(more)


@pytest.mark.parametrize("dims", [1, 3])
def test_layers_in_other_dimensions_are_the_two_operations_they_name(dims: int) -> None:
    side = (8, 4, 6)[:dims]
    x = torch.randn(2, 3, *side, dtype=torch.float64)
    mean = {1: F.avg_pool1d, 3: F.avg_pool3d}[dims]
    conv = {1: F.conv1d, 3: F.conv3d}[dims]

    up: Any = upsampling("nearest", 3, 4, bias=True, dims=dims).double()
    torch.testing.assert_close(up(x), conv(F.interpolate(x, scale_factor=2), up.weight, up.bias, padding=1))
    down: Any = downsampling("pool", 3, 4, bias=True, dims=dims).double()
    torch.testing.assert_close(down(x), mean(conv(x, down.weight, down.bias, padding=1), 2))

    shuffled: Any = upsampling("pixel-shuffle", 3, 4, bias=True, dims=dims).double()
    initialise(shuffled, nn.init.normal_)
    plain = conv(x, shuffled.weight[:: 2**dims], padding=1)
    torch.testing.assert_close(shuffled(x), F.interpolate(plain, scale_factor=2))  # ICNR: a convolution, then nearest

    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    smooth = resampling_nd._filter(dims, 1.0, x)
    assert smooth.shape == (4,) * dims
    assert smooth.sum().item() == pytest.approx(1)
    torch.testing.assert_close(smooth.flatten(1).sum(1) if dims > 1 else smooth, row)
    for name, factor in (("binomial", 2), ("transposed", 2)):
        assert upsampling(name, 3, 4, bias=False, dims=dims).double()(x).shape == (2, 4, *(factor * s for s in side))
    for name in ("binomial", "strided"):
        assert downsampling(name, 3, 4, bias=False, dims=dims).double()(x).shape == (2, 4, *(s // 2 for s in side))
    ones = torch.ones(1, 3, *(12,) * dims, dtype=torch.float64)
    layer: Any = upsampling("binomial", 3, 1, bias=False, dims=dims).double()
    made = layer(ones)[(0, 0, *(slice(4, -4),) * dims)]
    torch.testing.assert_close(made, torch.full_like(made, layer.weight.sum().item()))  # constant away from the border


class TestSwitchableNorm:
    def stated(self, x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        """The formula of the paper with the statistics of each norm computed on their own."""
        axes = {"instance": (2, 3), "layer": (1, 2, 3), "batch": (0, 2, 3)}
        means = [x.mean(each, keepdim=True) for each in axes.values()]
        variances = [x.var(each, keepdim=True, correction=0) for each in axes.values()]
        mu = sum(a * m for a, m in zip(w.softmax(0), means, strict=True))
        var = sum(a * s for a, s in zip(v.softmax(0), variances, strict=True))
        return (x - mu) / (var + 1e-5).sqrt()

    def test_is_the_mixture_of_three_statistics(self) -> None:
        x = 3 * torch.randn(4, 3, 5, 6, dtype=torch.float64) + 2
        layer = SwitchableNorm(3).double()
        ones = torch.ones(3, dtype=torch.float64)
        torch.testing.assert_close(layer(x), self.stated(x, ones, ones))
        w, v = torch.randn(2, 3, dtype=torch.float64)
        layer.mean_weights.data.copy_(w)
        layer.variance_weights.data.copy_(v)
        torch.testing.assert_close(layer(x), self.stated(x, w, v))

    @pytest.mark.parametrize(("at", "name"), [(0, "instance"), (1, "layer"), (2, "batch")])
    def test_one_large_weight_gives_that_norm(self, at: int, name: Any) -> None:
        x = torch.randn(4, 6, 5, 5, dtype=torch.float64)
        layer, other = SwitchableNorm(6).double(), norm(name, 6).double()
        for weights in (layer.mean_weights, layer.variance_weights):
            weights.data[at] = 1000.0
        torch.testing.assert_close(layer(x), other(x))
        if name == "batch":
            layer.eval()
            other.eval()
            torch.testing.assert_close(layer.running_mean, other.running_mean)  # type: ignore[arg-type]

    def test_classes_have_a_scale_and_a_shift_each(self) -> None:
        layer = norm("switchable", 4, classes=3)
        x = torch.randn(2, 4, 5, 5)
        plain = SwitchableNorm(4)
        torch.testing.assert_close(layer(x, torch.tensor([0, 2])), plain(x))


class TestFolder:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        for i in range(4):
            pixels = np.zeros((40, 90, 3), np.uint8)
            pixels[:, 45:] = 50 * (i + 1)
            Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        return tmp_path

    def test_height_and_width(self, photos: Path) -> None:
        for given, due in (("16x24", (16, 24)), (16, (16, 16)), ("16", (16, 16))):
            data = ganzoo.part("data", "folder", path=str(photos), size=given).dataset()
            assert tuple(data[0][0].shape) == (3, *due)
        data = ganzoo.part("data", "folder", path=str(photos), size="8x12", memory=0.0, cache=str(photos / "c"))
        assert tuple(data.dataset()[1][0].shape) == (3, 8, 12)

    @pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
    def test_the_aspect_ratio(self, resize: Any) -> None:
        image = Image.fromarray(np.full((40, 90), 200, np.uint8))
        made = np.asarray(to_size(image, "20x60", resize))
        assert made.shape == (20, 60)
        shown = made[10] > 100
        # 90x40 has a smaller aspect ratio than 60x20: pad leaves margins at the sides, the others fill the picture
        assert shown.sum() == (45 if resize == "pad" else 60)

    def test_trains_and_samples(self, photos: Path, experiment: Any) -> None:
        made = experiment(arch="dcgan:width=4", data=f"folder:path={photos},size=16x24", batch_size=4)
        made.game.begin(0, 0.0)
        made.run.parts.schedule.step(made.game)
        assert made.run.sample(2).shape == (2, 3, 16, 24)
        assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))

    def test_a_wrong_size_is_one_line(self) -> None:
        with pytest.raises(
            errors.BadParameter, match=r"size=64x is not a whole number >= 1 or HEIGHTxWIDTH, such as 64$"
        ):
            ganzoo.part("data", "folder:path=x,size=64x")
