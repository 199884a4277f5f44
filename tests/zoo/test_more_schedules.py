"""The further schedules: closed forms in the bilinear game, and what the game gives them, bit for bit."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn, tensor
from torch.testing import assert_close

import ganzoo
from ganzoo import lab
from ganzoo.step.game import Game
from ganzoo.training.steps import advance
from ganzoo.words import bind

H = 0.1


class Bilinear(ganzoo.Game):
    """L_D = -psi theta, L_G = psi theta, both by gradient descent at the rate H; the optimizers remember nothing."""

    def __init__(self):
        self.nets = ganzoo.Networks(generator=Number(), discriminator=Number())
        self.w = {"discriminator": self.nets.discriminator.w, "generator": self.nets.generator.w}
        self.parameters = {player: [w] for player, w in self.w.items()}
        self.counted = []

    @property
    def at(self):
        return self.w["discriminator"].item(), self.w["generator"].item()

    def round(self, *players):
        return ganzoo.Scores()

    def discriminator_loss(self, s):
        return -self.w["discriminator"] * self.w["generator"]

    def generator_loss(self, s):
        return self.w["discriminator"] * self.w["generator"]

    def looking_ahead(self):
        return nullcontext()

    def snapshot(self, *players, memory=False):
        chosen = players or ("discriminator", "generator")
        return type("Point", (), {"weights": {p: [self.w[p].detach().clone()] for p in chosen}})

    @torch.no_grad()
    def restore(self, point):
        for player, (weight,) in point.weights.items():
            self.w[player].copy_(weight)

    def update(self, *, discriminator=None, generator=None, start=None, trial=False):
        losses = {"discriminator": discriminator, "generator": generator}
        slopes = {p: torch.autograd.grad(loss, self.w[p])[0] for p, loss in losses.items() if loss is not None}
        if start is not None:
            self.restore(start)
        with torch.no_grad():
            for player, slope in slopes.items():
                self.w[player].sub_(H * slope)
        if not trial:
            self.counted.append("".join(p[0].upper() for p in slopes))


class Number(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(tensor(1.0, dtype=torch.float64))


def played(words, steps=1):
    game, bound = Bilinear(), bind(ganzoo.part("schedule", words))
    bound.values["module"] = bound.part.prepare(game.nets, ganzoo.Spec(shape=(1,), latent_dim=1))
    for number in range(steps):
        game.step_number = number
        bound.part.step(game)
    return game


def radius(game):
    psi, theta = game.at
    return psi**2 + theta**2


def test_extragradient_moves_along_the_gradient_of_the_next_point():
    game = played("extragradient")
    ahead = 1 + H, 1 - H
    assert game.at == pytest.approx((1 + H * ahead[1], 1 - H * ahead[0]), abs=1e-15)
    assert game.counted == ["DG"], "the look ahead is not counted"
    assert radius(played("extragradient", 500)) == pytest.approx(2 * ((1 - H**2) ** 2 + H**2) ** 500)


def test_lookahead_returns_part_of_the_way_every_k_steps():
    fast = played("onestep", 4)
    game = played("lookahead:k=4,of=onestep,alpha=0.25", 4)
    assert game.at == pytest.approx([1 + 0.25 * (w - 1) for w in fast.at], abs=1e-15)
    assert played("lookahead:k=4,of=onestep", 3).at == played("onestep", 3).at
    assert played("lookahead:k=2,alpha=1", 6).at == pytest.approx(played("alternating", 6).at, abs=1e-15)


def test_lookahead_spirals_in_where_its_inner_schedule_spirals_out():
    inner, outer = played("onestep", 500), played("lookahead:k=20,of=onestep", 500)
    assert radius(inner) > 100
    assert radius(outer) < 0.1


def test_lookahead_over_extragradient_is_the_mean_of_its_slow_and_fast_weights():
    """Extragradient multiplies psi + i theta by 1 - h^2 - i h: k steps by the power, and the return by the mean."""
    fast = complex(1 - H**2, -H) ** 3
    start = complex(1, 1)
    game = played("lookahead:k=3,of=extragradient", 3)
    assert played("extragradient", 3).at == pytest.approx(_point(start, fast), abs=1e-15)
    assert game.at == pytest.approx(_point(start, (1 + fast) / 2), abs=1e-15)
    assert game.counted == ["DG"] * 3
    assert radius(played("lookahead:k=3,of=extragradient", 300)) == pytest.approx(2 * abs((1 + fast) / 2) ** 200)


def test_nested_lookahead_takes_the_inner_slow_weights_back():
    """Of two inner returns and an outer return remains (1 + m^2) / 2, m = (1 + fast) / 2 of one inner period."""
    fast = complex(1, -H) ** 2
    inner = (1 + fast) / 2
    outer = (1 + inner**2) / 2
    words = "lookahead:k=4,of=(lookahead:k=2,of=onestep)"
    start = complex(1, 1)
    assert played("lookahead:k=2,of=onestep", 4).at == pytest.approx(_point(start, inner**2), abs=1e-15)
    for periods in (1, 2, 3):  # had the inner slow weights stayed, the second period would differ
        assert played(words, 4 * periods).at == pytest.approx(_point(start, outer**periods), abs=1e-15)
    thrice = played(f"lookahead:k=8,of=({words})", 16)
    assert thrice.at == pytest.approx(_point(start, ((1 + outer**2) / 2) ** 2), abs=1e-15)


def test_lookahead_starts_from_the_networks_of_another_run(experiment, tmp_path):
    """Its slow weights are not those that the networks were initialised with."""
    same = {"data": "ring", "arch": "mlp:width=4", "latent_dim": 4, "regularizers": []}
    other = ganzoo.run(**same, steps=3, logdir=tmp_path, quiet=True, device="cpu")
    made = experiment(**same, schedule="lookahead:k=9", init_from=str(other.dir))
    before = [p.detach().clone() for net in made.run.state.networks for p in net.parameters()]
    advance(made.run, made.game, 9)
    slow = made.run.state.modules["schedule"]
    assert_close([*slow.generator, *slow.discriminator], before, rtol=0, atol=0)


def test_lookahead_returns_the_part_of_a_network_that_learns(experiment):
    """A stage that is frozen, and one of the same shapes that learns: each has slow weights of its own."""
    made = experiment(
        data="inpaint:of=digits:size=8",
        arch="gated:first=0.5,then=frozen,width=2,d_width=2,d_layers=2",
        schedule="lookahead:k=1,alpha=1e-9",
        regularizers=["l1:weight=1,stage=coarse,refined"],
    )
    weights = dict(made.run.generator.named_parameters())
    before = {name: p.detach().clone() for name, p in weights.items()}
    for step in range(5, 9):  # after half of the run
        made.run.state.counters.step = step
        advance(made.run, made.game, 9)
    for name, p in weights.items():
        assert_close(p.detach(), before[name], rtol=0, atol=1e-6, msg=name)


def _point(start, factor):
    """(psi, theta) of the number psi + i theta after a turn. Both players begin at 1."""
    turned = start * factor
    return turned.real, turned.imag


@pytest.mark.parametrize("k", [1, 2, 5])
def test_unrolled_answers_a_discriminator_k_moves_ahead(k):
    """psi_k = 1 + k h: theta moves against it; psi keeps the first move alone."""
    game = played(f"unrolled:steps={k}")
    assert game.at == pytest.approx((1 + H, 1 - H * (1 + k * H)), abs=1e-15)
    assert game.counted == ["D", "G"]


def test_unrolled_spirals_in():
    """The update [[1, h], [-h, 1 - k h^2]] has the determinant 1 - (k - 1) h^2."""
    ends = [radius(played(f"unrolled:steps={k}", 400)) for k in (1, 5)]
    assert 1.5 < ends[0] < 2.6
    assert ends[1] < 0.05


def test_alternating_moves_the_generator_as_often_as_told():
    game = played("alternating:discriminator_steps=2,generator_steps=3")
    psi = 1 + 2 * H
    assert game.at == pytest.approx((psi, 1 - 3 * H * psi), abs=1e-15)
    assert game.counted == ["D", "D", "G", "G", "G"]


def test_the_weight_of_onestep_is_a_ratio_of_rates_for_plain_descent():
    assert played("onestep:weight=3").at == pytest.approx((1 + H, 1 - 3 * H), abs=1e-15)


# -- on the real game ------------------------------------------------------------------------------------------------


def weights(game: Game) -> dict[str, torch.Tensor]:
    return {f"{i}.{k}": v.clone() for i, net in enumerate(game.state.networks) for k, v in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def play(made: Any, schedule: Any, steps: int = 3) -> dict[str, torch.Tensor]:
    for step in range(steps):
        made.game.begin(step, 0.0)
        schedule.step(made.game)
    return weights(made.game)


def settings(**more):
    return {"precision": "fp64", "loss": "sgan", **more}


@pytest.mark.parametrize("optimizer", ["sgd:lr=0.05,momentum=0.9", "adam:lr=1e-3", "rmsprop"])
def test_a_point_is_returned_to_bit_for_bit(experiment, optimizer):
    """Three steps, back, the same three steps: the same weights, and the same memory in the optimizers."""
    made = experiment(**settings(optimizer=optimizer, regularizers=["sn:players=generator"]))
    schedule = ganzoo.part("schedule", "onestep")
    for warm in (0, 2):
        play(made, schedule, warm)
        buffers = {k: v.clone() for k, v in made.run.generator.named_buffers()}
        point, draws = made.game.snapshot(memory=True), made.game.state.counters.draws
        before = weights(made.game)
        first = play(made, schedule)
        assert not same(before, first)
        for _ in range(2):  # a point can be returned to more than once
            made.game.restore(point)
            with torch.no_grad():
                for name, buffer in made.run.generator.named_buffers():
                    buffer.copy_(buffers[name])
            made.game.state.counters.draws = draws
            assert same(weights(made.game), before)
            assert same(play(made, schedule), first)


def test_a_point_of_one_player_leaves_the_other(experiment):
    made = experiment(**settings())
    before = weights(made.game)
    point = made.game.snapshot("discriminator")
    play(made, ganzoo.part("schedule", "onestep"))
    moved = weights(made.game)
    made.game.restore(point)
    after = weights(made.game)
    assert all(torch.equal(after[k], (before if k.startswith("1.") else moved)[k]) for k in after)


def test_a_trial_is_neither_counted_nor_averaged(experiment):
    made = experiment(**settings(ema=0.5))
    game = made.game
    game.begin(0, 0.0)
    average = [p.clone() for p in made.run.ema.parameters()]
    s = game.round()
    game.update(discriminator=game.discriminator_loss(s), generator=game.generator_loss(s), trial=True)
    assert set(game.state.counters.updates.values()) == {0}
    assert all(map(torch.equal, average, made.run.ema.parameters()))


def test_extragradient_written_by_hand(experiment):
    ours = experiment(**settings(optimizer="sgd:lr=0.05"))
    mine = play(ours, ganzoo.part("schedule", "extragradient"), 1)
    hand = experiment(**settings(optimizer="sgd:lr=0.05"))
    game, nets = hand.game, hand.run.state.networks
    game.begin(0, 0.0)
    start = [p.detach().clone() for net in nets for p in net.parameters()]
    everything = [p for net in nets for p in net.parameters()]
    buffers = [(b, b.clone()) for net in nets for b in net.buffers()]
    for ahead in (True, False):
        s = game.round()
        losses = {nets.discriminator: game.discriminator_loss(s), nets.generator: game.generator_loss(s)}
        slopes = [
            g for net in nets for g in torch.autograd.grad(losses[net], list(net.parameters()), retain_graph=True)
        ]
        game.close()
        with torch.no_grad():
            for p, begin, g in zip(everything, start, slopes, strict=True):
                p.copy_(begin).sub_(0.05 * g)
            for b, before in buffers if ahead else ():
                b.copy_(before)
    theirs = weights(game)
    assert all(torch.allclose(mine[k], theirs[k], rtol=0, atol=1e-12) for k in mine)


@pytest.mark.parametrize("optimizer", ["adam:lr=1e-3", "sgd:lr=0.05,momentum=0.9"])
def test_schedules_that_are_alternating_or_onestep_after_all(experiment, optimizer):
    for one, other in (
        ("unrolled:steps=1", "alternating"),
        ("lookahead:k=2,alpha=1", "alternating"),
        ("lookahead:k=100,of=onestep", "onestep"),
        ("lookahead:k=2,of=extragradient,alpha=1", "extragradient"),
        ("lookahead:k=100,of=(alternating:discriminator_steps=2)", "alternating:discriminator_steps=2"),
    ):
        ends = []
        for words in (one, other):
            made = experiment(**settings(optimizer=optimizer, schedule=words))
            ends.append(play(made, made.run.parts.schedule, 4))
        close = all(torch.allclose(ends[0][k], ends[1][k], rtol=1e-12, atol=1e-14) for k in ends[0])
        assert close, (one, other)


def test_the_unrolled_discriminator_forgets_what_it_tried(experiment):
    """Its own move is that of alternating: weights and Adam's memory, whatever was tried after it."""
    ends = []
    for words in ("unrolled:steps=4", "alternating"):
        made = experiment(**settings(schedule=words))
        play(made, made.run.parts.schedule, 1)
        held = made.run.state.optimizers["discriminator"].state
        ends.append([*made.run.discriminator.parameters(), *(v["exp_avg_sq"] for v in held.values())])
        assert made.run.state.counters.updates == {"discriminator": 1, "generator": 1}
    assert all(map(torch.equal, *ends))


