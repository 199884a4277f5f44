"""R3GAN's nets: the authors' parameter counts, blocks that start as the identity, the form of the conditional logit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo_zoo.architectures.r3gan import ResidualBlock


def nets(words: str, shape: tuple[int, ...] = (3, 16, 16), latent_dim: int = 6, classes: int = 0) -> ganzoo.Networks:
    torch.manual_seed(0)
    part = ganzoo.part("architecture", f"r3gan:{words}")
    return part.build(ganzoo.Spec(shape=shape, latent_dim=latent_dim, classes=classes))


# The counts of the networks that train.py of github.com/brownvc/R3GAN makes, by preset.
@pytest.mark.parametrize(
    ("words", "side", "classes", "generator", "discriminator"),
    [
        ("width=768", 32, 0, 20_732_160, 20_683_776),  # CIFAR10
        ("width=768,conditional=projection", 32, 10, 20_781_952, 21_280_512),  # CIFAR10 --cond 1
        ("width=768", 256, 0, 23_057_952, 23_009_568),  # FFHQ-256
        ("width=1536,wide_to=64,group=32,conditional=projection", 64, 1000, 103_570_432, 107_205_120),  # ImageNet-64
    ],
)
def test_the_parameter_counts_are_those_of_the_authors_code(
    words: str, side: int, classes: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        made = nets(words, (3, side, side), 64, classes)
    counts = [sum(p.numel() for p in net.parameters()) for net in made]
    assert counts == [generator, discriminator]


def test_every_block_starts_as_the_identity() -> None:
    blocks = [m for net in nets("width=8,group=4") for m in net.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 12
    for block in blocks:
        x = torch.randn(2, 8, 5, 5)
        assert torch.equal(block(x), x)


def test_inner_weights_start_with_the_gain_of_the_whole_depth() -> None:
    """The deviation is sqrt(2 / 1.04) L^(-1/4) / sqrt(fan_in), for L blocks in the network."""
    generator = nets("width=64,group=16,blocks=2").generator
    block = next(m for m in generator.modules() if isinstance(m, ResidualBlock))
    gain = math.sqrt(2 / 1.04) * 6**-0.25
    assert block.layers[0].weight.std().item() == pytest.approx(gain / 8, rel=0.05)
    assert block.layers[2].weight.shape == (128, 16, 3, 3)
    assert block.layers[2].weight.std().item() == pytest.approx(gain / 12, rel=0.05)


def test_the_conditional_logit_is_an_inner_product_with_the_class() -> None:
    discriminator: Any = nets("width=8,conditional=projection", classes=3).discriminator
    x, y = torch.randn(4, 3, 16, 16), torch.tensor([0, 2, 1, 2])
    vector = discriminator.summary(discriminator.maps(x, None)[0])
    torch.testing.assert_close(discriminator(x, y), (vector * discriminator.projection.weight[y]).sum(1))
    nn.init.zeros_(discriminator.projection.weight)
    assert torch.equal(discriminator(x, y), torch.zeros(4))


def test_channels_halve_beyond_the_widest_side() -> None:
    part: Any = ganzoo.part("architecture", "r3gan:width=64,wide_to=16")
    assert part.widths((3, 64, 64)) == [64, 64, 64, 32, 16]


def test_options_that_each_make_the_logit_are_refused() -> None:
    with pytest.raises(ganzoo.errors.BadParameter, match="give one of them"):
        ganzoo.part("architecture", "r3gan:auxiliary=true,joint=true,embedding=3")
