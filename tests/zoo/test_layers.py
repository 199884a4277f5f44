"""Projection, conditional norms, self-attention, equalised learning rate, smooth resampling: against closed forms."""

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
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.conditioning import ClassProjection
from ganzoo_zoo.architectures.layers.initial_weights import equalise
from ganzoo_zoo.architectures.layers.norms import ConditionalNorm, norm
from ganzoo_zoo.architectures.layers.resampling import BinomialDownConv, BinomialUpConv, UpConv
from ganzoo_zoo.architectures.mlp import MLP
from ganzoo_zoo.architectures.resnet import ResNet

IMAGE_NETS = (DCGAN, ResNet)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spec(shape: tuple[int, ...] = (3, 16, 16), latent_dim: int = 5, **more: Any) -> ganzoo.Spec:
    return ganzoo.Spec(shape=shape, latent_dim=latent_dim, **more)


# -- projection discriminator -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_a_projection_of_zero_is_the_unconditional_discriminator(cls: Any) -> None:
    with_classes = cls(width=4, conditional="projection").build(spec(classes=3)).discriminator
    plain = cls(width=4).build(spec()).discriminator
    projection = with_classes.projection
    assert isinstance(projection, ClassProjection)
    nn.init.zeros_(projection.weight)
    plain.load_state_dict({k: v for k, v in with_classes.state_dict().items() if not k.startswith("projection")})
    x = torch.randn(4, 3, 16, 16)
    assert torch.equal(with_classes(x, torch.tensor([0, 1, 2, 0])), plain(x))


def features_of(discriminator: Any, x: Tensor) -> Tensor:
    """What the inner product is taken with: sum-pooled maps, or the last hidden units."""
    if hasattr(discriminator, "maps"):
        maps: Tensor = discriminator.maps(x, None)[0]
        return maps.sum((2, 3))
    hidden: Tensor = discriminator.layers[:-1](x.flatten(1))
    return hidden


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_two_classes_differ_by_the_inner_product_with_their_difference(cls: Any) -> None:
    discriminator = cls(width=4, conditional="projection").build(spec(classes=3)).discriminator.double()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    one, two = torch.full((4,), 1), torch.full((4,), 2)
    e = discriminator.projection.weight
    expected = features_of(discriminator, x) @ (e[1] - e[2])
    assert expected.abs().min() > 0
    torch.testing.assert_close(discriminator(x, one) - discriminator(x, two), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_only_the_vectors_of_classes_in_the_batch_get_a_gradient(cls: Any) -> None:
    discriminator = cls(width=4, conditional="projection").build(spec(classes=4)).discriminator
    discriminator(torch.randn(3, 3, 16, 16), torch.tensor([2, 0, 2])).sum().backward()
    assert discriminator.projection.weight.grad.ne(0).any(1).tolist() == [True, False, True, False]


def test_the_inner_product_with_averaged_features_where_pooling_is_the_mean() -> None:
    discriminator = ResNet(width=4, conditional="projection", pooling="mean").build(spec(classes=2)).discriminator
    x, y = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    logits = discriminator.head(discriminator.features(x)).squeeze(1)
    product = (discriminator.features(x) * discriminator.projection.weight).sum(1)
    torch.testing.assert_close(discriminator(x, y), logits + product)


def test_spectral_norm_reaches_the_vectors_of_the_classes_and_leaves_the_scales_of_norms() -> None:
    nets = ResNet(width=4, conditional="projection").build(spec(classes=3))
    ganzoo.part("regularizer", "sn:players=both").prepare(nets, spec(classes=3))
    x = torch.randn(2, 3, 16, 16)
    for _ in range(50):
        nets.discriminator(x, torch.tensor([0, 1]))
    assert torch.linalg.matrix_norm(nets.discriminator.projection.weight, 2).item() == pytest.approx(1, abs=1e-4)
    scales = [m.scale for m in nets.generator.modules() if isinstance(m, ConditionalNorm)]
    assert len(scales) == 4
    assert all(s.eq(1).all() for s in scales)


# -- a head per class -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_a_head_per_class_is_a_discriminator_of_its_own_on_shared_features(cls: Any) -> None:
    discriminator = cls(width=4, conditional="heads").build(spec(classes=3)).discriminator
    plain = cls(width=4).build(spec()).discriminator
    x = torch.randn(4, 3, 16, 16)
    state = discriminator.state_dict()
    last = list(state)[-2:] if cls is MLP else ["head.weight", "head.bias"]
    for k in range(3):
        plain.load_state_dict({n: v[k : k + 1] if n in last else v for n, v in state.items()})
        torch.testing.assert_close(discriminator(x, torch.full((4,), k)), plain(x))


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_only_the_heads_of_classes_in_the_batch_get_a_gradient(cls: Any) -> None:
    discriminator = cls(width=4, conditional="heads").build(spec(classes=4)).discriminator
    discriminator(torch.randn(3, 3, 16, 16), torch.tensor([2, 0, 2])).sum().backward()
    head = discriminator.layers[-1] if cls is MLP else discriminator.head
    assert head.weight.grad.flatten(1).ne(0).any(1).tolist() == [True, False, True, False]
    with pytest.raises(TypeError, match="need labels"):
        discriminator(torch.randn(3, 3, 16, 16))


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_auto_is_projection_with_labels_and_none_without(cls: Any) -> None:
    for classes, named in ((3, "projection"), (0, "none")):
        nets, same = (cls(width=4, conditional=each).build(spec(classes=classes)) for each in ("auto", named))
        for net, other in zip(nets, same, strict=True):
            assert {k: v.shape for k, v in net.state_dict().items()} == {
                k: v.shape for k, v in other.state_dict().items()
            }
    assert cls(conditional="auto").classes(0) == 0


def test_a_head_per_class_of_an_encoder_gives_a_vector_per_class() -> None:
    discriminator = MLP(width=4, conditional="heads", embedding=5).build(spec((2,), classes=3)).discriminator
    output = discriminator(torch.randn(2, 2), torch.tensor([2, 0]))
    assert output["embedding"].shape == (2, 5)
    torch.testing.assert_close(output["logits"], output["embedding"].mean(1))


# -- conditional norms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch", "instance", "layer"])
def test_a_conditional_norm_with_equal_rows_is_the_plain_norm(name: Any) -> None:
    plain: Any = norm(name, 4).double()
    layer: Any = norm(name, 4, classes=3).double()
    assert isinstance(layer, ConditionalNorm)
    with torch.no_grad():
        plain.weight.normal_(), plain.bias.normal_()
        layer.scale.copy_(plain.weight.expand(3, -1)), layer.shift.copy_(plain.bias.expand(3, -1))
    x = torch.randn(6, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x, torch.arange(6) % 3), plain(x), rtol=1e-10, atol=1e-12)


