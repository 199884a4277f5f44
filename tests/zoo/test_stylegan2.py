"""StyleGAN2's nets: the authors' parameter counts, the modulated convolution, styles, mixing, truncation and noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import ganzoo
from ganzoo.errors import SettingsError
from ganzoo_zoo.architectures.layers.initial_weights import equalised
from ganzoo_zoo.architectures.layers.modulation import MappingNetwork, ModulatedConv

SMALL = "width=6,style=5,mapping=2"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def made(words: str = SMALL, shape: tuple[int, ...] = (3, 16, 16), latent_dim: int = 4, classes: int = 0) -> Any:
    part = ganzoo.part("architecture", f"stylegan2:{words}")
    return part, part.build(ganzoo.Spec(shape=shape, latent_dim=latent_dim, classes=classes))


# The counts of the networks that train.py of github.com/NVlabs/stylegan2-ada-pytorch makes, by --cfg.
@pytest.mark.parametrize(
    ("words", "side", "classes", "generator", "discriminator"),
    [
        ("width=512", 1024, 0, 30_370_060, 29_012_513),  # stylegan2: the paper's config F for FFHQ
        ("width=512,wide_to=32", 256, 0, 24_767_458, 24_001_089),  # paper256
        ("width=512,mapping=2,d_form=plain,conditional=projection", 32, 10, 20_215_315, 23_089_664),  # cifar --cond 1
    ],
)
def test_the_parameter_counts_are_those_of_the_authors_code(
    words: str, side: int, classes: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        nets = made(words, (3, side, side), 512, classes)[1]
    assert [sum(p.numel() for p in net.parameters()) for net in nets] == [generator, discriminator]


@pytest.mark.parametrize("up", [False, True])
def test_modulation_is_the_grouped_convolution_with_weights_per_sample(up: bool) -> None:
    layer = ModulatedConv(3, 5, 3, style=4, up=up).double()
    x, style = torch.randn(2, 3, 6, 6, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    weights = layer.weight[None] * layer.scale(style)[:, None, :, None, None]
    weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    for i in range(2):
        if up:
            due = layer.blur(F.conv_transpose2d(x[i : i + 1], weights[i].transpose(0, 1), stride=2))
        else:
            due = F.conv2d(x[i : i + 1], weights[i], padding=1)
        torch.testing.assert_close(layer(x, style)[i : i + 1], due)


def test_demodulation_keeps_the_deviation_and_the_scale_of_the_style_has_no_effect() -> None:
    layer = ModulatedConv(64, 64, 3, style=4).double()
    x, style = torch.randn(4, 64, 32, 32, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    assert layer(x, style)[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1.0, rel=0.03)
    with torch.no_grad():
        first = layer(x, style)
        layer.scale.parametrizations.weight.original.mul_(3)
        layer.scale.bias.mul_(3)
        torch.testing.assert_close(layer(x, style), first, rtol=1e-6, atol=1e-6)


def test_the_image_layer_does_not_demodulate_and_starts_with_an_equalised_rate() -> None:
    layer = ModulatedConv(400, 3, 1, style=4, demodulate=False)
    assert layer.weight.std().item() == pytest.approx(1 / 20, rel=0.05)
    x, style = torch.randn(2, 400, 3, 3), torch.zeros(2, 4)
    torch.testing.assert_close(layer(x, style), F.conv2d(x, layer.weight))


def test_a_rate_divides_what_is_stored_and_multiplies_what_is_used() -> None:
    layer = equalised(torch.nn.Linear(100, 200), rate=0.01, bias=0.5)
    stored = layer.parametrizations
    torch.testing.assert_close(layer.weight, stored.weight.original * 0.01 / 10)
    torch.testing.assert_close(layer.bias, torch.full((200,), 0.5))
    assert stored.weight.original.std().item() == pytest.approx(100, rel=0.05)


def test_the_mean_of_the_styles_is_tracked_in_training_alone() -> None:
    network = MappingNetwork(4, 0, 3, layers=1, decay=0.9)
    first = network(torch.randn(50, 4)).detach()
    torch.testing.assert_close(network.mean, 0.1 * first.mean(0))
    second = network(torch.randn(50, 4)).detach()
    torch.testing.assert_close(network.mean, 0.09 * first.mean(0) + 0.1 * second.mean(0))
    kept = network.mean.clone()
    network(torch.randn(50, 4), track=False)
    network.eval()
    network(torch.randn(50, 4))
    assert torch.equal(network.mean, kept)


def test_noise_and_label_have_unit_length_before_the_mapping() -> None:
    network = MappingNetwork(4, 3, 5, layers=1).double()
    z, y = torch.randn(2, 4, dtype=torch.float64), torch.tensor([2, 0])
    torch.testing.assert_close(network(z, y), network(3 * z, y), rtol=1e-6, atol=1e-8)


def test_mixing_takes_the_later_layers_from_other_noise() -> None:
    part, nets = made(f"{SMALL},mixing=1")
    batch = ganzoo.Batch(latent=torch.randn(3, 4))
    seen = set()
    for _ in range(40):
        styles = part.styles(nets.generator, batch)
        same = (styles == styles[:, :1]).all(2)
        assert (same == same[:1]).all(), "a batch is mixed from the same layer on"
        kept = int(same[0].sum())
        assert same[0, :kept].all()
        assert (styles[:, kept:] == styles[:, -1:]).all()
        seen.add(kept)
    assert seen == {1, 2, 3, 4, 5}, "of six layers, one to five keep the style of the batch's noise"
    nets.generator.eval()
    assert (part.styles(nets.generator, batch) == part.styles(nets.generator, batch)[:, :1]).all()


def test_truncation_draws_to_the_tracked_mean() -> None:
    part, nets = made()
    nets.generator(torch.randn(64, 4))
    nets.generator.eval()
    batch = ganzoo.Batch(latent=torch.randn(5, 4))
    styles, mean = part.styles(nets.generator, batch), nets.generator.mapping.mean
    torch.testing.assert_close(part.truncate(nets.generator, styles, 0.7), mean + 0.7 * (styles - mean))
    assert torch.equal(part.truncate(nets.generator, styles, 0.0), mean.expand_as(styles))
    for psi in (1.1, -2.0, math.nan):
        with pytest.raises(SettingsError, match="no number from -1 to 1"):
            part.truncate(nets.generator, styles, psi)


def test_a_style_a_sample_serves_all_layers() -> None:
    part, nets = made()
    nets.generator.eval()
    batch = ganzoo.Batch(latent=torch.randn(5, 4))
    styles = part.styles(nets.generator, batch)
    short = part.synthesize(nets.generator, styles[:, 0], batch)
    assert torch.equal(short, part.synthesize(nets.generator, styles, batch))


def test_noise_is_fresh_in_training_and_constant_in_evaluation() -> None:
    _, nets = made(f"{SMALL},mixing=0")
    z = torch.randn(2, 4)
    for name, strength in nets.generator.named_parameters():
        if name.endswith("strength"):
            strength.data.fill_(0.5)
    assert not torch.equal(nets.generator(z), nets.generator(z))
    nets.generator.eval()
    assert torch.equal(nets.generator(z), nets.generator(z))
    assert not [n for n, _ in made(f"{SMALL},noise=none")[1].generator.named_parameters() if n.endswith("strength")]


def test_path_length_is_measured_in_w(experiment: Any) -> None:
    """The penalty differentiates by the styles of every layer, and its gradient reaches the mapping network."""
    run = experiment(
        arch=f"stylegan2:{SMALL},noise=none", data="digits:size=16", regularizers=["path-length"], precision="fp64"
    )
    game, generator = run.game, run.run.generator
    game.begin(0, 0.0)
    s = game.round("generator")
    assert s.styles.shape == (s.fake_images.shape[0], 6, 5)
    torch.manual_seed(3)
    penalty = run.run.parts.regularizers["path-length"].generator_penalty(s)
    torch.manual_seed(3)
    e = torch.randn_like(s.fake_images) / 16
    (slope,) = torch.autograd.grad((s.fake_images * e).sum(), s.styles, retain_graph=True)
    length = slope.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(penalty, 2 * (length - 0.01 * length.mean()).square().mean(), rtol=1e-6, atol=1e-9)
    weight = generator.mapping.layers[0].parametrizations.weight.original
    assert torch.autograd.grad(penalty, weight)[0].any()
