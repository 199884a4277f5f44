"""The further penalties, transforms and statistics, against their closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from attached import IMAGES, judged, part, prepared, some
from torch import nn, tensor
from torch.testing import assert_close

import ganzoo
from ganzoo import words
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.initial_weights import equalised
from ganzoo_zoo.regularizers import _augment

# -- the family of gradient penalties: a linear critic, whose slope is w = (3, 4) everywhere ---------------------------

FAMILY = [
    ("wgan-lp:weight=1", 16, (4.8, 6.4)),
    ("zero-gp:weight=1", 25, (6, 8)),
    ("r2", 125, (30, 40)),
    ("r1r2:gamma=10", 250, (60, 80)),
    ("dragan:weight=1", 16, (4.8, 6.4)),
    ("dragan:weight=1,noise=uniform", 16, (4.8, 6.4)),
    ("dragan:weight=2,centre=3", 8, (4.8, 6.4)),
    ("wgan-div", 31250, (22500, 30000)),
    ("gradient-penalty:weight=1", 25, (6, 8)),
    ("gradient-penalty:weight=1,over=max", 25, (6, 8)),
    ("gradient-penalty:weight=1,centre=1", 16, (4.8, 6.4)),
    ("gradient-penalty:weight=1,centre=1,sides=one,points=real", 16, (4.8, 6.4)),
    ("gradient-penalty:weight=1,centre=9,sides=one,points=both", 0, (0, 0)),
    ("gradient-penalty:weight=1,centre=9,points=fake", 16, (-4.8, -6.4)),
    ("gradient-penalty:weight=1,points=both,power=6", 31250, (22500, 30000)),
    ("gradient-penalty:weight=1,points=around,power=4", 625, (300, 400)),
]


@pytest.mark.parametrize(("named", "value", "slope"), FAMILY)
def test_penalty_of_a_linear_critic(named, value, slope):
    w = tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    penalty = part(named).discriminator_penalty(judged(lambda x: x @ w + 7, some(5, 2), some(5, 2)))
    assert_close(penalty.detach(), tensor(float(value), dtype=torch.float64), atol=1e-7, rtol=0)
    assert_close(torch.autograd.grad(penalty, w)[0], tensor(slope, dtype=torch.float64), atol=1e-7, rtol=0)


def test_max_gp_is_the_largest_slope_of_the_batch_alone():
    """D(x) = |x|^2 / 2 has the slope x: max |x|^2 of real samples, plus max |x|^2 of fakes where both are asked."""
    real, fake = some(5, 2), 3 * some(6, 2)
    s = judged(lambda x: x.square().sum(1) / 2, real, fake)
    largest = [x.square().sum(1).max().item() for x in (real, fake)]
    for points, expected in (("real", largest[0]), ("fake", largest[1]), ("both", sum(largest))):
        found = part(f"gradient-penalty:weight=0.1,points={points},over=max").discriminator_penalty(s)
        assert found.item() == pytest.approx(0.1 * expected, rel=1e-14)


@pytest.mark.parametrize("named", ["zero-gp:weight=1,on=probability", "gradient-penalty:weight=1,on=probability"])
def test_on_the_probability_at_a_logit_of_zero_it_is_a_sixteenth(named):
    w = tensor([3.0, 4.0], dtype=torch.float64)
    x = torch.zeros(3, 2, dtype=torch.float64)
    assert part(named).discriminator_penalty(judged(lambda x: x @ w, x, x)).item() == pytest.approx(1.5625, abs=1e-12)


@pytest.mark.parametrize(
    ("preset", "general"),
    [
        ("r1:gamma=3", "points=real,weight=1.5"),
        ("r2:gamma=3", "points=fake,weight=1.5"),
        ("r1r2:gamma=3", "points=both,weight=1.5"),
        ("wgan-gp:weight=3", "weight=3,centre=1"),
        ("wgan-lp:weight=3", "weight=3,centre=1,sides=one"),
        ("zero-gp:weight=3", "weight=3"),
        ("dragan:weight=3", "weight=3,centre=1,points=around"),
        ("wgan-div:k=3,p=4", "weight=1.5,points=both,power=4"),
    ],
)
def test_presets_are_members_of_the_family(preset, general):
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()
    real, fake = some(6, 2), some(6, 2)
    values = []
    for named in (preset, f"gradient-penalty:{general}"):
        torch.manual_seed(0)
        values.append(part(named).discriminator_penalty(judged(net, real, fake)))
        assert part(named).per_sample_gradients
        assert part(named).constrains_discriminator
    assert_close(values[0], values[1], atol=1e-12, rtol=0)
    assert part(preset).needs_grad_of == part(f"gradient-penalty:{general}").needs_grad_of


def test_one_sided_leaves_flat_slopes_alone():
    w = tensor([0.3, 0.4], dtype=torch.float64, requires_grad=True)
    penalty = part("wgan-lp").discriminator_penalty(judged(lambda x: x @ w, some(5, 2), some(5, 2)))
    assert penalty.item() == 0
    assert not torch.autograd.grad(penalty, w)[0].any()


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_dragan_looks_around_the_data_and_not_at_fakes(noise):
    seen, values = [], []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).pow(3).sum(1)

    real = some(400, 3, 4, 4)
    for fake in (some(400, 3, 4, 4), some(400, 3, 4, 4)):
        torch.manual_seed(0)
        values.append(part(f"dragan:noise={noise}").discriminator_penalty(judged(critic, real, fake)))
    assert torch.equal(*values)
    away = (seen[-1] - real) / real.std()
    if noise == "normal":
        assert away.mean().item() == pytest.approx(0, abs=0.02)
        assert away.std().item() == pytest.approx(0.5, abs=0.02)
    else:
        assert away.min() >= 0
        assert away.max() < 0.5
        assert away.mean().item() == pytest.approx(0.125, abs=0.02)


# -- drift, LeCam ----------------------------------------------------------------------------------------------------


def test_drift():
    s = ganzoo.Scores(real=tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True))
    penalty = part("drift:weight=0.5").discriminator_penalty(s)
    assert penalty.item() == 2.5
    assert torch.autograd.grad(penalty, s.real)[0].tolist() == [0.5, -1.5]


def test_lecam_anchors_scores_to_the_mean_of_the_other_kind():
    lecam, other = prepared("lecam:weight=1,decay=0.9"), prepared("lecam:weight=1,decay=0.9,form=one-sided")
    for real, fake in (([1.0, 3.0], [0.0, -2.0]), ([4.0, 0.0], [1.0, 1.0])):
        s = ganzoo.Scores(real=tensor(real, dtype=torch.float64), fake=tensor(fake, dtype=torch.float64))
        lecam.observe("discriminator", s)
        other.observe("discriminator", s)
        lecam.observe("generator", s)
    share = 1 - 0.9**2
    a_r, a_f = (0.9 * 0.1 * 2 + 0.1 * 2) / share, (0.9 * 0.1 * -1 + 0.1 * 1) / share
    assert [anchor.item() for anchor in lecam.module.anchors()] == pytest.approx([a_r, a_f])
    value = ((4 - a_f) ** 2 + (0 - a_f) ** 2) / 2 + (a_r - 1) ** 2
    assert lecam.discriminator_penalty(s).item() == pytest.approx(value)
    assert other.discriminator_penalty(s).item() == pytest.approx((4 - a_f) ** 2 / 2 + (a_r - 1) ** 2)
    far = ganzoo.Scores(real=tensor([-5.0], dtype=torch.float64), fake=tensor([9.0], dtype=torch.float64))
    assert other.discriminator_penalty(far).item() == 0
    assert lecam.discriminator_penalty(far).item() == pytest.approx((-5 - a_f) ** 2 + (a_r - 9) ** 2)


def test_lecam_forgets_its_first_batches_as_fast_as_any():
    """Scores that rise from 0 to 5 over 50 updates and stay: the anchors of the authors' code, 2.76 and 4.16."""
    lecam, found = prepared("lecam"), {}
    rising = [5 * min(t, 50) / 50 for t in range(1, 101)]
    for t, score in enumerate(rising, 1):
        scores = torch.full((4,), score, dtype=torch.float64)
        lecam.observe("discriminator", ganzoo.Scores(real=scores, fake=-scores))
        due = 0.01 * sum(0.99 ** (t - s) * m for s, m in enumerate(rising[:t], 1)) / (1 - 0.99**t)
        found[t] = [anchor.item() for anchor in lecam.module.anchors()]
        assert found[t] == pytest.approx([due, -due], abs=1e-9)
    assert [found[t][0] for t in (50, 100)] == pytest.approx([2.76, 4.16], abs=0.005)


