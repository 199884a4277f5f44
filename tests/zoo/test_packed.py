"""Discriminators of packs of samples, and the perceptrons of PacGAN's experiments."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import errors
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.mlp import MLP, Maxout
from ganzoo_zoo.architectures.packed import Packed
from ganzoo_zoo.architectures.pggan import PGGAN


def spec(shape: tuple[int, ...] = (2,), **more: Any) -> ganzoo.Spec:
    return ganzoo.Spec(shape=shape, latent_dim=4, **more)


def judged(part: ganzoo.Architecture, net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = part.judge(net, x, ganzoo.Batch(images=x))
    return logits


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_neighbours_are_judged_together() -> None:
    part = Packed(of=MLP(width=8), samples=3)
    net = part.build(spec()).discriminator
    x = torch.randn(6, 2)
    inner = MLP(width=8).judge(net.inner, x.reshape(2, 6), ganzoo.Batch(images=x.reshape(2, 6)))  # type: ignore[arg-type]
    torch.testing.assert_close(judged(part, net, x), inner.repeat_interleave(3))


def test_the_first_samples_fill_the_last_pack() -> None:
    part = Packed(of=MLP(width=8), samples=3)
    net = part.build(spec()).discriminator
    x = torch.randn(4, 2)
    whole = judged(part, net, torch.cat([x, x[:2]]))
    torch.testing.assert_close(judged(part, net, x), whole[:4])
    alone = judged(part, net, x[:1])  # fewer samples than a pack has
    torch.testing.assert_close(alone, judged(part, net, x[[0, 0, 0]])[:1])


def test_images_are_joined_along_their_channels() -> None:
    part = Packed(of=DCGAN(width=4), samples=2)
    net = part.build(spec((3, 16, 16))).discriminator
    first = next(iter(net.parameters()))
    assert first.shape[1] == 6
    assert judged(part, net, torch.randn(4, 3, 16, 16)).shape == (4,)


def test_one_sample_is_the_inner_discriminator() -> None:
    part = Packed(of=MLP(width=8), samples=1)
    net = part.build(spec()).discriminator
    x = torch.randn(5, 2)
    torch.testing.assert_close(judged(part, net, x), judged(MLP(width=8), net.inner, x))  # type: ignore[arg-type]


def test_a_recipe_trains_with_packs(experiment: Any) -> None:
    made = experiment(
        arch="mlp:width=16,norm=batch,activation=relu",
        d_arch="packed:of=mlp,width=8,activation=maxout",
        data="ring",
        batch_size=9,
    )
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))


def test_penalties_per_sample_are_refused(experiment: Any) -> None:
    with pytest.raises(errors.Incompatible, match="r1 takes a gradient per sample, and Packs in the discriminator"):
        experiment(d_arch="packed:of=mlp", regularizers=["r1"], data="ring", arch="mlp")


@pytest.mark.parametrize(
    ("part", "given", "message"),
    [
        (Packed(of=PGGAN()), {"shape": (3, 16, 16)}, "packed wraps a discriminator of one size, and PGGAN grows"),
        (Packed(of=MLP(conditional="concat")), {"classes": 3}, "packed judges samples of several classes together"),
    ],
)
def test_what_cannot_be(part: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Incompatible, match=message):
        part.discriminator(spec(**given))


def test_a_pack_has_no_code() -> None:
    part = Packed(of=MLP(embedding=3))
    net = part.build(spec()).discriminator
    with pytest.raises(errors.Incompatible, match="packed judges several samples together and encodes no single one"):
        part.encode(net, torch.randn(2, 2), ganzoo.Batch(images=torch.randn(2, 2)))


def test_the_wrapper_has_the_whole_contract() -> None:
    """A method that the contract gains must be sent to the inner architecture."""
    contract = {name for name in vars(ganzoo.Architecture) if not name.startswith("_")} - {"kind", "build"}
    assert not [name for name in contract if getattr(Packed, name) is getattr(ganzoo.Architecture, name)]


def test_maxout_takes_the_largest_of_five_maps() -> None:
    net = MLP(width=3, depth=1, activation="maxout").discriminator(spec())
    first, unit, last = net.layers  # type: ignore[misc]
    assert isinstance(unit, Maxout)
    assert first.weight.shape == (15, 2)
    x = torch.randn(7, 2)
    by_hand = torch.stack([first(x)[:, 5 * k : 5 * k + 5].max(1).values for k in range(3)], 1)
    torch.testing.assert_close(net(x), last(by_hand)[:, 0])


def test_norms_stand_before_the_activation() -> None:
    nets = MLP(width=3, depth=2, norm="batch", d_norm="layer").build(spec())
    kinds = [type(layer).__name__ for layer in nets.generator.layers]  # type: ignore[union-attr]
    assert kinds == ["Linear", "BatchNorm1d", "LeakyReLU"] * 2 + ["Linear"]
    kinds = [type(layer).__name__ for layer in nets.discriminator.layers]  # type: ignore[union-attr]
    assert kinds == ["Linear", "GroupNorm", "LeakyReLU"] * 2 + ["Linear"]
