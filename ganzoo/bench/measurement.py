"""The measurement of a recipe: contestants are made, warmed up and timed in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from ganzoo import errors, plugins
from ganzoo.bench.contestants import Plain, Steps
from ganzoo.bench.costs import flops, matmul_peak, memory
from ganzoo.bench.report import Against, Report, Spread
from ganzoo.bench.timing import phases, race, ratios, warm
from ganzoo.launcher import launch
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import Settings, resolve
from ganzoo.speed import hardware
from ganzoo.training.run import Run
from ganzoo.training.steps import compiled_steps, conditions, step_compiler

if TYPE_CHECKING:
    from ganzoo.plugins import Catalogue

REPEAT_SECONDS = 0.2
"""A repeat makes at least so many seconds of steps, unless told how many."""


def bench(
    *,
    against: str | None = None,
    repeats: int = 11,
    steps_each: int | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    catalogue: Catalogue | None = None,
    **settings: object,
) -> Report:
    """Measure a step of a recipe, named as for ``ganzoo.run``.

    Args:
        against: ``"plain"`` for a comparison with a plain loop.
        repeats: how many times to measure.
        steps_each: steps timed together; unless told, whole cycles of the lazy penalties, ``REPEAT_SECONDS`` or more.
        preset: settings to start from.
        config: a YAML file of settings, or a mapping.
        overrides: ``"r1.gamma=5"``.
        catalogue: where parts come from; all that is installed unless told.
        settings: as for ``ganzoo.run``.

    Raises:
        GanzooError: in one line, what was found, what was expected, what to do.
    """
    found: Catalogue = plugins.load_catalogue() if catalogue is None else catalogue
    resolved = resolve(found, preset=preset, config=config, given=settings, overrides=overrides)
    return measure(resolved, found, against=against, repeats=repeats, steps_each=steps_each)


def measure(
    settings: Settings,
    catalogue: Catalogue,
    *,
    against: str | None = None,
    repeats: int = 11,
    steps_each: int | None = None,
) -> Report:
    """Measure a step of a recipe that is given as resolved settings.

    Args:
        settings: the resolved settings of a run.
        catalogue: the parts that the settings name.
        against: ``"plain"`` for a comparison with a plain loop, None for no comparison.
        repeats: the number of measurements, at least 1.
        steps_each: steps timed together, at least 1. None: whole cycles of the lazy penalties, ``REPEAT_SECONDS`` or
            more.

    Returns:
        The costs of a step.
    """
    if against not in (None, "plain"):
        raise errors.SettingsError(f"against {against!r} is not plain: there is nothing else to compare with yet")
    if repeats < 1 or (steps_each is not None and steps_each < 1):
        raise errors.SettingsError(f"repeats {repeats} and steps {steps_each} are to be whole numbers >= 1")
    if launch().world_size > 1:
        raise errors.SettingsError("bench measures one process: start it without torchrun")
    said_by: list[str] = []
    with ExitStack() as stack:

        def assembled(settings: Settings) -> Experiment:
            made = assemble(settings, catalogue)
            stack.callback(made.feed.close)
            stack.callback(made.game.close)
            return made

        one = assembled(settings)
        run, device = one.run, one.run.device
        settings = run.settings  # with the precision that was chosen: the others are not to choose again
        said = f"{device} has no room for a batch of {settings.batch_size}: give a smaller --batch-size or --arch"
        stack.enter_context(hardware.room(said))
        threads = stack.enter_context(conditions(run))
        step = written = Steps(one)
        contestants: list[Callable[[], object]] = [step]
        if (recorder := step_compiler(run)) is not None:  # what is inside a recording cannot be timed
            step.steps = compiled_steps(run, one.game, recorder, said_by.append)
            written = Steps(assembled(settings))
            warm(written, device, 1)
        penalties = [r for some in one.game.penalties.values() for r in some.values()]
        cycle = math.lcm(*(r.every for r in penalties))
        one_step = warm(step, device, cycle)
        each = steps_each or cycle * math.ceil(REPEAT_SECONDS / one_step / cycle)
        left_out: tuple[str, ...] = ()
        script: Plain | None = None
        twin: Steps | None = None
        if written is not step:
            contestants.append(written)
        if against is not None:
            # a script takes its batch whole
            script = Plain(assembled(replace(settings, accumulate=1)), run)
            twin = Steps(again := assembled(settings))
            if recorder is not None:
                twin.steps = compiled_steps(again.run, again.game, recorder, said_by.append)
            contestants += [twin, script]
            left_out = script.left_out
        # Without an adversary the penalties are all that there is: such a step is not made without penalties.
        apart = bool(penalties) and one.game.learning.adversarial
        if apart:
            contestants.append(written.without_penalties())
        for contestant in contestants[1:]:
            warm(contestant, device, cycle)
        times = race(contestants, device, repeats=repeats, steps=each)
        ours = Spread.of([1e3 * seconds for seconds in times[0]])
        plain_times, control = (times[contestants.index(each)] if each else [] for each in (script, twin))
        as_written = ours if written is step else Spread.of([1e3 * seconds for seconds in times[1]])
        bare = 1e3 * median(times[-1]) if apart else as_written.median
        found = {phase: share * bare for phase, share in phases(written, each).items()}
        found |= {"penalty": as_written.median - bare, "other": found.pop("other")}
        state, growth = memory(written, cycle)
        return Report(
            recipe={key: run.parts.labels[key] for key in ("arch", "data", "loss", "regularizers", "schedule")},
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            precision=settings.precision,
            threads=threads,
            batch_size=settings.batch_size,
            steps=each,
            repeats=repeats,
            milliseconds=ours,
            images_per_second=settings.batch_size / (ours.median / 1e3),
            phases=found,
            memory=state + growth,
            state=state,
            flops=flops(written, cycle),
            peak=matmul_peak(device, _compute_dtype(run)),
            against=None
            if against is None
            else Against(
                milliseconds=Spread.of([1e3 * seconds for seconds in plain_times]),
                ratio=ratios(plain_times, times[0]),
                control=ratios(control, times[0]),
                left_out=left_out,
            ),
            written=None if written is step else as_written,
            said=tuple(dict.fromkeys(said_by)),
        )


def _compute_dtype(run: Run) -> torch.dtype:
    return torch.bfloat16 if run.settings.precision == "bf16" else run.dtype
