"""Steps on a CUDA device: captured ones are those as written, nothing waits, and a failure leaves the device usable."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from harness import differences, state_of
from test_capture import COMPOSITIONS, played
from torch import Tensor

import ganzoo
from ganzoo.speed import compilers
from ganzoo.training.steps import advance, compiled_steps, step_compiler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

ON_GPU = {"device": "cuda", "precision": "fp32"}
"""The precision is given: ``auto`` takes whichever is faster at the moment, and two experiments may find otherwise."""


def waits_for(steps: int, made: Any, recorded: Any) -> None:
    """Make steps, and fail where the host waits for the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(steps):
                advance(made.run, made.game, 100, recorded)
                made.game.pop_scalars()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("settings", [settings for _, settings in COMPOSITIONS], ids=lambda s: s["schedule"])
def test_captured_steps_are_the_same_steps(experiment: Any, settings: dict[str, Any]) -> None:
    """Numbers that follow the run included: they are rounded to what the kernels read, captured or not."""
    settings = {**settings, "device": "cuda", "precision": "fp64"}
    mine, theirs = experiment(**settings), experiment(**settings)
    with torch.random.fork_rng(devices=[0]):
        notes, said = played(mine, step_compiler(mine.run))
        expected = played(theirs)[0]
    assert said == []
    for row, other in zip(notes, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-6)
    after = state_of(theirs)
    assert all(
        torch.allclose(value.double(), after[name].double(), rtol=1e-4, atol=1e-6)
        for name, value in state_of(mine).items()
    )


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("conditional", ["concat", "none"])
def test_no_step_waits_for_the_device(experiment: Any, captured: bool, conditional: str) -> None:
    made = experiment(
        **ON_GPU,
        loss="hinge",
        regularizers=["r1:every=2", "sn", "diffaugment"],
        on_nonfinite="skip",
        arch=f"dcgan:width=4,conditional={conditional}",
    )
    recorded = compiled_steps(made.run, made.game, compilers.Graph(made.run.device), pytest.fail) if captured else None
    for _ in range(4):
        advance(made.run, made.game, 100, recorded)
        made.game.pop_scalars()
    waits_for(8, made, recorded)


def test_a_part_that_waits_is_named_and_the_device_goes_on(experiment: Any) -> None:
    class Waits(ganzoo.Regularizer):
        def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
            return s.real.mean().item() * s.real.square().mean()

    mine, theirs = (experiment(**ON_GPU, regularizers=[Waits()], arch="mlp") for _ in range(2))
    with torch.random.fork_rng(devices=[0]):
        notes, said = played(mine, compilers.Graph(mine.run.device))
        assert notes == played(theirs)[0]
    assert differences(state_of(mine), state_of(theirs)) == []
    assert len(said) == 1
    assert "regularizer Waits stands in the way" in said[0]


def test_a_capture_that_breaks_off_leaves_the_device_usable(experiment: Any) -> None:
    made = experiment(**ON_GPU, arch="mlp")
    graph, calls = compilers.Graph(made.run.device), []

    def step() -> list[Tensor]:
        calls.append(torch.cuda.is_current_stream_capturing())
        numbers = torch.randn(8, device="cuda")
        if calls[-1]:
            numbers.sum().item()
        return [numbers]

    with pytest.raises(compilers.BrokenOff) as caught:
        graph(step, [])
    assert "captur" in str(caught.value.__cause__)
    assert calls == [False, True]
    torch.manual_seed(3)
    first = torch.randn(8, device="cuda")
    torch.manual_seed(3)
    assert torch.equal(first, torch.randn(8, device="cuda"))
    assert played(made, graph, steps=4)[1] == []