@pytest.mark.parametrize("named", ["dragan", "dragan:noise=uniform", "gradient-penalty:points=around,centre=1"])
def test_the_noise_around_a_single_number_is_zero_and_not_nan(named):
    """As numpy's std, which the authors' code calls: 0 for a single number. D(x) = 3 x has the slope 3."""
    s = ganzoo.Scores(real_images=some(1, 1), discriminator=lambda x: 3 * x[:, 0])
    assert part(named).discriminator_penalty(s).item() == pytest.approx(10 * (3 - 1) ** 2)


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_dragan_takes_the_deviation_of_all_numbers(noise):
    """With a square score the slope at x + delta is 2 (x + delta): a batch of -1 and 1 has a deviation of exactly 1."""
    real = tensor([[-1.0], [1.0]], dtype=torch.float64)
    places = []

    def critic(x):
        places.append(x.detach().clone())
        return x.square().sum(1)

    torch.manual_seed(0)
    part(f"dragan:noise={noise},spread=1").discriminator_penalty(ganzoo.Scores(real_images=real, discriminator=critic))
    torch.manual_seed(0)
    if noise == "normal":
        noise_ = torch.randn_like(real)
    else:
        noise_ = torch.rand(2, 1, dtype=torch.float64) * torch.rand_like(real)
    assert_close(places[0], real + noise_)


