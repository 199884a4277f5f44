"""What a step of a recipe costs: time, by phase; memory; operations, against what the machine can do.

The steps measured are the engine's own, ``advance`` with the records' notes; nothing is written to disk. What is
compared is measured in one process, in turn (A B A B), and a comparison of the recipe with itself stands beside it:
what that one says of chance holds for the other.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganzoo import errors, plugins
from ganzoo.launcher import launch
from ganzoo.parts import PLAYERS, Player, Scores
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import Settings, resolve
from ganzoo.speed import hardware
from ganzoo.speed.capture import RecordedSteps
from ganzoo.step.build import build_game
from ganzoo.step.environment import Clock
from ganzoo.step.game import Game
from ganzoo.step.round import round_scores
from ganzoo.training.run import Run
from ganzoo.training.steps import advance, compiled_steps, conditions, step_compiler

if TYPE_CHECKING:
    from ganzoo.plugins import Catalogue

UNTIL = 1_000_000_000
"""Steps of the run that the measured ones are the first of: numbers that follow a run stay at their start."""

REPEAT_SECONDS = 0.2
"""A repeat makes at least so many seconds of steps, unless told how many."""

PHASES = (
    "data",
    "generator forward",
    "discriminator forward",
    "discriminator backward",
    "generator backward",
    "optimizer",
    "ema",
    "other",
)


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around the median.

    Args:
        median: half of the values are below.
        low: a quarter of the values is below.
        high: a quarter of the values is above.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the spread of values.

        Args:
            values: at least one number.
        """
        low, _, high = quantiles(values, method="inclusive") if len(values) > 1 else [*values] * 3
        return cls(median(values), low, high)


@dataclass(frozen=True, kw_only=True)
class Against:
    """A recipe beside a plain loop of the same networks.

    Attributes:
        milliseconds: of the plain loop's step.
        ratio: the plain loop's time over the recipe's, repeat by repeat: above 1 the recipe is faster.
        control: the same for the recipe against itself, in the same repeats: how far from 1 chance reaches.
        left_out: regularizers of the recipe that the plain loop makes do without.
    """

    milliseconds: Spread
    ratio: Spread
    control: Spread
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a step of a recipe costs.

    Attributes:
        recipe: its parts, by setting.
        device: where it ran.
        precision: what the nets computed in.
        threads: of the CPU.
        batch_size: samples in a batch.
        steps: steps timed together, a repeat.
        repeats: how many times.
        milliseconds: a step, without any timer inside.
        images_per_second: batches a second, times their size.
        phases: milliseconds of each, which add up to the step. ``penalty`` is the step with the penalties less the same
            without, all passes that are made for them; the step without is shared out as timers inside one saw it, and
            ``other`` of it is losses, norms, records, what timers cost.
        memory: bytes that tensors took at most: state (weights, optimizers, average), and what a step adds.
        state: bytes of the state alone.
        flops: of matrix products and convolutions, a step.
        peak: of a large matrix product here, a second, in the same precision, on the same threads.
        against: the comparison, if one was asked for.
        written: milliseconds of a step made as written, where steps are recorded; the phases are then this one's.
        said: warnings, a line each.
    """

    recipe: Mapping[str, str]
    device: str
    precision: str
    threads: int
    batch_size: int
    steps: int
    repeats: int
    milliseconds: Spread
    images_per_second: float
    phases: Mapping[str, float]
    memory: int
    state: int
    flops: float
    peak: float
    against: Against | None = None
    written: Spread | None = None
    said: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """Of the machine's peak that the step reaches."""
        return self.flops / (self.milliseconds.median / 1e3) / self.peak

    def plain(self) -> dict[str, object]:
        """As plain data."""
        return {**asdict(self), "fraction": self.fraction}


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
            _warm(written, device, 1)
        penalties = [r for some in one.game.penalties.values() for r in some.values()]
        cycle = math.lcm(*(r.every for r in penalties))
        one_step = _warm(step, device, cycle)
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
        if penalties:
            contestants.append(written.without_penalties())
        for contestant in contestants[1:]:
            _warm(contestant, device, cycle)
        times = race(contestants, device, repeats=repeats, steps=each)
        ours = Spread.of([1e3 * seconds for seconds in times[0]])
        plain_times, control = (times[contestants.index(each)] if each else [] for each in (script, twin))
        as_written = ours if written is step else Spread.of([1e3 * seconds for seconds in times[1]])
        bare = 1e3 * median(times[-1]) if penalties else as_written.median
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


# -- what is measured ------------------------------------------------------------------------------------------------


