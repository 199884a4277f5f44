"""A step recorded once and made again many times: as a CUDA graph, or compiled.

A recording reads and writes the very tensors that it was recorded with, and never comes back to Python. So whatever
differs from step to step reaches it through tensors of its own that are filled before it is made again: batches, the
numbers that follow the run, the share of the average. All that Python decides by itself is which lazy penalties are
due, and each set of them has its own recording.

A recording is believed when two steps that differ in all of that come out as the same steps made one operation at a
time. These were rehearsals: the state is put back, and every step of that kind is then made from the recording, the
first one too, so that a resumed run makes the steps of the run that never stopped.
"""

from __future__ import annotations

import gc
import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ganzoo.parts import Batch, Player, Regularizer
from ganzoo.step.game import Feed, Game, HostCall, call_directly
from ganzoo.step.state import Counters, TensorKey
from ganzoo.words import Bound

MAX_RECORDINGS = 32
"""Recordings kept; steps of yet another kind are made as written."""

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""How far gradients may differ, by the length of the player's gradient, for what the nets compute in: float32 rounds to
1e-6 of it, and a few units that fall on the other side of a kink make 1e-4."""

TF32 = 1e-2
"""The same for compiled steps of float32 on tensor cores, which round the factors of products to 5e-4."""

MOVES = 0.1
"""How far moves of weights may differ, by their length: Adam makes moves of full length of the rounding in a gradient
that is zero but for rounding, such as that of a bias before BatchNorm."""

Step = Callable[[], list[Tensor]]


class StepCompiler(Protocol):
    """Records a step."""

    name: str  # what it makes of steps, for messages

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        """Call the step as often as is needed; what comes back makes it again, and gives new values of its results.

        Args:
            step: it is not the same step every time: it changes the tensors that it reads.
            reads: these tensors.
        """


class BrokenOff(Exception):
    """A capture that broke off half-way; its cause is why. What was captured before is not to be made again: some
    versions of torch leave the generator of random numbers, and the memory, believing that the capture goes on."""


class Graph:
    """Steps captured in CUDA graphs, which share their memory: only one of them runs at a time."""

    name = "captured in a CUDA graph"

    def __init__(self, device: torch.device) -> None:
        self.index = torch.cuda.current_device() if device.index is None else device.index
        self.stream = torch.cuda.Stream(self.index)  # type: ignore[no-untyped-call]  # torch's
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        if _broken_off:
            raise BrokenOff from Refused("an earlier capture in this process broke off")
        graph = torch.cuda.CUDAGraph()
        gc.collect()  # what is left of steps on another stream would draw that stream into the capture
        with torch.cuda.device(self.index), torch.cuda.stream(torch.cuda.current_stream()):  # afterwards as before
            with self._without_waiting():
                step()
            try:
                # thread_local: what other threads do meanwhile, such as pinning memory for batches, is no part of it
                with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                    made = step()
            except Exception as error:
                numbers = torch.cuda.default_generators[self.index]
                numbers.graphsafe_set_state(torch.Generator(f"cuda:{self.index}").graphsafe_get_state())
                _broken_off.append(graph)
                raise BrokenOff from error

        def again() -> list[Tensor]:
            graph.replay()
            return made

        return again

    @contextmanager
    def _without_waiting(self) -> Iterator[None]:
        """On the stream of the capture, raise where the host would wait for the device: here that does no harm."""
        mode, outside = torch.cuda.get_sync_debug_mode(), torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mode is a prototype, and optimizers are not being captured yet
            torch.cuda.set_sync_debug_mode("error")
            try:
                with torch.cuda.stream(self.stream):
                    yield
            finally:
                torch.cuda.set_sync_debug_mode(mode)
                outside.wait_stream(self.stream)


_broken_off: list[Any] = []  # kept while the process lives: the memory's keeper may still ask these graphs


class Compiled:
    """Steps compiled by torch, then recorded by somebody else if there is one.

    torch.compile does not look through ``autograd.grad``, and loses penalties in modules that are compiled alone. So
    the step is run once and taken down below autograd, as plain operations in which backward passes and their backward
    passes are like any others, and that is what is compiled.
    """

    name = "compiled"

    def __init__(self, then: StepCompiler | None = None) -> None:
        self.then = then

    def __call__(self, step: Step, reads: Sequence[Tensor]) -> Step:
        from torch._inductor import config
        from torch.fx.experimental.proxy_tensor import make_fx

        taken = make_fx(lambda *_: step())(*reads)
        as_it_is = torch.compiler.disable(_as_it_is)  # type: ignore[no-untyped-call]  # torch's
        for node in reversed(taken.graph.nodes):
            name = str(node.target)
            if "record_function" in name:  # marks for the profiler, at which the compiler would stop
                taken.graph.erase_node(node)
            elif name.startswith("aten._fused_"):  # an optimizer: one kernel already, which the compiler cannot read
                node.target, node.args = as_it_is, (node.target.overloadpacket.__name__, *node.args)
        taken.recompile()
        compiled = torch.compile(taken)

        def again() -> list[Tensor]:
            with torch.no_grad(), config.patch(fallback_random=True):  # the random numbers of steps as written
                return list(compiled(*reads))

        again()  # compiles
        return again if self.then is None else self.then(again, reads)


def _as_it_is(name: str, *given: Any, **named: Any) -> None:
    getattr(torch.ops.aten, name)(*given, **named)


class Refused(Exception):
    """A step that cannot be recorded, and why."""


class Steps:
    """Makes the steps of a run from recordings; kinds of steps that cannot be recorded are made as written."""

    def __init__(
        self,
        game: Game,
        play: Callable[[], None],
        parts: Mapping[str, Bound[Any]],
        optimizers: Mapping[Player, Bound[Any]],
        turn: Callable[[float], None],
        recorder: StepCompiler,
        tolerance: float,
        say: Callable[[str], None],
    ) -> None:
        """Record nothing yet.

        Args:
            game: that is played.
            play: makes a step as written.
            parts: of the run, by what they are called; their numbers may follow it.
            optimizers: likewise.
            turn: sets all numbers that follow the run to those of a progress.
            recorder: records a step.
            tolerance: see ``TOLERANCE``.
            say: tells the user a line.
        """
        self.game, self.state, self.play, self.turn = game, game.state, play, turn
        self.parts, self.optimizers = parts, optimizers
        self.recorder, self.tolerance, self.say = recorder, tolerance, say
        self.recordings: dict[Any, _Recording | None] = {}  # None: steps of that kind cannot be recorded
        self.nonfinite = torch.zeros_like(game.nonfinite)
        self.began = self.state.counters.copy()
        self.loads = -1
        self.followers: list[_Follower] = []
        self.said: set[str] = set()
        self.over = False

    def make(self, step: int, progress: float) -> None:
        """Make the step that the game has begun."""
        if self.loads != self.state.loads:  # another state was put in: the optimizers have other tensors
            self.loads = self.state.loads
            self.recordings.clear()
            self.followers = self._following()
        kind = self._kind(self.state.counters)
        if (recording := self.recordings.get(kind)) is not None:
            self._again(recording)
        elif kind in self.recordings or self.over:
            self.play()
        elif len(self.recordings) < MAX_RECORDINGS:
            self._record(step, progress)
        else:
            self._say(f"there are more than {MAX_RECORDINGS} kinds of steps; this goes for the others")
            self.play()

    def _following(self) -> list[_Follower]:
        """The numbers that follow the run."""

        def tensor(dtype: torch.dtype) -> Tensor:
            return torch.zeros((), dtype=dtype, device=self.game.device)

        found = [_Follower(vars(self.game), "progress", tensor(self.game.dtype))]
        for part in self.parts.values():
            found += [_Follower(part.values, name, tensor(self.game.dtype)) for name in part.scheduled]
        rates = torch.float32 if self.game.device.type == "cuda" else torch.float64  # as the fused optimizers read them
        for player, optimizer in self.optimizers.items():
            for group in self.state.optimizers[player].param_groups:
                found += [_Follower(group, name, tensor(rates)) for name in optimizer.scheduled]
        return found

    def _kind(self, counts: Counters) -> Any:
        """What Python decides a step by: which penalties are due in it, and numbers that do not follow the run."""
        updates = counts.updates
        due = [(player, every, at, (updates[player] + at) % every == 0) for player, every, at in self.game.lazy_queries]
        following = {(id(follower.place), follower.key) for follower in self.followers}
        settled = [
            value
            for optimizer in self.state.optimizers.values()
            for group in optimizer.param_groups
            for key, value in group.items()
            if isinstance(value, (int, float)) and (id(group), key) not in following
        ]
        return tuple(sorted(due)), tuple(settled)

    def _again(self, recording: _Recording) -> list[Tensor]:
        """Make a step from its recording: first what the host does in it, then what the device does."""
        self.began = self.state.counters.copy()
        with torch.no_grad():
            for asked in recording.asked:
                _fill(asked.answer, asked.call(*asked.given))
            for follower in self.followers:
                follower.fill()
            self.nonfinite.copy_(self.game.nonfinite)
        made = recording.run()
        self.game.nonfinite = self.nonfinite.clone()
        self.game.scalars.update(zip(recording.tags, made[0].clone().unbind(), strict=True))
        return made

    def _record(self, step: int, progress: float) -> None:
        """Make a step, recorded if its kind can be."""
        game, feed = self.game, self.game.feed
        for optimizer in self.state.optimizers.values():
            _bring(optimizer)
        start, before = _Start(game), self._host()
        asked: list[_Asked] = []

        def log(call: Callable[..., Any], /, *given: Any) -> Any:
            answer = call(*given)
            asked.append(_Asked(call, given, _static(answer, game)))
            return answer

        game.feed = _Remembering(feed)  # each batch is used several times, and a stream of them does not turn back
        try:
            with self._hearing(log) as gradients:
                self.play()
            if self.state.held().keys() != start.held.keys() or bool(game.nonfinite):
                return  # an optimizer's first step, or one that makes no sense: it stays as it was made
            kind = self._kind(start.counts)
            if (why := self._refusal(start, before)) is not None:
                self.recordings[kind] = None
                self._say(why)
                return
            recording = None
            try:
                truth = _Made(game, gradients)
                recording = self._recorded(asked, start)
                self._compare(truth, recording, start, step)
                self._compare(self._other(start, step, progress), recording, start, step + 1)
                self.recordings[kind] = recording
            except BrokenOff as error:
                recording, self.over = None, True
                self.recordings.clear()
                self._say(_said(error.__cause__ or error))
            except Exception as error:
                recording = self.recordings[kind] = None
                self._say(str(error) if isinstance(error, Refused) else _said(error))
            finally:
                start.back()
                self._turn(step, progress)
            if recording is None:
                self.play()
            else:
                del self._again(recording)[1:]  # the gradients have been looked at: nothing holds them any more
        finally:
            game.feed = feed

    def _other(self, start: _Start, step: int, progress: float) -> _Made:
        """As written, a step from the same state that differs in all that may: random numbers, numbers of the run."""
        start.back()
        self._turn(step + 1, 1.0 if progress < 0.5 else 0.0)
        with self._hearing(call_directly) as gradients:
            self.play()
        return _Made(self.game, gradients)

    def _turn(self, step: int, progress: float) -> None:
        self.turn(progress)
        self.game.progress = progress
        self.game.set_random(step)

    def _recorded(self, asked: list[_Asked], start: _Start) -> _Recording:
        tags: list[str] = []

        def step() -> list[Tensor]:
            """A step as written, in tensors of its own: what the host does in it is undone, and done by `_again`."""
            counts, answers = self.state.counters.copy(), iter(asked)
            self.state.counters.set(self.began)
            try:
                with self._frozen(), self._hearing(partial(_answer, answers)) as gradients:
                    self.game.nonfinite = self.nonfinite
                    self.play()
                    self.nonfinite.copy_(self.game.nonfinite)
                    tags[:] = self.game.scalars
                    notes = torch.stack([note.double() for note in self.game.scalars.values()])
                return [notes, *(gradient for _, taken in gradients for gradient in taken)]
            finally:
                self.game.scalars = {}
                self.state.counters.set(counts)

        start.back()
        self.began = start.counts
        reads = [
            *self.state.held().values(),
            *(f.tensor for f in self.followers),
            self.nonfinite,
            *(tensor for each in asked for tensor in _tensors(each.answer)),
        ]
        run = self.recorder(step, reads)
        if moved := start.moved():
            raise Refused(f"{moved} is another tensor after each step, and not the same with other numbers")
        return _Recording(run, asked, tags)

    @contextmanager
    def _hearing(self, host: HostCall) -> Iterator[list[tuple[Player, list[Tensor]]]]:
        """While a step is made: who answers what it asks, and a list that the gradients are put in."""
        game, watch = self.game, _Watch()
        answers, steerers = game.on_host, game.steerers
        game.on_host, game.steerers = host, {"": watch, **steerers}
        try:
            yield watch.seen
        finally:
            game.on_host, game.steerers = answers, steerers

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """While a step is recorded: numbers that follow the run are tensors, and optimizers know what is going on."""
        groups = [group for optimizer in self.state.optimizers.values() for group in optimizer.param_groups]
        places: list[tuple[dict[str, Any], str, Any]] = [(each.place, each.key, each.tensor) for each in self.followers]
        if self.game.device.type == "cuda":
            places += [(group, "capturable", True) for group in groups if "capturable" in group]
        kept = [place[key] for place, key, _ in places]
        for place, key, value in places:
            place[key] = value
        try:
            yield
        finally:
            for (place, key, _), value in zip(places, kept, strict=True):
                place[key] = value

    # -- whether to believe it -----------------------------------------------------------------------------------

    def _say(self, why: str) -> None:
        if why not in self.said:
            self.said.add(why)
            self.say(f"warning: steps are made as written, not {self.recorder.name}: {why}")

    def _refusal(self, start: _Start, before: Mapping[str, Any]) -> str | None:
        """Why a step that was made as written must not be recorded: a recording would not do what its host did."""
        if self.game.step_number_was_read:
            return "the schedule goes by the number of the step"
        if moved := start.moved():
            return f"{moved} is another tensor after each step, and not the same with other numbers"
        after = self._host()
        changed = [what for what in before if before[what] != after[what]]
        return f"{changed[0]} changes from step to step on the host" if changed else None

    def _host(self) -> dict[str, Any]:
        """What a step could change on the host: attributes of parts and nets, optimizers' numbers, random numbers."""
        found: dict[str, Any] = {}
        for label, part in self.parts.items():
            found[label] = _plain(part.part)
        for label, module in self.state.modules_by_group():
            for name, each in module.named_modules():
                found[f"module {label} {name}".strip()] = _plain(each)
        found["the optimizers' state"] = self.state.numbers()["optimizers"]
        found["a part that draws from Python's random numbers: what it draws"] = random.getstate()
        found["a part that draws from NumPy's random numbers: what it draws"] = str(np.random.get_state())
        if self.game.device.type != "cpu":
            found["a part that draws random numbers on the CPU: what it draws"] = bytes(torch.get_rng_state().tolist())
        return found

    def _compare(self, truth: _Made, recording: _Recording, start: _Start, step: int) -> None:
        """Make a step from its recording, and look whether it is the one that was made as written.

        Raises:
            Refused: it is another one.
        """
        start.back()
        self.game.set_random(step)
        results = iter(self._again(recording)[1:])
        made = _Made(self.game, [(player, [next(results) for _ in taken]) for player, taken in truth.gradients])
        for what, ours, theirs, scale, bound in truth.against(made, start, self.tolerance):
            apart = _length(a.double() - b.double() for a, b in zip(ours, theirs, strict=True))
            if not apart <= bound * (length := _length(scale)):
                raise Refused(f"in a trial, {what} came out otherwise, by {apart:.2g} where its length is {length:.2g}")