def test_a_conditional_norm_starts_as_the_norm_and_scales_by_class() -> None:
    layer: Any = norm("batch", 2, classes=3)
    assert layer.scale.eq(1).all()
    assert layer.shift.eq(0).all()
    with torch.no_grad():
        layer.scale[1] = torch.tensor([2.0, 3.0])
        layer.shift[1] = torch.tensor([0.5, -1.0])
    x, y = torch.randn(4, 2, 3, 3), torch.tensor([0, 1, 2, 1])
    centred = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    expected = centred.clone()
    expected[y == 1] = (
        centred[y == 1] * torch.tensor([2.0, 3.0])[:, None, None] + torch.tensor([0.5, -1])[:, None, None]
    )
    torch.testing.assert_close(layer(x, y), expected)
    with pytest.raises(TypeError, match="need labels"):
        layer(x, None)


@pytest.mark.parametrize("name", ["none", "pixel"])
def test_a_norm_without_a_scale_ignores_classes(name: Any) -> None:
    assert not isinstance(norm(name, 4, classes=3), ConditionalNorm)


@pytest.mark.parametrize(("name", "by_norm"), [("batch", True), ("instance", True), ("none", False), ("pixel", False)])
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_labels_enter_the_generator_by_its_norms_or_beside_the_noise(cls: Any, name: Any, by_norm: bool) -> None:
    part = cls(width=4, norm=name, conditional="projection")
    generator: Any = part.build(spec(classes=3)).generator
    assert generator.layers[0].in_features == (5 if by_norm else 5 + 3)
    found = [m for m in generator.modules() if isinstance(m, ConditionalNorm)]
    assert bool(found) == by_norm
    for m in found:
        nn.init.normal_(m.shift)
    generator.eval()
    same = torch.randn(1, 5).expand(3, -1)
    images = generator(same, torch.arange(3))
    assert (images[0] - images[1]).abs().max() > 1e-6
    with pytest.raises(TypeError, match="need labels"):
        generator(same)