class Steps:
    """The engine's step, with its scalars fetched as often as a run fetches them.

    Args:
        experiment: the run that is measured.
        game: another game over the run's state; the experiment's own unless given.
    """

    def __init__(self, experiment: Experiment, game: Game | None = None) -> None:
        self.experiment, self.run, self.game = experiment, experiment.run, game or experiment.game
        self.steps: RecordedSteps | None = None
        self.rows: list[dict[str, Tensor]] = []

    def __call__(self) -> None:
        """Make a step."""
        advance(self.run, self.game, UNTIL, self.steps)
        self.rows.append(self.game.pop_scalars())
        if len(self.rows) >= self.run.settings.log_every:
            torch.stack([value for row in self.rows for value in row.values()]).double().tolist()
            self.rows = []

    def without_penalties(self, clock: Clock | None = None) -> Steps:
        """Make the same steps without penalties.

        Args:
            clock: times the phases of the steps. None costs no time.
        """
        environment = replace(self.game.environment, with_penalties=False, clock=clock)
        return Steps(self.experiment, build_game(self.game.parts, environment))


class Plain:
    """A script's loop over the networks and optimizers of an experiment.

    It makes as many updates of each player as a step of another run. The discriminator's are on detached fakes, the
    generator's go through a discriminator that then gathers gradients which no optimizer uses. Memory is laid out as
    torch does by default, and there is no average of the generator.

    Args:
        experiment: whose networks and optimizers are trained.
        model: the run whose numbers of updates are copied.
    """

    def __init__(self, experiment: Experiment, model: Run) -> None:
        run, self.game = experiment.run, experiment.game
        self.optimizers, self.loss, self.counters = run.state.optimizers, run.parts.loss, run.state.counters
        for net in run.state.networks:
            net.to(memory_format=torch.contiguous_format)
        steps, moves = model.state.counters.step, model.state.counters.updates
        self.moves = {player: max(1, round(moves[player] / steps)) for player in PLAYERS}
        hooks = self.game.with_hook
        self.penalties: dict[Player, list[Any]] = {
            player: [r for name, r in some.items() if name not in hooks["joint_penalty"]]
            for player, some in self.game.penalties.items()
        }
        unused = [*hooks["joint_penalty"], *hooks["modify_gradients"], *hooks["select_samples"]]
        self.left_out = tuple(dict.fromkeys(unused))

    def __call__(self) -> None:
        """Make the updates of a step."""
        game = self.game
        for _ in range(self.moves["discriminator"]):
            fakes, reals = game.on_host(game.host.latents), game.on_host(game.host.reals, game.next_batch(), 0)
            inputs = {name: reals[name] for name in game.environment.feed.inputs}
            fakes, slopes = fakes.replace(**inputs), game.slopes_due()
            styles = game.styles(fakes) if "styles" in slopes else None
            stages = game.generate_all(fakes) if styles is None else {"images": game.synthesize(styles, fakes)}
            seen = {name: value.detach() for name, value in stages.items()}
            seen["images"].requires_grad_("fake" in slopes)
            self.move("discriminator", round_scores(game, reals, fakes, seen, slopes))
        for i in range(self.moves["generator"]):
            if i:
                stages, styles = game.generate_all(fakes), None
            self.move("generator", round_scores(game, reals, fakes, stages, game.slopes_due(), styles))

    def move(self, player: Player, s: Scores) -> None:
        """Update a player on a round.

        Args:
            player: the player that moves.
            s: the scores of the round.
        """
        loss = getattr(self.loss, player)(s)
        for part in self.penalties[player]:
            if self.game.due(player, part):
                loss = loss + part.every * getattr(part, f"{player}_penalty")(s)
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()
        self.counters.updates[player] += 1
        with torch.no_grad():
            for part in self.game.with_hook["after_update"].values():
                part.after_update(player, self.game.modules[player])


# -- how it is measured ----------------------------------------------------------------------------------------------


def race(
    contestants: Sequence[Callable[[], object]], device: torch.device, *, repeats: int, steps: int
) -> list[list[float]]:
    """Measure contestants in turn, and in the other order every other time.

    Args:
        contestants: functions that make a step each.
        device: the device that is waited for before the clock is read.
        repeats: the number of measurements of each contestant.
        steps: steps timed together.

    Returns:
        Seconds a step of each contestant, repeat by repeat.
    """
    times: list[list[float]] = [[] for _ in contestants]
    for repeat in range(repeats):
        order = range(len(contestants))
        for number in order if repeat % 2 == 0 else reversed(order):
            times[number].append(_seconds(contestants[number], device, steps))
    return times


def ratios(times: Sequence[float], base: Sequence[float]) -> Spread:
    """Compare the times of two contestants, repeat by repeat.

    Args:
        times: seconds of the contestant in the numerator.
        base: seconds of the contestant in the denominator, from the same repeats.

    Returns:
        The spread of the ratios.
    """
    return Spread.of([a / b for a, b in zip(times, base, strict=True)])


