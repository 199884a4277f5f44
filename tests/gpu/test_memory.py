"""The memory of a CUDA device: what a capture needs, and runs that do not fit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench, differences, state_of

from ganzoo import errors
from ganzoo.recipe.assemble import Experiment, train
from ganzoo.recipe.directory import open_directory
from ganzoo.training.run import Run
from ganzoo.training.steps import advance, compiled_steps, step_compiler

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

MIB = 1 << 20

WORKSPACE = 32 * MIB
"""What cuBLAS keeps for each stream, at most."""

SETTINGS: dict[str, Any] = {"arch": "mlp:width=640", "device": "cuda", "precision": "fp32", "regularizers": "r1"}
"""Weights of 3 MiB in one tensor: torch gives each tensor of that size memory of its own."""


SIZES = (12, 60, 110, 400)
"""MiB of a device: for less than the networks, for less than a step, for a step, and for its capture too."""

BEGINNINGS = (
    "there is no memory for the networks and the data: give a smaller --arch or less data",
    "step 1, moving a player: cuda:0 has no room for a batch of 8: --batch-size 4 should fit",
    "warning: steps are made as written, not captured in a CUDA graph: ",
)
"""What is said for each size but the last. Where the step fits alone, the run trains without a capture."""


def freed() -> int:
    """Give back what nothing holds. Returns the bytes that are held."""
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()  # of the library's own, one for each stream
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated()


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """While this lasts, torch gets so many bytes of the device."""
    freed()
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.mem_get_info()[1])
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def peak(made: Experiment, captured: bool) -> int:
    """The most bytes that tensors take while a run makes its first steps."""
    compiled = compiled_steps(made.run, made.game, step_compiler(made.run), pytest.fail) if captured else None  # type: ignore[arg-type]
    torch.cuda.reset_peak_memory_stats()
    for _ in range(5):
        advance(made.run, made.game, 100, compiled)
        made.game.pop_scalars()
    return torch.cuda.max_memory_allocated()


def test_a_capture_needs_little_more_memory_than_the_step(experiment: Callable[..., Experiment]) -> None:
    """The copies for the trial lie on the host. The recording keeps little, and a stream of its own a workspace."""
    start = freed()
    written = peak(experiment(**SETTINGS), captured=False) - start
    start = freed()
    captured = peak(experiment(**SETTINGS), captured=True) - start
    assert captured < 1.25 * written + WORKSPACE


def test_a_run_that_does_not_fit_says_so_and_a_smaller_one_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With more memory from run to run, the memory ends in one phase after the other, and at last not at all."""
    bench = Bench(tmp_path, steps=4, **SETTINGS)
    expected = state_of(bench.whole("written", capture=False))
    expected = {name: value.cpu() for name, value in expected.items()}
    said, start, held = list[str](), freed(), list[int]()
    for size in SIZES:
        made: Experiment | None = None
        run: Run | None = None
        try:
            with at_most(size * MIB):
                made = bench.assembled(f"with-{size}")
                open_directory(made)
                run = train(made, quiet=True)
        except errors.OutOfMemory as error:
            said.append(str(error))
        else:
            warned = capsys.readouterr().err
            said.append(warned.partition("(")[0])
            assert differences({name: value.cpu() for name, value in state_of(run).items()}, expected) == []
        made, run = None, None
        held.append(freed())
    assert max(held) <= start
    for line, beginning in zip(said[:-1], BEGINNINGS, strict=True):
        assert line.startswith(beginning)
    assert said[-1] == ""
