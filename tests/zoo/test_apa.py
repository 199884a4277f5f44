"""Adaptive pseudo augmentation: fakes in the place of real samples, and how their share follows overfitting."""

from __future__ import annotations

import pytest
import torch
from attached import POINTS, part, prepared, some

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo.training.steps import advance


def test_a_share_of_real_samples_is_replaced_each_by_the_fake_of_another_row():
    torch.manual_seed(0)
    n = 20_000
    real, fake = torch.zeros(n, 2), torch.arange(1.0, n + 1)[:, None].expand(n, 2)
    batch = prepared("apa:p=0.3").reals(ganzoo.Batch(images=real), ganzoo.Scores(fake_images=fake))
    chosen = batch.images[:, 0] != 0
    assert chosen.double().mean().item() == pytest.approx(0.3, abs=4 * (0.21 / n) ** 0.5)
    assert batch.images[chosen].equal(fake.roll(1, 0)[chosen])
    assert real.eq(0).all(), "the given samples stay"


def test_labelled_fakes_are_made_for_the_label_that_they_get():
    """A generator that writes its label into the sample."""
    latent, labels, fake_labels = some(40, 3), torch.zeros(40, dtype=torch.long), torch.arange(1, 41)
    s = ganzoo.Scores(
        latent=latent,
        fake_labels=fake_labels,
        generate=lambda z, s: torch.cat([z, s.fake_labels[:, None].to(z)], 1).requires_grad_(),
    )
    torch.manual_seed(0)
    made = prepared("apa:p=0.5").reals(ganzoo.Batch(images=torch.zeros(40, 4).double(), labels=labels), s)
    chosen = made.labels != 0
    assert 8 < chosen.sum() < 32
    assert made.images[chosen][:, 3].equal(made.labels[chosen].double())
    assert made.images[chosen][:, :3].equal(latent.roll(1, 0)[chosen])
    assert made.images[~chosen].eq(0).all()
    assert not made.images.requires_grad


def test_the_probability_moves_as_that_of_ada():
    """Eight samples an update, two updates a change: 16 / 1000 kimg upwards where all signs are positive."""
    kept = prepared("apa:interval=2,kimg=0.1")
    for sign, expected in ((1.0, 0.0), (1.0, 0.16), (-1.0, 0.16), (1.0, 0.0), (1.0, 0.0), (1.0, 0.16)):
        kept.observe("discriminator", ganzoo.Scores(real=torch.full((8,), sign).double()))
        assert kept.report()["p"].item() == pytest.approx(expected, abs=1e-7)
    kept.observe("generator", ganzoo.Scores(real=torch.ones(8)))
    assert kept.module.updates == 2, "the generator's rounds are not counted"


def test_a_batch_in_pieces_is_steered_by_the_mean_of_all_its_signs(experiment):
    """Pieces of signs 0, 1, 1, 1 have the mean 0.75. Were p steered piece by piece, it would rise by half as much."""
    made = experiment(loss="sgan", regularizers=["apa:interval=1,kimg=0.8,start=0.5,target=0.6"], accumulate=4)
    part, pieces = made.run.parts.regularizers["apa"], iter((0.0, 1.0, 1.0, 1.0))
    observe = part.observe

    def observed(player, s):
        if player == "discriminator":
            sign = next(pieces)
            s = ganzoo.Scores(real=torch.tensor([1.0, 2 * sign - 1]), pieces=4)
        observe(player, s)

    made.game.with_hook["observe"] = {"apa": Observing(observed)}
    advance(made.run, made.game, 0)
    assert part.report()["r_t"].item() == 0.75
    assert part.report()["p"].item() == pytest.approx(0.5 + 8 / 800)


class Observing:
    def __init__(self, observe):
        self.observe = observe


@pytest.mark.parametrize("regularizers", [["apa:p=1"], ["apa:p=1", "r1:gamma=1"]], ids=str)
def test_losses_and_penalties_see_the_mixture(experiment, regularizers):
    made = experiment(loss="sgan", regularizers=regularizers, data="digits:size=8")
    made.game.begin(0, 0.0)
    s = made.game.round()
    assert s.real_images.equal(s.fake_images.detach().roll(1, 0))
    assert s.real_images.requires_grad == (len(regularizers) == 2)
    assert s.real.detach().equal(s.fake.detach().roll(1, 0))


def test_the_generator_gets_no_gradient_by_the_fakes_among_the_real_samples(experiment):
    """A relativistic loss reads real scores in the generator's move too."""
    made = experiment(loss="rpgan", regularizers=["apa:p=1"])
    made.game.begin(0, 0.0)
    s = made.game.round("generator")
    slopes = torch.autograd.grad(s.real.sum(), list(made.run.generator.parameters()), allow_unused=True)
    assert all(slope is None for slope in slopes)


@pytest.mark.parametrize("arch", ["dcgan:width=4,conditional=projection", "dcgan:width=4"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_trains_and_counts(experiment, arch, accumulate):
    made = experiment(
        arch=arch, loss="sgan", regularizers=["apa:interval=1,kimg=0.05,target=-1"], accumulate=accumulate
    )
    for step in range(4):
        advance(made.run, made.game, step)
    assert made.run.parts.regularizers["apa"].report()["p"].item() == pytest.approx(4 * 8 / 50, abs=0.17)
    assert all(p.isfinite().all() for p in made.run.discriminator.parameters())


def test_a_condition_is_refused():
    spec = ganzoo.Spec(shape=POINTS.shape, latent_dim=2, inputs={"condition": ganzoo.TensorSpec((3,))})
    with pytest.raises(Incompatible, match="leave apa out"):
        part("apa").check(spec)
