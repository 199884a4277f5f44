"""The time of steps: contestants in turn, and the phases of a step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ganzoo.bench.contestants import Steps
from ganzoo.bench.report import Spread
from ganzoo.step.game import Game

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
            times[number].append(step_seconds(contestants[number], device, steps))
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


def step_seconds(step: Callable[[], object], device: torch.device, steps: int) -> float:
    """Time steps together, and wait for the device before and after.

    Args:
        step: makes a step.
        device: the device of the step.
        steps: the number of steps.

    Returns:
        Seconds a step.
    """
    wait(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait(device)
    return (time.perf_counter() - began) / steps


def warm(step: Callable[[], object], device: torch.device, cycle: int) -> float:
    """Make steps until everything is allocated and chosen.

    Args:
        step: makes a step.
        device: the device of the step.
        cycle: steps after which the lazy penalties repeat.

    Returns:
        Seconds of one of the last steps.
    """
    step_seconds(step, device, cycle + 1)  # an optimizer's first step is not one to record
    return step_seconds(step, device, max(2, cycle))


def wait(device: torch.device) -> None:
    """Wait until a GPU has done all that it was asked for.

    Args:
        device: the device. Work on a CPU is done when a call returns.
    """
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
        wait(self.device)
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

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        with self._phase(args[1]) if func is torch.autograd.grad else nullcontext():
            return func(*args, **(kwargs or {}))

    def _phase(self, inputs: object) -> AbstractContextManager[None]:
        """The context of a gradient with respect to ``inputs``."""
        player = "generator" if id(next(iter(tree_leaves(inputs)))) in self.generators else "discriminator"
        return self.clock.phase(f"{player} backward")


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
