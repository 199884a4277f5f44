"""The further losses against their closed forms: relativistic averages, GAN-QP, WGAN-div, classes, features."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import tensor
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

import ganzoo
from ganzoo.errors import BadParameter, Incompatible
from ganzoo_zoo.losses.reversed import Reversed

# r = [1, -1/2], f = [1/2, -2], and pairs that are 2 and 1/2 apart
TABLE = {
    ("hinge-linear", "discriminator"): (1.0, [-0.5, -0.5], [0.5, 0.5]),
    ("hinge-linear", "generator"): (0.75, [0, 0], [-0.5, -0.5]),
    ("ragan", "discriminator"): (0.831155, [-0.238405, -0.383293], [0.427556, 0.194142]),
    ("ragan", "generator"): (2.831155, [0.761595, 0.616707], [-0.572444, -0.805858]),
    ("ragan:scale=0.5", "discriminator"): (0.4155775, [-0.1192025, -0.1916465], [0.213778, 0.097071]),
    ("ralsgan", "discriminator"): (2.125, None, None),
    ("ralsgan", "generator"): (10.125, None, None),
    ("rahinge", "discriminator"): (1.0, None, None),
    ("rahinge", "generator"): (4.0, None, None),
    ("gan-qp", "discriminator"): (-0.884375, [-0.4875, -0.35], [0.4875, 0.35]),
    ("gan-qp", "generator"): (1.0, [0.5, 0.5], [-0.5, -0.5]),
    ("gan-qp:distance=l2", "discriminator"): (-0.884375, [-0.4875, -0.35], [0.4875, 0.35]),
}


def scores(real, fake, **more):
    real, fake = (tensor(x, dtype=torch.float64).requires_grad_() for x in (real, fake))
    apart = tensor([[2.0, 2.0], [0.5, 0.5]], dtype=torch.float64)  # mean absolute and root mean square alike
    given = {"real_images": apart, "fake_images": torch.zeros_like(apart), **more}
    return ganzoo.Scores(real=real, fake=fake, **given)


def told(words, player, s):
    value = getattr(ganzoo.part("loss", words), player)(s)
    slopes = torch.autograd.grad(value, (s.real, s.fake), allow_unused=True, materialize_grads=True)
    return value.detach(), *slopes


@pytest.mark.parametrize(("words", "player"), list(TABLE))
def test_values_and_gradients(words, player):
    for mine, due in zip(told(words, player, scores([1.0, -0.5], [0.5, -2.0])), TABLE[words, player], strict=True):
        if due is not None:
            assert_close(mine, tensor(due, dtype=torch.float64), atol=6e-7, rtol=0)


def test_hinge_without_relu_teaches_what_wgan_does():
    for player in ("discriminator", "generator"):
        s = scores([3.0, -0.5, 0.1], [0.5, -4.0, 7.0])
        linear, wgan = told("hinge-linear:margin=2", player, s), told("wgan", player, s)
        assert_close(linear[1:], wgan[1:], atol=0, rtol=0)
    assert told("hinge-linear:margin=2", "discriminator", s)[0] == 4 + told("wgan", "discriminator", s)[0]


RELATIVISTIC = ["ragan", "ralsgan", "rahinge"]


@pytest.mark.parametrize("words", RELATIVISTIC)
def test_relativistic_losses_swap_roles_and_do_not_see_the_level(words):
    r, f = [0.3, -1.2, 2.0], [0.7, -0.4, 0.1]
    assert_close(told(words, "generator", scores(r, f))[0], told(words, "discriminator", scores(f, r))[0])
    lifted = told(words, "discriminator", scores([x + 5 for x in r], [x + 5 for x in f]))
    assert_close(lifted, told(words, "discriminator", scores(r, f)), atol=1e-12, rtol=0)
    both = sum(told(words, "discriminator", scores(r, f))[k].sum() for k in (1, 2))
    assert both == pytest.approx(0, abs=1e-15), "the means are differentiated through, so all gradients add up to zero"


@pytest.mark.parametrize(("words", "value"), [("ragan", 2 * math.log(2)), ("ralsgan", 2), ("rahinge", 2)])
def test_relativistic_losses_where_nothing_is_told_apart(words, value):
    s = scores([3.0, 3.0], [3.0, 3.0])
    for player in ("discriminator", "generator"):
        assert told(words, player, s)[0] == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("words", [*RELATIVISTIC, "gan-qp"])
def test_scores_that_would_pair_all_with_all_are_refused(words):
    s = scores([[1.0], [2.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"\A[^\n]*found shapes[^\n]*\Z"):
        ganzoo.part("loss", words).discriminator(s)


# -- GAN-QP ----------------------------------------------------------------------------------------------------------


def test_gan_qp_lets_a_pair_differ_by_its_distance():
    """For one pair the best difference of scores is lambda d, worth -lambda d / 2; a linear critic finds -10 and -5."""
    slope = tensor(-10.0, dtype=torch.float64, requires_grad=True)
    real, fake = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    s = ganzoo.Scores(real=slope * real[:, 0], fake=slope * fake[:, 0], real_images=real, fake_images=fake)
    value = ganzoo.part("loss", "gan-qp").discriminator(s)
    assert value.item() == pytest.approx(-5, abs=1e-12)
    assert torch.autograd.grad(value, slope)[0].item() == pytest.approx(0, abs=1e-12)


def test_gan_qp_takes_the_mean_over_the_numbers_of_a_sample_and_leaves_it_alone():
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    fake_images = torch.zeros_like(x).requires_grad_()
    s = ganzoo.Scores(
        real=torch.ones(4, dtype=torch.float64),
        fake=torch.zeros(4, dtype=torch.float64, requires_grad=True),
        real_images=x,
        fake_images=fake_images,
    )
    for words, d in (("l1", x.abs().flatten(1).mean(1)), ("l2", x.square().flatten(1).mean(1).sqrt())):
        value = ganzoo.part("loss", f"gan-qp:distance={words},weight=3").discriminator(s)
        assert_close(value.detach(), (1 / (6 * d) - 1).mean())
        assert torch.autograd.grad(value, fake_images, allow_unused=True) == (None,)


def test_gan_qp_survives_a_pair_of_equals():
    x = torch.zeros(2, 2, dtype=torch.float64)
    s = scores([1e-9, 1e-9], [0.0, 0.0], real_images=x, fake_images=x)
    value, *slopes = told("gan-qp", "discriminator", s)
    assert value.isfinite()
    assert all(g.isfinite().all() for g in slopes)


# -- WGAN-div --------------------------------------------------------------------------------------------------------


def linear(w, real, fake):
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    return ganzoo.Scores(real=real @ w, fake=fake @ w, real_images=real, fake_images=fake)


def test_wgan_div_of_a_linear_critic():
    """The slope is w = (3, 4) everywhere: k |w|^p = 31250."""
    w = tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    loss, wgan = ganzoo.part("loss", "wgan-div"), ganzoo.part("loss", "wgan")
    s = linear(w, real, fake)
    extra = loss.discriminator(s) - wgan.discriminator(s)
    assert extra.item() == pytest.approx(31250, abs=1e-6)
    assert_close(torch.autograd.grad(extra, w)[0], tensor([22500.0, 30000.0], dtype=torch.float64))
    penalty = ganzoo.part("regularizer", "wgan-div").discriminator_penalty(linear(w, real, fake))
    assert penalty.item() == pytest.approx(31250, abs=1e-6)
    s = linear(w, real, fake)
    assert torch.equal(loss.generator(s), wgan.generator(s))


def test_wgan_div_with_the_slope_between_the_samples_as_in_the_authors_code():
    """With D(x) = 2 x1 + 2 x2 + x3, whose slope is 3 everywhere: L_D = mean f - mean r + 10 * 3^6."""
    critic = lambda x: x @ torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64)  # noqa: E731
    real, fake = torch.ones(4, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    s = scores([5.0] * 4, [0.0] * 4, real_images=real, fake_images=fake, discriminator=critic)
    loss = ganzoo.part("loss", "wgan-div:points=interpolates,k=10")
    assert loss.needs_grad_of == frozenset()
    assert ganzoo.part("loss", "wgan-div").needs_grad_of == {"real", "fake"}
    penalty = ganzoo.part("regularizer", "gradient-penalty:weight=10,power=6").discriminator_penalty(s)
    assert_close(loss.discriminator(s), -5 + penalty)
    assert loss.discriminator(s).item() == pytest.approx(-5 + 10 * 3**6, rel=1e-9)


def test_best_linear_critic_of_wgan_div():
    """D(x) = s x, the real atom at 0 and the fake at 1: |s| = (1 / (k p))^(1/(p - 1))."""
    steep = (1 / 12) ** (1 / 5)
    assert steep == pytest.approx(0.608364, abs=6e-7)
    s = tensor([-steep], dtype=torch.float64, requires_grad=True)
    value = ganzoo.part("loss", "wgan-div").discriminator(
        linear(s, torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64))
    )
    assert value.item() == pytest.approx(-0.506970, abs=6e-7)
    assert torch.autograd.grad(value, s)[0].item() == pytest.approx(0, abs=1e-12)


def test_wgan_div_brings_its_own_constraint(experiment):
    assert experiment(loss="wgan-div").run.warnings == []
    assert "unbounded" in experiment(loss="hinge-linear").run.warnings[0]
    with pytest.raises(Incompatible, match="loss wgan-div takes a gradient per sample, and BatchNorm2d"):
        experiment(loss="wgan-div", arch="dcgan:width=4,d_norm=batch", data="digits:size=16")


# -- classes and features --------------------------------------------------------------------------------------------


def classed(real_logits, fake_logits, **more):
    y = tensor([0, 2, 1])
    return scores(
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        labels=y,
        fake_labels=y,
        real_output={"class_logits": real_logits},
        fake_output={"class_logits": fake_logits},
        **more,
    )


@pytest.mark.parametrize(
    ("words", "discriminator", "generator"),
    [
        ("acgan", 2, 1),
        ("acgan:fake_weight=0,generator_weight=0.1", 1, 0.1),
        ("acgan:fake_weight=0,generator_weight=0", 1, 0),
    ],
)
def test_three_auxiliary_classifiers_that_know_nothing(words, discriminator, generator):
    """Uniform over K classes: log K for each set."""
    flat = torch.full((3, 4), 0.7, dtype=torch.float64)
    s = classed(flat, flat)
    loss = ganzoo.part("loss", words)
    sgan = ganzoo.part("loss", "sgan")
    extra = loss.discriminator(s) - sgan.discriminator(s), loss.generator(s) - sgan.generator(s)
    assert extra[0].item() == pytest.approx(discriminator * math.log(4), abs=1e-12)
    assert extra[1].item() == pytest.approx(generator * math.log(4), abs=1e-12)


def test_classes_of_a_joint_net_are_k_plus_one():
    """sp(-r) + CE(class) with r = logsumexp is the cross-entropy of K + 1 classes, the last with a logit of 0."""
    logits = torch.randn(5, 3, dtype=torch.float64)
    y = tensor([0, 2, 1, 1, 0])
    r = logits.logsumexp(1)
    s = ganzoo.Scores(
        real=r, fake=r, labels=y, fake_labels=y, real_output={"class_logits": logits}, fake_output={"logits": r}
    )
    ours = ganzoo.part("loss", "acgan:fake_weight=0,generator_weight=0").discriminator(s)
    whole = torch.cat([logits, torch.zeros(5, 1, dtype=torch.float64)], 1)
    assert_close(ours, cross_entropy(whole, y) + cross_entropy(whole, torch.full((5,), 3)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("arch", ["dcgan:width=4,auxiliary=true", "resnet:width=8,auxiliary=true"])
@pytest.mark.parametrize("joint", ["", ",joint=true"])
def test_acgan_trains_nets_that_tell_classes(experiment, arch, joint):
    made = experiment(loss="acgan", arch=arch + joint)
    made.game.begin(0, 0.0)
    s = made.game.round()
    made.game.discriminator_loss(s)
    assert s.real_output["class_logits"].shape == (8, 10)
    assert s.labels is not None
    if joint:
        assert_close(s.real, s.real_output["class_logits"].logsumexp(1))
    made.game.update(generator=made.game.generator_loss(s))
    made.game.close()


@pytest.mark.parametrize("loss", ["acgan", "feature-matching"])
def test_nets_that_do_not_tell_are_refused(experiment, loss):
    with pytest.raises(Incompatible, match=r"\A[^\n]*such as dcgan:auxiliary=true\Z"):
        experiment(loss=loss)


def test_auxiliary_nets_have_as_many_weights_as_before_when_it_is_off():
    spec = ganzoo.Spec(shape=(1, 8, 8), latent_dim=4, classes=0)
    for name in ("dcgan:width=4", "resnet:width=8"):
        plain, telling = (
            sum(p.numel() for p in ganzoo.part("architecture", words).build(spec).discriminator.parameters())
            for words in (name, f"{name},auxiliary=true")
        )
        assert plain == telling, "features cost no weights; classes do, where the data has them"


def test_auxiliary_and_conditional_are_one_or_the_other():
    with pytest.raises(BadParameter, match="give conditional=none"):
        ganzoo.part("architecture", "dcgan:auxiliary=true,conditional=concat")
    with pytest.raises(BadParameter, match="give auxiliary=true too"):
        ganzoo.part("architecture", "dcgan:joint=true")


def test_feature_matching_is_the_distance_of_means():
    real, fake = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    s = scores([0.0] * 5, [0.0] * 5, real_output={"features": [None, real]}, fake_output={"features": [None, fake]})
    loss = ganzoo.part("loss", "feature-matching:reduction=sum")
    value = loss.generator(s)
    gap = real.mean(0) - fake.mean(0)
    assert_close(value, gap.square().sum())
    assert_close(ganzoo.part("loss", "feature-matching").generator(s), gap.square().mean())
    assert_close(torch.autograd.grad(value, fake)[0], (-2 / 5 * gap).expand(5, 3).detach())
    assert loss.discriminator(s).item() == pytest.approx(2 * math.log(2))


# -- targets as margins ----------------------------------------------------------------------------------------------


def test_smoothing_moves_the_margin_of_a_hinge():
    loss = ganzoo.part("loss", "hinge:margin=2,targets=margin")
    plain = ganzoo.part("loss", "hinge:margin=2")
    s = scores([1.9, 0.0], [-1.9, 0.0])
    assert torch.equal(loss.discriminator(s), plain.discriminator(s))
    s.real_target = 0.9
    assert loss.discriminator(s).item() == pytest.approx((0 + 1.8) / 2 + (0.1 + 2) / 2)
    s.fake_target = 0.1
    assert loss.discriminator(s).item() == pytest.approx((0 + 1.8) / 2 + (0 + 1.8) / 2)
    assert torch.equal(loss.generator(s), plain.generator(s))


def test_a_hinge_with_targets_takes_label_smoothing(experiment):
    experiment(loss="hinge:targets=margin", regularizers=["label-smoothing"])
    with pytest.raises(Incompatible, match="loss hinge has none"):
        experiment(loss="hinge", regularizers=["label-smoothing"])


# -- real is low -----------------------------------------------------------------------------------------------------

SCORES_ONLY = ["sgan", "sgan-saturating", "hinge", "hinge-linear", "lsgan", "wgan", "rpgan", *RELATIVISTIC, "gan-qp"]


@pytest.mark.parametrize(("words", "player"), list(itertools.product(SCORES_ONLY, ["discriminator", "generator"])))
def test_a_reversed_loss_is_the_loss_of_the_negated_scores(words, player):
    mirrored = told(words, player, scores([-1.0, 0.5], [-0.5, 2.0]))
    s = scores([1.0, -0.5], [0.5, -2.0])
    value = getattr(Reversed(loss=words), player)(s)
    slopes = torch.autograd.grad(value, (s.real, s.fake), allow_unused=True, materialize_grads=True)
    assert_close(value.detach(), mirrored[0], atol=0, rtol=0)
    for mine, theirs in zip(slopes, mirrored[1:], strict=True):
        assert_close(mine, -theirs, atol=0, rtol=0)


def test_the_reversed_hinge_of_one_step_training():
    s = scores([1.0, -0.5], [0.5, -2.0])
    assert Reversed(loss="hinge").discriminator(s).item() == pytest.approx(3.0)
    assert Reversed(loss="hinge").generator(s).item() == pytest.approx(-0.75)
    assert Reversed(loss="wgan").bounded is False
    assert Reversed(loss="sgan").has_targets is True