@pytest.mark.parametrize("named", ["lecam", "path-length", "ada", "sn-penalty"])
def test_what_a_part_remembers_is_saved_with_the_run(experiment, named):
    made = experiment(regularizers=[named])
    for step in range(5):
        made.game.begin(step, 0.0)
        made.run.parts.schedule.step(made.game)
    saved = made.run.state.tensors()
    again = experiment(regularizers=[named], seed=1)
    again.run.state.load(saved, made.run.state.numbers())
    module = again.run.parts.regularizers[named].module
    assert all(torch.equal(v, saved[f"part-{named}"][k]) for k, v in module.state_dict().items())
    assert any(v.any() for v in module.state_dict().values())


# -- consensus -------------------------------------------------------------------------------------------------------


def test_consensus_of_the_bilinear_game():
    """L_D = -psi theta, L_G = psi theta at (1, 1): the penalty's gradient is (psi, theta)."""
    psi, theta = (tensor(1.0, dtype=torch.float64, requires_grad=True) for _ in range(2))
    gradients = {
        "discriminator": torch.autograd.grad(-psi * theta, psi, create_graph=True),
        "generator": torch.autograd.grad(psi * theta, theta, create_graph=True),
    }
    penalty = part("consensus:weight=3").joint_penalty(gradients)
    assert penalty.item() == 3.0
    assert torch.autograd.grad(penalty, (psi, theta)) == (3.0, 3.0)


