"""Steps made from recordings are the steps made as written: proved on the CPU by a recorder that calls them again."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from annotated_types import Ge
from harness import Again, Bench, differences, state_of
from torch import Tensor, nn

import ganzoo
from ganzoo import errors
from ganzoo.speed import capture, compilers
from ganzoo.step.environment import SingleProcess
from ganzoo.training import loop
from ganzoo.training.steps import advance, compiled_steps, step_compiler

CUDA = torch.cuda


def played(made: Any, recorder: Any = None, steps: int = 10) -> tuple[list[dict[str, float]], list[str]]:
    """Make steps, from recordings or as written; their notes, and what was said."""
    said: list[str] = []
    recorded = None if recorder is None else compiled_steps(made.run, made.game, recorder, said.append)
    notes = []
    for _ in range(steps):
        advance(made.run, made.game, steps, recorded)
        notes.append({tag: float(value) for tag, value in made.game.pop_scalars().items()})
    return notes, said


def same(experiment: Any, recorder: Any, **settings: Any) -> list[str]:
    """Both ways are the same, bit for bit: weights, memories, averages, notes, counters; what was said on the way."""
    mine, theirs = experiment(**settings), experiment(**settings)
    notes, said = played(mine, recorder)
    assert notes == played(theirs)[0]
    assert differences(state_of(mine), state_of(theirs)) == []
    assert mine.run.state.counters == theirs.run.state.counters
    return said


COMPOSITIONS: list[tuple[int, dict[str, Any]]] = [  # with the number of sets of penalties that are due
    (2, {"schedule": "onestep", "loss": "hinge", "regularizers": ["r1:every=4"]}),
    (1, {"schedule": "onestep:shared=true", "loss": "wgan", "regularizers": ["weight-clip"], "arch": "mlp"}),
    (
        2,
        {
            "schedule": "alternating:discriminator_steps=2",
            "loss": "hinge",
            "regularizers": ["r1:every=4", "sn"],
            "optimizer": "adam:lr=2e-4..0",
            "on_nonfinite": "skip",
        },
    ),
    (
        1,
        {
            "schedule": "alternating:generator_steps=2",
            "loss": "sgan",
            "arch": "dcgan:width=4,conditional=concat",
            "regularizers": ["label-smoothing", "instance-noise:sigma=0.1..0"],
            "optimizer": "rmsprop:lr=1e-4..0",
        },
    ),
    (
        2,
        {
            "schedule": "extragradient",
            "loss": "wgan",
            "arch": "mlp",
            "optimizer": "sgd:momentum=0.5",
            "regularizers": ["r1:gamma=0.1..1,every=3", "instance-noise:sigma=0.1..0"],
        },
    ),
    (1, {"schedule": "unrolled:steps=3", "loss": "hinge", "regularizers": ["diffaugment", "ada", "lecam"]}),
    (
        2,
        {
            "schedule": "unrolled:steps=2,order=second",
            "loss": "sgan",
            "arch": "mlp",
            "regularizers": ["path-length:every=2"],
        },
    ),
    (
        2,
        {
            "schedule": "alternating",
            "loss": "rpgan",
            "arch": "stylegan2:width=4,style=3,mapping=1",
            "d_arch": "r3gan:width=4,blocks=1,group=2",
            "regularizers": [
                "r1r2:gamma=course(0.5,0.05)",
                "ada:p=course(0,0.55),colour=0.5,cutout=1",
                "path-length:every=2",
            ],
            "optimizer": "adam:lr=course(2e-3,5e-4),beta2=course(0.9,0.99)",
            "ema_half_life": "course(0,100)",
        },
    ),
    (2, {"schedule": "alternating", "loss": "hinge", "accumulate": 2, "arch": "mlp", "regularizers": ["r1:every=2"]}),
]


@pytest.mark.parametrize(("kinds", "settings"), COMPOSITIONS, ids=[str(each["schedule"]) for _, each in COMPOSITIONS])
def test_steps_made_again_are_the_same_steps(experiment: Any, kinds: int, settings: dict[str, Any]) -> None:
    recorder = Again()
    assert same(experiment, recorder, **settings) == []
    assert recorder.recorded == kinds  # one for each set of penalties that are due


@pytest.mark.parametrize("settings", [each for _, each in COMPOSITIONS], ids=lambda each: each["schedule"])
def test_a_step_that_draws_and_gathers_by_itself_is_the_same_step(experiment: Any, settings: dict[str, Any]) -> None:
    recorder = Again(draws=True)
    assert same(experiment, recorder, **settings) == []
    assert recorder.recorded > 0


def test_samples_are_gathered_where_the_device_has_all_that_makes_them(experiment: Any) -> None:
    """A crop by chance takes numbers that change with the epoch: the host makes those batches before each replay."""
    gathered = []

    class Notes(Again):
        def __call__(self, step: compilers.Step, reads: Sequence[Tensor]) -> compilers.Step:
            gathered.append(any(each.dtype == torch.int64 and each.shape == (8,) for each in reads))
            return super().__call__(step, reads)

    for data in ("digits:size=8", "digits:size=8,flip=true"):
        assert same(experiment, Notes(draws=True), data=data, arch="mlp") == []
    assert gathered == [True, False]


class TestWhatMustNotBeRecorded:
    """Whatever a recording would leave out is found in a step as written: one line, and steps stay as they were."""

    def refused(self, experiment: Any, part: Any = None, recorder: Any = None, **settings: Any) -> str:
        parts = {} if part is None else {"regularizers": [part]}
        (line,) = same(experiment, recorder or Again(), **{"arch": "mlp", **parts, **settings})
        assert line.startswith("warning: steps are made as written, not made again: ")
        return line

    def test_a_schedule_that_goes_by_the_number_of_the_step(self, experiment: Any) -> None:
        assert "the schedule goes by the number of the step" in self.refused(experiment, schedule="lookahead")

    def test_a_number_that_python_must_know(self, experiment: Any) -> None:
        assert "regularizer top-k stands in the way" in self.refused(experiment, regularizers=["top-k"])

    def test_random_numbers_of_python(self, experiment: Any) -> None:
        random.seed(1)
        before = random.getstate()

        class Dice(ganzoo.Regularizer):
            def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
                return random.random() * s.real.mean()

        made = experiment(regularizers=[Dice()], arch="mlp")
        _, said = played(made, Again(), steps=4)
        assert "draws from Python's random numbers" in said[0]
        assert made.run.step == 4
        random.setstate(before)

    def test_random_numbers_of_numpy(self, experiment: Any) -> None:
        class Dice(ganzoo.Regularizer):
            def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
                return float(np.random.rand()) * s.real.mean()

        _, said = played(experiment(regularizers=[Dice()], arch="mlp"), Again(), steps=4)
        assert "draws from NumPy's random numbers" in said[0]

    def test_a_count_on_the_host(self, experiment: Any) -> None:
        class Counts(nn.Module):
            count = 0

        class Growing(ganzoo.Regularizer):
            def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
                return Counts()

            def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
                self.module.count += 1
                return self.module.count * s.real.square().mean()

        line = self.refused(experiment, Growing())
        assert "module part-Growing changes from step to step on the host" in line

    def test_a_tensor_that_is_another_after_each_step(self, experiment: Any) -> None:
        class Kept(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("mean", torch.zeros(()))

        class Anew(ganzoo.Regularizer):
            def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
                return Kept()

            def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
                self.module.mean = 0.9 * self.module.mean + 0.1 * s.real.detach().mean()
                return (s.real.mean() - self.module.mean).square()

        assert "part-Anew" in (line := self.refused(experiment, Anew()))
        assert "is another tensor after each step" in line

    @pytest.mark.parametrize("size", [1.0, 0.005])
    def test_a_number_of_the_run_that_a_recording_freezes(self, experiment: Any, size: float) -> None:
        """The trial with other numbers finds it: a part that keeps the first value that it saw, large or small."""

        class Frozen(ganzoo.Regularizer):
            weight: Annotated[float, Ge(0)] = ganzoo.ScheduledNumber("linear", 0.0, 1.0)
            seen: ClassVar[dict[bool, float]] = {}

            def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
                recorded = isinstance(self.weight, Tensor)
                weight = self.seen.setdefault(True, float(self.weight)) if recorded else self.weight
                return size * weight * s.real.mean()

        assert "in a trial, the discriminator's gradient came out otherwise" in self.refused(experiment, Frozen())

    @pytest.mark.parametrize("draws", [False, True])
    def test_a_batch_that_a_recording_freezes(self, experiment: Any, draws: bool) -> None:
        """Both steps of the trial are made from one batch of the data, and the second step changes the batch."""

        def is_batch(tensor: Tensor) -> bool:  # the images, or the numbers of the samples
            return tensor.dtype == torch.int64 and tensor.shape == (8,) if draws else tensor.dim() == 4

        class Freezes(Again):
            def __call__(self, step: compilers.Step, reads: Sequence[Tensor]) -> compilers.Step:
                again, images = super().__call__(step, reads), [each for each in reads if is_batch(each)]
                assert len(images) == 1
                kept = [each.clone() for each in images]

                def frozen() -> list[Tensor]:
                    with torch.no_grad():
                        for image, value in zip(images, kept, strict=True):
                            image.copy_(value)
                    return again()

                return frozen

        assert "in a trial, the discriminator's gradient came out otherwise" in self.refused(
            experiment, recorder=Freezes(draws=draws), loss="hinge"
        )

    @pytest.mark.parametrize("what", ["weight", "gradient", "memory", "average", "buffer"])
    def test_a_recording_that_is_wrong(self, experiment: Any, what: str) -> None:
        settings: dict[str, Any] = {"loss": "hinge", "arch": "dcgan:width=4"}
        mine, theirs = experiment(**settings), experiment(**settings)
        state = mine.run.state

        @torch.no_grad()
        def spoil() -> None:
            if what == "weight":  # as if it had not moved
                for parameter in state.networks.generator.parameters():
                    parameter.add_(2e-4)
            elif what == "memory":
                for memory in state.optimizers["generator"].state.values():
                    memory["exp_avg_sq"] *= 1.01
            elif what == "average":
                for parameter in state.ema.parameters():
                    parameter.add_(1e-3)
            elif what == "buffer":
                next(b for b in state.networks.generator.buffers() if b.is_floating_point()).mul_(1.01)

        class Loses(Again):
            def __call__(self, step: compilers.Step, reads: Sequence[Tensor]) -> compilers.Step:
                again = super().__call__(step, reads)
                return lambda: [made * 1.01 for made in again()] if what == "gradient" else again()

        notes, said = played(mine, Loses(spoil))
        assert notes == played(theirs)[0]
        assert differences(state_of(mine), state_of(theirs)) == []
        assert len(said) == 1
        assert "in a trial," in said[0]

    def test_a_recorder_that_fails(self, experiment: Any) -> None:
        class Fails(Again):
            def __call__(self, step: compilers.Step, reads: Sequence[Tensor]) -> compilers.Step:
                step()  # the state has moved on, and is put back
                raise RuntimeError("no such kernel")

        assert "no such kernel" in self.refused(experiment, recorder=Fails())


def test_another_state_is_recorded_anew(experiment: Any) -> None:
    """After a checkpoint was loaded the optimizers have other tensors, which old recordings know nothing of."""
    made, recorder = experiment(arch="mlp"), Again()
    steps = compiled_steps(made.run, made.game, recorder, pytest.fail)
    for _ in range(3):
        advance(made.run, made.game, 10, steps)
    assert recorder.recorded == 1
    state = made.run.state
    state.load(state.copies(), state.numbers())
    advance(made.run, made.game, 10, steps)
    assert recorder.recorded == 2
    assert made.run.step == 4


@pytest.mark.parametrize("what", ["a number of the optimizer", "what learns"])
def test_what_python_decides_by_is_a_kind_of_step(experiment: Any, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A recording never runs Python code again: another decision needs another recording."""
    made, recorder = experiment(arch="mlp"), Again()
    steps = compiled_steps(made.run, made.game, recorder, pytest.fail)
    for _ in range(3):
        advance(made.run, made.game, 10, steps)
    assert recorder.recorded == 1
    if what == "what learns":
        name, _ = next(made.run.state.networks.discriminator.named_children())
        phase = ganzoo.Learning(discriminator=(name,))
        monkeypatch.setattr(type(made.game.architecture), "learning", lambda self, progress: phase)
    else:
        for group in made.run.state.optimizers["discriminator"].param_groups:
            group["weight_decay"] = 0.1
    for _ in range(2):
        advance(made.run, made.game, 10, steps)
    assert recorder.recorded == 2


