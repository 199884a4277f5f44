"""One step of a run, and the conditions under which steps are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from ganzoo import errors
from ganzoo.parts import PLAYERS
from ganzoo.speed import hardware
from ganzoo.speed.capture import RecordedSteps
from ganzoo.speed.compilers import Compiled, Graph, StepCompiler
from ganzoo.speed.trial import Roundoff, rounding, tolerance
from ganzoo.step.game import Game
from ganzoo.step.naming import named
from ganzoo.training.run import Run
from ganzoo.words import ScheduledNumber

TF32 = 2.0**-11
"""How far TF32 rounds a factor: TF32 has 10 bits of mantissa."""


def advance(run: Run, game: Game, until: int, steps: RecordedSteps | None = None) -> None:
    """Make the next step of a run.

    Args:
        run: the run. The counters give the number of the next step.
        game: over the run's state.
        until: the last step of the run, by which scheduled numbers know how far the run is.
        steps: makes the step from a recording. None has the schedule make the step.
    """
    step = run.state.counters.step
    # A run that is longer than the courses of its numbers keeps their last values.
    progress = min(1.0, step / max(1, (run.course_steps or until) - 1))
    set_scheduled_numbers(run, progress)
    game.begin(step, progress)
    if steps is None:
        with named("schedule", run.parts.specs["schedule"][0]):  # the spec: its text costs time
            run.parts.schedule.step(game)
            if game.is_untouched:
                raise errors.PartError("the step plays no round: call game.round() and game.update()")
    else:
        steps.make(step, progress)
    game.average_buffers()
    run.state.counters.step = step + 1


def set_scheduled_numbers(run: Run, progress: float) -> None:
    """Set every scheduled number of a run (``sigma=0.1..0``, ``lr=cosine(2e-4,0)``) to its value at a progress.

    Args:
        run: whose parts and optimizers may have scheduled numbers.
        progress: 0 at the first step, 1 at the last.
    """
    for bound in run.parts.bound.values():
        if bound.scheduled:  # most parts have none
            bound.set_progress(progress)
    for player, optimizer in run.state.optimizers.items():
        bound = run.parts.bound[f"{player[0]}_optimizer"]
        for name in bound.scheduled:
            for group in optimizer.param_groups:
                group[name] = hardware.rounded(bound.values[name], run.device)
    settings, averaging = run.settings, run.state.averaging
    if isinstance(settings.ema, ScheduledNumber):
        averaging.decay = settings.ema.at(progress, settings.course)
    if isinstance(settings.ema_half_life, ScheduledNumber):
        averaging.half_life = settings.ema_half_life.at(progress, settings.course)


def compiled_steps(run: Run, game: Game, compiler: StepCompiler, warn: Callable[[str], None]) -> RecordedSteps:
    """The steps of a run, made from recordings.

    Args:
        run: the run.
        game: over the run's state.
        compiler: records a step.
        warn: shows the user why steps cannot be recorded.
    """

    def play(game: Game) -> None:
        with named("schedule", run.parts.specs["schedule"][0]):
            run.parts.schedule.step(game)

    bound, labels = run.parts.bound, run.parts.labels
    parts = {
        f"architecture {labels['arch']}": bound["arch"],
        f"discriminator architecture {labels['d_arch']}": bound["d_arch"],
        f"loss {labels['loss']}": bound["loss"],
        f"schedule {labels['schedule']}": bound["schedule"],
        **{f"regularizer {label}": bound[f"regularizer {label}"] for label in run.parts.regularizers},
    }
    optimizers = {player: bound[f"{player[0]}_optimizer"] for player in PLAYERS}
    pixels = run.settings.batch_size * math.prod(run.spec.shape[1:])
    limit = tolerance(rounding(run.state.networks, pixels, _roundoff(run, game)))
    numbers = partial(set_scheduled_numbers, run)
    return RecordedSteps(game, play, parts, optimizers, numbers, compiler, limit, warn)


def _roundoff(run: Run, game: Game) -> Roundoff:
    """How far the operations of a step round: half of the eps of their types."""
    sums = torch.finfo(run.dtype).eps / 2
    with game.environment.autocast():
        if torch.is_autocast_enabled(run.device.type):
            return Roundoff(sums, torch.finfo(torch.bfloat16).eps / 2)
    return Roundoff(sums, TF32 if run.settings.compile and _on_tensor_cores(run) else 0.0)


def step_compiler(run: Run, world_size: int = 1) -> StepCompiler | None:
    """Choose how the steps of a run are recorded.

    Args:
        run: the run. The settings ``compile`` and ``capture`` decide.
        world_size: the number of processes that train the run.

    Returns:
        None where the steps are made as written. Several processes do not compile: a trace holds no exchange between
        processes. A CUDA graph does.
    """
    graph = captures(run)
    return Compiled(graph) if run.settings.compile and world_size == 1 else graph


def captures(run: Run) -> StepCompiler | None:
    """The recorder of CUDA graphs, or None where the device or the settings do not capture.

    Args:
        run: the run.
    """
    return Graph(run.device) if hardware.can_capture(run.device) and run.settings.capture else None


def _on_tensor_cores(run: Run) -> bool:
    return run.device.type == "cuda" and run.dtype == torch.float32 and not run.settings.deterministic


@contextmanager
def conditions(run: Run) -> Iterator[int]:
    """A context with the conditions that a run asks for: determinism, TF32, CPU threads, random state.

    The conditions of the caller are restored at the end.

    Args:
        run: the run.

    Yields:
        The number of CPU threads.
    """

    def step() -> int | None:
        return hardware.estimated_flops(run.parts.architecture, run.state.networks, run.spec, run.settings.batch_size)

    cuda, exact = run.device.type == "cuda", run.settings.deterministic
    with (
        hardware.deterministic(exact),
        hardware.tensor_cores(_on_tensor_cores(run)),
        hardware.threads(run.settings.threads, (lambda: 0) if cuda else step) as number,
        hardware.random_state_kept(run.device),
    ):
        yield number
