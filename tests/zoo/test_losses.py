"""Values, gradients and optima of the losses, against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor
from torch.testing import assert_close

import ganzoo
from ganzoo.errors import BadParameter

# r = [1, -1/2], f = [1/2, -2]: loss -> value, gradient by r, gradient by f
DISCRIMINATOR = {
    "sgan": (1.194172, [-0.134471, -0.311230], [0.311230, 0.059601]),
    "sgan-saturating": (1.194172, [-0.134471, -0.311230], [0.311230, 0.059601]),
    "hinge": (1.5, [0, -0.5], [0.5, 0]),
    "lsgan": (1.625, [0, -0.75], [0.25, -1]),
    "lsgan:fake=-1,real=1,aim=0": (1.375, [0, -0.75], [0.75, -0.5]),
    "wgan": (-1.0, [-0.5, -0.5], [0.5, 0.5]),
    "rpgan": (0.337745, [-0.188770, -0.091213], [0.188770, 0.091213]),
    "rpgan:form=zero-sum": (0.337745, [-0.188770, -0.091213], [0.188770, 0.091213]),
}
GENERATOR = {
    "sgan": (1.300502, [0, 0], [-0.188770, -0.440399]),
    "sgan-saturating": (-0.550502, [0, 0], [-0.311230, -0.059601]),
    "hinge": (0.75, [0, 0], [-0.5, -0.5]),
    "lsgan": (2.3125, [0, 0], [-0.25, -1.5]),
    "lsgan:fake=-1,real=1,aim=0": (1.0625, [0, 0], [0.25, -1]),
    "wgan": (0.75, [0, 0], [-0.5, -0.5]),
    "rpgan": (1.337745, [0.311230, 0.408787], [-0.311230, -0.408787]),
    "rpgan:form=zero-sum": (-0.337745, [0.188770, 0.091213], [-0.188770, -0.091213]),
}
ALL = list(DISCRIMINATOR)


def scores(real, fake, **more):
    real, fake = (tensor(x, dtype=torch.float64).requires_grad_() for x in (real, fake))
    return ganzoo.Scores(real=real, fake=fake, **more)


def told(words, player, s):
    """Value and gradients by real and fake scores."""
    value = getattr(ganzoo.part("loss", words), player)(s)
    slopes = torch.autograd.grad(value, (s.real, s.fake), allow_unused=True, materialize_grads=True)
    return value.detach(), *slopes


@pytest.mark.parametrize(("player", "table"), [("discriminator", DISCRIMINATOR), ("generator", GENERATOR)])
@pytest.mark.parametrize("words", ALL)
def test_values_and_gradients(words, player, table):
    found = told(words, player, scores([1.0, -0.5], [0.5, -2.0]))
    for mine, due in zip(found, table[words], strict=True):
        assert_close(mine, tensor(due, dtype=torch.float64), atol=6e-7, rtol=0)


@pytest.mark.parametrize(
    ("words", "discriminator", "generator"),
    [
        ("sgan", 2 * math.log(2), math.log(2)),
        ("sgan-saturating", 2 * math.log(2), -math.log(2)),
        ("hinge", 2, 0),
        ("hinge:margin=3", 6, 0),
        ("lsgan", 0.5, 0.5),
        ("wgan", 0, 0),
        ("rpgan", math.log(2), math.log(2)),
        ("rpgan:form=zero-sum", math.log(2), -math.log(2)),
    ],
)
def test_at_scores_of_zero(words, discriminator, generator):
    s = scores([0.0, 0.0], [0.0, 0.0])
    assert told(words, "discriminator", s)[0] == pytest.approx(discriminator, abs=1e-15)
    assert told(words, "generator", s)[0] == pytest.approx(generator, abs=1e-15)


# -- three atoms: p real, q fake, the discriminator a free number for each -----------------------------------------

P, Q = [0.7, 0.2, 0.1], [0.2, 0.3, 0.5]


def atoms(d, **more):
    """All 10 x 10 pairs of a real and a fake atom, in the proportions of p and q."""
    real = torch.repeat_interleave(torch.arange(3), tensor([7, 2, 1]))
    fake = torch.repeat_interleave(torch.arange(3), tensor([2, 3, 5]))
    return ganzoo.Scores(real=d[real].repeat_interleave(10), fake=d[fake].repeat(10), **more)


def best(words, **more):
    """The best discriminator of the atoms, and its loss."""
    loss = ganzoo.part("loss", words)
    d = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [d], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        search.zero_grad()
        value = loss.discriminator(atoms(d, **more))
        value.backward()
        return value

    search.step(closure)
    return d.detach(), loss.discriminator(atoms(d, **more)).item()


p, q = tensor(P, dtype=torch.float64), tensor(Q, dtype=torch.float64)
LOG_RATIO = (p / q).log()
JS = ((p * (2 * p / (p + q)).log()).sum() + (q * (2 * q / (p + q)).log()).sum()).item() / 2


def test_sgan_finds_the_log_ratio():
    d, value = best("sgan")
    assert_close(d, LOG_RATIO, atol=1e-6, rtol=0)
    assert value == pytest.approx(2 * math.log(2) - 2 * JS, abs=1e-9)
    assert pytest.approx(0.1513581, abs=1e-7) == JS
    assert value == pytest.approx(1.0835781, abs=1e-7)


@pytest.mark.parametrize(
    ("words", "a", "b", "value"), [("lsgan", 0, 1, 0.179444), ("lsgan:fake=-1,real=1,aim=0", -1, 1, 0.717778)]
)
def test_lsgan_finds_the_weighted_mean_of_its_numbers(words, a, b, value):
    d, found = best(words)
    assert_close(d, (b * p + a * q) / (p + q), atol=1e-6, rtol=0)
    assert found == pytest.approx(value, abs=6e-7)
    assert found == pytest.approx(0.5 * (b - a) ** 2 * (p * q / (p + q)).sum().item(), abs=1e-9)


def test_hinge_finds_the_total_variation():
    loss = ganzoo.part("loss", "hinge")
    best_value = loss.discriminator(atoms(torch.sign(p - q))).item()
    assert best_value == pytest.approx(2 * torch.minimum(p, q).sum().item(), abs=1e-12)
    assert best_value == pytest.approx(1.0, abs=1e-12)
    line = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    assert (
        min(loss.discriminator(atoms(d)).item() for d in torch.cartesian_prod(line, line, line)) >= best_value - 1e-12
    )


def test_rpgan_finds_the_log_ratio_up_to_a_constant():
    d, value = best("rpgan")
    assert_close(d - d[0], LOG_RATIO - LOG_RATIO[0], atol=1e-6, rtol=0)
    assert_close(d - d[0], tensor([0, -1.6582, -2.8622], dtype=torch.float64), atol=1e-4, rtol=0)
    assert value == pytest.approx(0.4312357, abs=1e-7)


def test_smoothed_sgan_finds_nine_tenths_of_the_probability():
    d, _ = best("sgan", real_target=0.9)
    assert_close(d.sigmoid(), 0.9 * p / (p + q), atol=1e-6, rtol=0)


def kl(a, b):
    return (a * (a / b).log()).sum()


def mean_js(a, b):
    m = (a + b) / 2
    return (kl(a, m) + kl(b, m)) / 2


@pytest.mark.parametrize(
    ("words", "divergence", "slope"),
    [
        ("sgan", lambda q: kl(q, p) - 2 * mean_js(p, q), [-0.1939, -0.0914, 0.2854]),
        ("sgan-saturating", lambda q: 2 * mean_js(p, q), [-0.1918, 0.0103, 0.1815]),
        ("wgan", lambda q: kl(q, p), [-0.3857, -0.0811, 0.4668]),  # -E[D] at D = log(p/q)
    ],
)
def test_what_the_generator_descends_at_the_best_discriminator(words, divergence, slope):
    loss = ganzoo.part("loss", words)
    a = q.log().requires_grad_()  # q = softmax(a)
    paid = torch.stack([loss.generator(ganzoo.Scores(fake=d[None])) for d in LOG_RATIO])
    (mine,) = torch.autograd.grad((a.softmax(0) * paid).sum(), a)
    (due,) = torch.autograd.grad(divergence(a.softmax(0)), a)
    assert_close(mine, due, atol=1e-12, rtol=0)
    assert_close(mine, tensor(slope, dtype=torch.float64), atol=6e-5, rtol=0)


# -- what sets each apart ------------------------------------------------------------------------------------------


def test_sgan_learns_where_a_small_number_in_the_logarithm_would_not():
    _, _, slope = told("sgan", "generator", scores([0.0, 0.0], [-50.0, -50.0]))
    assert_close(slope, tensor([-0.5, -0.5], dtype=torch.float64))
    f = tensor([-50.0], dtype=torch.float64, requires_grad=True)
    (dead,) = torch.autograd.grad(-(f.sigmoid() + 1e-8).log().mean(), f)
    assert dead.abs() < 1e-13


def test_sgan_gradients_are_sigmoids():
    s = scores([0.3, -2.0, 4.0], [-1.0, 0.5, 7.0])
    assert_close(told("sgan", "generator", s)[2], -torch.sigmoid(-s.fake) / 3)
    assert_close(told("sgan-saturating", "generator", s)[2], -torch.sigmoid(s.fake) / 3)


@pytest.mark.parametrize("words", ["sgan", "sgan-saturating"])
def test_sgan_is_cross_entropy_with_its_targets(words):
    s = scores([1.0, -0.5, 3.0], [0.5, -2.0, 0.1], real_target=tensor([0.9, 1.05, 0.7]), fake_target=0.2)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    due = bce(s.real, s.real_target.double()) + bce(s.fake, torch.full_like(s.fake, 0.2))
    assert_close(told(words, "discriminator", s)[0], due.detach())
    plain = scores([1.0, -0.5, 3.0], [0.5, -2.0, 0.1])
    assert told(words, "generator", s)[0] == told(words, "generator", plain)[0]


def test_a_target_above_one_pays_without_end():
    s = scores([50.0], [-50.0], real_target=1.1)
    assert told("sgan", "discriminator", s)[0] == pytest.approx(-5.0, abs=1e-12)


def test_lsgan_moves_its_numbers_with_the_targets():
    s = scores([1.0, -0.5], [0.5, -2.0], real_target=0.9, fake_target=0.1)
    plain = scores([1.0, -0.5], [0.5, -2.0])
    moved = told("lsgan:fake=-1,real=1", "discriminator", s)[0]
    assert moved == told("lsgan:fake=-0.8,real=0.8", "discriminator", plain)[0]
    assert told("lsgan", "generator", s)[0] == told("lsgan", "generator", plain)[0]


def test_lsgan_refuses_numbers_the_wrong_way_round():
    with pytest.raises(BadParameter, match="real=0 is not above fake=1"):
        ganzoo.part("loss", "lsgan:fake=1,real=0")


def test_hinge_teaches_nothing_beyond_the_margin():
    value, *slopes = told("hinge", "discriminator", scores([1.5, 2.0], [-1.5, -3.0]))
    assert value == 0
    assert not any(slope.any() for slope in slopes)
    assert told("hinge:margin=2", "discriminator", scores([1.5, 2.0], [-1.5, -3.0]))[0] == 0.5


def test_reversed_hinge_is_hinge_of_negated_scores():
    value, real, fake = told("hinge", "discriminator", scores([-1.0, 0.5], [-0.5, 2.0]))
    assert value == 3.0
    assert (real.tolist(), fake.tolist()) == ([-0.5, -0.5], [0.5, 0.5])


def test_wgan_of_two_atoms_is_their_distance():
    for theta in (-1.5, 0.3):
        values = [
            told("wgan", "discriminator", scores([0.0], [c * theta]))[0] for c in torch.linspace(-1, 1, 21).tolist()
        ]
        assert -min(values) == pytest.approx(abs(theta), abs=1e-6)


@pytest.mark.parametrize("words", ["rpgan", "rpgan:form=zero-sum"])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_rpgan_sees_differences_alone(words, player):
    s, shifted = scores([1.0, -0.5], [0.5, -2.0]), scores([8.0, 6.5], [7.5, 5.0])
    assert_close(told(words, player, s), told(words, player, shifted))


def test_rpgan_players_swap_roles():
    s, swapped = scores([1.0, -0.5], [0.5, -2.0]), scores([0.5, -2.0], [1.0, -0.5])
    assert told("rpgan", "generator", s)[0] == told("rpgan", "discriminator", swapped)[0]
    assert told("rpgan:form=zero-sum", "generator", s)[0] == -told("rpgan", "discriminator", s)[0]


@pytest.mark.parametrize("shape", [(4, 1), (3,), (1,)])
def test_rpgan_refuses_scores_that_do_not_pair(shape):
    with pytest.raises(ValueError, match=r"pairs each real score .* give as many fakes as reals"):
        ganzoo.part("loss", "rpgan").discriminator(ganzoo.Scores(real=torch.zeros(4), fake=torch.zeros(shape)))


FACTS = {
    "takes_patches": "hinge hinge-linear lsgan meg ragan rahinge ralsgan rpgan sgan sgan-saturating wgan",
    "supports_shared_backward": "hinge-linear lsgan meg sgan sgan-saturating wgan",
    "pairs_samples": "gan-qp rpgan",
    "reads_scores": "acgan gan-qp hinge hinge-linear lsgan meg ogan ragan rahinge ralsgan rpgan sgan sgan-saturating "
    "wgan wgan-div",
}
"""What the engine does otherwise for a loss: scores patch by patch, one backward pass, reals and fakes in pairs, and
no scores at all where the loss reads features alone."""


@pytest.mark.parametrize("fact", FACTS)
def test_the_facts_by_which_the_engine_treats_a_loss(fact: str) -> None:
    losses = [entry.name for entry in ganzoo.catalogue("loss") if entry.provider == "zoo"]
    assert [name for name in losses if getattr(ganzoo.part("loss", name), fact)] == FACTS[fact].split()
