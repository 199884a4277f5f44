"""Penalties, transforms and constraints, against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn, tensor
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

import ganzoo
from ganzoo import words
from ganzoo.errors import BadParameter, Incompatible

SPEC = ganzoo.Spec(shape=(2,), latent_dim=2)


def judged(critic, real, fake):
    """A round judged by any function of images."""
    real = real.clone().requires_grad_()
    return ganzoo.Scores(real=critic(real), fake=critic(fake), real_images=real, fake_images=fake, discriminator=critic)


# -- a linear critic: the gradient is w everywhere -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "value", "slope"),
    [("wgan-gp:weight=1", 16, (4.8, 6.4)), ("r1", 125, (30, 40)), ("r1:gamma=2", 25, (6, 8))],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_penalty_of_a_linear_critic(named, value, slope, seed):
    torch.manual_seed(seed)
    w = tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    s = judged(lambda x: x @ w + 7, torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64))
    penalty = ganzoo.part("regularizer", named).discriminator_penalty(s)
    assert_close(penalty.detach(), tensor(float(value), dtype=torch.float64), atol=1e-9, rtol=0)
    assert_close(torch.autograd.grad(penalty, w)[0], tensor(slope, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("loss", "regularizer", "slope", "value"),
    [
        ("wgan", "wgan-gp", -1.05, -1.025),
        ("wgan", "r1", -0.1, -0.05),
        ("sgan", "r1:gamma=1", -0.401058, 1.286162),
        ("rpgan", "r1:gamma=1", -0.401058, 0.593015),
    ],
)
def test_best_linear_critic_of_two_atoms(loss, regularizer, slope, value):
    """D(x) = s x, the real atom at 0 and the fake at 1."""
    loss, regularizer = ganzoo.part("loss", loss), ganzoo.part("regularizer", regularizer)
    s = tensor(-0.5, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [s], max_iter=100, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    real, fake = torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)

    def closure():
        search.zero_grad()
        round_ = judged(lambda x: s * x[:, 0], real, fake)
        paid = loss.discriminator(round_) + regularizer.discriminator_penalty(round_)
        (s.grad,) = torch.autograd.grad(paid, s)
        return paid

    search.step(closure)
    assert s.item() == pytest.approx(slope, abs=6e-7)
    assert closure().item() == pytest.approx(value, abs=6e-7)


# -- WGAN-GP ---------------------------------------------------------------------------------------------------------


def test_wgan_gp_of_a_paraboloid():
    """D = |x|^2 / 2, real 0, fake v: |slope| = (1 - e) |v|, so the mean is weight (|v|^2 / 3 - |v| + 1)."""
    torch.manual_seed(0)
    n = 200_000
    real, fake = torch.zeros(n, 4, dtype=torch.float64), torch.ones(n, 4, dtype=torch.float64)  # |v| = 2
    penalty = ganzoo.part("regularizer", "wgan-gp").discriminator_penalty(
        judged(lambda x: x.square().sum(1) / 2, real, fake)
    )
    deviation = 10 * math.sqrt((1 / 5 - 1 / 9) / n)  # of the mean of (1 - 2e)^2
    assert penalty.item() == pytest.approx(10 / 3, abs=4 * deviation)


def test_wgan_gp_looks_between_each_pair_with_one_number_a_sample():
    seen = []

    def critic(x):
        seen.append(x)
        return x.flatten(1).square().sum(1)

    torch.manual_seed(0)
    real, fake = torch.randn(64, 3, 4, 4, dtype=torch.float64), torch.randn(64, 3, 4, 4, dtype=torch.float64)
    fake.requires_grad_()  # as it comes from the generator
    s = ganzoo.Scores(real_images=real, fake_images=fake, discriminator=critic)
    ganzoo.part("regularizer", "wgan-gp").discriminator_penalty(s)
    (between,) = seen
    e = ((between - fake) / (real - fake)).flatten(1).detach()
    assert_close(e, e[:, :1].expand_as(e), atol=1e-6, rtol=0)
    assert 0 < e.min() < 0.1
    assert 0.9 < e.max() < 1
    assert between.is_leaf


def test_wgan_gp_takes_fakes_of_another_precision():
    images = torch.randn(4, 3, 8, 8)
    s = ganzoo.Scores(real_images=images, fake_images=images.bfloat16(), discriminator=lambda x: x.flatten(1).sum(1))
    assert ganzoo.part("regularizer", "wgan-gp").discriminator_penalty(s).dtype == torch.float32


def test_wgan_gp_has_a_slope_where_the_critic_has_none():
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    s = judged(lambda x: x @ w, torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64))
    penalty = ganzoo.part("regularizer", "wgan-gp").discriminator_penalty(s)
    assert torch.autograd.grad(penalty, w)[0].isfinite().all()
    assert penalty.item() == pytest.approx(10, abs=1e-4)


# -- R1 --------------------------------------------------------------------------------------------------------------


def test_r1_sums_over_all_numbers_of_a_sample_and_averages_over_samples():
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    s = judged(lambda x: x.flatten(1).sum(1), x, x)
    assert ganzoo.part("regularizer", "r1:gamma=2").discriminator_penalty(s).item() == 3 * 8 * 8


def test_r1_does_not_see_fakes_or_the_level_of_the_scores():
    x = torch.randn(5, 2, dtype=torch.float64)
    critic = lambda shift: lambda x: x.square().sum(1) + shift  # noqa: E731  # a critic and the same one lifted
    r1 = ganzoo.part("regularizer", "r1")
    values = [r1.discriminator_penalty(judged(critic(c), x, fake)) for c, fake in ((0, x), (100, x), (0, 3 * x))]
    assert values[0].equal(values[1])
    assert values[0].equal(values[2])


# -- spectral normalisation ------------------------------------------------------------------------------------------


def normalised(network, words_="sn"):
    ganzoo.part("regularizer", words_).prepare(ganzoo.Networks(nn.Linear(2, 2), network), SPEC)
    return network


def test_sn_iterates_as_the_closed_form_does():
    layer = normalised(nn.Linear(2, 2, bias=False).double())
    norm = layer.parametrizations.weight
    with torch.no_grad():
        norm.original.copy_(torch.diag(tensor([3.0, 1.0])))
        norm[0]._v.fill_(math.sqrt(0.5))  # torch begins each iteration at v
    found = [(3 / layer.weight[0, 0]).item() for _ in range(3)]
    assert found == pytest.approx([math.sqrt(8.2), 2.998173, 2.999977], abs=6e-7)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(5, 7), nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3), nn.Conv1d(2, 3, 3), nn.Embedding(6, 3)],
    ids=lambda layer: type(layer).__name__,
)
def test_sn_divides_by_the_largest_singular_value(layer):
    torch.manual_seed(0)
    layer = normalised(nn.Sequential(layer.double()), "sn:power_iterations=200")[0]
    weight = layer.weight.detach()
    matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
    assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=1e-6)


def test_sn_has_the_derivative_of_the_paper():
    """dL/dW = (G - <G, W_SN> u v') / sigma, with G = dL/dW_SN."""
    torch.manual_seed(0)
    layer = normalised(nn.Linear(4, 3, bias=False).double(), "sn:power_iterations=50").eval()
    g = torch.randn(3, 4, dtype=torch.float64)
    (found,) = torch.autograd.grad((layer.weight * g).sum(), layer.parametrizations.weight.original)
    u, s, v = torch.linalg.svd(layer.parametrizations.weight.original.detach())
    due = (g - (g * layer.weight.detach()).sum() * torch.outer(u[:, 0], v[0])) / s[0]
    assert_close(found, due, atol=1e-8, rtol=0)


def test_sn_stands_still_in_evaluation():
    layer = normalised(nn.Linear(8, 8)).eval()
    assert layer.weight.equal(layer.weight)
    layer.train()
    assert not layer.weight.equal(layer.weight)


def test_sn_takes_every_weight_and_nothing_else():
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    net = normalised(nn.ModuleList([inner, nn.Linear(4, 1), nn.Embedding(10, 4), nn.LayerNorm([4, 6, 6]), nn.PReLU()]))
    taken = [type(m).__name__ for m in net.modules() if is_parametrized(m)]
    assert taken == ["ParametrizedConv2d", "ParametrizedLinear", "ParametrizedEmbedding"]


def test_sn_divides_a_parametrized_weight_last_and_a_divided_weight_never_again():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    divided = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))
    normalised(nn.ModuleList([layer, divided]))
    assert [len(each.parametrizations.weight) for each in (layer, divided)] == [2, 1]
    assert type(layer.parametrizations.weight[1]) is type(divided.parametrizations.weight[0])


