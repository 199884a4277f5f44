"""Networks that grow during training: stages, sizes, resume, recordings and micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Again, Bench, differences, final, state_of

from ganzoo import errors
from ganzoo.parts import Batch, Stage
from ganzoo.training.steps import advance, compiled_steps

GROWING = {"arch": "pggan:channel_max=4", "data": "digits:size=16", "loss": "hinge", "regularizers": []}


def trained(made: Any, steps: int, recorder: Any = None) -> tuple[list[tuple[int, float]], list[str]]:
    """Make all steps of a run. The stage of each step, and what was said about recordings."""
    said: list[str] = []
    recorded = None if recorder is None else compiled_steps(made.run, made.game, recorder, said.append)
    stages = []
    for _ in range(steps):
        advance(made.run, made.game, steps, recorded)
        stages.append((made.game.stage.phase, float(made.game.stage.blend)))
        assert all(torch.isfinite(value) for value in made.game.pop_scalars().values())
    return stages, said


def test_a_batch_keeps_its_stage() -> None:
    stage = Stage(3, 0.5)
    batch = Batch(latent=torch.zeros(4, 2)).at(stage)
    for other in (batch.rows(slice(2)), batch.replace(labels=torch.zeros(4)), batch.map(torch.neg), *batch.split(3)):
        assert other.stage is stage
    assert batch.at(None).stage is None


def test_the_game_is_played_at_the_size_of_the_phase(experiment: Any) -> None:
    made = experiment(**GROWING, steps=11)
    sizes: list[tuple[int, ...]] = []
    judge = made.game.architecture.judge

    def watched(discriminator: Any, images: Any, batch: Batch) -> Any:
        sizes.append(tuple(images.shape[2:]))
        return judge(discriminator, images, batch)

    made.game.judge = lambda images, batch: watched(made.game.modules["discriminator"], images, batch)
    stages, _ = trained(made, 11)
    assert [phase for phase, _ in stages] == [int(min(step / 10 / 0.6, 1.0) * 4) for step in range(11)]
    assert stages[3][1] == pytest.approx(0.3 / 0.6 * 4 - 1)
    assert sizes[0] == (4, 4)
    assert sizes[-1] == (16, 16)
    assert (8, 8) in sizes


def test_a_phase_can_be_counted_in_images(experiment: Any) -> None:
    made = experiment(**{**GROWING, "arch": "pggan:channel_max=4,phase_images=16"}, schedule="onestep")
    stages, _ = trained(made, 10)  # 8 images a step: two steps a phase
    assert stages == [(0, 1.0)] * 2 + [(1, 0.0), (1, 0.5)] + [(2, 1.0)] * 2 + [(3, 0.0), (3, 0.5)] + [(4, 1.0)] * 2


def test_real_samples_fade_as_fakes_do(experiment: Any) -> None:
    made = experiment(**GROWING)
    part, images = made.game.architecture, torch.rand(2, 1, 16, 16, dtype=torch.float64)
    box = images.reshape(2, 1, 8, 2, 8, 2).mean((3, 5))
    coarse = box.reshape(2, 1, 4, 2, 4, 2).mean((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(part.resize(images, Stage(2)), box)
    torch.testing.assert_close(part.resize(images, Stage(1, 0.25)), 0.75 * coarse + 0.25 * box)
    assert part.resize(images, Stage(4)).equal(images)


def test_samples_are_shown_at_full_size(experiment: Any) -> None:
    made = experiment(**GROWING)
    advance(made.run, made.game, 10)
    samples = made.run.sample(3)
    assert samples.shape == (3, 1, 16, 16)
    assert samples.equal(samples[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))


@pytest.mark.parametrize("fresh", [True, False])
def test_optimizers_begin_anew_with_each_phase(experiment: Any, fresh: bool) -> None:
    arch = f"pggan:channel_max=4,phase_images=16,fresh_optimizers={str(fresh).lower()}"
    made = experiment(**{**GROWING, "arch": arch}, schedule="onestep", optimizer="adam")
    counts = []
    for _ in range(6):
        advance(made.run, made.game, 6)
        optimizer = made.run.state.optimizers["generator"]
        counts.append(int(next(iter(optimizer.state.values()))["step"]))
    assert counts == ([1, 2, 1, 2, 1, 2] if fresh else [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("fresh", ["true", "false"])
@pytest.mark.parametrize("regularizers", [["r1:every=2"], ["wgan-gp", "diffaugment"], ["sn", "ada"]])
def test_recorded_steps_grow_as_steps_in_python(experiment: Any, fresh: str, regularizers: list[str]) -> None:
    settings = {
        **GROWING,
        "arch": f"pggan:channel_max=4,fresh_optimizers={fresh},minibatch_stddev=false",
        "regularizers": regularizers,
        "schedule": "onestep",
    }
    mine, theirs = experiment(**settings, steps=30), experiment(**settings, steps=30)
    recorder = Again()
    stages, said = trained(mine, 30, recorder)
    assert stages == trained(theirs, 30)[0]
    assert said == []
    assert recorder.recorded >= 5  # a recording a phase at least
    assert differences(state_of(mine), state_of(theirs)) == []
    assert mine.run.state.counters == theirs.run.state.counters


@pytest.mark.parametrize("stop", [3, 7, 12])  # while a level fades in, at the border of phases, with the whole networks
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    bench = Bench(tmp_path, **{**GROWING, "regularizers": ["r1"]}, steps=14, on_nonfinite="rollback")
    resumed = bench.resumed(bench.stopped(stop))
    assert differences(state_of(resumed), state_of(bench.whole())) == []
    assert resumed.state.counters.phase == 4
    assert differences(final(tmp_path / "whole"), final(tmp_path / "stopped")) == []


def test_micro_batches_make_the_update_of_the_whole_batch(experiment: Any) -> None:
    settings = {**GROWING, "arch": "pggan:channel_max=4,minibatch_stddev=false", "precision": "fp64"}
    one, two = experiment(**settings), experiment(**settings, accumulate=2)
    trained(one, 10)
    trained(two, 10)
    for name, value in state_of(one).items():
        torch.testing.assert_close(state_of(two)[name], value, rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize("loss", ["sgan", "wgan", "rpgan", "lsgan"])
@pytest.mark.parametrize("schedule", ["alternating", "extragradient", "unrolled:steps=1"])
def test_growth_goes_with_any_loss_and_schedule(experiment: Any, loss: str, schedule: str) -> None:
    made = experiment(**{**GROWING, "loss": loss}, schedule=schedule, steps=5)
    assert trained(made, 5)[0][-1] == (4, 1.0)


def test_a_pair_grows_where_both_grow(experiment: Any) -> None:
    made = experiment(**GROWING, d_arch="pggan:channel_max=6,norm=none", steps=5)
    assert [phase for phase, _ in trained(made, 5)[0]] == [0, 1, 3, 4, 4]
    assert made.run.sample(2).shape == (2, 1, 16, 16)
    made = experiment(**GROWING, d_arch="dcgan:width=4", steps=2)
    advance(made.run, made.game, 2)
    assert made.game.stage is None  # the whole networks, from the first step
    made = experiment(**GROWING, d_arch="pggan:channel_max=4,start=8", steps=5)
    with pytest.raises(errors.Incompatible, match=r"grow to \(1, 4, 4\) and the discriminator to \(1, 8, 8\)"):
        advance(made.run, made.game, 5)


def test_a_part_of_one_size_refuses_growth_in_a_line(experiment: Any) -> None:
    made = experiment(**{**GROWING, "regularizers": ["entropy"]}, schedule="alternating")
    with pytest.raises(errors.Incompatible, match="entropy measures samples of one size"):
        advance(made.run, made.game, 10)


def test_growth_beyond_the_data_is_refused_in_a_line(experiment: Any) -> None:
    with pytest.raises(errors.Incompatible, match="growth begins at side start=32, and the samples have side 16") as e:
        experiment(**{**GROWING, "arch": "pggan:start=32"})
    assert "\n" not in str(e.value)