def test_slow_weights_are_saved_with_the_run(experiment):
    made = experiment(schedule="lookahead:k=3")
    play(made, made.run.parts.schedule, 4)
    groups = made.run.state.tensors()
    assert {name.partition(".")[0] for name in groups["part-schedule"]} == {"discriminator", "generator"}
    slow = groups["part-schedule"]
    count = sum(p.numel() for net in made.run.state.networks for p in net.parameters())
    assert sum(v.numel() for v in slow.values()) == count
    again = experiment(schedule="lookahead:k=3", seed=1)
    again.run.state.load(groups, made.run.state.numbers())
    assert all(torch.equal(again.run.parts.schedule.module.state_dict()[k], v) for k, v in slow.items())
    trained = {id(p) for o in made.run.state.optimizers.values() for g in o.param_groups for p in g["params"]}
    assert not trained & {id(p) for p in made.run.parts.schedule.module.parameters()}


@pytest.mark.parametrize(
    "words", ["lookahead:k=4,of=(lookahead:k=2,of=extragradient)", "lookahead:k=3,of=extragradient"]
)
def test_a_nested_schedule_goes_on_bit_for_bit_where_it_was_saved(experiment, words):
    made, again = (experiment(schedule=words, data="digits:size=8", seed=2) for _ in range(2))
    for step in range(5):
        advance(made.run, made.game, step)
    groups = {group: {k: v.clone() for k, v in some.items()} for group, some in made.run.state.tensors().items()}
    again.run.state.load(groups, made.run.state.numbers())
    for step in range(5, 11):
        advance(made.run, made.game, step)
        advance(again.run, again.game, step)
    mine, theirs = made.run.state.tensors(), again.run.state.tensors()
    assert all(torch.equal(theirs[group][k], v) for group, some in mine.items() for k, v in some.items())
    depth = words.count("lookahead")
    count = sum(p.numel() for net in made.run.state.networks for p in net.parameters())
    assert sum(v.numel() for v in mine["part-schedule"].values()) == depth * count


