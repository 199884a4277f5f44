"""What a step is said to cost: that the figures are of that step, and add up. How fast anything is, no test asks."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo import bench, errors, plugins
from ganzoo.speed import hardware

SMALL: dict[str, Any] = {
    "arch": "dcgan:width=4",
    "batch_size": 8,
    "latent_dim": 4,
    "data": "digits:size=8",
    "device": "cpu",
    "regularizers": [],
    "repeats": 2,
    "steps_each": 2,
}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's peak takes a second to find out, and a repeat of a fifth of a second is long for a test."""
    monkeypatch.setattr("ganzoo.bench.measurement.matmul_peak", lambda device, dtype: 1e12)
    monkeypatch.setattr("ganzoo.bench.measurement.REPEAT_SECONDS", 0.01)


def measured(**settings: Any) -> bench.Report:
    return bench.bench(**{**SMALL, **settings}, catalogue=plugins.load_catalogue(no_plugins=True))


def test_the_phases_are_the_step() -> None:
    report = measured(regularizers=["r1"])
    assert [*report.phases] == [*bench.PHASES[:-1], "penalty", "other"]
    assert math.isclose(sum(report.phases.values()), report.milliseconds.median, rel_tol=1e-9)
    assert all(report.phases[phase] > 0 for phase in bench.PHASES)
    assert report.images_per_second == pytest.approx(8e3 / report.milliseconds.median)
    assert report.fraction == pytest.approx(report.flops / (report.milliseconds.median / 1e3) / 1e12)
    assert (report.device, report.precision, report.threads) == ("cpu", "fp32", 1)


RECIPES: list[dict[str, Any]] = [
    {"arch": "dcgan:width=4,conditional=concat", "regularizers": ["sn"]},
    {"regularizers": ["r1:every=3"], "steps_each": None},
    {"schedule": "alternating:discriminator_steps=2", "loss": "wgan", "regularizers": ["wgan-gp", "weight-clip"]},
    {"schedule": "unrolled:steps=2", "loss": "sgan"},
    {"schedule": "extragradient", "regularizers": ["consensus"], "loss": "sgan"},
    {"regularizers": ["path-length", "diffaugment", "top-k"]},
    {"loss": "rpgan", "precision": "bf16"},
    {"loss": "hinge-linear", "schedule": "onestep:shared=true", "regularizers": ["r1"]},
    {"accumulate": 2, "regularizers": ["r1"]},
    {"preset": "segan", "arch": "segan:width=4", "loss": "segan", "data": "digits-masks:size=16"},
    {"arch": "mlp:width=8", "data": "ring", "on_nonfinite": "skip"},
]