@pytest.mark.parametrize(
    ("players", "generator", "discriminator"), [("discriminator", 0, 1), ("generator", 1, 0), ("both", 1, 1)]
)
def test_sn_is_put_on_the_players_named(players, generator, discriminator):
    sn = ganzoo.part("regularizer", f"sn:players={players}")
    networks = ganzoo.Networks(nn.Linear(2, 2), nn.Linear(2, 1))
    sn.prepare(networks, SPEC)
    assert tuple(is_parametrized(net) for net in networks) == (generator, discriminator)
    assert sn.constrains_discriminator is bool(discriminator)


def test_sn_refuses_a_net_without_weights():
    with pytest.raises(Incompatible, match="sn finds no convolution"):
        normalised(nn.Flatten())


# -- label smoothing -------------------------------------------------------------------------------------------------


def test_smoothed_score_where_only_real_samples_are():
    """The best score is log 9, with a loss of .325083."""
    sgan, smoothing = ganzoo.part("loss", "sgan"), ganzoo.part("regularizer", "label-smoothing")
    r = tensor([math.log(9)], dtype=torch.float64, requires_grad=True)
    real, fake = smoothing.targets(ganzoo.Scores(real=r), 1.0, 0.0)
    s = ganzoo.Scores(real=r, fake=tensor([-800.0], dtype=torch.float64), real_target=real, fake_target=fake)
    value = sgan.discriminator(s)
    assert value.item() == pytest.approx(0.325083, abs=6e-7)
    assert torch.autograd.grad(value, r)[0].item() == pytest.approx(0, abs=1e-15)


