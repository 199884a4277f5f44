"""The memory of a CUDA device ends in one phase of a run after the other: one line says so, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench, differences, final, state_of
from test_memory import MIB, at_most, freed

from ganzoo import errors
from ganzoo.data.resident import Resident
from ganzoo.speed import hardware
from ganzoo.speed.capture import RecordedSteps
from ganzoo.speed.compilers import Graph
from ganzoo.speed.trial import Outcome
from ganzoo.step.game import Game
from ganzoo.step.state import State
from ganzoo.training import loop
from ganzoo.training.grids import Grids

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

SIZE = 256 * MIB
"""The memory of the device. The phase asks for twice as much."""

SETTINGS: dict[str, Any] = {
    "arch": "mlp:width=64",
    "device": "cuda",
    "precision": "fp32",
    "steps": 4,
    "checkpoint_every": 1,
    "sample_every": 2,
    "metrics": ["swd"],
    "batch_size": 8,
}

ROOM = "there is no memory for the networks and the data: give a smaller --arch or less data"
STEP = "cuda:0 has no room for a batch of 8: --batch-size 4 should fit, or "
AS_WRITTEN = "warning: steps are made as written, not captured in a CUDA graph: "
NO_SAMPLES = "there is no memory for samples and metrics: training goes on without; fewer --samples may help"

PHASES: dict[str, tuple[Any, str, int, str, int | None]] = {
    # the place, the call of it in which the memory ends, what is said, and the last step that is saved
    "the data": (Resident, "__init__", 1, ROOM, None),
    "the networks": (hardware, "settle", 1, ROOM, None),
    "the first step": (Game, "apply", 1, f"step 1, taking gradients: {STEP}", None),
    "the trial of a recording": (Outcome, "__init__", 1, AS_WRITTEN, 4),
    "the second step of the trial": (RecordedSteps, "_other", 1, AS_WRITTEN, 4),
    "the recording": (Graph, "__call__", 1, AS_WRITTEN, 4),
    "inside the recording": (RecordedSteps, "_answer", 4, AS_WRITTEN, 4),
    "a replay": (RecordedSteps, "_replay", 4, f"step 3, between two moves: {STEP}", 2),
    "samples": (Grids, "samples", 1, NO_SAMPLES, 4),
    "a metric": (loop, "score", 1, NO_SAMPLES, 4),
    "a checkpoint": (State, "copies", 2, "there is no memory to copy the state into", 4),
}


def runs_out(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int) -> list[int]:
    """Have one call of a function ask for more memory than there is. Returns a list of the calls."""
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []

    def call(*given: Any, **named: Any) -> Any:
        calls.append(len(calls) + 1)
        if calls[-1] == number:
            torch.empty(2 * SIZE, dtype=torch.uint8, device="cuda")
        return original(*given, **named)

    monkeypatch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("phase", PHASES)
def test_memory_that_ends_is_said_and_a_smaller_run_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    owner, name, number, line, last = PHASES[phase]
    bench, said, start = Bench(tmp_path, **SETTINGS), "", freed()
    with at_most(SIZE), monkeypatch.context() as patch:
        calls = runs_out(patch, owner, name, number)
        try:
            bench.whole("run")
        except errors.OutOfMemory as error:
            said = str(error)
        assert len(calls) >= number
    said += capsys.readouterr().err
    assert line in said
    assert freed() <= start
    with at_most(SIZE):
        whole = state_of(bench.whole("whole", batch_size=4 if last is None else 8))
        whole = {key: value.cpu() for key, value in whole.items()}
        if last is not None:
            assert (tmp_path / "run" / "checkpoints" / f"{last:08d}").is_dir()
            resumed = state_of(bench.resumed(tmp_path / "run")) if last < 4 else final(tmp_path / "run")
            assert differences({key: value.cpu() for key, value in resumed.items()}, whole) == []


def test_memory_that_ends_while_a_checkpoint_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, **SETTINGS)
    whole = {key: value.cpu() for key, value in state_of(bench.whole()).items()}
    folder, start = bench.stopped(2), freed()
    with at_most(SIZE):
        with monkeypatch.context() as patch:
            runs_out(patch, State, "load", 1)
            with pytest.raises(errors.OutOfMemory, match="restore the checkpoint of step 2, which is intact"):
                bench.resumed(folder)
        assert freed() <= start
        resumed = {key: value.cpu() for key, value in state_of(bench.resumed(folder)).items()}
    assert differences(resumed, whole) == []