class _Made:
    """A step that was made: its gradients, its notes, and the state after it."""

    def __init__(self, game: Game, gradients: list[tuple[Player, list[Tensor]]]) -> None:
        self.gradients = [(player, [gradient.detach().clone() for gradient in taken]) for player, taken in gradients]
        self.notes = {tag: value.clone() for tag, value in game.scalars.items()}
        self.state = {place: value.detach().clone() for place, value in game.state.held().items()}

    def against(self, other: _Made, start: _Start, tolerance: float) -> Iterator[_Pair]:
        """What must agree with another step's: what it is, both, what it is measured by, and how well."""
        for (player, mine), (_, theirs) in zip(self.gradients, other.gradients, strict=True):
            yield _Pair(f"the {player}'s gradient", mine, theirs, mine, tolerance)
        for tag, value in self.notes.items():
            if not tag.startswith("scores/"):  # an accuracy jumps
                yield _Pair(tag, [value], [other.notes[tag]], [value.abs().clamp(min=1.0)], tolerance)
        kinds: dict[tuple[str, str], list[TensorKey]] = {}
        for place in self.state:
            kinds.setdefault((place.group, place.kind), []).append(place)
        for (group, kind), places in kinds.items():
            sides = self.state, other.state, start.values
            mine, theirs, first = ([side[place] for place in places] for side in sides)
            if kind == "weights":
                moves = [after - before for after, before in zip(mine, first, strict=True)]
                yield _Pair(f"the move of {group}", mine, theirs, moves, MOVES)
            else:
                yield _Pair(f"{kind} of {group}", mine, theirs, mine, tolerance)


