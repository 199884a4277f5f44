"""A deterministic run on a CUDA device goes on bit for bit, wherever it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench, differences, state_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

SETTINGS: dict[str, Any] = {
    "device": "cuda",
    "deterministic": True,
    "precision": "fp32",
    "regularizers": ["r1:every=3", "sn", "instance-noise:sigma=0.1..0"],
    "optimizer": "adam:lr=1e-3..0",
    "steps": 9,
}

POINTS = {
    "before the first capture": (1, True),
    "between two lazy penalties": (5, True),
    "before a lazy penalty": (6, True),
    "after a crash, from an earlier checkpoint": (5, False),
}


@pytest.mark.parametrize("point", POINTS)
def test_it_goes_on_bit_for_bit(tmp_path: Path, point: str) -> None:
    step, saves = POINTS[point]
    bench = Bench(tmp_path, checkpoint_every=2, **SETTINGS)
    whole = bench.whole()
    folder = bench.stopped(step, saves=saves)
    assert differences(state_of(whole), state_of(bench.resumed(folder))) == []
