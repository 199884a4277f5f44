"""The step: what it computes, bit for bit, and what it costs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrize

import ganzoo
from ganzoo.parts import PLAYERS, Player, Scores
from ganzoo.speed.hardware import Flops
from ganzoo.step.game import Game
from ganzoo.step.round import logits


def weights(game: Game) -> dict[str, torch.Tensor]:
    nets = game.state.networks
    return {f"{i}.{k}": v.clone() for i, net in enumerate(nets) for k, v in net.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def play(game: Game, schedule: Any, steps: int = 1) -> None:
    for step in range(steps):
        game.begin(step, 0.0)
        schedule.step(game)


SETUPS = [
    {"loss": "hinge"},
    {"loss": "rpgan"},
    {"loss": "sgan", "regularizers": ["sn"]},
    {"loss": "hinge", "regularizers": ["r1"]},
    {"loss": "lsgan", "arch": "dcgan:width=4,norm=batch,d_norm=batch", "data": "digits:size=16"},
]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda s: "-".join(str(v) for v in s.values()))
def test_onestep_is_simultaneous_descent_bit_for_bit(experiment: Any, setup: dict[str, Any]) -> None:
    """One update equals two losses written by hand, both gradients at the old point, each player's own optimizer."""
    settings = {**setup, "precision": "fp64", "optimizer": "sgd:lr=0.05"}
    ours = experiment(**settings)
    play(ours.game, ganzoo.part("schedule", "onestep"))

    hand = experiment(**settings)
    game, (G, D) = hand.game, hand.run.state.networks
    game.begin(0, 0.0)
    latent = torch.randn(8, 4, generator=game.host.streams.latents, dtype=torch.float64)
    real = hand.feed.reals(0).images
    if "r1" in hand.run.parts.regularizers:
        real.requires_grad_()
    with parametrize.cached():
        fake = G(latent)
        s = Scores(real=logits(D(real)), fake=logits(D(fake)), real_images=real, fake_images=fake)
        loss_d = hand.run.parts.loss.discriminator(s)
        if "r1" in hand.run.parts.regularizers:
            loss_d = loss_d + hand.run.parts.regularizers["r1"].discriminator_penalty(s)
        loss_g = hand.run.parts.loss.generator(s)
        grad_d = torch.autograd.grad(loss_d, list(D.parameters()), retain_graph=True)
        grad_g = torch.autograd.grad(loss_g, list(G.parameters()))
    for net, grads in ((D, grad_d), (G, grad_g)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for p, g in zip(net.parameters(), grads, strict=True):
            p.grad = g
        optimizer.step()

    assert same(weights(ours.game), weights(game))


def test_onestep_is_not_alternating(experiment: Any) -> None:
    one, other = (experiment(precision="fp64", optimizer="sgd:lr=0.05") for _ in range(2))
    play(one.game, ganzoo.part("schedule", "onestep"))
    play(other.game, ganzoo.part("schedule", "alternating"))
    ours, theirs = weights(one.game), weights(other.game)
    discriminator = {k for k in ours if k.startswith("1.")}
    assert all(torch.equal(ours[k], theirs[k]) for k in discriminator), "the discriminator moves first, alike"
    assert not same(ours, theirs), "the generator answers another discriminator"


def test_spectral_norm_iterates_once_an_update(experiment: Any) -> None:
    made = experiment(regularizers=["sn"])
    layer = next(m for m in made.run.discriminator.modules() if parametrize.is_parametrized(m))
    before = layer.parametrizations.weight[0]._u.clone()
    expected = copy.deepcopy(layer)
    expected.weight  # noqa: B018  # one look at the weight in training is one power iteration
    play(made.game, ganzoo.part("schedule", "onestep"))
    after = layer.parametrizations.weight[0]._u
    assert not torch.equal(before, after)
    assert torch.equal(after, expected.parametrizations.weight[0]._u)


class Passes:
    """FLOPs of one forward pass of each net."""

    def __init__(self, made: Any) -> None:
        game = made.game
        with Flops() as counter, torch.no_grad():
            fake = game.generate(game.host.latents())
        self.g = counter.total
        with Flops() as counter, torch.no_grad():
            game.judge(fake, ganzoo.Batch())
        self.d = counter.total


def flops(made: Any, schedule: str) -> int:
    made.game.begin(0, 0.0)
    with Flops() as counter:
        ganzoo.part("schedule", schedule).step(made.game)
    return counter.total


SIZES: dict[str, Any] = {"arch": "dcgan:width=8", "data": "digits:size=32"}


@pytest.mark.parametrize("loss", ["hinge", "sgan", "wgan", "rpgan", "lsgan"])
def test_onestep_costs_3g_and_7d(experiment: Any, loss: str) -> None:
    made = experiment(loss=loss, **SIZES)
    passes = Passes(made)
    assert flops(made, "onestep") <= 3 * passes.g + 7 * passes.d


@pytest.mark.parametrize("loss", ["hinge", "sgan", "wgan", "lsgan"])
def test_alternating_costs_4g_and_8d(experiment: Any, loss: str) -> None:
    made = experiment(loss=loss, **SIZES)
    passes = Passes(made)
    assert flops(made, "alternating") <= 4 * passes.g + 8 * passes.d


def test_r1_costs_at_most_3d_more(experiment: Any) -> None:
    plain, penalized = experiment(**SIZES), experiment(regularizers=["r1"], **SIZES)
    extra = flops(penalized, "onestep") - flops(plain, "onestep")
    assert 0 < extra <= 3 * Passes(plain).d


def test_a_lazy_penalty_is_free_between_its_turns(experiment: Any) -> None:
    plain, lazy = experiment(**SIZES), experiment(regularizers=["r1:every=4"], **SIZES)
    schedule, costs = ganzoo.part("schedule", "onestep"), []
    for step in range(5):
        lazy.game.begin(step, 0.0)
        with Flops() as counter:
            schedule.step(lazy.game)
        costs.append(counter.total)
    base = flops(plain, "onestep")
    assert costs[1:4] == [base] * 3
    assert costs[0] == costs[4] > base


def test_lazy_penalty_is_scaled_by_its_interval(experiment: Any) -> None:
    made = experiment(precision="fp64", regularizers=["r1:every=4"])
    game = made.game
    game.begin(0, 0.0)
    s = game.round()
    total = game.discriminator_loss(s)
    bare = made.run.parts.loss.discriminator(s)
    penalty = made.run.parts.regularizers["r1"].discriminator_penalty(s)
    torch.testing.assert_close(total - bare, 4 * penalty)
    game.close()


class Reads:
    """Counts what would wait for the device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
            original = getattr(torch.Tensor, name)

            def counted(tensor: torch.Tensor, *args: Any, _original: Any = original, **kw: Any) -> Any:
                self.count += 1
                return _original(tensor, *args, **kw)

            monkeypatch.setattr(torch.Tensor, name, counted)


@pytest.mark.parametrize("loss", ["hinge", "sgan", "sgan-saturating", "lsgan", "wgan", "rpgan"])
@pytest.mark.parametrize("regularizer", ["sn", "r1", "wgan-gp", "instance-noise", "weight-clip"])
def test_no_step_waits_for_the_device(
    experiment: Any, monkeypatch: pytest.MonkeyPatch, loss: str, regularizer: str
) -> None:
    made = experiment(loss=loss, regularizers=[regularizer])
    play(made.game, ganzoo.part("schedule", "onestep"))  # optimizers make their state at the first step
    reads = Reads(monkeypatch)
    made.game.begin(1, 0.0)
    made.run.parts.schedule.step(made.game)
    made.game.pop_scalars()
    assert reads.count == 0


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd:lr=0.1,momentum=0.9", "rmsprop"])
def test_nobody_moves_on_a_loss_that_is_not_finite(experiment: Any, player: Player, optimizer: str) -> None:
    made = experiment(optimizer=optimizer)
    game = made.game
    play(game, ganzoo.part("schedule", "onestep"), 2)
    before = weights(game)
    game.begin(2, 0.0)
    s = game.round()
    losses = {"discriminator": game.discriminator_loss(s), "generator": game.generator_loss(s)}
    losses[player] = losses[player] * torch.nan
    game.update(**losses)
    assert float(game.nonfinite) == 1.0
    names = {f"{i}.{name}" for i, net in enumerate(game.state.networks) for name, _ in net.named_parameters()}
    after = weights(game)
    assert all(torch.equal(before[name], after[name]) for name in names)


def test_the_average_follows_after_the_generator_moved(experiment: Any) -> None:
    made = experiment(ema=0.5, precision="fp64")
    start = [p.clone() for p in made.run.ema.parameters()]
    play(made.game, ganzoo.part("schedule", "onestep"))
    decay = min(0.5, 2 / 11)  # one update made: (1 + t) / (10 + t)
    for before, average, weight in zip(start, made.run.ema.parameters(), made.run.generator.parameters(), strict=True):
        torch.testing.assert_close(average, decay * before + (1 - decay) * weight)
        assert average.data_ptr() != weight.data_ptr()


def test_running_statistics_of_batch_norm_are_averaged_and_other_buffers_copied(experiment: Any) -> None:
    made = experiment(ema=0.5, precision="fp64", regularizers=["sn:players=both"])
    play(made.game, ganzoo.part("schedule", "onestep"))
    start = {name: value.clone() for name, value in made.run.ema.named_buffers()}
    play(made.game, ganzoo.part("schedule", "onestep"))
    theirs, decay, seen = dict(made.run.generator.named_buffers()), min(0.5, 3 / 12), set()
    for name, mine in made.run.ema.named_buffers():
        running = "running" in name
        expected = decay * start[name] + (1 - decay) * theirs[name] if running else theirs[name]
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=0)
        seen.add("running" if running else name.rpartition(".")[2])
    assert {"running", "num_batches_tracked", "_u"} <= seen, seen


@pytest.mark.parametrize(("loss", "pairs"), [("rpgan", True), ("gan-qp", True), ("ragan", False), ("hinge", False)])
@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_a_loss_over_pairs_compares_samples_of_one_class(
    experiment: Any, loss: str, pairs: bool, schedule: str
) -> None:
    made = experiment(arch="dcgan:width=4,conditional=projection", loss=loss, regularizers=["sn"])
    made.game.begin(0, 0.0)
    for players in ((), ("generator",), ("discriminator",)):
        s = made.game.round(*players)
        assert torch.equal(s.labels, s.fake_labels) == pairs
        assert made.game.discriminator_loss(s).isfinite() if players != ("generator",) else True


@pytest.mark.parametrize("schedule", ["extragradient", "unrolled:steps=3", "unrolled:steps=2,order=second"])
def test_what_is_looked_at_ahead_leaves_no_trace_in_statistics(experiment: Any, schedule: str) -> None:
    """Each player's scores are observed as often as it moves, and a running mean moves with no other round."""
    made = experiment(regularizers=["sn", "lecam:weight=0.1"], precision="fp64", loss="sgan")
    observed = []
    lecam = made.run.parts.regularizers["lecam"]
    made.game.with_hook["observe"] = {"counts": Counts(observed), "lecam": lecam}
    play(made.game, ganzoo.part("schedule", schedule))
    assert sorted(observed) == ["discriminator", "generator"]
    before = [b.clone() for net in made.game.state.networks for b in net.buffers()]
    with made.game.looking_ahead():
        made.game.begin(5, 0.0)
        made.game.discriminator_loss(made.game.round("discriminator"))
        now = [b for net in made.game.state.networks for b in net.buffers()]
        assert not all(torch.equal(x, y) for x, y in zip(before, now, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(before, now, strict=True))


class Counts:
    """Notes the players whose rounds are observed."""

    def __init__(self, observed: list[str]) -> None:
        self.observed = observed

    def observe(self, player: str, s: ganzoo.Scores) -> None:
        self.observed.append(player)


def test_two_time_scales_move_sgd_by_the_ratio_of_rates(experiment: Any) -> None:
    slow = experiment(optimizer="sgd:lr=0.001", precision="fp64")
    fast = experiment(d_optimizer="sgd:lr=0.004", g_optimizer="sgd:lr=0.001", precision="fp64")
    moved = []
    for made in (slow, fast):
        before = weights(made.game)
        play(made.game, ganzoo.part("schedule", "onestep"))
        after = weights(made.game)
        moved.append({k: after[k] - before[k] for k in after if "running" not in k and "num_batches" not in k})
    for key, step in moved[0].items():
        torch.testing.assert_close(moved[1][key], step * (4.0 if key.startswith("1.") else 1.0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_in_another_memory_order_moves_the_right_weights(experiment: Any, fused: bool) -> None:
    made = experiment(optimizer="sgd:lr=0.1", data="digits:size=32")
    game, weight = made.game, next(p for p in made.game.parameters["discriminator"] if p.dim() == 4)
    made.run.state.optimizers["discriminator"] = torch.optim.SGD([weight], lr=0.1, fused=fused)
    game.parameters["discriminator"] = [weight]
    before, factor = weight.detach().clone(), torch.randn(weight.shape)
    other = torch.contiguous_format if weight.is_contiguous(memory_format=torch.channels_last) else torch.channels_last

    class Reordered(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: torch.Tensor) -> torch.Tensor:
            return (w * factor).sum()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return (g * factor).contiguous(memory_format=other)

    game.update(discriminator=Reordered.apply(weight))
    torch.testing.assert_close(weight.detach(), before - 0.1 * factor)


def test_patches_weigh_the_same_whatever_their_number() -> None:
    assert torch.equal(logits(torch.tensor([[[1.0, 3.0]], [[5.0, 7.0]]])), torch.tensor([2.0, 6.0]))
    assert torch.equal(logits({"logits": torch.ones(3, 1), "features": None}), torch.ones(3))


def test_a_part_that_fails_is_named(experiment: Any) -> None:
    made = experiment()
    made.game.loss = ganzoo.Loss()
    with pytest.raises(NotImplementedError) as caught:
        play(made.game, ganzoo.part("schedule", "onestep"))
    assert "in loss hinge" in caught.value.__notes__
    made.game.close()


@pytest.mark.parametrize("noise", ["normal", "uniform", "truncated"])
def test_latents_have_the_distribution_that_is_asked_for(experiment: Any, noise: str) -> None:
    made = experiment(noise=noise, latent_dim=512, precision="fp64")
    made.game.begin(0, 0.0)
    trained = made.game.round("generator").latent.flatten()
    sampled = made.run.latents(64).latent.flatten()
    variance = {"normal": 1.0, "uniform": 1 / 3, "truncated": 0.7737}[noise]
    for z in (trained, sampled):
        assert z.mean().abs() < 0.1
        assert float(z.var()) == pytest.approx(variance, rel=0.1)
        assert z.abs().max() <= {"normal": 9.0, "uniform": 1.0, "truncated": 2.0}[noise]
