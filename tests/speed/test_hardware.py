"""How a step runs: on how many threads, in what precision, on which device."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from harness import Again, differences, state_of

import ganzoo
from ganzoo import errors
from ganzoo.speed import hardware
from ganzoo.training import loop, probe
from ganzoo.training.steps import advance


def counted(made: Any) -> int:
    run = made.run
    return hardware.flops(run.parts.architecture, run.state.networks, run.spec, run.settings.batch_size)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits:size=32", "arch": "dcgan:width=8"},
        {"arch": "dcgan:width=8,conditional=concat", "regularizers": ["sn"]},
        {"arch": "resnet:width=8", "data": "digits:size=16"},
        {"arch": "mlp", "data": "ring"},
    ],
    ids=str,
)
def test_a_step_is_counted_without_being_made(experiment: Any, settings: dict[str, Any]) -> None:
    """The estimate is that of a real step, up to the first layers' input gradients, which nobody needs."""
    made = experiment(**settings)
    before = [v.clone() for net in made.run.state.networks for v in net.state_dict().values()]
    estimate = counted(made)
    after = [v for net in made.run.state.networks for v in net.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    made.game.begin(0, 0.0)
    with hardware.Flops() as real:
        ganzoo.part("schedule", "onestep").step(made.game)
    assert 0.7 * estimate <= real.total <= 1.05 * estimate


@pytest.mark.parametrize(("number", "step", "chosen"), [(None, 1e9, 1), (None, 1e10, 3), (2, 1e9, 2), (2, 1e10, 2)])
def test_small_steps_take_one_thread(
    monkeypatch: pytest.MonkeyPatch, number: int | None, step: float, chosen: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)
    with hardware.threads(number, lambda: int(step)) as threads:
        assert threads == torch.get_num_threads() == chosen
    assert torch.get_num_threads() == 3


def test_who_sets_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    with hardware.threads(None, lambda: 1) as threads:
        assert threads == 3


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:x", ""])
def test_a_device_that_is_none_is_said(name: str) -> None:
    with pytest.raises(errors.SettingsError, match="not one of auto, cpu, cuda, cuda:N, xpu, xpu:N, mps"):
        hardware.device(name)


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.float32), ("fp64", torch.float64)])
def test_weights_keep_their_precision(experiment: Any, name: str, dtype: torch.dtype) -> None:
    """bf16 is what the nets compute in: weights, losses, penalties and the optimizers' state stay float32."""
    made = experiment(precision=name, regularizers=["r1"], data="digits:size=16", arch="dcgan:width=8")
    made.game.begin(0, 0.0)
    s = made.game.round()
    assert s.real.dtype == s.fake.dtype == s.fake_images.dtype == dtype
    made.game.update(discriminator=made.game.discriminator_loss(s), generator=made.game.generator_loss(s))
    assert {p.dtype for net in made.run.state.networks for p in net.parameters()} == {dtype}
    moments = made.run.state.optimizers["generator"].state.values()
    assert {entry["exp_avg"].dtype for entry in moments} == {dtype}
    assert all(v.isfinite() for v in made.game.pop_scalars().values())


@pytest.mark.parametrize("on", [True, False])
def test_tensor_cores_are_used_for_as_long_as_is_said(on: bool) -> None:
    places: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), [place.allow_tf32 for place in places]
    with hardware.tensor_cores(on):
        with hardware.tensor_cores(on):
            assert [place.allow_tf32 for place in places] == ([True, True] if on else before[1])
        assert torch.get_float32_matmul_precision() == ("high" if on else "highest")
    assert (torch.get_float32_matmul_precision(), [place.allow_tf32 for place in places]) == before


class TestAuto:
    """``--precision auto``: bf16 where a trial says that it is faster, which leaves no trace in the run."""

    SETTINGS: ClassVar[dict[str, Any]] = {
        "arch": "dcgan:width=4,norm=batch",
        "regularizers": ["sn", "r1:every=2", "ada"],
        "data": "digits:size=16",
        "schedule": "lookahead",
        "optimizer": "adam:lr=1e-3..0",
    }

    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hardware, "SMALL_STEP", 0)
        monkeypatch.setattr(hardware, "PROBE_SECONDS", 0.0)
        monkeypatch.setattr(hardware, "has_bf16", lambda where: True)

    @pytest.mark.parametrize("captured", [False, True])
    def test_the_trial_leaves_no_trace(self, experiment: Any, monkeypatch: pytest.MonkeyPatch, captured: bool) -> None:
        recorders = []
        if captured:
            monkeypatch.setattr(probe, "captures", lambda run: recorders.append(Again()) or recorders[-1])
            monkeypatch.setattr(loop, "step_compiler", lambda run, world: None)
        settings = {**self.SETTINGS, "schedule": "alternating" if captured else "lookahead"}
        random = torch.random.get_rng_state()
        tried = experiment(precision="auto", **settings)
        assert torch.equal(torch.random.get_rng_state(), random)
        chosen = tried.run.settings.precision
        told = experiment(precision=chosen, **settings)
        assert vars(tried.run.state.counters) == vars(told.run.state.counters)
        for _ in range(3):
            for made in (tried, told):
                advance(made.run, made.game, 3)
                made.game.pop_scalars()
        assert differences(state_of(tried), state_of(told)) == []
        assert all(each.recorded for each in recorders)
        assert len(recorders) == 2 * captured
        (line,) = tried.run.choices
        assert re.fullmatch(rf"precision {chosen}: a step in bf16 is \d+\.\d\d times as fast as in fp32 here", line)
        assert told.run.choices == []

    @pytest.mark.parametrize(("times", "chosen"), [(1.5, "bf16"), (1.01, "fp32"), (0.7, "fp32")])
    def test_the_faster_is_chosen_and_remembered(
        self, experiment: Any, monkeypatch: pytest.MonkeyPatch, times: float, chosen: str
    ) -> None:
        monkeypatch.setattr(hardware, "ratio", lambda one, other, where: times)
        made = experiment(precision="auto")
        assert made.run.settings.precision == made.run.identity["settings"]["precision"] == chosen
        with made.game.environment.autocast():
            assert torch.is_autocast_enabled("cpu") == (chosen == "bf16")

    def test_where_nothing_is_tried(self, experiment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*given: Any) -> float:
            raise AssertionError("a trial")

        monkeypatch.setattr(hardware, "ratio", refuse)
        assert experiment(precision="auto", deterministic=True).run.settings.precision == "fp32"
        monkeypatch.setattr(hardware, "SMALL_STEP", 1e12)
        assert experiment(precision="auto").run.settings.precision == "fp32"
        monkeypatch.setattr(hardware, "SMALL_STEP", 0)
        monkeypatch.setattr(hardware, "has_bf16", lambda where: False)
        assert experiment(precision="auto").run.settings.precision == "fp32"


def test_the_ratio_is_of_medians_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: clock[0])
    order = []

    def work(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            clock[0] += seconds

        return run

    assert hardware.ratio(work("a", 0.3), work("b", 0.1), torch.device("cpu")) == pytest.approx(3.0)
    assert order[:6] == ["a", "b", "a", "b", "a", "b"]
    assert len(order) == 2 + 2 * 5  # a step of each to warm up, and pairs for two seconds


@pytest.mark.parametrize(
    ("known", "has"), [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False), ({}, False)]
)
def test_which_cpus_have_bf16(monkeypatch: pytest.MonkeyPatch, known: dict[str, bool], has: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert hardware.has_bf16(torch.device("cpu")) == has