@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_consensus_in_the_game_is_the_formula(experiment, schedule):
    """Each player's update descends L + (weight / 2) |v|^2, v of both players at that point."""
    rate, weight = 0.05, 0.7
    settings = {"precision": "fp64", "loss": "sgan", "optimizer": f"sgd:lr={rate}", "schedule": schedule}
    ours = experiment(regularizers=[f"consensus:weight={weight}"], **settings)
    ours.game.begin(0, 0.0)
    ours.run.parts.schedule.step(ours.game)

    hand = experiment(**settings)
    game, (G, D), loss = hand.game, hand.run.state.networks, hand.run.parts.loss
    game.begin(0, 0.0)

    def slopes(wanted):
        s = game.round()
        losses = {D: loss.discriminator(s), G: loss.generator(s)}
        v = [torch.autograd.grad(losses[net], list(net.parameters()), create_graph=True) for net in (D, G)]
        length = sum(g.square().sum() for each in v for g in each)
        return {
            net: torch.autograd.grad(losses[net] + weight / 2 * length, list(net.parameters()), retain_graph=True)
            for net in wanted
        }

    def move(found):
        game.close()
        with torch.no_grad():
            for net, grads in found.items():
                for p, g in zip(net.parameters(), grads, strict=True):
                    p.sub_(rate * g)

    if schedule == "onestep":
        move(slopes([D, G]))
    else:
        move(slopes([D]))
        move(slopes([G]))
    for mine, theirs in zip(ours.run.state.networks, (G, D), strict=True):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert_close(a, b, atol=1e-12, rtol=1e-9)


# -- path length -----------------------------------------------------------------------------------------------------


def test_path_length_of_a_linear_generator():
    """G(z) = A z to 4 pixels: the mean squared length is |A|_F^2 / 4."""
    A = some(4, 3)
    z = some(200_000, 3).requires_grad_()
    s = ganzoo.Scores(latent=z, fake_images=(z @ A.T).view(-1, 1, 2, 2))
    path = prepared("path-length:weight=1,decay=1", spec=IMAGES)
    torch.manual_seed(0)
    value = path.generator_penalty(s).item()
    path.after_update("discriminator", nn.Identity())
    assert path.module.mean.item() == 0
    path.after_update("generator", nn.Identity())
    mean = path.module.mean.item()
    # decay 1: the penalty is the spread about the mean
    assert value + mean**2 == pytest.approx((A.square().sum() / 4).item(), rel=0.02)


def test_path_length_follows_its_mean_and_differentiates_through_it():
    A = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    path = prepared("path-length:weight=2,decay=0.25", spec=IMAGES)
    for mean in (0.0, 0.5):
        path.module.mean.fill_(mean)
        z = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(3)
        penalty = path.generator_penalty(ganzoo.Scores(latent=z, fake_images=(z @ A).view(1, 1, 1, 1)))
        torch.manual_seed(3)
        e = torch.randn(1, 1, 1, 1, dtype=torch.float64).abs().item()
        a = mean + 0.25 * (e - mean)
        assert penalty.item() == pytest.approx(2 * (e - a) ** 2, abs=1e-6)
        (slope,) = torch.autograd.grad(penalty, A)
        assert slope.item() == pytest.approx(4 * (e - a) * 0.75 * e, abs=1e-6), "a is not detached"
        assert path.module.next.item() == pytest.approx(a, abs=1e-6)


def test_path_length_of_styles_is_the_mean_over_layers():
    """The squared length is summed over the numbers of a style and averaged over the layers, as in StyleGAN2's code."""
    A, styles = some(4, 6), some(5, 2, 3).requires_grad_()
    path = prepared("path-length:weight=1,decay=1", spec=IMAGES)
    s = ganzoo.Scores(styles=styles, latent=some(5, 3), fake_images=(styles.flatten(1) @ A.T).view(5, 1, 2, 2))
    torch.manual_seed(0)
    value = path.generator_penalty(s)
    torch.manual_seed(0)
    slope = (torch.randn(5, 1, 2, 2, dtype=torch.float64).flatten(1) @ A / 2).view(5, 2, 3)
    length = slope.square().sum(2).mean(1).sqrt()
    assert_close(value, (length - length.mean()).square().mean())


def test_path_length_is_refused_where_noise_may_not_matter():
    with pytest.raises(Incompatible, match="leave path-length out"):
        part("path-length").check(
            ganzoo.Spec(shape=(1, 8, 8), latent_dim=2, inputs={"condition": ganzoo.TensorSpec((1, 8, 8))})
        )


