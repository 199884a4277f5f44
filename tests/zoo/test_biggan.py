"""SAGAN and BigGAN: published numbers of parameters, hierarchical noise, conditional norms, and training."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.biggan import BigGAN, Generator, SelfAttentive
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.norms import LinearConditionalNorm
from ganzoo_zoo.architectures.sagan import SAGAN

CLASSES = (BigGAN, SAGAN)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spec(shape: tuple[int, ...] = (3, 32, 32), latent_dim: int = 20, classes: int = 3) -> ganzoo.Spec:
    return ganzoo.Spec(shape=shape, latent_dim=latent_dim, classes=classes)


def counts(part: SelfAttentive, side: int, latent_dim: int, classes: int) -> tuple[int, int]:
    """The numbers of parameters of G and D, without the memory of the weights."""
    with torch.device("meta"):
        nets = part.build(spec((3, side, side), latent_dim, classes))
    g, d = (sum(p.numel() for p in net.parameters()) for net in nets)
    return g, d


class TestPublishedNumbers:
    def test_biggan_at_128(self) -> None:
        """70.4 and 88.0 million: the counts of the authors' code BigGAN-PyTorch with launch_BigGAN_bs256x8.sh."""
        g, d = counts(BigGAN(width=96, attention=(64,)), 128, 120, 1000)
        assert (g, d) == (70_433_988, 87_982_370)

    @pytest.mark.parametrize(
        ("part", "latent_dim", "millions"),
        [
            (BigGAN(width=64, attention=(64,), hierarchical=False, shared=0), 128, 81.5),  # SA-GAN baseline
            (SAGAN(attention=(64,)), 128, 81.5),
            (BigGAN(width=96, attention=(64,), hierarchical=False, shared=0), 128, 173.5),
            (BigGAN(width=96, attention=(64,), hierarchical=False), 120, 160.6),
            (BigGAN(width=96, attention=(64,)), 120, 158.4),
        ],
    )
    def test_table_1_of_the_paper(self, part: SelfAttentive, latent_dim: int, millions: float) -> None:
        """Brock et al. 2019, table 1, column Param: both networks together. The last row says 158.3."""
        assert sum(counts(part, 128, latent_dim, 1000)) / 1e6 == pytest.approx(millions, abs=0.05)

    def test_sagan_at_128(self) -> None:
        """generator_test and discriminator_test of brain-research/self-attention-gan, counted by hand from the code."""
        assert counts(SAGAN(), 128, 128, 1000) == (42_078_852, 39_463_618)

    def test_the_networks_for_cifar(self) -> None:
        """The counts of BigGAN-PyTorch with the options of its script launch_cifar_ema.sh."""
        assert counts(BigGAN(width=64, hierarchical=False, shared=0), 32, 128, 10) == (4_304_387, 4_207_361)


def test_attention_is_where_the_paper_has_it() -> None:
    def sides(part: Any, side: int) -> list[int]:
        return sorted(part._attention("net", spec((3, side, side))))

    assert (sides(SAGAN(), 128), sides(SAGAN(), 32), sides(SAGAN(), 8)) == ([32], [8], [])
    assert (sides(BigGAN(), 128), sides(BigGAN(), 256), sides(BigGAN(), 32)) == ([64], [64], [])
    assert sides(BigGAN(attention=None), 128) == []
    assert ganzoo.part("architecture", "biggan:attention=8,16").attention == (8, 16)  # type: ignore[attr-defined]
    with pytest.raises(
        Incompatible, match="biggan has no maps of side attention=4 in both networks: use some of 8, 16"
    ):
        BigGAN(attention=(4,)).build(spec())