def _seconds(step: Callable[[], object], device: torch.device, steps: int) -> float:
    _wait(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return (time.perf_counter() - began) / steps


def _warm(step: Callable[[], object], device: torch.device, cycle: int) -> float:
    """Steps until everything is allocated and chosen; the seconds of one."""
    _seconds(step, device, cycle + 1)  # an optimizer's first step is not one to record
    return _seconds(step, device, max(2, cycle))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class StepClock:
    """Where the time goes. Phases may nest: the time of the inner one is not the outer one's.

    On a GPU by events in the stream, so that nothing waits.

    Args:
        device: the device that the steps run on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.inside: list[str] = []
        self.marks: list[tuple[str, Any]] = []

    def mark(self) -> None:
        now: Any = time.perf_counter()
        if self.device.type == "cuda":
            now = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
            now.record(torch.cuda.current_stream(self.device))
        self.marks.append((self.inside[-1] if self.inside else "other", now))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside the ``with`` block for a phase.

        Args:
            name: the name of the phase.
        """
        self.mark()
        self.inside.append(name)
        try:
            yield
        finally:
            self.mark()
            self.inside.pop()

    def seconds(self) -> Counter[str]:
        """Of each phase."""
        _wait(self.device)
        found: Counter[str] = Counter()
        for (_, before), (name, after) in zip(self.marks, self.marks[1:], strict=False):
            gpu = self.device.type == "cuda"
            found[name] += before.elapsed_time(after) / 1e3 if gpu else after - before
        return found


class _Backward(TorchFunctionMode):
    """Times gradients, by the player whose weights they are taken with respect to."""

    def __init__(self, clock: StepClock, game: Game) -> None:
        super().__init__()
        self.clock = clock
        self.generators = {id(p) for p in game.parameters["generator"]}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.autograd.grad:
            return func(*args, **(kwargs or {}))
        player = "generator" if id(next(iter(tree_leaves(args[1])))) in self.generators else "discriminator"
        with self.clock.phase(f"{player} backward"):
            return func(*args, **(kwargs or {}))


def phases(steps: Steps, count: int) -> dict[str, float]:
    """The share of each phase in a step without penalties.

    Args:
        steps: whose game is measured, by another game with a clock in its environment.
        count: steps to make.
    """
    clock = StepClock(steps.run.device)
    timed = steps.without_penalties(clock)
    with _Backward(clock, timed.game):
        clock.mark()
        for _ in range(count):
            timed()
        clock.mark()
    timed.game.close()
    seconds = clock.seconds()
    return {phase: seconds[phase] / seconds.total() for phase in PHASES}


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Counts the bytes of tensors that come to be while it is on, and the most of them at one time: the same number
    every time, which a process's resident memory is not. What a kernel takes for itself is not seen."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.now = self.most = 0
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in tree_leaves((args, kwargs)):  # what was there before, and may come back as a view
            self._see(given, counts=False)
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            self._see(made, counts=True)
        return out

    def _see(self, value: object, *, counts: bool) -> None:
        if not isinstance(value, Tensor):
            return
        storage = value.untyped_storage()
        key = storage._cdata
        if key not in self._alive:
            size = storage.nbytes() if counts else 0
            self._alive[key] = weakref.ref(storage, lambda _: self._gone(key)), size
            self.now += size
            self.most = max(self.most, self.now)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key)[1]


def memory(step: Steps, count: int) -> tuple[int, int]:
    """Bytes of the state, and what steps add to them at most: on a GPU as its allocator says, else of tensors.

    Args:
        step: the steps to measure.
        count: number of steps.
    """
    run = step.run
    state = sum(value.nbytes for named in run.state.tensors().values() for value in named.values())
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
        before = torch.cuda.memory_allocated(run.device)
        for _ in range(count):
            step()
        return state, torch.cuda.max_memory_allocated(run.device) - before
    with Live() as live:
        for _ in range(count):
            step()
    return state, live.most


def flops(step: Callable[[], object], count: int) -> float:
    """Floating-point operations of a step, the mean of so many.

    Args:
        step: the steps to measure.
        count: number of steps.
    """
    with hardware.Flops() as counted:
        for _ in range(count):
            step()
    return float(counted.total / count)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product, of the size from which on it takes 20 ms.

    Args:
        device: where the product is computed.
        dtype: the type of the matrices.
    """
    size, best = 256, 0.0
    while True:
        a = torch.randn(size, size, device=device).to(dtype)
        seconds = min(_seconds(partial(torch.mm, a, a), device, 1) for _ in range(4))
        best = max(best, 2 * size**3 / seconds)
        if seconds > 0.02:
            return best
        size *= 2


def _compute_dtype(run: Run) -> torch.dtype:
    return torch.bfloat16 if run.settings.precision == "bf16" else run.dtype