# -- spectral norms and orthogonality --------------------------------------------------------------------------------


def test_sn_penalty_of_a_diagonal():
    layer = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.diag(tensor([3.0, 1.0])))
    torch.manual_seed(0)
    penalty = prepared("sn-penalty:weight=0.5,power_iterations=20", nn.Linear(2, 2), layer)
    value = penalty.discriminator_penalty(ganzoo.Scores())
    assert value.item() == pytest.approx(0.25 * 9, abs=1e-9)
    assert_close(
        torch.autograd.grad(value, layer.weight)[0],
        torch.diag(tensor([1.5, 0.0], dtype=torch.float64)),
        atol=1e-6,
        rtol=0,
    )
    assert penalty.report()["largest_sigma"].item() == pytest.approx(3, abs=1e-9)


def test_sn_divides_a_rescaled_weight_and_draws_a_weight_of_zeros():
    torch.manual_seed(0)
    rescaled, zero = equalised(nn.Linear(3, 4, bias=False), gain=7.0).double(), nn.Linear(4, 2, bias=False).double()
    nn.init.zeros_(zero.weight)
    critic = nn.Sequential(rescaled, zero)
    sn = prepared("sn:power_iterations=100", nn.Identity(), critic)
    before = 7 / math.sqrt(3) * torch.linalg.svdvals(rescaled.parametrizations.weight.original)[0]
    for layer in critic:
        assert torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1.0)
    assert sn.report()["discriminator.0"].item() == pytest.approx(before.item(), rel=1e-6)


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3), nn.Linear(4, 5)])
def test_sn_reports_the_first_singular_value(layer):
    made = prepared("sn:power_iterations=500", nn.Linear(1, 1), nn.Sequential(layer).double())
    layer.weight  # noqa: B018  # one look at the weight in training iterates
    w = layer.parametrizations.weight.original
    w = w.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else w
    (told,) = made.report().values()
    assert told.item() == pytest.approx(torch.linalg.matrix_norm(w.flatten(1), 2).item(), rel=1e-6)


def test_what_parts_report_is_in_the_records(experiment):
    made = experiment(regularizers=["sn", "ada"])
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    assert not any(tag.startswith("parts/") for tag in made.game.scalars), "only when records are due"
    made.game.log_reports()
    seen = made.game.pop_scalars()
    assert {"parts/ada/p", "parts/ada/r_t"} <= seen.keys()
    assert sum(tag.startswith("parts/sn/discriminator.") for tag in seen) == 2


def test_orthogonal_penalty_of_two_rows():
    layer = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(tensor([[1.0, 0.0], [1.0, 1.0]]))
    penalty = prepared("orthogonal:weight=1", layer, nn.Linear(2, 1))
    value = penalty.generator_penalty(ganzoo.Scores())
    assert value.item() == 2
    assert torch.autograd.grad(value, layer.weight)[0].tolist() == [[4, 4], [4, 0]]
    with torch.no_grad():
        layer.weight.copy_(tensor([[3.0, 4.0], [-8.0, 6.0]]))  # rows of any length
    assert penalty.generator_penalty(ganzoo.Scores()).item() == 0


@pytest.mark.parametrize(
    ("players", "paying"),
    [("generator", {"generator"}), ("discriminator", {"discriminator"}), ("both", {"generator", "discriminator"})],
)
def test_orthogonal_is_paid_by_the_players_named(experiment, players, paying):
    game = experiment(regularizers=[f"orthogonal:players={players}"]).game
    assert {player for player, found in game.penalties.items() if found} == paying


# -- top-k, gradients ------------------------------------------------------------------------------------------------