def test_random_targets_are_even_about_one_and_teach_what_hard_ones_do():
    torch.manual_seed(0)
    n = 100_000
    r = torch.full((n,), 0.7, dtype=torch.float64, requires_grad=True)
    real, fake = ganzoo.part("regularizer", "label-smoothing:mode=random").targets(ganzoo.Scores(real=r), 1.0, 0.0)
    assert real.shape == r.shape
    assert fake == 0
    assert 0.9 <= real.min() < 0.9001
    assert 1.0999 < real.max() < 1.1
    assert real.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.01)
    slopes = []
    for target in (real, 1.0):
        s = ganzoo.Scores(real=r, fake=torch.zeros(1), real_target=target)
        slopes.append(torch.autograd.grad(ganzoo.part("loss", "sgan").discriminator(s), r)[0].sum().item())
    assert slopes[0] == pytest.approx(slopes[1], abs=4 * 0.0577 / math.sqrt(n))


def test_targets_are_drawn_anew():
    smoothing = ganzoo.part("regularizer", "label-smoothing:mode=random")
    s = ganzoo.Scores(real=torch.zeros(8))
    assert not smoothing.targets(s, 1.0, 0.0)[0].equal(smoothing.targets(s, 1.0, 0.0)[0])


def test_both_targets_may_be_named():
    assert ganzoo.part("regularizer", "label-smoothing:real=0.8,fake=0.1").targets(ganzoo.Scores(), 1.0, 0.0) == (
        0.8,
        0.1,
    )
    with pytest.raises(BadParameter, match=r"real=1\.2"):
        ganzoo.part("regularizer", "label-smoothing:real=1.2")


def test_noisy_labels_have_the_ranges_of_how_to_train_a_gan():
    torch.manual_seed(0)
    zeros = torch.zeros(100_000, dtype=torch.float64)
    words = "label-smoothing:mode=random,real=0.7,real_to=1.2,fake_to=0.3"
    real, fake = ganzoo.part("regularizer", words).targets(ganzoo.Scores(real=zeros, fake=zeros), 1.0, 0.0)
    for found, low, high in ((real, 0.7, 1.2), (fake, 0.0, 0.3)):
        assert low <= found.min() < low + 1e-4
        assert high - 1e-4 < found.max() < high
        assert found.mean().item() == pytest.approx((low + high) / 2, abs=1e-3)