@pytest.mark.slow
@pytest.mark.triton
def test_compiled_steps_are_captured(experiment: Any) -> None:
    made = experiment(**ON_GPU, arch="mlp", regularizers=["r1"], compile=True)
    notes, said = played(made, step_compiler(made.run), steps=4)
    assert said == []
    assert all(np.isfinite(list(row.values())).all() for row in notes)


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_captured_step_that_is_not_finite_is_as_written(experiment: Any, policy: str) -> None:
    """The flag comes back from the recording, and with ``skip`` the step is undone."""

    class Poison(ganzoo.Regularizer):
        """Adds a penalty that is not finite in the middle of the run, and finite at the ends, where the trial looks."""

        along: float = ganzoo.ScheduledNumber("linear", 0.0, 1.0)

        def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
            return 0.1 * (0.0 * s.real.mean() + (self.along - 0.5) ** 2 - 0.005).sqrt()

    settings = {**ON_GPU, "arch": "mlp", "on_nonfinite": policy, "regularizers": [Poison()]}
    mine, theirs = experiment(**settings), experiment(**settings)
    notes, said = played(mine, step_compiler(mine.run), steps=12)
    expected = played(theirs, steps=12)[0]
    assert said == []
    assert float(mine.game.nonfinite) == float(theirs.game.nonfinite)
    for row, other in zip(notes, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-5, nan_ok=True)
    if policy == "skip":
        assert sum(row["faults/skipped"] for row in notes) > 0
    else:
        assert float(mine.game.nonfinite) == 1.0
    before, after = state_of(mine), state_of(theirs)
    assert all(torch.allclose(value, after[name], rtol=1e-3, atol=1e-5) for name, value in before.items())


def test_scalars_may_be_read_late(experiment: Any) -> None:
    """Records fetch the scalars of many steps at once: no replay may write over those of an earlier step."""
    mine, theirs = (experiment(**ON_GPU, arch="mlp") for _ in range(2))
    compiled = compiled_steps(mine.run, mine.game, compilers.Graph(mine.run.device), pytest.fail)
    rows: dict[str, list[dict[str, Tensor]]] = {"mine": [], "theirs": []}
    for _ in range(8):
        advance(mine.run, mine.game, 8, compiled)
        rows["mine"].append(mine.game.pop_scalars())
        advance(theirs.run, theirs.game, 8)
        rows["theirs"].append(theirs.game.pop_scalars())
    for ours, other in zip(rows["mine"], rows["theirs"], strict=True):
        assert {k: float(v) for k, v in ours.items()} == pytest.approx(
            {k: float(v) for k, v in other.items()}, rel=1e-4, abs=1e-6
        )


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
@pytest.mark.parametrize("captured", [True, False])
def test_the_second_device_alone(experiment: Any, captured: bool) -> None:
    """No step asks for device 0 where the run is on device 1."""
    found = []
    for device in ("cuda:0", "cuda:1"):
        made = experiment(**{**ON_GPU, "device": device}, arch="mlp", regularizers=["r1", "instance-noise"])
        compiler = compilers.Graph(made.run.device) if captured else None
        notes, said = played(made, compiler, steps=5)
        assert said == []
        found.append((notes, {name: value.cpu() for name, value in state_of(made).items()}))
    for row, other in zip(found[0][0], found[1][0], strict=True):
        assert row == pytest.approx(other)
    assert all(torch.allclose(value, found[1][1][name], rtol=1e-4) for name, value in found[0][1].items())


@pytest.mark.parametrize("what", ["dtype", "device"])
def test_the_defaults_of_torch_are_the_callers(experiment: Any, what: str) -> None:
    """``set_default_dtype(float64)`` and ``set_default_device("cuda")`` draw other weights, and train as well."""
    settings = {**ON_GPU, "arch": "mlp", "regularizers": ["r1", "instance-noise"], "on_nonfinite": "skip"}
    if what == "dtype":
        torch.set_default_dtype(torch.float64)
    else:
        torch.set_default_device("cuda")
    try:
        made = experiment(**settings)
        found, said = played(made, step_compiler(made.run), steps=3)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert said == []
    assert all(np.isfinite(list(row.values())).all() for row in found)