def test_top_k_shows_the_generator_its_best(experiment):
    s = ganzoo.Scores(
        fake=tensor([1.0, 5.0, -2.0, 3.0]),
        real=tensor([10.0, 20.0, 30.0, 40.0]),
        labels=tensor([0, 1, 2, 3]),
        fake_output={"logits": tensor([1.0, 5.0, -2.0, 3.0]), "features": [torch.arange(8.0).view(4, 2)]},
    )
    best = s.at(part("top-k:share=0.5").select_samples(s))
    assert best.fake.tolist() == [5, 3]
    assert best.real.tolist() == [20, 40], "pairs stay pairs"
    assert best.labels.tolist() == [1, 3]
    assert best.fake_output["features"][0].tolist() == [[2, 3], [6, 7]]
    assert best.real_target == 1.0
    assert best.fake_labels is None
    with pytest.raises(AttributeError, match="has no nothing"):
        best.nothing  # noqa: B018
    made = experiment(loss="hinge", regularizers=["top-k:share=0.25"], precision="fp64")
    made.game.begin(0, 0.0)
    s = made.game.round()
    assert made.game.generator_loss(s).item() == pytest.approx(-s.fake.topk(2).values.mean().item())
    assert made.game.discriminator_loss(s).item() == pytest.approx(part_loss("hinge").discriminator(s).item())
    made.game.close()


def part_loss(named: str) -> Any:
    return ganzoo.part("loss", named)


def test_top_k_keeps_one_and_follows_its_course():
    top = words.bind(part("top-k:share=1..0.01"))
    s = ganzoo.Scores(fake=torch.arange(10.0))
    assert len(top.part.select_samples(s)) == 10
    top.set_progress(1.0)
    assert top.part.select_samples(s).tolist() == [9]


def test_gradients_are_clipped_by_norm_or_value():
    grads = [tensor([3.0, 0.0]), tensor([[4.0]])]
    norm = part("clip-gradient:value=1")
    assert_close(norm.modify_gradients("generator", grads), [tensor([0.6, 0.0]), tensor([[0.8]])])
    assert_close(part("clip-gradient:value=10").modify_gradients("generator", grads), grads)
    assert_close(part("clip-gradient:value=3.5,by=value").modify_gradients("generator", grads)[1], tensor([[3.5]]))
    assert part("clip-gradient:players=discriminator").modify_gradients("generator", grads) is grads
    assert_close(norm.modify_gradients("generator", [torch.zeros(2)]), [torch.zeros(2)])


