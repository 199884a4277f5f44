"""Steps that are recorded once and replayed many times: as a CUDA graph, or compiled.

A recording reads and writes the tensors of the recorded step, and never runs Python code. So all that differs
from step to step reaches a recording through tensors that are filled before each replay: the numbers of the samples of
a batch, scheduled numbers, the weight of the average. All of them lie in one block of bytes, which one copy fills. A
recording gathers the samples itself where the data lie on the device, and draws the latents itself. Batches that the
host reads are copied. Python decides one thing in a step, namely which lazy penalties are due. So each set of due
penalties has a recording.

What remains beside the launch of the graph: the copy of the block, a copy of the scalars to where the next replay does
not write, and two kernels for each generator that the step draws from. These kernels are torch's own, by which
``CUDAGraph.replay`` writes the seed and the offset of a generator to the device. Each step has a seed of its own, so
that a resumed run draws the numbers of the run that never stopped. The two kernels are therefore needed.

A recording is used only after a trial: two steps that differ in random numbers and scheduled numbers must come out of
the recording as they come out of Python, one operation at a time. After the trial the state is put back, and all steps
of that kind are replayed, the first one too. So a resumed run makes the steps of the run that never stopped.

Where several processes train, the all-reduces of a step are in the graph of each process. The processes agree after
each stage of a trial: a recording is used by all of them or by none, since a step must meet the steps of the others.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo import errors
from ganzoo.parts import Batch, Player
from ganzoo.speed.block import Block
from ganzoo.speed.compilers import BrokenOff, Refused, Step, StepCompiler
from ganzoo.speed.trial import Outcome, Start, norm, on_cpu
from ganzoo.step.environment import HostCall
from ganzoo.step.game import Game
from ganzoo.step.state import Counters
from ganzoo.words import Bound

MAX_RECORDINGS = 32
"""Recordings kept in memory. Steps of further kinds run as Python code."""


GOES_ON, REFUSED, FAILED = range(3)
"""How a stage of a trial ends in a process."""

ELSEWHERE = "another process refuses its recording"


class _RefusedElsewhere(Refused):
    """Another process refused its recording of the step."""


class RecordedSteps:
    """Makes the steps of a run from recordings. Kinds of steps that cannot be recorded run as Python code."""

    def __init__(
        self,
        game: Game,
        play: Callable[[Game], None],
        parts: Mapping[str, Bound[Any]],
        optimizers: Mapping[Player, Bound[Any]],
        set_numbers: Callable[[float], None],
        compiler: StepCompiler,
        tolerance: float,
        warn: Callable[[str], None],
    ) -> None:
        """Start without recordings.

        Args:
            game: the game of the run.
            play: makes a step of the schedule with a game.
            parts: the bound parts of the run, by kind and name. Some numbers may be scheduled.
            optimizers: the bound optimizer parts of the players.
            set_numbers: sets all scheduled numbers to the values at a progress in [0, 1].
            compiler: records a step.
            tolerance: largest relative difference of gradients, see ``trial.tolerance``.
            warn: shows the user a line.
        """
        self.game, self.state, self.play, self.set_numbers = game, game.state, play, set_numbers
        self.parts, self.optimizers = parts, optimizers
        self.compiler, self.tolerance, self.warn = compiler, tolerance, warn
        self.recordings: dict[Any, _Recording | None] = {}  # None: steps of that kind cannot be recorded
        self.nonfinite = torch.zeros_like(game.nonfinite)  # the flag that recordings read and write
        self.counters_at_start = self.state.counters.copy()
        self.recorded_at: tuple[int, int | None] | None = None
        self.progress: float = 0.0
        self.blend: float = 1.0
        self.numbers: list[_Number] = []
        self.halved = False
        self.warned: set[str] = set()
        self.over = False

    def make(self, step: int, progress: float) -> None:
        """Make the step that the game has begun.

        Args:
            step: number of the step, from 0.
            progress: of the run, in [0, 1].
        """
        self.progress, self.blend = progress, self.state.counters.blend
        if self.recorded_at != (now := (self.state.loads, self.state.counters.phase)):
            # A checkpoint was loaded, which gives the optimizers other tensors than the recordings know. Or the
            # networks have grown, and no step of the phases before will come again.
            self.recorded_at = now
            self.recordings.clear()
            self.numbers = self._scheduled()
        # Python must know the kind before the step is made: the penalties due follow from the counters alone.
        kind = self._kind(self.state.counters)
        if (recording := self.recordings.get(kind)) is not None:
            self._replay(recording)
        elif kind in self.recordings or self.over:
            self.play(self.game)
        elif len(self.recordings) < MAX_RECORDINGS:
            self._record(step, progress)
        else:
            self._warn(f"there are more than {MAX_RECORDINGS} kinds of steps; this goes for the others")
            self.play(self.game)

    def _scheduled(self) -> list[_Number]:
        """The numbers that change over the run, with the types in which recordings read the numbers."""
        environment = self.game.environment
        found = [_Number(vars(self), name, environment.dtype) for name in ("progress", "blend")]
        for part in self.parts.values():
            found += [_Number(part.values, name, environment.dtype) for name in part.scheduled]
        # The type in which fused optimizers read their learning rate.
        rates = torch.float32 if environment.device.type == "cuda" else torch.float64
        for player, optimizer in self.optimizers.items():
            for group in self.state.optimizers[player].param_groups:
                found += [_Number(group, name, rates) for name in optimizer.scheduled]
        return found

    def _kind(self, counts: Counters) -> Any:
        """The key of a recording: the penalties due, the optimizers' numbers without a schedule, and what learns."""
        updates = counts.updates
        due = [(player, every, at, (updates[player] + at) % every == 0) for player, every, at in self.game.lazy_queries]
        scheduled = {(id(number.owner), number.key) for number in self.numbers}
        fixed = [
            value
            for optimizer in self.state.optimizers.values()
            for group in optimizer.param_groups
            for key, value in group.items()
            if isinstance(value, (int, float)) and (id(group), key) not in scheduled
        ]
        return tuple(sorted(due)), tuple(fixed), self.game.learning

    def _replay(self, recording: _Recording, keep_batches: bool = False) -> list[Tensor]:
        """Replay a step: first the calls on the host, then the work of the device.

        Args:
            recording: the recording of the kind of steps.
            keep_batches: leave the real batches in place that the recording was made with, in a trial.
        """
        self.counters_at_start = self.state.counters.copy()
        values: list[Tensor | float] = [float(number.owner[number.key]) for number in self.numbers]
        with torch.no_grad():
            for made in recording.calls:
                if made.is_inside:
                    continue
                is_real = made.call == self.game.host.reals
                if isinstance(made.result, Batch):
                    if not (keep_batches and is_real):
                        _fill(made.result, made.call(*made.arguments))
                elif is_real:
                    values.append(self._sample_numbers(*made.arguments))
                elif (value := made.call(*made.arguments)) is not None:
                    values.append(value)
            recording.block.fill(values)
            # The flag is handed in where something else than a replay wrote the flag.
            if self.game.nonfinite is not self.nonfinite:
                self.nonfinite.copy_(self.game.nonfinite)
        results = recording.run()
        # A clone: the next replay writes into the same tensors.
        scalars = dict(zip(recording.tags, results[0].clone().unbind(), strict=True))
        # With ``skip`` the flag of each step is among the scalars of the step. Otherwise the flag never goes back to 0.
        skips = self.game.environment.skip_nonfinite
        self.game.finish_with(scalars, self.nonfinite.clone() if skips else self.nonfinite)
        return results

    def _sample_numbers(self, number: int, piece: int) -> Tensor:
        """The numbers of the samples of a real batch, on the CPU. The second step of a trial has a half of them."""
        found = self.game.host.sample_numbers(number, piece)
        assert found is not None
        return found[torch.arange(len(found), device="cpu") // 2] if self.halved else found

    def _record(self, step: int, progress: float) -> None:
        """Make a step, and record the kind of step if that is possible."""
        game = self.game
        for optimizer in self.state.optimizers.values():
            _bring_to_device(optimizer)
        # What the step may change, before the step: tensors to restore, and host values to compare.
        start, before = Start(game), self._host_state()
        calls: list[_MadeCall] = []

        def log(call: Callable[..., Any], /, *arguments: Any) -> Any:
            result = call(*arguments)
            calls.append(self._made(call, arguments, result))
            return result

        with self._rehearsed(log) as (rehearsal, gradients):
            self.play(rehearsal)
        if self.state.held().keys() != start.held.keys() or bool(rehearsal.nonfinite):
            # An optimizer made its state, or the numbers make no sense: the step stands as Python made it.
            game.finish_with(rehearsal.scalars, rehearsal.nonfinite)
            return
        kind = self._kind(start.counts)
        why = self._refusal(rehearsal, start, before)
        if self._standing(GOES_ON if why is None else REFUSED) == REFUSED:
            why = why or ELSEWHERE
            self.recordings[kind] = None
            self._warn(why)
            game.finish_with(rehearsal.scalars, rehearsal.nonfinite)
            return
        recording = None  # until both trials agree
        try:
            # Two trials: one step with the recorded numbers, and one in which all of them differ.
            truth = Outcome(rehearsal, gradients)
            gradients.clear()
            recording = self._recorded(calls, start)
            self._agree()
            self._compare(truth, recording, start, step)
            self._agree()
            with self._other_batches(recording.calls):
                other = self._other(recording.calls, start, step, progress)
                self._compare(other, recording, start, step + 1, self._cycle())
            self._agree()
            self.recordings[kind] = recording
        except errors.RankLost:
            raise
        except BrokenOff as error:
            self._standing(FAILED)
            recording, self.over = None, True
            self.recordings.clear()
            # The generator of the latents may believe that the capture goes on. The seed is set in each step.
            self.game.host.renew_streams()
            self._warn(_in_a_line(error.__cause__ or error))
        except Exception as error:
            if not isinstance(error, _RefusedElsewhere):
                self._standing(REFUSED if isinstance(error, Refused) else FAILED)
            recording = self.recordings[kind] = None
            self._warn(str(error) if isinstance(error, Refused) else _in_a_line(error))
        finally:
            # The trial's steps never happened: the step is made from where the run stands, in either way.
            start.restore()
            self._set_step(step, progress)
        if recording is None:
            # The error's traceback is a cycle that holds the graph of the failed step, on the stream of the capture.
            gc.collect()
            self.play(game)
        else:
            del self._replay(recording, keep_batches=True)[1:]  # nothing holds the gradients any more

    def _other(self, calls: list[_MadeCall], start: Start, step: int, progress: float) -> Outcome:
        """A step from the same state, made by Python, that differs in all numbers that a recording could freeze."""
        # Far ahead and not one step: the same penalties are due, and the weight of the average is another.
        start.restore(self._cycle())
        self._set_step(step + 1, 1.0 if progress < 0.5 else 0.0)
        self.blend = 0.25 if self.blend > 0.5 else 0.75
        # The batch is that of `_other_batches`: a stream of batches does not turn back. Latents are drawn again.
        batches = {made.arguments: made.result for made in calls if made.call == self.game.host.reals}

        def on_host(call: Callable[..., Any], /, *arguments: Any) -> Any:
            known = batches.get(arguments) if call == self.game.host.reals else None
            if isinstance(known, Tensor):
                return self.game.environment.feed.gather(self._sample_numbers(*arguments))
            return call(*arguments) if known is None else _alias(known)

        with self._rehearsed(on_host) as (rehearsal, gradients):
            self.play(rehearsal)
        return Outcome(rehearsal, gradients)

    def _cycle(self) -> int:
        """Updates after which the same penalties are due, and the weight of the average has changed."""
        return 1000 * math.lcm(*(every for _, every, _ in self.game.lazy_queries))

    @contextmanager
    def _other_batches(self, calls: Sequence[_MadeCall]) -> Iterator[None]:
        """While this lasts, each real batch holds the first half of its samples, each of them twice.

        A recording that froze the batch gives other gradients then. Another order alone would not show it, since most
        losses are means over the batch.
        """
        reals = [made.result for made in calls if made.call == self.game.host.reals]
        batches = [tensor for batch in reals if isinstance(batch, Batch) for tensor in batch.values()]
        kept = [on_cpu(tensor) for tensor in batches]
        self.halved = True  # where recordings gather the samples themselves
        try:
            for tensor in batches:
                rows = torch.arange(len(tensor), device=tensor.device) // 2
                tensor.copy_(tensor.index_select(0, rows))
            yield
        finally:
            self.halved = False
            for tensor, value in zip(batches, kept, strict=True):
                tensor.copy_(value)

    def _set_step(self, step: int, progress: float) -> None:
        """The random numbers of a step, and the scheduled numbers of a progress."""
        self.set_numbers(progress)
        self.progress, self.blend = progress, self.state.counters.blend
        self.game.host.seed_step(step)

    def _recorded(self, calls: list[_MadeCall], start: Start) -> _Recording:
        tags: list[str] = []
        block, calls = self._block(calls)

        def step() -> list[Tensor]:
            """A step in Python, over tensors that last. Each call counts from the start of the step."""
            self.state.counters.set(self.counters_at_start)
            with (
                self._numbers_as_tensors(block.slots[: len(self.numbers)]),
                self._rehearsed(partial(self._answer, iter(calls)), self.nonfinite) as (rehearsal, gradients),
            ):
                self.play(rehearsal)
                self.nonfinite.copy_(rehearsal.nonfinite)
                tags[:] = rehearsal.scalars  # the tags are the same in every replay
                # One tensor for all scalars: a replay hands over one result, and the host fetches it once.
                scalars = torch.stack([scalar.double() for scalar in rehearsal.scalars.values()])
            return [scalars, *(gradient for _, taken in gradients for gradient in taken)]

        start.restore()
        self.counters_at_start = start.counts
        # All that a replay may read: anything else would be a constant of the recording.
        reads = [
            *self.state.held().values(),
            *block.slots,
            self.nonfinite,
            *(tensor for made in calls if isinstance(made.result, Batch) for tensor in made.result.values()),
        ]
        # This runs the step several times: to rehearse, to trace or to capture. The trial puts the counters back.
        run = self.compiler(step, reads)
        if name := start.replaced():
            raise Refused(f"{name} is another tensor after each step, and not the same with other numbers")
        return _Recording(run, calls, tags, block)

    def _block(self, calls: Sequence[_MadeCall]) -> tuple[Block, list[_MadeCall]]:
        """The block that the host fills before each replay, and the calls with their places in the block."""
        device, results = self.game.environment.device, [made.result for made in calls]
        numbers = [torch.zeros((), dtype=number.dtype, device="cpu") for number in self.numbers]
        block = Block([*numbers, *(result for result in results if isinstance(result, Tensor))], device)
        slots = iter(block.slots[len(numbers) :])
        placed = [made._replace(result=next(slots)) if isinstance(made.result, Tensor) else made for made in calls]
        return block, placed

    @contextmanager
    def _rehearsed(
        self, on_host: HostCall, nonfinite: Tensor | None = None
    ) -> Iterator[tuple[Game, list[tuple[Player, list[Tensor]]]]]:
        """A game that makes the begun step with other host calls, and a list that collects the players' gradients."""
        gradients: list[tuple[Player, list[Tensor]]] = []

        def watch(player: Player, taken: Sequence[Tensor]) -> None:
            gradients.append((player, [*taken]))

        environment = replace(self.game.environment, on_host=on_host, watch_gradients=watch)
        rehearsal = self.game.rehearsal(environment, progress=self.progress, blend=self.blend, nonfinite=nonfinite)
        try:
            yield rehearsal, gradients
        finally:
            rehearsal.close()

    @contextmanager
    def _numbers_as_tensors(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """While a step is recorded, put a tensor in the place of each scheduled number.

        The only place that does so. A number would be a constant of the recording.
        """
        groups = [group for optimizer in self.state.optimizers.values() for group in optimizer.param_groups]
        places: list[tuple[dict[str, Any], str, Any]] = [
            (number.owner, number.key, tensor) for number, tensor in zip(self.numbers, tensors, strict=True)
        ]
        if self.game.environment.device.type == "cuda":
            # Optimizers refuse to step inside a capture unless they are told of it.
            places += [(group, "capturable", True) for group in groups if "capturable" in group]
        # Put back on every way out: the values belong to the run.
        kept = [owner[key] for owner, key, _ in places]
        for owner, key, value in places:
            owner[key] = value
        try:
            yield
        finally:
            for (owner, key, _), value in zip(places, kept, strict=True):
                owner[key] = value

    def _made(self, call: Callable[..., Any], arguments: tuple[Any, ...], result: Batch | float | None) -> _MadeCall:
        """A host call of the rehearsal, and what a recording finds in the place of the result."""
        host = self.game.host
        if self.compiler.draws:
            if call == host.latents:
                return _MadeCall(call, arguments, None, is_inside=True)
            if call == host.reals and (numbers := host.sample_numbers(*arguments)) is not None:
                return _MadeCall(call, arguments, numbers)
        if result is None:
            return _MadeCall(call, arguments, None)
        if isinstance(result, Batch):
            return _MadeCall(call, arguments, result.map(lambda tensor: tensor.detach().clone()))
        return _MadeCall(call, arguments, torch.tensor(result, dtype=self.game.environment.dtype, device="cpu"))

    def _answer(self, calls: Iterator[_MadeCall], call: Callable[..., Any], /, *arguments: Any) -> Any:
        """Answer a host call of a step that is being recorded by lasting tensors. A call without a result is made."""
        # The calls of a recorded step must come in the order of the step in Python: results are matched by position.
        known = next(calls, None)
        if known is None or known[:2] != (call, arguments):
            raise Refused("it asks for batches and moves in another order each time")
        if known.result is None:
            return call(*arguments)
        if isinstance(known.result, Batch):
            return _alias(known.result)
        return self.game.environment.feed.gather(known.result) if call == self.game.host.reals else known.result

    def _standing(self, ours: int) -> int:
        """How this stage of a trial ended, over all processes: the worst of ``GOES_ON``, ``REFUSED`` and ``FAILED``.

        Raises:
            TrainingStopped: the stage failed in some processes and not in others. The exchanges of a step that failed
                half-way are not those of a whole step, and the processes would wait for each other for ever.
        """
        least, most = self.game.environment.process_group.extremes(ours)
        if most == FAILED != least:
            raise errors.TrainingStopped(
                f"the steps of one process can be {self.compiler.name} and those of another cannot: give --no-capture"
            )
        return most

    def _agree(self) -> None:
        """Go on with a trial where all processes go on.

        Raises:
            Refused: another process refused its recording.
        """
        if self._standing(GOES_ON) != GOES_ON:
            raise _RefusedElsewhere(ELSEWHERE)

    # -- whether to use a recording ------------------------------------------------------------------------------

    def _warn(self, why: str) -> None:
        if why not in self.warned:
            self.warned.add(why)
            self.warn(f"warning: steps are made as written, not {self.compiler.name}: {why}")

    def _refusal(self, rehearsal: Game, start: Start, before: Mapping[str, Any]) -> str | None:
        """Why a step must not be recorded, None where recording is safe: a replay leaves out the host's Python code."""
        if rehearsal.step_number_was_read:
            return "the schedule goes by the number of the step"
        if name := start.replaced():
            return f"{name} is another tensor after each step, and not the same with other numbers"
        after = self._host_state()
        changed = [what for what in before if before[what] != after[what]]
        return f"{changed[0]} changes from step to step on the host" if changed else None

    def _host_state(self) -> dict[str, Any]:
        """All that a step could change on the host: attributes of parts and nets, optimizers' and random numbers."""
        found: dict[str, Any] = {}
        for label, part in self.parts.items():
            found[label] = _plain_values(part.part)
        for label, module in self.state.modules_by_group():
            for name, each in module.named_modules():
                found[f"module {label} {name}".strip()] = _plain_values(each)
        found["the optimizers' state"] = self.state.numbers()["optimizers"]
        found["a part that draws from Python's random numbers: what it draws"] = random.getstate()
        found["a part that draws from NumPy's random numbers: what it draws"] = [
            str(each) if isinstance(each, str) else np.asarray(each).tobytes() for each in np.random.get_state()
        ]
        if self.game.environment.device.type != "cpu":
            # On a CPU these are the parts' own stream, which each step seeds.
            found["a part that draws random numbers on the CPU: what it draws"] = bytes(torch.get_rng_state().tolist())
        return found

    def _compare(self, truth: Outcome, recording: _Recording, start: Start, step: int, ahead: int = 0) -> None:
        """Replay a step, and compare the outcome with the step that Python made.

        Raises:
            Refused: the outcomes differ.
        """
        start.restore(ahead)
        self.game.host.seed_step(step)
        # The first result are the scalars, the others are the gradients in the order of the updates.
        results = iter(self._replay(recording, keep_batches=True)[1:])
        made = Outcome(self.game, [(player, [next(results) for _ in taken]) for player, taken in truth.gradients])
        for what, ours, theirs, scale, bound in truth.against(made, start, self.tolerance):
            apart = norm(a.double() - b.double() for a, b in zip(ours, theirs, strict=True))
            # Written so that a NaN on either side is a refusal.
            if not apart <= bound * (length := norm(scale)):
                raise Refused(f"in a trial, {what} came out otherwise, by {apart:.2g} where its length is {length:.2g}")


class _Number(NamedTuple):
    """A number that changes over the run. A recording reads a tensor in the place of the number.

    Attributes:
        owner: the dict that holds the number: the values of a bound part, or an optimizer's group.
        key: the name of the number in the dict.
        dtype: the type of the tensor.
    """

    owner: dict[str, Any]
    key: str
    dtype: torch.dtype


class _MadeCall(NamedTuple):
    """A call that a step made on the host, and where a recording finds the result.

    Attributes:
        call: the function.
        arguments: of the call.
        result: a batch that each replay fills, or a tensor in the block: a number, or the numbers of the samples that
            the recording gathers.
        is_inside: the recording makes the call itself.
    """

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: Batch | Tensor | None
    is_inside: bool = False


@dataclass
class _Recording:
    """A recorded step: the replay, the host calls before each replay, the tags of the scalars, and the block."""

    run: Step
    calls: list[_MadeCall]
    tags: list[str]
    block: Block


def _fill(lasting: Batch, result: Batch) -> None:
    """Copy a batch that the host read into the tensors that a recording reads."""
    for mine, theirs in zip(lasting.values(), result.values(), strict=True):
        mine.copy_(theirs)


def _alias(batch: Batch) -> Batch:
    """Other tensors over the same memory: to differentiate by the aliases leaves no mark on the originals."""
    return batch.map(Tensor.detach)


def _bring_to_device(optimizer: torch.optim.Optimizer) -> None:
    """Move the step counts of an optimizer to the GPU: some count on the CPU, out of a recording's reach."""
    for parameter, memory in optimizer.state.items():
        for key, value in memory.items():
            if isinstance(value, Tensor) and value.device != parameter.device:
                memory[key] = value.to(parameter.device)


def _plain_values(owner: object) -> dict[str, Any]:
    return {key: value for key, value in vars(owner).items() if isinstance(value, (bool, int, float, str))}


def _in_a_line(error: BaseException) -> str:
    """An exception in one line, with the part that raised the exception."""
    # One line of 200 characters: errors of torch are pages.
    line = " ".join(str(error).split())[:200] or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:  # a broken capture raises an exception of its own on top of the cause
        for note in getattr(cause, "__notes__", ()):
            if note.startswith("in "):
                return f"{note.removeprefix('in ')} stands in the way ({' '.join(str(cause).split())[:200]})"
        cause = cause.__context__
    return line