def test_a_share_of_labels_is_flipped():
    """Each sample alone: a flipped real sample has the target of a fake. The mean gradient is that of soft targets."""
    torch.manual_seed(0)
    n = 100_000
    r, f = (torch.full((n,), value, dtype=torch.float64, requires_grad=True) for value in (0.7, -0.2))
    part = ganzoo.part("regularizer", "label-smoothing:real=1,flip=0.1")
    real, fake = part.targets(ganzoo.Scores(real=r, fake=f), 1.0, 0.0)
    assert set(real.tolist()) == {0.0, 1.0} == set(fake.tolist())
    assert (real.mean().item(), fake.mean().item()) == pytest.approx((0.9, 0.1), abs=4 * 0.3 / math.sqrt(n))
    assert ((real == 0) & (fake == 1)).double().mean().item() == pytest.approx(0.01, abs=0.002), "draws are apart"
    slopes = []
    for target in ((real, fake), (0.9, 0.1)):
        s = ganzoo.Scores(real=r, fake=f, real_target=target[0], fake_target=target[1])
        loss = ganzoo.part("loss", "sgan").discriminator(s)
        slopes.append([g.sum().item() for g in torch.autograd.grad(loss, (r, f))])
    assert slopes[0] == pytest.approx(slopes[1], abs=4 * 0.3 / math.sqrt(n))
    always = ganzoo.part("regularizer", "label-smoothing:flip=1").targets(ganzoo.Scores(real=r, fake=f), 1.0, 0.0)
    assert (set(always[0].tolist()), set(always[1].tolist())) == ({0.0}, {0.9})


def test_an_end_of_a_range_asks_for_random_targets():
    with pytest.raises(BadParameter, match="give mode=random too"):
        ganzoo.part("regularizer", "label-smoothing:real_to=1.2")


# -- instance noise --------------------------------------------------------------------------------------------------


def test_noise_has_its_strength_and_is_drawn_anew():
    torch.manual_seed(0)
    noise = ganzoo.part("regularizer", "instance-noise:sigma=0.3")
    x = torch.rand(8, 3, 64, 64)
    added = [noise.images(x, ganzoo.Scores()) - x for _ in range(2)]
    assert added[0].std().item() == pytest.approx(0.3, rel=0.01)
    assert added[0].mean().item() == pytest.approx(0, abs=4 * 0.3 / math.sqrt(x.numel()))
    assert not added[0].equal(added[1])
    assert ganzoo.part("regularizer", "instance-noise:sigma=0").images(x, ganzoo.Scores()).equal(x)


def test_noise_falls_to_nothing_by_itself():
    noise = words.bind(ganzoo.part("regularizer", "instance-noise"))
    found = []
    for progress in (0.0, 0.5, 1.0):
        noise.set_progress(progress)
        found.append(noise.part.sigma)
    assert found == [0.1, 0.05, 0.0]


def test_a_default_that_follows_the_run_is_a_value_like_any():
    cls = type(ganzoo.part("regularizer", "instance-noise"))
    for made in (
        cls(),
        words.remade(cls(), "regularizer instance-noise"),
        ganzoo.part("regularizer", "instance-noise"),
    ):
        assert words.plain(made) == {"sigma": "0.1..0.0"}
        assert str(words.described(words.PartSpec("instance-noise"), made)) == "instance-noise"
        assert made.sigma + 0 == 0.1
        moved = words.bind(made)
        moved.set_progress(1.0)
        assert moved.part.sigma == 0
        assert made.sigma + 0 == 0.1
    constant = ganzoo.part("regularizer", "instance-noise:sigma=0.1")
    assert not words.scheduled(constant)
    assert str(words.described(words.PartSpec("instance-noise"), constant)) == "instance-noise:sigma=0.1"
    assert ganzoo.part("regularizer", "instance-noise", sigma=words.ScheduledNumber("cosine", 1, 0)).sigma + 0 == 1
    with pytest.raises(BadParameter, match="sigma=-1"):
        ganzoo.part("regularizer", "instance-noise:sigma=0.1..-1")


# -- weight clipping -------------------------------------------------------------------------------------------------


def test_clipping_holds_every_parameter_and_no_buffer():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    net[1].running_mean.fill_(5.0)
    clip = ganzoo.part("regularizer", "weight-clip")
    with torch.no_grad():
        clip.after_update("discriminator", net)
    assert max(p.abs().max().item() for p in net.parameters()) == pytest.approx(0.01, rel=1e-6)
    assert net[1].weight.tolist() == pytest.approx([0.01] * 4)
    assert net[1].running_mean.tolist() == [5.0] * 4


def test_clipping_leaves_small_weights_and_the_generator():
    net = nn.Linear(4, 4)
    nn.init.uniform_(net.weight, -0.5, 0.5)
    kept = net.weight.detach().clone()
    clip = ganzoo.part("regularizer", "weight-clip:value=0.2")
    with torch.no_grad():
        clip.after_update("generator", net)
        assert net.weight.equal(kept)
        clip.after_update("discriminator", net)
    assert net.weight.equal(kept.clamp(-0.2, 0.2))
