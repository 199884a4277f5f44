"""How often the host starts work on the device in a step: what a captured step saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import emulation
import pytest

from ganzoo.recipe.assemble import Experiment
from ganzoo.training import steps as training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not emulation.is_emulated(), reason="only the emulated device counts launches"),
]

RECIPES: dict[str, dict[str, Any]] = {
    "onestep": {"schedule": "onestep"},
    "alternating r1": {"schedule": "alternating", "regularizers": ["r1:every=2"]},
    "onestep bf16": {"schedule": "onestep", "precision": "bf16"},
    "noise, labels, courses": {
        "schedule": "onestep",
        "arch": "dcgan:width=4,conditional=concat",
        "regularizers": ["instance-noise:sigma=0.1..0"],
        "optimizer": "adam:lr=1e-3..0",
    },
}

AS_WRITTEN = {"onestep": 75, "alternating r1": 110, "onestep bf16": 112, "noise, labels, courses": 100}
"""The most kernels of a step as written. The figures of torch 2.14 are 72, 104, 107 and 97."""

GENERATORS = {"noise, labels, courses": 2}
"""Generators that a step draws from: that of the latents, and torch's own where a part draws."""

OF_A_GENERATOR = 2
"""Kernels by which torch hands the seed and the offset of a generator to a graph that it replays."""

WARM, CHECKED = 6, 4


def counted(made: Experiment, captured: bool) -> dict[str, float]:
    """Launches a step, by kind, after the steps in which steps are captured."""
    said: list[str] = []
    compiler = training.captures(made.run) if captured else None
    compiled = None if compiler is None else training.compiled_steps(made.run, made.game, compiler, said.append)
    with training.conditions(made.run):
        for step in range(WARM + CHECKED):
            if step == WARM:
                before = dict(emulation.counts())
            training.advance(made.run, made.game, 100, compiled)
            made.game.pop_scalars()
        after = emulation.counts()
    assert said == []
    return {kind: (after[kind] - before.get(kind, 0)) / CHECKED for kind in after}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_captured_step_is_one_launch(recipe: str, experiment: Callable[..., Experiment]) -> None:
    """Latents, labels, the gather of the batch and all that follows the run: no kernel but those of torch's replay."""
    settings = {"device": "cuda", "loss": "hinge", "precision": "fp32", "steps": 100, **RECIPES[recipe]}
    written = counted(experiment(**settings), captured=False)
    captured = counted(experiment(**settings), captured=True)
    assert written.get("graph launches", 0) == 0
    assert written["kernels launched"] <= AS_WRITTEN[recipe]
    assert captured["graph launches"] == 1
    assert captured["kernels launched"] == OF_A_GENERATOR * GENERATORS.get(recipe, 1)
    # the numbers of the samples and all that follows the run, and the scalars out of the graph's way
    assert captured["copy to the device"] == 1
    assert captured["copy on the device"] == 1
