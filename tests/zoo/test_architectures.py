"""The nets that ship with ganzoo: shapes, counts, layers against closed forms, and what training asks of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.layers.conditioning import concat_labels
from ganzoo_zoo.architectures.layers.resampling import SubpixelConv, UpConv
from ganzoo_zoo.architectures.mlp import MLP
from ganzoo_zoo.architectures.residual import DownBlock, pooled
from ganzoo_zoo.architectures.resnet import ResNet

NORMS = ("none", "batch", "instance", "layer", "pixel")
PER_SAMPLE = ("none", "instance", "layer", "pixel")
UPSAMPLES = ("nearest", "transposed", "pixel-shuffle")
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)
IMAGE_NETS = (DCGAN, ResNet)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spec(shape: tuple[int, ...] = (3, 8, 8), latent_dim: int = 5, **more: Any) -> ganzoo.Spec:
    return ganzoo.Spec(shape=shape, latent_dim=latent_dim, **more)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def gradient_of_scores(discriminator: nn.Module, images: Tensor) -> Tensor:
    images = images.detach().requires_grad_()
    return torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)[0]


# -- whole nets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_every_resolution(cls: Any, size: int, channels: int) -> None:
    shape = (channels, size, size)
    nets = cls(width=2).build(spec(shape))
    images = nets.generator(torch.randn(2, 5))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    assert images.std() > 0
    assert nets.discriminator(images).shape == (2,)


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_every_option_builds_and_learns(cls: Any, norm: Any, upsample: Any) -> None:
    nets = cls(width=4, norm=norm, d_norm=norm, upsample=upsample).build(spec((2, 16, 16)))
    loss = nets.discriminator(nets.generator(torch.randn(4, 5))).square().sum()
    loss.backward()
    for net in nets:
        for name, p in net.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name


@pytest.mark.parametrize("shape", [(), (2,), (7, 3), (1, 8, 8), (2, 3, 4, 5)])
@pytest.mark.parametrize("activation", ["relu", "leaky-relu", "elu", "silu", "tanh"])
def test_mlp_takes_any_shape(shape: tuple[int, ...], activation: Any) -> None:
    nets = MLP(width=16, activation=activation).build(spec(shape))
    samples = nets.generator(1000 * torch.randn(6, 5))
    assert samples.shape == (6, *shape)
    assert nets.discriminator(samples).shape == (6,)
    assert bool(samples.abs().max() <= 1) == (len(shape) == 3 or activation == "tanh")


@pytest.mark.parametrize(("depth", "g", "d"), [(0, 5 * 2 + 2, 3), (2, 6 * 4 + 5 * 4 + 5 * 2, 3 * 4 + 5 * 4 + 5)])
def test_mlp_counts(depth: int, g: int, d: int) -> None:
    nets = MLP(width=4, depth=depth).build(spec((2,)))
    assert (count(nets.generator), count(nets.discriminator)) == (g, d)


def test_the_classic_dcgan_has_the_published_number_of_parameters() -> None:
    nets = DCGAN(d_norm="batch", upsample="transposed").build(spec((3, 64, 64), 100))
    assert count(nets.generator) == 3_576_704
    assert count(nets.discriminator) == 2_765_568


def test_dcgan_norms_are_neither_on_the_output_of_g_nor_on_the_ends_of_d() -> None:
    nets = DCGAN(width=2, d_norm="batch").build(spec((3, 32, 32)))
    in_g = [type(m).__name__ for m in nets.generator.modules() if isinstance(m, nn.BatchNorm2d | nn.Conv2d)]
    in_d = [type(m).__name__ for m in nets.discriminator.modules() if isinstance(m, nn.BatchNorm2d | nn.Conv2d)]
    assert in_g == ["BatchNorm2d", "UpConv"] * 3
    assert in_d == ["Conv2d", "Conv2d", "BatchNorm2d", "Conv2d", "BatchNorm2d", "Conv2d"]


def test_dcgan_initial_weights() -> None:
    nets = DCGAN(d_norm="none").build(spec((3, 64, 64), 100))
    for net in nets:
        for layer in net.modules():
            if isinstance(layer, WEIGHTED):
                n = layer.weight.numel()
                assert abs(layer.weight.std().item() / 0.02 - 1) < 5 / math.sqrt(2 * n)
                assert abs(layer.weight.mean().item()) < 5 * 0.02 / math.sqrt(n)
                assert layer.bias is None or not layer.bias.any()
    scales = torch.cat([m.weight.detach() for m in nets.generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert abs(scales.mean().item() - 1) < 0.01
    assert abs(scales.std().item() - 0.02) < 0.005


def test_resnet_at_32_is_the_cifar_net() -> None:
    nets = ResNet().build(spec((3, 32, 32), 128))
    g = [(m.in_channels, m.out_channels) for m in nets.generator.modules() if isinstance(m, UpConv)]
    assert g == [(256, 256)] * 3
    halve = [any(isinstance(m, nn.AvgPool2d) for m in b.modules()) for b in nets.discriminator.layers[:-1]]
    assert halve == [True, True, False, False]
    assert nets.discriminator.features(torch.zeros(1, 3, 32, 32)).shape == (1, 128)
    # conv3 + conv3 + conv1 for the two halving blocks, conv3 + conv3 for the two flat ones, and the linear layer
    weighted = [name for name, m in nets.discriminator.named_modules() if isinstance(m, WEIGHTED)]
    assert len(weighted) == 3 + 3 + 2 + 2 + 1
    conv3, conv1 = 128 * 128 * 9 + 128, 128 * 128 + 128
    first = 3 * 128 * 9 + 128 + conv3 + 3 * 128 + 128
    assert count(nets.discriminator) == first + (2 * conv3 + conv1) + 4 * conv3 + 129
    block = 2 * (256 * 256 * 9 + 256) + 256 * 256 + 256 + 4 * 256
    assert count(nets.generator) == (128 + 1) * 4096 + 3 * block + 2 * 256 + 256 * 27 + 3


@pytest.mark.parametrize(
    ("words", "classes", "g", "d"),
    [
        ("resnet", 0, 4_276_739, 1_053_824),
        ("resnet:conditional=projection", 10, 4_304_387, 1_055_104),
    ],
)
def test_resnet_has_the_number_of_parameters_of_sngans_code(words: str, classes: int, g: int, d: int) -> None:
    """gen_models/resnet_32.py and dis_models/snresnet_32.py of pfnet-research/sngan_projection, counted by hand."""
    with torch.device("meta"):
        nets = ganzoo.part("architecture", words).build(spec((3, 32, 32), 128, classes=classes))
    bias = 1  # the last layer of D has none in the authors' code
    assert (count(nets.generator), count(nets.discriminator)) == (g, d + bias)


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_all_weights_are_in_plain_layers(cls: Any) -> None:
    """So that spectral normalisation reaches every one of them."""
    more = {} if cls is MLP else {"width": 2}
    nets = cls(conditional="concat", **more).build(spec(classes=3))
    held = {id(p) for m in nets.discriminator.modules() if isinstance(m, WEIGHTED) for p in m.parameters()}
    assert held == {id(p) for p in nets.discriminator.parameters()}
    for layer in [m for m in nets.discriminator.modules() if isinstance(m, WEIGHTED)]:
        torch.nn.utils.parametrizations.spectral_norm(layer)
    assert nets.discriminator(torch.randn(2, 3, 8, 8), torch.tensor([0, 2])).shape == (2,)


def test_resnet_large_maps_are_narrowed() -> None:
    nets = ResNet(width=16).build(spec((1, 256, 256)))
    up = [m.out_channels for m in nets.generator.modules() if isinstance(m, UpConv)]
    down = [b.branch[-1].out_channels for b in nets.discriminator.layers[:-1]]
    assert up == [32, 32, 32, 16, 8, 4]
    assert down == [4, 8, 16, 16, 16, 16, 16]


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
@pytest.mark.parametrize("conditional", ["none", "concat", "projection"])
def test_state_goes_to_another_net_and_back(cls: Any, conditional: Any) -> None:
    part = cls(width=4, conditional=conditional)
    one, other = part.build(spec(classes=3)), part.build(spec(classes=3))
    z, y = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    one.generator(z, y)  # moves batch norm's buffers
    for a, b in zip(one, other, strict=True):
        b.load_state_dict(a.state_dict())
        a.eval(), b.eval()
    images = one.generator(z, y)
    assert torch.equal(images, other.generator(z, y))
    assert torch.equal(one.discriminator(images, y), other.discriminator(images, y))


# -- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_conditional_nets_react_to_the_label(cls: Any) -> None:
    part = cls(width=4, conditional="concat")
    assert part.classes(3) == 3
    nets = part.build(spec(classes=part.classes(3)))
    batch = ganzoo.Batch(latent=torch.randn(1, 5).expand(3, -1), labels=torch.arange(3))
    nets.generator.eval()
    images = part.generate(nets.generator, batch)
    assert (images[0] - images[1]).abs().max() > 1e-6
    assert (images[1] - images[2]).abs().max() > 1e-6
    same = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    scores = part.judge(nets.discriminator, same, ganzoo.Batch(images=same, labels=torch.arange(3)))
    assert scores.unique().numel() == 3
    with pytest.raises(TypeError, match="need labels"):
        nets.generator(torch.randn(1, 5))


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_unconditional_nets_are_given_no_labels(cls: Any) -> None:
    part = cls(width=4)
    assert part.classes(10) == 0
    assert count(part.build(spec(classes=10)).generator) == count(part.build(spec()).generator)


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_conditional_without_labels_is_refused(cls: Any) -> None:
    with pytest.raises(Incompatible, match=r"need labels, and this data has none: use conditional=none"):
        cls(conditional="concat").classes(0)


def test_labels_become_one_hot_planes() -> None:
    x = torch.zeros(2, 1, 2, 3)
    planes = concat_labels(x, torch.tensor([2, 0]), 3)
    assert planes.shape == (2, 4, 2, 3)
    assert torch.equal(planes[:, :, 1, 2], torch.tensor([[0.0, 0, 0, 1], [0, 1, 0, 0]]))
    assert torch.equal(planes, planes[:, :, :1, :1].expand_as(planes))
    vectors = concat_labels(torch.zeros(2, 1), torch.tensor([2, 0]), 3)
    assert vectors.tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]


# -- wrong shapes -----------------------------------------------------------------------------------------------------

BASES = "whose sides are a small base (2 to 7) times a power of two, and this data gives"
WRONG = [
    ((2,), "sequences or images or volumes, and this data gives samples of shape (2,): use --arch mlp"),
    ((1, 2, 2), f"images {BASES} 1x2x2: set the data's size=4"),
    ((3, 218, 178), f"images {BASES} 3x218x178: set the data's size=224x192"),
    ((3, 50, 50), f"images {BASES} 3x50x50: set the data's size=48"),
    ((2, 100), f"sequences {BASES} 2x100: set the data's size=96"),
    ((1, 9, 8, 8), f"volumes {BASES} 1x9x8x8: set the data's size=8"),
]


@pytest.mark.parametrize(("shape", "end"), WRONG)
@pytest.mark.parametrize(("cls", "name"), [(DCGAN, "dcgan"), (ResNet, "resnet")])
def test_wrong_shapes_are_refused_in_one_line(cls: Any, name: str, shape: tuple[int, ...], end: str) -> None:
    with pytest.raises(Incompatible) as error:
        cls().build(spec(shape))
    assert str(error.value) == f"{name} makes {end}"


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_a_condition_is_refused(cls: Any) -> None:
    with pytest.raises(Incompatible, match=r"gives condition of shape \(1, 8, 8\): use an architecture"):
        cls().build(spec(inputs={"condition": ganzoo.TensorSpec((1, 8, 8))}))


# -- what training asks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d_norm", PER_SAMPLE)
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_scores_of_one_sample_do_not_depend_on_the_others(cls: Any, d_norm: Any) -> None:
    discriminator = cls(width=4, d_norm=d_norm).build(spec((3, 16, 16))).discriminator.double()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    alone = torch.cat([discriminator(one[None]) for one in x])
    torch.testing.assert_close(discriminator(x), alone, rtol=1e-9, atol=1e-12)
    gradient = torch.autograd.functional.jacobian(discriminator, x)
    assert all(not gradient[i, j].any() for i in range(4) for j in range(4) if i != j)


@pytest.mark.parametrize("d_norm", NORMS)
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_a_gradient_penalty_reaches_every_weight_and_is_finite(cls: Any, d_norm: Any) -> None:
    discriminator = cls(width=4, d_norm=d_norm).build(spec((1, 16, 16))).discriminator
    x = torch.randn(4, 1, 16, 16)
    penalty = gradient_of_scores(discriminator, x).square().sum((1, 2, 3)).mean()
    penalty.backward()
    for name, p in discriminator.named_parameters():
        if p.ndim > 1:
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            assert p.grad.any(), name


@pytest.mark.parametrize(
    "part",
    [
        MLP(width=3, depth=1, activation="silu"),
        MLP(width=3, depth=1),
        DCGAN(width=2),
        DCGAN(width=2, d_norm="layer"),
        DCGAN(width=2, d_norm="instance"),
        DCGAN(width=2, d_norm="pixel"),
        DCGAN(width=2, minibatch_stddev=True, minibatch_discrimination=2),
        ResNet(width=2),
        ResNet(width=2, d_norm="layer"),
    ],
    ids=repr,
)
def test_second_derivatives(part: Any) -> None:
    shape = (2,) if isinstance(part, MLP) else (1, 8, 8)
    discriminator = part.build(spec(shape)).discriminator.double()
    with torch.no_grad():
        for p in discriminator.parameters():
            p.normal_(0, 0.3)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(discriminator, (x,), fast_mode=True)
    names, values = zip(*discriminator.named_parameters(), strict=True)
    call = torch.func.functional_call

    def penalty(*weights: Tensor) -> Tensor:
        named = dict(zip(names, weights, strict=True))
        gradient: Tensor = torch.func.grad(lambda images: call(discriminator, named, (images,)).sum())(x.detach())
        return gradient.square().sum()

    assert penalty(*values) > 1e-5
    assert torch.autograd.gradcheck(penalty, values, fast_mode=True)


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_channels_last_and_float64_say_the_same(cls: Any, upsample: Any) -> None:
    nets = cls(width=4, upsample=upsample).build(spec((3, 16, 16)))
    z = torch.randn(4, 5)
    images = nets.generator(z)
    scores = nets.discriminator(images)
    for net in nets:
        net.to(memory_format=torch.channels_last)
    last = nets.generator(z).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last.contiguous(), images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(nets.discriminator(last), scores, rtol=1e-4, atol=1e-4)
    for net in nets:
        net.double()
    torch.testing.assert_close(nets.generator(z.double()).float(), images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(nets.discriminator(images.double()).float(), scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_bfloat16_autocast(cls: Any, norm: Any) -> None:
    more = {"minibatch_stddev": True, "minibatch_discrimination": 3} if cls is DCGAN else {}
    nets = cls(width=4, norm=norm, d_norm=norm, **more).build(spec((3, 16, 16)))
    images = torch.randn(4, 3, 16, 16)
    exact = nets.discriminator(images).detach()
    with torch.autocast("cpu", torch.bfloat16):
        assert nets.generator(torch.randn(4, 5)).isfinite().all()
        scores = nets.discriminator(images)
        penalty = gradient_of_scores(nets.discriminator, images).square().sum()
    penalty.backward()
    torch.testing.assert_close(scores.float(), exact, rtol=0.1, atol=0.1 * float(exact.abs().max()) + 1e-3)
    assert all(p.grad.isfinite().all() for p in nets.discriminator.parameters() if p.grad is not None)


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_nothing_in_a_pass_waits_for_a_number(cls: Any) -> None:
    """On the meta device no tensor has a value: reading one (``.item()``, ``bool``) would raise."""
    more = {"minibatch_stddev": True, "minibatch_discrimination": 2} if cls is DCGAN else {}
    with torch.device("meta"):
        nets = cls(width=4, conditional="concat", **more).build(spec((3, 16, 16), classes=3))
        y = torch.zeros(4, dtype=torch.long)
        images = nets.generator(torch.zeros(4, 5), y)
        nets.discriminator(images, y).sum().backward()
    assert images.shape == (4, 3, 16, 16)
    assert all(p.grad is not None for net in nets for p in net.parameters())


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_per_sample_gradients_by_vmap(cls: Any) -> None:
    discriminator = cls(width=4).build(spec()).discriminator
    x = torch.randn(3, 3, 8, 8)
    each = torch.func.vmap(torch.func.grad(lambda one: discriminator(one[None]).sum()))(x)
    torch.testing.assert_close(each, gradient_of_scores(discriminator, x).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_instance_norm_never_meets_a_map_of_one_pixel(cls: Any) -> None:
    seen: list[torch.Size] = []
    for size in (8, 64):
        nets = cls(width=2, norm="instance", d_norm="instance").build(spec((1, size, size)))
        for net in nets:
            for m in net.modules():
                if isinstance(m, nn.GroupNorm):
                    m.register_forward_hook(lambda _m, _in, out: seen.append(out.shape))
        nets.discriminator(nets.generator(torch.randn(1, 5)))
    assert seen
    assert min(min(shape[2:]) for shape in seen) == 4


@pytest.mark.parametrize("more", [{"minibatch_stddev": True}, {"minibatch_discrimination": 4}])
def test_batch_statistics_let_the_discriminator_see_collapse(more: Any) -> None:
    discriminator = DCGAN(width=8, **more).build(spec((1, 16, 16))).discriminator.double()
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    collapsed = x[:1].expand(4, -1, -1, -1)
    assert (discriminator(collapsed)[0] - discriminator(x)[0]).abs() > 1e-6
    plain = count(DCGAN(width=8).build(spec((1, 16, 16))).discriminator)
    added = 16 if "minibatch_stddev" in more else 16 * 16 * 4 * 5 + 4
    assert count(discriminator) == plain + added


@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_icnr_starts_as_convolution_then_nearest(cls: Any) -> None:
    generator = cls(width=4, upsample="pixel-shuffle").build(spec((3, 16, 16))).generator
    found = [m for m in generator.modules() if isinstance(m, SubpixelConv)]
    assert len(found) == 2
    for up in found:
        y = up(torch.randn(2, up.in_channels, 5, 5))
        assert y.std() > 0
        torch.testing.assert_close(y, F.interpolate(y[..., ::2, ::2], scale_factor=2, mode="nearest"))
        assert up.weight[::4].unique().numel() == up.weight.numel() // 4  # equal only within a group of four


# -- residual nets ----------------------------------------------------------------------------------------------------


def test_sum_pooling_counts_tiles_and_mean_pooling_does_not() -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    tiled = maps.repeat(1, 1, 2, 2)
    torch.testing.assert_close(pooled(tiled, "sum"), 4 * pooled(maps, "sum"))
    torch.testing.assert_close(pooled(tiled, "mean"), pooled(maps, "mean"))


def test_pooling_is_the_parameter() -> None:
    x = torch.randn(2, 3, 32, 32)
    summed, averaged = (ResNet(width=4, pooling=p).build(spec((3, 32, 32))).discriminator for p in ("sum", "mean"))
    averaged.load_state_dict(summed.state_dict())
    torch.testing.assert_close(summed.features(x), 64 * averaged.features(x))


def test_the_first_block_sees_negative_pixels() -> None:
    discriminator = ResNet(width=4).build(spec((1, 16, 16))).discriminator
    first: Any = discriminator.layers[0]
    dark = -torch.rand(2, 1, 16, 16) - 0.1
    assert not any(isinstance(m, nn.ReLU) for m in first.branch[:1])
    changed = (first.branch(dark) - first.branch(2 * dark)).abs().amax((1, 2, 3))
    assert (changed > 1e-4).all()
    second: Any = discriminator.layers[1]
    hidden = -torch.rand(2, 4, 8, 8)
    assert torch.equal(second.branch(hidden), second.branch(2 * hidden))  # pre-activated, as all others


@pytest.mark.parametrize("halve", [False, True])
def test_down_block_is_the_formula(halve: bool) -> None:
    block = DownBlock(3, 5, "none", halve=halve).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    conv1, conv2 = (m for m in block.branch if isinstance(m, nn.Conv2d))
    shortcut = block.shortcut[-1]
    assert isinstance(shortcut, nn.Conv2d)
    h = F.conv2d(F.relu(conv1(F.relu(x))), conv2.weight, conv2.bias, padding=1) + shortcut(x)
    torch.testing.assert_close(block(x), F.avg_pool2d(h, 2) if halve else h, rtol=1e-10, atol=1e-12)


def test_up_block_is_the_formula() -> None:
    generator = ResNet(width=2, norm="none").build(spec((1, 8, 8))).generator.double()
    block: Any = generator.layers[2]
    x = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    up, conv = (m for m in block.branch if isinstance(m, nn.Conv2d))
    twice = F.interpolate(F.relu(x), scale_factor=2, mode="nearest")
    h = conv(F.relu(F.conv2d(twice, up.weight, up.bias, padding=1)))
    expected = h + block.shortcut[0](F.interpolate(x, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)


def test_resnet_initial_weights_are_glorot() -> None:
    nets = ResNet(width=32).build(spec((3, 32, 32)))
    for net in nets:
        for name, layer in net.named_modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 1000:
                fan = (layer.in_channels + layer.out_channels) * layer.kernel_size[0] ** 2
                gain = 2.0 if ".branch." in name else 1.0
                assert abs(layer.weight.var().item() / (gain * 2 / fan) - 1) < 0.1, name


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_every_parameter_is_described(cls: Any) -> None:
    from ganzoo import words

    for parameter in words.parameters(cls).values():
        assert parameter.meaning, parameter.name
    doc = words.sections(cls.__doc__ or "")
    assert doc.summary
    assert {"Formula", "Raises", "Source"} <= doc.sections.keys()


def test_parameters_are_validated() -> None:
    from ganzoo import words
    from ganzoo.errors import BadParameter

    part = words.make(
        DCGAN, "architecture dcgan", {"width": "32", "upsample": "pixel-shuffle", "conditional": "concat"}
    )
    assert (part.width, part.upsample, part.conditional) == (32, "pixel-shuffle", "concat")
    for wrong in ({"width": "0"}, {"norm": "btach"}, {"minibatch_discrimination": "-1"}):
        with pytest.raises(BadParameter):
            words.make(DCGAN, "architecture dcgan", wrong)