def test_batches_are_drawn_once(experiment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials use the step's own batch, so that a stream of batches goes on as if there had been none."""
    made, drawn = experiment(arch="mlp", schedule="alternating"), []
    reals = made.feed.reals
    monkeypatch.setattr(made.feed, "reals", lambda *which: (drawn.append(which[0]), reals(*which))[1])
    played(made, Again(), steps=4)
    assert drawn == [*range(made.run.state.counters.draws)]


def test_a_step_without_sense_is_not_recorded(experiment: Any) -> None:
    """Its loss is not finite, and nothing can be compared with it; the next one is recorded."""
    made, recorder = experiment(arch="mlp", on_nonfinite="skip"), Again()
    steps = compiled_steps(made.run, made.game, recorder, pytest.fail)
    advance(made.run, made.game, 10, steps)
    made.game.pop_scalars()
    made.game.architecture = Broken(made.game.architecture)
    advance(made.run, made.game, 10, steps)
    assert float(made.game.pop_scalars()["faults/skipped"]) == 1.0
    assert recorder.recorded == 0
    made.game.architecture = made.run.parts.architecture
    advance(made.run, made.game, 10, steps)
    assert float(made.game.pop_scalars()["faults/skipped"]) == 0.0
    assert recorder.recorded == 1


def test_nothing_is_made_from_recordings_after_one_broke_off(experiment: Any) -> None:
    asked, replayed = [], []

    class Breaks(Again):
        def __call__(self, step: Any, reads: Any) -> Any:
            asked.append(self.recorded)
            if self.recorded == 1:
                try:
                    raise RuntimeError("out of memory")
                except RuntimeError as error:
                    raise compilers.BrokenOff from error
            again = super().__call__(step, reads)
            return lambda: (replayed.append(len(asked)), again())[1]

    settings: dict[str, Any] = {"regularizers": "r1:every=3", "arch": "mlp"}
    made, recorder = experiment(**settings), Breaks()
    notes, said = played(made, recorder)
    written, _ = played(experiment(**settings))
    assert notes == written
    assert said == ["warning: steps are made as written, not made again: out of memory"]
    assert asked == [0, 1]
    assert {*replayed} == {1}  # before the second recording broke off, and never again


class Elsewhere(SingleProcess):
    """A group in which the other process ends one stage of the trial in its own way."""

    def __init__(self, stage: int, how: int) -> None:
        self.stage, self.how = stage, how

    def extremes(self, number: int) -> tuple[int, int]:
        self.stage -= 1
        theirs = self.how if self.stage == 0 else capture.GOES_ON
        return min(number, theirs), max(number, theirs)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_processes_use_a_recording_all_of_them_or_none(experiment: Any, stage: int) -> None:
    """After the rehearsal, the recording, and each of the two steps of the trial."""
    mine, theirs = experiment(arch="mlp"), experiment(arch="mlp")
    mine.game.environment = replace(mine.game.environment, process_group=Elsewhere(stage, capture.REFUSED))
    notes, said = played(mine, Again())
    assert said == ["warning: steps are made as written, not made again: another process refuses its recording"]
    assert notes == played(theirs)[0]
    assert differences(state_of(mine), state_of(theirs)) == []


def test_a_trial_that_fails_in_another_process_alone_ends_the_run(experiment: Any) -> None:
    made = experiment(arch="mlp")
    made.game.environment = replace(made.game.environment, process_group=Elsewhere(2, capture.FAILED))
    with pytest.raises(errors.TrainingStopped, match=r"those of another cannot: give --no-capture$"):
        played(made, Again())


def test_only_so_many_kinds_are_recorded(experiment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MAX_RECORDINGS", 1)
    settings: dict[str, Any] = {"regularizers": "r1:every=3", "arch": "mlp"}
    recorder = Again()
    notes, said = played(experiment(**settings), recorder)
    assert notes == played(experiment(**settings))[0]
    assert said == [
        "warning: steps are made as written, not made again: there are more than 1 kinds of steps; this goes for the "
        "others"
    ]
    assert recorder.recorded == 1


class Broken:
    """An architecture whose scores are not finite."""

    def __init__(self, architecture: Any) -> None:
        self._architecture = architecture

    def __getattr__(self, name: str) -> Any:
        return getattr(self._architecture, name)

    def judge(self, *given: Any) -> Any:
        return self._architecture.judge(*given) / 0


@pytest.mark.parametrize("stop", [3, 6])
def test_a_recorded_run_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(loop, "step_compiler", lambda run, world: Again())
    bench = Bench(tmp_path, regularizers="r1:every=3", arch="mlp", steps=9, optimizer="adam:lr=1e-3..0")
    whole = bench.whole()
    monkeypatch.setattr(loop, "step_compiler", lambda run, world: None)
    assert differences(state_of(whole), state_of(bench.whole("written"))) == []
    monkeypatch.setattr(loop, "step_compiler", lambda run, world: Again())
    assert differences(state_of(whole), state_of(bench.resumed(bench.stopped(stop)))) == []


class TestCompiled:
    def test_what_stands_in_the_way_is_said_once(self, experiment: Any) -> None:
        (line,) = same(experiment, compilers.Compiled(), regularizers=["top-k"], arch="mlp")
        assert line.startswith("warning: steps are made as written, not compiled: regularizer top-k stands in the way")

    def test_an_optimizer_is_named(self, experiment: Any) -> None:
        (line,) = same(experiment, compilers.Compiled(), optimizer="rmsprop:lr=1e-4..0", arch="mlp")
        assert "not compiled: optimizer of the" in line

    @pytest.mark.slow
    def test_penalties_are_compiled_too(self, experiment: Any) -> None:
        """Gradients of gradients, random numbers of parts, lazy penalties, numbers that follow the run."""
        settings: dict[str, Any] = {
            "arch": "mlp",
            "loss": "hinge",
            "precision": "fp64",
            "optimizer": "adam:lr=1e-3..0",
            "regularizers": ["r1:every=2,gamma=1..0", "instance-noise:sigma=0.1..0", "sn"],
        }
        mine, theirs = experiment(**settings), experiment(**settings)
        notes, said = played(mine, compilers.Compiled(), steps=6)
        assert said == []
        expected = played(theirs, steps=6)[0]
        assert [row.keys() for row in notes] == [row.keys() for row in expected]
        for row, other in zip(notes, expected, strict=True):
            assert row == pytest.approx(other, rel=1e-6)
        after = state_of(theirs)
        assert all(torch.allclose(value, after[name], rtol=1e-6, atol=1e-9) for name, value in state_of(mine).items())

    @pytest.mark.slow
    def test_a_compiled_run_goes_on_as_if_it_had_never_stopped(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, regularizers="r1", arch="mlp", data="ring", steps=6, compile=True)
        whole = bench.whole()
        folder = bench.stopped(3)
        assert differences(state_of(whole), state_of(bench.resumed(folder))) == []

    def test_it_is_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It rounds otherwise, so a run goes on as it began."""
        monkeypatch.setattr(loop, "step_compiler", lambda run, world: None)
        bench = Bench(tmp_path, arch="mlp", steps=4, compile=True)
        folder = bench.stopped(2)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("compile: true", "compile: false"))
        with pytest.raises(errors.SettingsError, match="compile was True and is False"):
            bench.resumed(folder)

    def test_off_unless_asked_for(self, experiment: Any) -> None:
        assert step_compiler(experiment().run) is None
        assert isinstance(step_compiler(experiment(compile=True).run), compilers.Compiled)
        assert step_compiler(experiment(compile=True).run, world_size=2) is None  # there is no graph on a CPU


class Device:
    """A stand-in for ``torch.cuda`` that writes down what it is told; it has no name that the real one lacks."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.mode = 0
        self.pools = 0
        self.default_generators = [self]

    def __getattr__(self, name: str) -> Any:
        assert hasattr(CUDA, name)
        return lambda *given, **named: self

    def graph_pool_handle(self) -> int:
        self.pools += 1
        return self.pools

    def get_sync_debug_mode(self) -> int:
        return self.mode

    def set_sync_debug_mode(self, mode: Any) -> None:
        self.mode = mode

    @contextmanager
    def graph(self, graph: Any, **named: Any) -> Iterator[None]:
        assert named.keys() <= inspect.signature(CUDA.graph.__init__).parameters.keys()
        self.told.append(f"capture in pool {named['pool']}")
        yield

    def CUDAGraph(self) -> Any:
        return SimpleNamespace(replay=lambda: self.told.append("replay"), reset=lambda: self.told.append("reset"))

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield

    device = stream

    def wait_stream(self, stream: Any) -> None:
        self.told.append("wait")

    def graphsafe_set_state(self, state: Any) -> None:
        self.told.append(f"random numbers {state}")


class TestGraph:
    @pytest.fixture
    def device(self, monkeypatch: pytest.MonkeyPatch) -> Device:
        device = Device()
        monkeypatch.setattr(compilers, "_broken_off", [])
        assert hasattr(torch.Generator, "graphsafe_set_state")
        monkeypatch.setattr(torch, "cuda", device)
        monkeypatch.setattr(torch, "Generator", lambda where: SimpleNamespace(graphsafe_get_state=lambda: "anew"))
        return device

    def test_a_step_is_rehearsed_where_waiting_raises_then_captured(self, device: Device) -> None:
        modes: list[Any] = []
        result = [torch.ones(1)]

        def step() -> list[Tensor]:
            modes.append(device.mode)
            device.told.append("step")
            return result

        again = compilers.Graph(torch.device("cuda:0"))(step, [])
        assert modes == ["error", 0]
        assert again() is again() is result
        assert device.told == ["wait", "step", "wait", "capture in pool 1", "step", "replay", "replay"]

    def test_recordings_share_memory(self, device: Device) -> None:
        """At most one recording runs at a time, so that all of them need the memory of one."""
        graph = compilers.Graph(torch.device("cuda:0"))
        for _ in range(2):
            graph(lambda: [], [])
        assert [line for line in device.told if line.startswith("capture")] == ["capture in pool 1"] * 2

    @pytest.mark.parametrize(("captured", "resets"), [(False, True), (True, False), (True, True)])
    def test_a_failure_leaves_the_device_as_it_was(
        self, device: Device, monkeypatch: pytest.MonkeyPatch, captured: bool, resets: bool
    ) -> None:
        monkeypatch.setattr(compilers, "RESETS", resets)
        graph = compilers.Graph(torch.device("cuda:0"))

        def step() -> list[Tensor]:
            if captured == (device.mode == 0):
                raise RuntimeError("operation not permitted")
            return []

        with pytest.raises(compilers.BrokenOff if captured else RuntimeError) as caught:
            graph(step, [])
        assert "not permitted" in str(caught.value.__cause__ if captured else caught.value)
        assert device.mode == 0
        assert ("random numbers anew" in device.told) is captured
        assert ("reset" in device.told) is (captured and resets)
        if captured and resets:  # the next capture is as if there had been none
            graph(lambda: [], [])
        elif captured:  # the memory's keeper may think that it goes on: there is no other
            with pytest.raises(compilers.BrokenOff) as caught:
                graph(lambda: [], [])
            assert "an earlier capture in this process broke off" in str(caught.value.__cause__)


@pytest.mark.parametrize(("words", "value"), [(["--no-capture"], False), (["--capture"], True), ([], None)])
def test_the_command_line_can_leave_it_out(words: list[str], value: bool | None) -> None:
    from ganzoo.cli.run import command

    with command.make_context("run", words) as context:
        assert context.params["capture"] is value
        assert context.params["compile"] is None