def test_clipped_gradients_are_what_players_move_along(experiment):
    made = experiment(regularizers=["clip-gradient:value=1e-3"], optimizer="sgd:lr=1", precision="fp64")
    before = [p.detach().clone() for p in made.run.discriminator.parameters()]
    made.game.begin(0, 0.0)
    made.run.parts.schedule.step(made.game)
    moved = torch.cat([(a - b).flatten() for a, b in zip(made.run.discriminator.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-6)
    assert made.game.scalars["grad/discriminator"] > 1e-3
    assert all(p.abs().max() > 1e-3 for p in made.run.discriminator.parameters() if p.ndim > 1), "weights stay"


# -- feature matching ------------------------------------------------------------------------------------------------


def test_feature_matching_layer_by_layer():
    real, fake = [some(4, 3, 2, 2), some(4, 5)], [some(4, 3, 2, 2).requires_grad_(), some(4, 5).requires_grad_()]
    s = ganzoo.Scores(real_output={"features": real}, fake_output={"features": fake})
    paired = part("feature-matching:form=paired").generator_penalty(s)
    assert_close(paired, 10 * 4 / 2 * sum((r - f).abs().mean() for r, f in zip(real, fake, strict=True)))
    mean = part("feature-matching").generator_penalty(s)
    assert_close(mean, 20 * sum((r.mean(0) - f.mean(0)).abs().mean() for r, f in zip(real, fake, strict=True)))
    with pytest.raises(Incompatible, match="leave feature-matching out"):
        part("feature-matching").check(IMAGES)


# -- consistency -----------------------------------------------------------------------------------------------------


def test_consistency_of_a_critic_that_does_not_mind():
    level = lambda x: x.flatten(1).square().sum(1) * 0 + 3  # noqa: E731  # the same score for all
    s = judged(level, some(4, 3, 8, 8), some(4, 3, 8, 8), latent=some(4, 2), generator=lambda z: some(4, 3, 8, 8))
    s.fake = level(s.fake_images)
    for named in ("cr", "bcr", "zcr"):
        assert part(named).discriminator_penalty(s).item() == 0


def test_consistency_is_the_squared_difference_of_scores():
    first = lambda x: x[:, 0, 0, 0]  # noqa: E731  # sees mirror and shift
    s = judged(first, some(64, 3, 8, 8), some(64, 3, 8, 8))
    torch.manual_seed(0)
    real = part("cr:weight=1").discriminator_penalty(s)
    torch.manual_seed(0)
    copies = _augment.translated(_augment.flipped(s.real_images.detach()), mirrored=True)
    assert_close(real, (first(s.real_images) - first(copies)).square().mean())
    torch.manual_seed(0)
    both = part("bcr:weight=1,fake_weight=0").discriminator_penalty(s)
    assert_close(both, real)
    assert part("bcr:weight=0,fake_weight=2").discriminator_penalty(s) > 0


def test_a_copy_for_consistency_is_mirrored_at_its_borders():
    """As StudioGAN pads: a side of 28 moves by up to int(28 / 8) = 3, and no pixel is grey that was black."""
    x = (torch.arange(28.0)[:, None] * 100 + torch.arange(28.0)).expand(500, 1, 28, 28)
    torch.manual_seed(0)
    down, right = _augment.shifts(x, 3, 3)
    assert sorted(down.unique().tolist()) == sorted(right.unique().tolist()) == [-3, -2, -1, 0, 1, 2, 3]
    torch.manual_seed(0)
    moved = _augment.translated(x, mirrored=True)
    padded = torch.nn.functional.pad(x, (3, 3, 3, 3), mode="reflect")
    for image, wide, i, j in zip(moved, padded, down.flatten().tolist(), right.flatten().tolist(), strict=True):
        assert image.equal(wide[:, 3 - i : 31 - i, 3 - j : 31 - j])
    black = -torch.ones(100, 1, 28, 28)
    assert _augment.translated(black, mirrored=True).equal(black)


def test_zcr_draws_scores_together_and_images_apart():
    z = some(50_000, 2).requires_grad_()
    make = lambda z: 3 * z  # noqa: E731
    s = ganzoo.Scores(
        latent=z, fake_images=make(z), fake=make(z).sum(1), generator=make, discriminator=lambda x: x.sum(1)
    )
    assert part("zcr:weight=5,sigma=0.1").discriminator_penalty(s).item() == pytest.approx(5 * 2 * 0.09, rel=0.03)
    assert words.plain(part("zcr")) == {"weight": 20.0, "diversity": 0.5, "sigma": 0.05, "every": 1}  # StudioGAN's
    assert part("zcr:sigma=0.1").generator_penalty(s).item() == pytest.approx(-0.5 * 0.09, rel=0.03)


def test_a_neighbour_is_judged_with_the_labels_of_the_fakes(experiment):
    made = experiment(arch="dcgan:width=4,conditional=concat", regularizers=["zcr", "bcr"], loss="sgan")
    made.game.begin(0, 0.0)
    s, seen = made.game.round(), []
    judge = made.game.judge
    made.game.judge = lambda images, batch: (seen.append(batch.labels), judge(images, batch))[1]
    s.judge(s.fake_images.detach(), fake=True)
    s.judge(s.fake_images.detach())
    assert torch.equal(seen[0], s.fake_labels)
    assert torch.equal(seen[1], s.labels)
    made.game.close()


@pytest.mark.parametrize("named", ["r1", "r2", "r1r2", "wgan-gp", "wgan-lp", "zero-gp", "dragan", "gradient-penalty"])
def test_a_gradient_per_sample_refuses_a_discriminator_that_mixes_samples(experiment, named):
    with pytest.raises(Incompatible, match=rf"\A{named} takes a gradient per sample[^\n]*\Z"):
        experiment(arch="dcgan:width=4,d_norm=batch", regularizers=[named], data="digits:size=16")