@pytest.mark.parametrize("settings", RECIPES, ids=str)
def test_any_recipe_can_be_measured_against_a_plain_loop(
    settings: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers, threads = torch.get_rng_state(), set(threading.enumerate())
    report = measured(**settings, against="plain")
    assert report.against is not None
    for spread in (report.milliseconds, report.against.milliseconds, report.against.ratio, report.against.control):
        assert 0 < spread.low <= spread.median <= spread.high < math.inf
    assert all(math.isfinite(value) for value in report.phases.values())
    assert report.steps == (settings.get("steps_each", 2) or report.steps)
    assert not [*tmp_path.iterdir()], "nothing is written"
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(60)  # a thread that was told to end takes a moment on a busy machine
    assert not [thread.name for thread in left if thread.is_alive()]
    assert torch.equal(torch.get_rng_state(), numbers), "the caller's random numbers are as they were"


def test_a_generator_that_begins_alone_is_measured_with_its_penalties() -> None:
    pairs = {"data": "superres:of=digits:size=16,factor=2", "regularizers": ["l2"], "loss": "sgan"}
    report = measured(arch="srresnet:width=2,blocks=1,d_width=2,alone=1", schedule="alternating", **pairs)
    assert report.phases["penalty"] == 0, "there is no step without penalties to compare with"
    assert report.phases["generator backward"] > 0 == report.phases["discriminator backward"]


def test_a_repeat_is_whole_cycles_of_the_lazy_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganzoo.bench.measurement.REPEAT_SECONDS", 1e-9)
    assert measured(regularizers=["r1:every=3", "lecam:every=2"], steps_each=None).steps == 6


def test_operations_are_those_of_the_step_and_lazy_penalties_count_in_part(experiment: Any) -> None:
    made = experiment()
    made.game.begin(0, 0.0)
    with hardware.Flops() as real:
        ganzoo.part("schedule", "onestep").step(made.game)
    bare, full, lazy = (measured(regularizers=r).flops for r in ([], ["r1"], ["r1:every=4"]))
    assert bare == real.total
    assert lazy == pytest.approx(bare + (full - bare) / 4)
    assert full > bare


def test_memory_is_counted_exactly() -> None:
    with bench.Live() as live:
        kept = torch.zeros(100, dtype=torch.float64)
        torch.zeros(1000, dtype=torch.uint8).view(10, 100)
        view = kept[:50]
        torch.ones(200, dtype=torch.uint8)
    assert (live.most, live.now) == (1800, 800)
    del view, kept
    assert live.now == 0
    one, again = measured(regularizers=["r1"]), measured(regularizers=["r1"])
    assert one.memory == again.memory > one.state > 0
    assert measured(batch_size=16).memory > measured(batch_size=8).memory


def test_inner_phases_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr("ganzoo.bench.timing.time.perf_counter", lambda: next(ticks))
    clock = bench.StepClock(torch.device("cpu"))
    with clock.phase("outer"):
        with clock.phase("inner"):
            pass
        clock.mark()
    assert clock.seconds() == {"outer": 3, "inner": 1}


def test_contestants_take_turns() -> None:
    said: list[str] = []
    contestants = [lambda: said.append("a"), lambda: said.append("b")]
    times = bench.race(contestants, torch.device("cpu"), repeats=3, steps=2)
    assert "".join(said) == "aabbbbaaaabb"
    assert [len(some) for some in times] == [3, 3]
    assert bench.ratios([2.0, 6.0, 4.0], [1.0, 2.0, 2.0]) == bench.Spread(2.0, 2.0, 2.5)


def test_the_plain_loop_makes_the_same_moves(experiment: Any) -> None:
    """One alternating step of both from the same weights: the same losses' gradients, so the same networks."""
    settings = {"schedule": "alternating", "optimizer": "sgd:lr=0.1", "regularizers": ["r1"], "precision": "fp64"}
    ours, other = (experiment(**settings, ema=0.0) for _ in range(2))
    fakes = ours.game.host.latents()
    for made in (ours, other):
        made.game.host.latents = lambda: fakes  # the script reuses its fakes; so both see the same
    bench.Steps(ours)()
    bench.Plain(other, ours.run)()
    for net, again in zip(ours.run.state.networks, other.run.state.networks, strict=True):
        for (name, one), two in zip(net.named_parameters(), again.parameters(), strict=True):
            assert torch.allclose(one, two, rtol=0, atol=1e-12), name


def test_what_a_plain_loop_has_no_place_for_is_said() -> None:
    report = measured(regularizers=["top-k", "clip-gradient", "r1"], against="plain")
    assert report.against is not None
    assert set(report.against.left_out) == {"top-k", "clip-gradient"}


def test_the_peak_is_of_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        "ganzoo.bench.costs.step_seconds", lambda step, device, steps: 0.03 if step() is not None else 0
    )
    assert bench.matmul_peak(torch.device("cpu"), torch.float32) == pytest.approx(2 * 256**3 / 0.03)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"against": "script"}, "against 'script' is not plain"),
        ({"repeats": 0}, "repeats 0 and steps 2 are to be whole numbers >= 1"),
        ({"loss": "hinje"}, "did you mean 'hinge'"),
    ],
)
def test_mistakes_are_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.GanzooError, match=said):
        measured(**settings)


def test_several_processes_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.SettingsError, match="without torchrun"):
        measured()


def test_no_room_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*given: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("ganzoo.bench.contestants.advance", no_room)
    with pytest.raises(errors.OutOfMemory, match="no room for a batch of 8: give a smaller --batch-size"):
        measured()
