"""What the discriminator learns beside real and fake: classes, and by how many quarters an image is turned."""

from __future__ import annotations

import math

import pytest
import torch
from attached import part, some
from torch import nn
from torch.testing import assert_close

import ganzoo
from ganzoo import words
from ganzoo.errors import Incompatible
from ganzoo.training.steps import advance
from ganzoo_zoo.regularizers.rotation import turned

# -- classes ---------------------------------------------------------------------------------------------------------


def labelled(count: int = 6, classes: int = 3) -> ganzoo.Scores:
    torch.manual_seed(0)
    return ganzoo.Scores(
        real=some(count),
        fake=some(count),
        real_output={"class_logits": some(count, classes)},
        fake_output={"class_logits": some(count, classes)},
        labels=torch.arange(count) % classes,
        fake_labels=(torch.arange(count) + 1) % classes,
    )


def error(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """-log softmax of the own class, written out."""
    rows = [math.log(sum(math.exp(v) for v in row)) - row[y] for row, y in zip(logits.tolist(), labels, strict=True)]
    return sum(rows) / len(rows)


def test_the_nets_of_improved_wgan_training():
    """L_D = mean f - mean r + CE(real), L_G = -mean f + 0.1 CE(fake)."""
    s, loss = labelled(), ganzoo.part("loss", "wgan")
    classes = part("auxiliary-classifier:fake_weight=0,generator_weight=0.1")
    found = loss.discriminator(s) + classes.discriminator_penalty(s)
    real, fake = error(s.real_output["class_logits"], s.labels), error(s.fake_output["class_logits"], s.fake_labels)
    assert found.item() == pytest.approx(s.fake.mean().item() - s.real.mean().item() + real, rel=1e-14)
    found = loss.generator(s) + classes.generator_penalty(s)
    assert found.item() == pytest.approx(-s.fake.mean().item() + 0.1 * fake, rel=1e-14)


def test_the_class_terms_beside_sgan_are_acgan():
    s = labelled()
    for weights in ("", ":real_weight=2,fake_weight=0.5,generator_weight=3"):
        whole, classes = ganzoo.part("loss", f"acgan{weights}"), part(f"auxiliary-classifier{weights}")
        bare = ganzoo.part("loss", "sgan")
        assert_close(
            whole.discriminator(s), bare.discriminator(s) + classes.discriminator_penalty(s), rtol=1e-14, atol=0
        )
        assert_close(whole.generator(s), bare.generator(s) + classes.generator_penalty(s), rtol=1e-14, atol=0)


def test_an_average_of_both_losses_trains_like_acgan(experiment):
    ends = []
    for loss, regularizers in (("acgan", []), ("sgan", ["auxiliary-classifier"])):
        made = experiment(loss=loss, regularizers=regularizers, arch="dcgan:width=4,auxiliary=true", precision="fp64")
        for step in range(3):
            advance(made.run, made.game, step)
        ends.append([p.detach() for net in made.run.state.networks for p in net.parameters()])
    assert_close(*ends, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("named", ["auxiliary-classifier", "rotation"])
def test_what_the_discriminator_does_not_give_is_refused(experiment, named):
    with pytest.raises(Incompatible, match="dcgan:auxiliary=true"):
        experiment(arch="dcgan:width=4", regularizers=[named])


# -- rotation --------------------------------------------------------------------------------------------------------


def test_an_image_is_turned_by_its_own_number_of_quarters():
    images = some(4, 2, 5, 5)
    seen = turned(images, torch.tensor([0, 1, 2, 3]))
    assert seen[0].equal(images[0])
    assert seen[1].equal(images[1].flip(2).transpose(1, 2))
    assert seen[2].equal(images[2].flip(1, 2))
    assert seen[3].equal(images[3].flip(1).transpose(1, 2))


def test_each_angle_is_met_by_a_quarter_of_the_batch_and_the_error_is_the_cross_entropy():
    """The discriminator gives an image's corners as features, so the test reads from them how an image was turned."""
    bound = words.bind(part("rotation:weight=2,generator_weight=0.3"))
    layer = bound.values["module"] = nn.Linear(4, 4).double()
    image = torch.zeros(1, 3, 3, dtype=torch.float64)
    image[0, 0, 0] = 1.0  # a turn to the left moves the corner: down the left side, along the foot, up the right side
    met = []

    def corners(images, s, fake, as_is):
        seen = torch.stack([images[:, 0, 0, 0], images[:, 0, 2, 0], images[:, 0, 2, 2], images[:, 0, 0, 2]], 1)
        met.append((seen.argmax(1), fake))
        return {"logits": seen.sum(1), "features": [seen[:, :, None, None].expand(-1, -1, 2, 2)]}

    zeros = torch.zeros(8, dtype=torch.float64)
    images = image.expand(8, 1, 3, 3)
    s = ganzoo.Scores(real=zeros, fake=zeros, real_images=images, fake_images=images, judge_all=corners)
    # One-hot features: the logits of an image that is turned r times are column r of the layer, plus the bias.
    columns = layer.weight.T + layer.bias
    each = torch.stack([columns[r].logsumexp(0) - columns[r][r] for r in range(4)])
    assert_close(bound.part.discriminator_penalty(s), 2 * each.mean(), rtol=1e-14, atol=0)
    assert_close(bound.part.generator_penalty(s), 0.3 * each.mean(), rtol=1e-14, atol=0)
    assert [fake for _, fake in met] == [False, True]
    assert all(torch.bincount(quarters, minlength=4).tolist() == [2, 2, 2, 2] for quarters, _ in met)
    assert not met[0][0].equal(met[1][0]), "the order is drawn anew"


@pytest.mark.parametrize("count", [1, 2, 6])
def test_each_angle_is_as_likely_in_a_micro_batch_that_four_does_not_divide(count):
    seen = torch.zeros(4)

    def judge_all(images, s, fake, as_is):
        seen.add_(torch.bincount(images.flatten(1).argmax(1), minlength=4))  # the place of the 1 says the angle
        return {"features": [torch.zeros(len(images), 2)]}

    images = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]).repeat(count, 1, 1, 1)
    s = ganzoo.Scores(real=torch.zeros(count), real_images=images, judge_all=judge_all)
    bound = words.bind(ganzoo.part("regularizer", "rotation"))
    bound.values["module"] = nn.Linear(2, 4)
    torch.manual_seed(0)
    for _ in range(2400 // count):
        bound.part.discriminator_penalty(s)
    assert_close(seen, torch.full((4,), 600.0), rtol=0, atol=120)


def test_rotation_trains_its_layer_with_the_discriminator(experiment):
    made = experiment(arch="dcgan:width=4,auxiliary=true", loss="hinge", regularizers=["sn", "rotation"], seed=3)
    layer = made.run.state.modules["rotation"]
    before = layer.weight.detach().clone()
    assert layer.in_features == made.run.parts.architecture.outputs(made.run.spec)["features"][-1][0]
    trained = made.run.state.optimizers["discriminator"].param_groups[0]["params"]
    assert any(p is layer.weight for p in trained)
    advance(made.run, made.game, 0)
    assert not layer.weight.equal(before)


def test_rotation_asks_for_square_images(experiment):
    with pytest.raises(Incompatible, match="square"):
        part("rotation").check(ganzoo.Spec(shape=(3, 8, 16), latent_dim=2, outputs={"features": [(4, 2, 4)]}))