class _Pair(NamedTuple):
    what: str
    ours: Sequence[Tensor]
    theirs: Sequence[Tensor]
    scale: Sequence[Tensor]
    bound: float


class _Start:
    """The state that steps are tried from."""

    def __init__(self, game: Game) -> None:
        self.game, self.counts, self.nonfinite = game, game.state.counters.copy(), game.nonfinite
        self.held = game.state.held()
        self.values = {place: value.detach().clone() for place, value in self.held.items()}

    @torch.no_grad()
    def back(self) -> None:
        """Put everything back, whatever a step left behind."""
        self.game.close()
        self.game.scalars, self.game.nonfinite = {}, self.nonfinite
        self.game.state.counters.set(self.counts)
        for place, value in self.values.items():
            self.held[place].copy_(value)
        for parameters in self.game.parameters.values():
            for parameter in parameters:
                parameter.grad = None

    def moved(self) -> str | None:
        """A tensor of the state that is no longer the one it was, by name; None when there is none."""
        now_held = self.game.state.held()
        return next((str(place) for place, value in self.held.items() if now_held.get(place) is not value), None)


class _Remembering:
    """A feed that gives a batch as often as it is asked for it."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.given: dict[tuple[int, ...], Batch] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.feed, name)

    def reals(self, *which: int) -> Batch:
        if which not in self.given:
            self.given[which] = self.feed.reals(*which)
        return _alias(self.given[which])


class _Watch(Regularizer):
    """Sees the gradients that the players move along."""

    seen: list[tuple[Player, list[Tensor]]] = field(default_factory=list)

    def modify_gradients(self, player: Player, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        self.seen.append((player, list(gradients)))
        return gradients


@dataclass
class _Follower:
    """A number that follows the run: where it is kept, and the tensor that recordings read instead."""

    place: dict[str, Any]
    key: str
    tensor: Tensor
    last: float | None = None

    def fill(self) -> None:
        if (value := float(self.place[self.key])) != self.last:
            self.tensor.fill_(value)
            self.last = value


class _Asked(NamedTuple):
    """Something that a step asked of the host, and the tensors that a recording finds the answer in."""

    call: Callable[..., Any]
    given: tuple[Any, ...]
    answer: Batch | Tensor | None


@dataclass
class _Recording:
    run: Step
    asked: list[_Asked]
    tags: list[str]


def _answer(asked: Iterator[_Asked], call: Callable[..., Any], /, *given: Any) -> Any:
    """Answer as a recording is answered; what is only counted is counted."""
    known = next(asked, None)
    if known is None or known[:2] != (call, given):
        raise Refused("it asks for batches and moves in another order each time")
    if known.answer is None:
        return call(*given)
    return _alias(known.answer) if isinstance(known.answer, Batch) else known.answer


def _static(answer: Batch | float | None, game: Game) -> Batch | Tensor | None:
    """Tensors of its own for an answer of the host."""
    if answer is None:
        return None
    if isinstance(answer, Batch):
        return _over(answer, lambda tensor: tensor.detach().clone())
    return torch.full((), answer, dtype=game.dtype, device=game.device)


def _fill(static: Batch | Tensor | None, answer: Any) -> None:
    if isinstance(static, Batch):
        for mine, theirs in zip(_tensors(static), _tensors(answer), strict=True):
            mine.copy_(theirs)
    elif static is not None:
        static.fill_(answer)


def _alias(batch: Batch) -> Batch:
    """The same memory in other tensors: who differentiates by these leaves no mark."""
    return _over(batch, Tensor.detach)


def _over(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    return Batch(**{name: None if value is None else change(value) for name, value in vars(batch).items()})


def _tensors(static: Batch | Tensor | None) -> list[Tensor]:
    if isinstance(static, Tensor):
        return [static]
    return [] if static is None else [value for value in vars(static).values() if value is not None]


def _bring(optimizer: torch.optim.Optimizer) -> None:
    """Some optimizers count their steps beside the GPU, out of a recording's reach: have them count on it."""
    for parameter, memory in optimizer.state.items():
        for key, value in memory.items():
            if isinstance(value, Tensor) and value.device != parameter.device:
                memory[key] = value.to(parameter.device)


def _plain(owner: object) -> dict[str, Any]:
    return {key: value for key, value in vars(owner).items() if isinstance(value, (bool, int, float, str))}


def _length(tensors: Iterable[Tensor]) -> float:
    """The length of tensors taken together."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))


def _said(error: BaseException) -> str:
    """An exception in a line, with the part that it was raised in."""
    line = " ".join(str(error).split())[:200] or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:  # a broken capture raises its own on top
        for note in getattr(cause, "__notes__", ()):
            if note.startswith("in "):
                return f"{note.removeprefix('in ')} stands in the way ({' '.join(str(cause).split())[:200]})"
        cause = cause.__context__
    return line
