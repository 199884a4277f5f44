"""Discriminators at several scales."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import errors
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.multiscale import Multiscale, pooled
from ganzoo_zoo.architectures.pggan import PGGAN


def spec(shape: tuple[int, ...] = (3, 16, 16), **more: Any) -> ganzoo.Spec:
    return ganzoo.Spec(shape=shape, latent_dim=4, **more)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_a_constant_image_stays_constant() -> None:
    for pooling in ("average", "max"):
        assert pooled(torch.full((1, 2, 6, 9), 3.0), pooling).equal(torch.full((1, 2, 3, 5), 3.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("combine", ["mean", "sum"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_logit_is_that_of_each_scale(pooling: Any, combine: Any) -> None:
    part = Multiscale(of=DCGAN(width=4), scales=3, pooling=pooling, combine=combine)
    nets = part.build(spec())
    x = torch.randn(2, 3, 16, 16)
    assert len(nets.discriminator) == 3  # type: ignore[arg-type]
    smaller = [x, pooled(x, pooling), pooled(pooled(x, pooling), pooling)]
    each = torch.stack([net(y) for net, y in zip(nets.discriminator, smaller, strict=True)])  # type: ignore[call-overload]
    due = each.mean(0) if combine == "mean" else each.sum(0)
    torch.testing.assert_close(part.judge(nets.discriminator, x, ganzoo.Batch(images=x)), due)


def test_one_scale_is_the_inner_discriminator() -> None:
    torch.manual_seed(1)
    mine = Multiscale(of=DCGAN(width=4), scales=1).build(spec())
    torch.manual_seed(1)
    inner = DCGAN(width=4).build(spec())
    assert all(
        a.equal(b) for a, b in zip(mine.discriminator.parameters(), inner.discriminator.parameters(), strict=True)
    )


def test_features_of_all_scales_for_feature_matching(experiment: Any) -> None:
    inner = DCGAN(width=4, auxiliary=True)
    part = Multiscale(of=inner, scales=2)
    shapes = part.outputs(spec(classes=3))
    finer, coarser = (inner.outputs(spec(shape, classes=3))["features"] for shape in ((3, 16, 16), (3, 8, 8)))
    assert list(shapes["features"]) == [*finer, *coarser]
    made = experiment(
        arch="dcgan:width=4",
        d_arch="multiscale:of=dcgan,auxiliary=true,scales=2,width=4",
        data="digits:size=16",
        regularizers=["feature-matching", "r1"],
    )
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))


@pytest.mark.parametrize("inner", ["segan:width=4,d_norm=none", "dcgan:width=4,conditional=projection", "mlp:width=8"])
def test_conditions_and_labels_reach_every_scale(experiment: Any, inner: str) -> None:
    name, _, parameters = inner.partition(":")
    data = "digits-masks:size=16" if name == "segan" else "digits:size=16"
    made = experiment(arch=inner, d_arch=f"multiscale:of={name},scales=2,{parameters}", data=data)
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    assert all(map(math.isfinite, [float(v) for v in made.game.pop_scalars().values()]))


def test_the_words_and_the_run(experiment: Any) -> None:
    made = experiment(d_arch="multiscale:of=dcgan,scales=1,width=8")
    assert made.run.parts.labels["d_arch"] == "multiscale:of=(dcgan:width=8),scales=1"
    assert made.run.identity["settings"]["d_arch"]["of"]["width"] == 8
    assert str(ganzoo.part("architecture", "multiscale").of) == str(DCGAN())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        (Multiscale(of=DCGAN()), (3, 8, 8), "dcgan makes images whose sides are a small base"),
        (Multiscale(of=DCGAN()), (2,), r"multiscale halves images, sequences or volumes, and this data gives samples"),
        (Multiscale(of=PGGAN()), (3, 16, 16), "multiscale wraps a discriminator of one size, and PGGAN grows"),
    ],
)
def test_what_cannot_be(part: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(errors.Incompatible, match=message):
        part.discriminator(spec(shape))


def test_the_wrapper_has_the_whole_contract() -> None:
    """A method that the contract gains must be sent to the inner architecture."""
    contract = {name for name in vars(ganzoo.Architecture) if not name.startswith("_")} - {"kind", "build"}
    assert not [name for name in contract if getattr(Multiscale, name) is getattr(ganzoo.Architecture, name)]


def test_a_scale_that_its_discriminator_refuses_is_named() -> None:
    part = ganzoo.part("architecture", "multiscale:of=dcgan,scales=4")
    with pytest.raises(
        errors.Incompatible, match=r"shows its discriminator 4 samples of 1x2x2, .*use scales=3, or larger"
    ):
        part.discriminator(ganzoo.Spec(shape=(1, 16, 16), latent_dim=4))