@pytest.mark.parametrize("conditional", ["concat", "projection", "heads"])
@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_every_parameter_of_conditional_nets_learns(cls: Any, conditional: Any) -> None:
    nets = cls(width=4, conditional=conditional).build(spec(classes=2))
    y = torch.tensor([0, 1, 1, 0])
    nets.discriminator(nets.generator(torch.randn(4, 5), y), y).square().sum().backward()
    for net in nets:
        for name, p in net.named_parameters():
            assert p.grad is not None, name
            assert p.grad.any(), name


def test_a_conditional_run_with_projection_trains() -> None:
    with pytest.raises(ValueError, match="give conditional=none"):
        ResNet(auxiliary=True, conditional="projection")
    with pytest.raises(Incompatible, match="use conditional=none"):
        ResNet(conditional="projection").build(spec())


# -- self-attention ---------------------------------------------------------------------------------------------------


def attention(channels: int = 8) -> SelfAttention:
    layer = SelfAttention(channels).double()
    for m in (layer.query, layer.key, layer.value, layer.output):
        nn.init.normal_(m.weight)
    return layer


def test_attention_starts_as_the_identity_and_gamma_moves_along_what_is_attended() -> None:
    layer, x = attention(), torch.randn(2, 8, 4, 4, dtype=torch.float64)
    y = layer(x)
    assert torch.equal(y, x)
    weights = torch.randn_like(x)
    (slope,) = torch.autograd.grad((weights * y).sum(), layer.gamma)
    torch.testing.assert_close(slope, (weights * layer.attended(x)).sum())


def test_attention_is_the_formula_with_pooled_keys() -> None:
    layer, x = attention(16), torch.randn(2, 16, 4, 6, dtype=torch.float64)
    assert (layer.query.out_channels, layer.key.out_channels, layer.value.out_channels) == (2, 2, 8)
    a = layer.weights(x)
    assert a.shape == (2, 24, 6)
    torch.testing.assert_close(a.sum(2), torch.ones(2, 24, dtype=torch.float64))
    q, k, v = (torch.einsum("oc,nchw->nohw", m.weight[:, :, 0, 0], x) for m in (layer.query, layer.key, layer.value))
    k, v = (t.reshape(2, -1, 2, 2, 3, 2).amax((3, 5)) for t in (k, v))
    expected = torch.zeros(2, 8, 4, 6, dtype=torch.float64)
    for i in range(4):
        for j in range(6):
            scores = torch.einsum("nc,nchw->nhw", q[:, :, i, j], k).flatten(1).softmax(1)
            expected[:, :, i, j] = torch.einsum("np,ncp->nc", scores, v.flatten(2))
    expected = torch.einsum("oc,nchw->nohw", layer.output.weight[:, :, 0, 0], expected)
    torch.testing.assert_close(layer.attended(x), expected)