@pytest.mark.parametrize("side", [8, 16, 32, 48, 64, 128])
@pytest.mark.parametrize("cls", CLASSES)
def test_every_size_has_gradients(cls: Any, side: int) -> None:
    part = cls(width=2, attention=(side // 2,) if side > 8 else None)
    nets = part.build(spec((3, side, side)))
    labels = torch.tensor([0, 2, 1])
    images = nets.generator(torch.randn(3, 20), labels)
    assert images.shape == (3, 3, side, side)
    nets.discriminator(images, labels).sum().backward()
    for name, p in [*nets.generator.named_parameters(), *nets.discriminator.named_parameters()]:
        assert p.grad is not None, name
    assert sum(isinstance(m, SelfAttention) for net in nets for m in net.modules()) == (2 if side > 8 else 0)


def test_the_pieces_of_the_noise_sum_to_the_noise() -> None:
    for latent in (20, 21, 23):
        net: Any = BigGAN(width=2).build(spec(latent_dim=latent)).generator
        assert sum(net.pieces) == latent
        assert net.pieces[1:] == [5, 5, 5]
    with pytest.raises(
        Incompatible, match="cuts the noise into 4 pieces for samples of this size, and the noise has 3"
    ):
        BigGAN().build(spec(latent_dim=3))


def test_a_piece_of_the_noise_reaches_its_block_alone() -> None:
    net: Any = BigGAN(width=2).build(spec()).generator.eval()
    z, labels = torch.randn(1, 20), torch.tensor([1])
    seen: list[torch.Tensor] = []
    for block in net.blocks:
        block.register_forward_hook(lambda _m, _in, out: seen.append(out))
    net(z, labels)
    moved = z.clone()
    moved[:, 10:15] += 1.0  # the piece of the second block
    net(moved, labels)
    assert seen[0].equal(seen[3])
    assert not seen[1].equal(seen[4])


def test_the_norm_is_linear_in_its_condition() -> None:
    layer = LinearConditionalNorm(nn.BatchNorm2d(2, affine=False), 2, 3).double()
    x, c = torch.randn(4, 2, 3, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    normal = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    scale, shift = c @ layer.scale.weight.T, c @ layer.shift.weight.T
    torch.testing.assert_close(layer(x, c), normal * (1 + scale)[:, :, None, None] + shift[:, :, None, None])
    for weight in (layer.scale.weight, layer.shift.weight):
        nn.init.zeros_(weight)
    torch.testing.assert_close(layer(x, c), normal)


def test_spectral_norm_leaves_the_shared_embedding() -> None:
    nets = BigGAN(width=2, shared=4).build(spec())
    ganzoo.part("regularizer", "sn:players=both").prepare(nets, None)
    g: Any = nets.generator
    assert isinstance(g, Generator)
    assert torch.nn.utils.parametrize.is_parametrized(g.first)
    assert not torch.nn.utils.parametrize.is_parametrized(g)
    plain = [m for m in nets.discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert plain
    assert all(torch.nn.utils.parametrize.is_parametrized(m) for m in plain)


@pytest.mark.parametrize("initial", ["orthogonal", "normal", "glorot"])
def test_initial_weights(initial: Any) -> None:
    nets = BigGAN(width=8, initial=initial, shared=16).build(spec())
    g: Any = nets.generator
    weight = g.blocks[0].conv2.weight.flatten(1)
    if initial == "orthogonal":
        torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)), atol=1e-4, rtol=0)
        torch.testing.assert_close(g.shared @ g.shared.T, torch.eye(3), atol=1e-4, rtol=0)
    elif initial == "normal":
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert g.shared.std().item() == pytest.approx(0.02, rel=0.5)
    else:
        bound = math.sqrt(6 / (2 * weight.numel() / len(weight)))
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.05)


@pytest.mark.parametrize(
    "options",
    [
        "hierarchical=false,shared=0",
        "hierarchical=false",
        "shared=0",
        "conditional=none",
        "conditional=none,hierarchical=false",
        "conditional=concat",
        "conditional=heads,norm=instance,minibatch_stddev=true",
        "conditional=none,auxiliary=true,upsample=binomial,downsample=binomial",
        "conditional=auto,norm=switchable,d_norm=layer,upsample=pixel-shuffle,downsample=strided",
    ],
)
def test_every_form_trains(experiment: Any, options: str) -> None:
    made = experiment(arch=f"biggan:width=2,{options}", data="digits:size=16", latent_dim=12, regularizers=["sn"])
    for step in range(2):
        made.game.begin(step, 0.0)
        made.run.parts.schedule.step(made.game)
    assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))
    assert made.run.sample(3, truncation=0.5).shape == (3, 1, 16, 16)


@pytest.mark.parametrize("regularizer", ["r1", "wgan-gp", "sn:players=both", "ada:p=0.5", "path-length"])
@pytest.mark.parametrize("precision", ["fp64", "bf16"])
@pytest.mark.parametrize("arch", ["sagan:width=2,attention=8", "biggan:width=2,attention=8"])
def test_penalties_and_precisions(experiment: Any, arch: str, precision: str, regularizer: str) -> None:
    made = experiment(
        arch=arch, data="digits:size=16", latent_dim=12, regularizers=[regularizer], precision=precision, loss="wgan"
    )
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))


@pytest.mark.parametrize("norm", ["none", "pixel", "batch"])
@pytest.mark.parametrize("arch", ["biggan:width=4,shared=4", "sagan:width=4"])
def test_norms_that_take_no_label_are_given_none(arch: str, norm: str) -> None:
    spec = ganzoo.Spec(shape=(1, 16, 16), latent_dim=12, classes=3)
    part = ganzoo.part("architecture", f"{arch},norm={norm}")
    batch = ganzoo.Batch(latent=torch.randn(4, 12), labels=torch.tensor([0, 1, 2, 0]))
    assert part.generate(part.generator(spec), batch).shape == (4, 1, 16, 16)