@pytest.mark.parametrize("words", ["extragradient", "lookahead:k=2", "unrolled:steps=3", "onestep:weight=2"])
def test_weights_stay_in_their_box_under_any_schedule(experiment, words):
    made = experiment(loss="wgan", regularizers=["weight-clip"], schedule=words, optimizer="rmsprop:lr=5e-4")
    play(made, made.run.parts.schedule)
    assert all(p.abs().max() <= 0.01 for p in made.run.discriminator.parameters())


@pytest.mark.parametrize("k", [1, 3])
def test_unrolled_in_the_second_order_is_differentiated_through(k):
    """psi_k = psi - k r theta, so d/dtheta of -psi_k theta is -psi + 2 k r theta: the first order has k r theta."""
    words = f"unrolled:steps={k},order=second,rate=0.05"
    found = lab.dirac(loss="wgan", schedule=words, optimizer="sgd:lr=0.1", steps=1, batch_size=4)
    assert (found.theta[1], found.psi[1]) == pytest.approx((1 - 0.1 * (-1 + 2 * k * 0.05), 1 - 0.1), abs=1e-12)


@pytest.mark.parametrize("regularizers", [[], ["sn"], ["r1:gamma=1"]], ids=str)
def test_unrolled_in_the_second_order_trains_any_discriminator(experiment, regularizers):
    made = experiment(loss="sgan", schedule="unrolled:steps=2,order=second,rate=0.01", regularizers=regularizers)
    before = weights(made.game)
    play(made, made.run.parts.schedule, 3)
    after = weights(made.game)
    assert all(v.isfinite().all() for v in after.values())
    assert any(not torch.equal(before[k], v) for k, v in after.items() if k.startswith("0."))
    assert made.run.state.counters.updates == {"discriminator": 3, "generator": 3}


def test_looking_ahead_leaves_the_discriminator_where_it_is(experiment):
    made = experiment(precision="fp64")
    made.game.begin(0, 0.0)
    before = [p.clone() for p in made.run.discriminator.parameters()]
    loss = made.game.unrolled_generator_loss(3, 0.1)
    assert loss.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, made.run.discriminator.parameters(), strict=True))
    assert all(p.grad is None for p in made.run.discriminator.parameters())


def test_a_move_of_the_generator_averages_over_its_rounds(experiment):
    """A batch of its own for the generator: the mean of the gradients of two rounds, and two batches of latents."""
    made = experiment(**settings(optimizer="sgd:lr=0.05", schedule="alternating:generator_rounds=2"))
    play(made, ganzoo.part("schedule", "alternating:generator_rounds=2"), 1)
    hand = experiment(**settings(optimizer="sgd:lr=0.05"))
    game = hand.game
    game.begin(0, 0.0)
    game.update(discriminator=game.discriminator_loss(game.round("discriminator")))
    losses = [game.generator_loss(game.round("generator")) for _ in range(2)]
    game.update(generator=(losses[0] + losses[1]) / 2)
    theirs = weights(game)
    assert all(torch.equal(value, theirs[name]) for name, value in weights(made.game).items())