def test_attention_has_a_second_derivative() -> None:
    layer = attention()
    nn.init.constant_(layer.gamma, 0.7)
    x = torch.randn(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(layer, (x,), fast_mode=True)


@pytest.mark.parametrize("penalty", ["r1:gamma=10", "wgan-gp"])
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_penalties_reach_the_weights_of_attention(cls: Any, penalty: str) -> None:
    """The penalty's gradient by the key's weights, against a difference quotient."""
    discriminator = cls(width=8, attention=(8,)).build(spec((1, 16, 16))).discriminator.double()
    with torch.no_grad():
        for p in discriminator.parameters():
            p.normal_(0, 0.3)
    (layer,) = [m for m in discriminator.modules() if isinstance(m, SelfAttention)]
    real, fake = torch.randn(2, 3, 1, 16, 16, dtype=torch.float64)
    part = ganzoo.part("regularizer", penalty)

    def value() -> Tensor:
        torch.manual_seed(0)
        x = real.clone().requires_grad_()
        scores = ganzoo.Scores(real_images=x, fake_images=fake, real=discriminator(x), discriminator=discriminator)
        cost: Tensor = part.discriminator_penalty(scores)
        return cost

    for weight in (layer.gamma, layer.key.weight, layer.query.weight, layer.value.weight, layer.output.weight):
        (slope,) = torch.autograd.grad(value(), weight)
        direction = torch.randn_like(weight)
        with torch.no_grad():
            weight.add_(direction, alpha=1e-6)
        more = value().detach()
        with torch.no_grad():
            weight.sub_(direction, alpha=2e-6)
        less = value().detach()
        with torch.no_grad():
            weight.add_(direction, alpha=1e-6)
        torch.testing.assert_close((slope * direction).sum(), (more - less) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_attention_is_at_maps_of_the_named_side_in_both_nets(cls: Any, side: int) -> None:
    nets = cls(width=4, attention=(side,)).build(spec((3, 32, 32)))
    seen: list[tuple[int, ...]] = []
    for net in nets:
        (layer,) = [m for m in net.modules() if isinstance(m, SelfAttention)]
        layer.register_forward_hook(lambda _m, _in, out: seen.append(tuple(out.shape[2:])))
    nets.discriminator(nets.generator(torch.randn(2, 5)))
    assert seen == [(side, side)] * 2
    plain = cls(width=4).build(spec((3, 32, 32)))
    assert sum(isinstance(m, SelfAttention) for net in plain for m in net.modules()) == 0


@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_an_auxiliary_discriminator_with_attention_returns_what_it_states(cls: Any) -> None:
    part = cls(width=4, attention=(8,), auxiliary=True)
    given = spec((3, 32, 32), classes=part.classes(3))
    output = part.build(given).discriminator(torch.randn(2, 3, 32, 32))
    stated = part.outputs(given)
    assert [tuple(t.shape[1:]) for t in output["features"]] == list(stated["features"])


@pytest.mark.parametrize(("cls", "known"), [(DCGAN, "4, 8"), (ResNet, "8")])
def test_attention_where_there_are_no_maps_is_refused(cls: Any, known: str) -> None:
    with pytest.raises(Incompatible, match=rf"no maps of side attention=16 in both networks: use some of {known}$"):
        cls(attention=(16,)).build(spec())


# -- equalised learning rate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*IMAGE_NETS, MLP])
def test_equalised_weights_are_stored_with_variance_one(cls: Any) -> None:
    nets = cls(width=32, equalised=True, conditional="concat").build(spec(classes=3))
    for net in nets:
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() > 4000:
                stored: Any = layer.parametrizations
                assert stored.weight.original.std().item() == pytest.approx(1, abs=0.05)
                scale = layer.weight.std().item() * math.sqrt(layer.weight[0].numel())
                assert min(abs(scale - 1), abs(scale - math.sqrt(2))) < 0.05


def test_the_gains_are_the_root_of_two_before_an_activation_and_one_at_the_end() -> None:
    nets = DCGAN(width=4, equalised=True, attention=(8,)).build(spec())

    def gain(layer: Any) -> float:
        return float(layer.parametrizations.weight[0].scale * math.sqrt(layer.weight[0].numel()))

    g = [gain(m) for m in nets.generator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    d = [gain(m) for m in nets.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    two = math.sqrt(2)
    assert g == pytest.approx([two, two, 1, 1, 1, 1, 1])  # linear, up-convolution, four of attention, the output
    assert d == pytest.approx([two, 1, 1, 1, 1, two, 1])  # convolution, four of attention, convolution, the head


def test_adam_moves_equalised_weights_by_the_same_share_in_every_layer() -> None:
    net = nn.Sequential(nn.Linear(8, 512), nn.Linear(512, 2))
    equalise(net, lambda _: 1.0)
    before = [m.weight.detach().clone() for m in net]  # type: ignore[union-attr,operator]  # linear layers
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-12)
    net(torch.randn(16, 8)).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        moved = [(m.weight - b).abs().mean() / b.std() for m, b in zip(net, before, strict=True)]  # type: ignore[operator]
    assert [float(m) for m in moved] == pytest.approx([1e-3, 1e-3], rel=0.1)


def test_equalised_pixel_shuffle_still_starts_as_nearest() -> None:
    generator = DCGAN(width=4, upsample="pixel-shuffle", equalised=True).build(spec()).generator
    up: Any = generator.layers[4]
    y = up(torch.randn(2, 8, 5, 5))
    torch.testing.assert_close(y, F.interpolate(y[..., ::2, ::2], scale_factor=2, mode="nearest"))


# -- resampling by [1, 3, 3, 1] ---------------------------------------------------------------------------------------


def identity(layer: Any) -> Any:
    """The layer with the 3x3 kernel that changes nothing."""
    layer = layer.double()
    with torch.no_grad():
        layer.weight.zero_()[range(layer.out_channels), range(layer.in_channels), 1, 1] = 1.0
        layer.bias.zero_()
    return layer


def test_binomial_upsampling_is_zeros_between_pixels_then_the_filter() -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    row = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 4
    spread = torch.zeros(2, 3, 10, 10, dtype=torch.float64)
    spread[..., ::2, ::2] = x
    padded = F.pad(spread, (2, 1, 2, 1)).flatten(0, 1)[:, None]
    filtered = F.conv2d(padded, (row[:, None] * row)[None, None])[:, 0].unflatten(0, (2, 3))
    torch.testing.assert_close(identity(BinomialUpConv(3, 3))(x), filtered, rtol=1e-12, atol=1e-12)


def test_binomial_downsampling_is_the_filter_then_every_second_pixel() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    row = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    filtered = F.conv2d(F.pad(x, (1, 1, 1, 1)).flatten(0, 1)[:, None], (row[:, None] * row)[None, None])
    found = identity(BinomialDownConv(3, 3))(x)
    torch.testing.assert_close(found, filtered[:, 0, ::2, ::2].unflatten(0, (2, 3)), rtol=1e-12, atol=1e-12)


def test_a_constant_stays_constant_inside_under_binomial_resampling() -> None:
    x = torch.full((1, 2, 8, 8), 3.0, dtype=torch.float64)
    up, down = identity(BinomialUpConv(2, 2))(x), identity(BinomialDownConv(2, 2))(x)
    torch.testing.assert_close(up[..., 1:-1, 1:-1], torch.full((1, 2, 14, 14), 3.0, dtype=torch.float64))
    torch.testing.assert_close(down[..., 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0, dtype=torch.float64))
    assert up[0, 0, 0, 0] < 3
    # An edge between two halves is a ramp 0.75, 0.25: smoother than the step of nearest neighbours.
    edge = torch.cat([torch.ones(1, 1, 8, 4), torch.zeros(1, 1, 8, 4)], 3).double()
    assert identity(BinomialUpConv(1, 1))(edge)[0, 0, 8, 6:10].tolist() == [1.0, 0.75, 0.25, 0.0]


@pytest.mark.parametrize("downsample", ["strided", "pool", "binomial"])
@pytest.mark.parametrize("upsample", ["nearest", "binomial"])
@pytest.mark.parametrize("cls", IMAGE_NETS)
def test_every_resampling_builds_and_learns(cls: Any, upsample: Any, downsample: Any) -> None:
    nets = cls(width=4, upsample=upsample, downsample=downsample).build(spec())
    images = nets.generator(torch.randn(2, 5))
    assert images.shape == (2, 3, 16, 16)
    nets.discriminator(images).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for net in nets for p in net.parameters())
    per_sample = torch.cat([nets.discriminator(one[None]) for one in images])
    torch.testing.assert_close(nets.discriminator(images), per_sample, rtol=1e-4, atol=1e-5)


# -- exports ----------------------------------------------------------------------------------------------------------


def test_the_folded_kernel_of_upconv_is_the_sum_over_windows() -> None:
    up = UpConv(2, 3)
    old = F.avg_pool2d(up.weight.flip(2, 3), 2, stride=1, padding=1, divisor_override=1)
    assert torch.equal(4 * F.avg_pool2d(up.weight.flip(2, 3), 2, stride=1, padding=1), old)


# -- minibatch discrimination -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_minibatch_discrimination_does_not_start_saturated(seed: int) -> None:
    torch.manual_seed(seed)
    discriminator = DCGAN(minibatch_discrimination=100).build(spec((1, 16, 16))).discriminator
    with torch.no_grad():
        logits = discriminator(2 * torch.rand(64, 1, 16, 16) - 1)
        nearness = nn.functional.linear(torch.full((1, 100), 63.0), discriminator.nearness_head.weight)
    assert logits.abs().max() < 3  # the sum over 100 kernels, each less than 4 from its constant of 63
    assert logits.abs().mean() < 0.2 * nearness.abs() + 0.2


def test_the_logit_of_minibatch_discrimination_is_that_of_the_plain_net_where_all_samples_are_equal() -> None:
    more = DCGAN(width=4, minibatch_discrimination=3).build(spec()).discriminator
    plain = DCGAN(width=4).build(spec()).discriminator
    plain.load_state_dict({k: v for k, v in more.state_dict().items() if not k.startswith("nearness")})
    for count in (1, 5):
        same = torch.randn(1, 3, 16, 16).expand(count, -1, -1, -1)
        torch.testing.assert_close(more(same), plain(same))
