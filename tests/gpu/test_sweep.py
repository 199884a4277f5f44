"""The whole catalogue on a CUDA device: captured steps are the steps as written, and no step waits for the device.

On an emulated device the two are the same bit for bit, whatever the order in which streams run. On a real GPU other
kernels may be chosen under capture: there the sweep runs in float64 and compares to rounding.
"""

from __future__ import annotations

import gc
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import catalogue_sweep
import emulation
import pytest
import torch
from harness import differences, shrunk, state_of

from ganzoo import errors, plugins
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import resolve
from ganzoo.training import steps as training

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

WARM = 3
"""The fewest steps until every kind of step has been captured. An optimizer's first step is not captured."""

CHECKED = 2
"""Steps after that, in which a wait for the device raises."""

REASONS = {
    r"schedule (lookahead|alternating:burst)|preset wgan$": "the schedule goes by the number of the step",
    r"regularizer top-k": "regularizer top-k stands in the way",
    # torch's optimizers read no other number than the learning rate from the device
    r"optimizer .*\b(?!lr)\w+=[\d.e-]+\.\.": "optimizer of the discriminator stands in the way",
    # these parts branch on a number in Python, as they leave out a term or a factor where the number is 0 or 1
    r"loss acgan:.*_weight=1\.\.": "loss acgan",
    r"loss segan:.*(dice|l1)=0\.\.": "loss segan",
    r"(loss|regularizer) wgan-div:.*p=6\.\.": "wgan-div",
    r"regularizer (dragan|gradient-penalty):.*centre=[01]\.\.": "stands in the way",
    r"schedule onestep:weight=1\.\.": "schedule onestep",
}
"""Compositions that are made as written, and the words that say why: reasons of a part's own."""

TRITON = {"preset sagan": "torch computes self-attention by a Triton kernel, for which the emulator has no compiler"}
"""Compositions that the emulated device cannot run, and why."""

ROUNDED = {
    r"optimizer rmsprop:lr=[\d.e-]+\.\.": 1e-3,  # RMSprop divides by a learning rate on the device
    r"(?!optimizer ).*\.\.": 1e-6,
}
"""Compositions that round otherwise under capture, and how far. A part's scheduled number is a float32 tensor there,
and a double in Python. All other compositions are compared bit for bit."""

SMALL: dict[str, Any] = {
    "arch": "dcgan:width=4",
    "batch_size": 8,
    "latent_dim": 4,
    "steps": WARM + CHECKED,
    "regularizers": [],
    "data": "digits:size=8",
    "samples": 4,
    "device": "cuda",
}

gc.freeze()  # a capture collects garbage first: what was imported by now is none

CATALOGUE = plugins.load_catalogue(no_plugins=True)


def assembled(composition: catalogue_sweep.Composition, folder: Path) -> Experiment | None:
    """The experiment of a composition, with the first base that suits; None where the rules refuse an option."""
    small = {**SMALL, "logdir": str(folder), "precision": "fp32" if emulation.is_emulated() else "fp64"}
    refusals = []
    for base in composition.bases:
        if composition.preset is not None:
            overrides = shrunk(composition.preset)
            given = {k: v for k, v in {**small, **base}.items() if k not in ("arch", "regularizers")}
        else:
            overrides, given = [], {**small, **catalogue_sweep.USUAL, **base, **composition.settings}
        try:
            settings = resolve(CATALOGUE, preset=composition.preset, given=given, overrides=overrides)
            return assemble(settings, CATALOGUE)
        except errors.GanzooError as refusal:
            refusals.append(str(refusal))
    assert not composition.plain, refusals
    return None


@contextmanager
def waits_raise() -> Iterator[None]:
    """While this lasts, a wait of the host for the device raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


class Played(NamedTuple):
    """What came of some steps.

    Attributes:
        scalars: of each step.
        said: lines that were shown.
        random: the random numbers that the generators would give next.
        calls: how often each function of the device's runtime was called in the last steps. Empty on a real GPU.
    """

    scalars: list[dict[str, float]]
    said: list[str]
    random: list[int]
    calls: dict[str, float]


def played(made: Experiment, captured: bool) -> Played:
    """Make steps, and raise where the last ones wait for the device."""
    said: list[str] = []
    compiler = training.captures(made.run) if captured else None
    compiled = None if compiler is None else training.compiled_steps(made.run, made.game, compiler, said.append)
    cycle = math.lcm(*(regularizer.every for regularizer in made.run.parts.regularizers.values()))
    warm = max(WARM, cycle + 1)  # from the second step on, every set of penalties that are due together
    total, scalars = warm + CHECKED, []
    with training.conditions(made.run):
        for _ in range(warm):
            training.advance(made.run, made.game, total, compiled)
            scalars.append(made.game.pop_scalars())
        before = emulation.counts() if emulation.is_emulated() else {}
        with waits_raise():
            for _ in range(CHECKED):
                training.advance(made.run, made.game, total, compiled)
                scalars.append(made.game.pop_scalars())
        after = emulation.counts() if emulation.is_emulated() else {}
        calls = {name: (number - before.get(name, 0)) / CHECKED for name, number in after.items()}
        index = made.run.device.index or 0
        random = [*torch.get_rng_state().tolist(), *torch.cuda.default_generators[index].get_state().tolist()]
    return Played([{tag: float(value) for tag, value in row.items()} for row in scalars], said, random, calls)


TABLE = os.environ.get("GANZOO_SWEEP_TABLE")
"""A file to which each composition adds a line, for ``sweep_table.py``."""


PART, PARTS = (int(number) for number in os.environ.get("GANZOO_SWEEP", "0/1").split("/"))
"""The share of the compositions that is swept: ``1/2`` are those with the odd numbers."""


@pytest.mark.parametrize("composition", [*catalogue_sweep.compositions()][PART::PARTS], ids=str)
def test_captured_steps_are_the_steps_as_written(composition: catalogue_sweep.Composition, tmp_path: Path) -> None:
    if emulation.is_emulated() and composition.name in TRITON:
        pytest.skip(TRITON[composition.name])
    with emulation.order("eager"):
        written = assembled(composition, tmp_path)
    if written is None:
        return  # the rules refuse this option, in a line that other tests read
    captured = assembled(composition, tmp_path)
    assert captured is not None
    try:
        with emulation.order("eager"):
            expected, _, expected_random, as_written = played(written, captured=False)
        scalars, said, random, as_captured = played(captured, captured=True)
        torch.cuda.synchronize()
        if TABLE is not None:
            row = {"name": composition.name, "said": said, "written": as_written, "captured": as_captured}
            with Path(TABLE).open("a") as file:
                print(json.dumps(row), file=file)
        honest = [words for name, words in REASONS.items() if re.match(name, composition.name)]
        apart = [bound for name, bound in ROUNDED.items() if re.match(name, composition.name)]
        bound = max([*apart, 0.0 if emulation.is_emulated() else 1e-3])
        assert [line for line in said if not any(words in line for words in honest)] == []
        if bound == 0.0:
            assert scalars == expected
            assert differences(state_of(captured), state_of(written)) == []
            assert random == expected_random
        else:
            for row, other in zip(scalars, expected, strict=True):
                assert row == pytest.approx(other, rel=bound, abs=bound)
            after = state_of(written)
            for name, value in state_of(captured).items():
                assert torch.allclose(value.double(), after[name].double(), rtol=bound, atol=bound), name
        assert captured.run.state.counters == written.run.state.counters
    finally:
        for made in (written, captured):
            made.game.close()
            made.feed.close()
