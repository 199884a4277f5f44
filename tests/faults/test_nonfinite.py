"""A loss or gradient that is NaN or infinite: stop, skip, rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench, differences, final, state_of

import ganzoo
from ganzoo import errors
from ganzoo.disk import checkpoint
from ganzoo.disk.record import read
from ganzoo.recipe.assemble import Experiment
from ganzoo.step.game import Game

# A loss that breaks at steps of its choice (of 20), for a player of its choice, always or by the latent's sign.
PLUGIN = '''
import torch
import ganzoo

class Breaks(ganzoo.Loss):
    """Breaks where it is told."""
    at: tuple[int, ...] = ()
    until: int = 0
    player: str = "generator"
    chance: bool = False
    def factor(self, s, player):
        step = round(s.progress * 19)
        broken = step in self.at or step < self.until
        if self.chance and broken:  # by the random numbers of the step, not by the step
            return torch.where(s.latent[0, 0] > 0, torch.nan, 1.0)
        return torch.nan if broken and player == self.player else 1.0
    def discriminator(self, s):
        return ((1 - s.real).relu().mean() + (1 + s.fake).relu().mean()) * self.factor(s, "discriminator")
    def generator(self, s):
        return -s.fake.mean() * self.factor(s, "generator")
'''


def bench(folder: Path, **settings: Any) -> Bench:
    standard = {
        "loss": "breaks:at=9",
        "steps": 20,
        "checkpoint_every": 5,
        "sample_every": 50,
        "keep": 9,
        "log_every": 5,
    }
    return Bench(folder, PLUGIN, **{**standard, **settings})


def breaks(at: str, player: str = "generator", **more: Any) -> dict[str, Any]:
    return {"loss": {"name": "breaks", "at": at, "player": player, **more}}


OPTIMIZERS = ["adam", "sgd:lr=0.1,momentum=0.9", "rmsprop:momentum=0.9"]


class TestStop:
    @pytest.mark.parametrize("player", ["generator", "discriminator"])
    def test_the_last_checkpoint_is_intact_and_the_line_says_so(self, tmp_path: Path, player: str) -> None:
        runs = bench(tmp_path, **breaks("9", player))
        with pytest.raises(errors.NonFinite) as caught:
            runs.whole()
        said = str(caught.value)
        assert said.startswith(f"step 10: the {player}'s loss (breaks")
        assert "is nan: the update was not made; the last checkpoint, of step 5, is intact" in said
        assert [int(p.name) for p in checkpoint.found(tmp_path / "whole" / "checkpoints")] == [5]

    def test_weights_that_overflow_are_never_saved(self, tmp_path: Path) -> None:
        """Finite gradients, and a learning rate that throws the weights out of what float32 holds."""
        runs = bench(tmp_path, loss="hinge", optimizer="sgd:lr=1e38", checkpoint_every=1, log_every=1)
        with pytest.raises(errors.NonFinite):
            runs.whole()
        for place in checkpoint.found(tmp_path / "whole" / "checkpoints"):
            for named in checkpoint.read(place).tensors.values():
                assert all(bool(v.isfinite().all()) for v in named.values())

    def test_an_infinite_buffer_is_no_fault_and_a_nan_is(self, tmp_path: Path) -> None:
        run = bench(tmp_path).assembled("x").run
        run.generator.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        assert run.state.unsound() is None
        run.generator.mask[0] = torch.nan
        assert run.state.unsound() == "generator mask"
        run.generator.mask[0] = 0.0
        with torch.no_grad():
            next(run.discriminator.parameters()).view(-1)[0] = torch.inf
        assert str(run.state.unsound()).startswith("discriminator ")


class TestSkip:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    @pytest.mark.parametrize("player", ["generator", "discriminator"])
    @pytest.mark.parametrize("schedule", ["onestep", "alternating:discriminator_steps=2"])
    def test_a_step_is_undone_whole(self, tmp_path: Path, optimizer: str, player: str, schedule: str) -> None:
        """Weights, statistics, spectral vectors, optimizers and average of both players: as they were."""
        settings = {
            "arch": "dcgan:width=4,norm=batch",
            "regularizers": ["sn"],
            "optimizer": optimizer,
            "schedule": schedule,
        }
        made = bench(tmp_path, on_nonfinite="skip", **breaks("2", player), **settings).assembled("x")
        for step in range(4):
            before = state_of(made)
            play(made, step)
            changed = differences(state_of(made), before) if step else ["the optimizers' state is new"]
            assert (changed == []) == (step == 2), (step, changed)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_the_first_step_of_all_is_undone(self, tmp_path: Path, optimizer: str) -> None:
        made = bench(tmp_path, on_nonfinite="skip", optimizer=optimizer, **breaks("0")).assembled("x")
        before = state_of(made)
        play(made, 0)
        assert differences(state_of(made), before) == []
        play(made, 1)
        assert differences({k: v for k, v in state_of(made).items() if k in before}, before)

    def test_skipping_is_as_if_the_step_had_not_been_made(self, tmp_path: Path) -> None:
        """Where nothing breaks, nothing changes either."""
        expected = state_of(bench(tmp_path, loss="breaks").whole("stop"))
        assert differences(state_of(bench(tmp_path, loss="breaks").whole("skip", on_nonfinite="skip")), expected) == []

    def test_it_is_counted_said_and_resumed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        runs = bench(tmp_path, on_nonfinite="skip", **breaks("2,8,9,12"))
        whole = runs.whole()
        assert whole.state.counters.skipped == 4
        assert [line.get("faults/skipped") for line in read(tmp_path / "whole" / "metrics.jsonl")] == [
            None,
            1.0,
            3.0,
            4.0,
            4.0,
        ]
        said = [line for line in capsys.readouterr().err.splitlines() if "nan" in line]
        assert len(said) == 1
        assert "step 3: the generator's loss" in said[0]
        again = runs.resumed(runs.stopped(10))
        assert again.state.counters == whole.state.counters
        assert differences(state_of(again), state_of(whole)) == []

    def test_it_gives_up_at_last(self, tmp_path: Path) -> None:
        runs = bench(tmp_path, on_nonfinite="skip", steps=200, log_every=50, loss="breaks:until=1000")
        with pytest.raises(errors.NonFinite, match=r"^100 steps in a row were skipped; step 100: "):
            runs.whole()
        assert [p.name for p in checkpoint.found(tmp_path / "whole" / "checkpoints")][-1] == "00000095"

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_no_step_waits_for_the_device(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
    ) -> None:
        made = bench(tmp_path, on_nonfinite="skip", optimizer=optimizer, **breaks("2")).assembled("x")
        play(made, 0)
        reads = []
        for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
            monkeypatch.setattr(torch.Tensor, name, lambda t, *a, name=name, **k: reads.append(name))
        play(made, 1)
        monkeypatch.undo()
        assert reads == []


def play(made: Experiment, step: int) -> None:
    game: Game = made.game
    game.begin(step, step / 19)
    made.run.parts.schedule.step(game)
    game.pop_scalars()


class TestRollback:
    def test_a_fault_of_chance_is_passed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It depends on the step's random numbers, which are others the next time."""
        for seed in range(20):
            runs = bench(tmp_path, on_nonfinite="rollback", seed=seed, **breaks("8", chance="true"))
            try:
                run = runs.whole(f"seed{seed}")
            except errors.NonFinite:
                continue
            if run.state.counters.rollbacks == 2:
                break
        else:
            pytest.fail("no seed met it twice, and passed it then")
        folder = tmp_path / f"seed{seed}"
        assert run.step == 20
        said = [line for line in capsys.readouterr().err.splitlines() if "back to step 5" in line][-2:]
        assert "back to step 5, with other random numbers (1 of 3 times)" in said[0]
        assert "back to step 5, with other random numbers (2 of 3 times)" in said[1]
        lines = read(folder / "metrics.jsonl")
        assert [line["step"] for line in lines] == [1, 5, 10, 15, 20], "each step once"
        assert [line.get("faults/rollbacks") for line in lines] == [None, None, 2.0, 2.0, 2.0]
        assert lines[-1]["images"] == 20 * 8, "nothing is counted that was lost"
        # killed right after the rollback, it takes the same way again
        expected = final(folder)
        for late in checkpoint.found(folder / "checkpoints")[1:]:
            late.rename(late.with_name(f"{late.name}.gone"))
        again = runs.resumed(folder)
        assert differences(state_of(again), {k: v for k, v in expected.items() if k in state_of(again)}) == []

    def test_a_fault_that_comes_back_ends_the_run(self, tmp_path: Path) -> None:
        runs = bench(tmp_path, on_nonfinite="rollback")
        with pytest.raises(errors.NonFinite, match=r"^step 10: ") as caught:
            runs.whole()
        assert "after 3 returns to one checkpoint, each with other random numbers" in caught.value.__notes__
        assert [int(p.name) for p in checkpoint.found(tmp_path / "whole" / "checkpoints")] == [0, 5]

    def test_before_the_first_checkpoint_it_returns_to_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(errors.NonFinite) as caught:
            bench(tmp_path, on_nonfinite="rollback", **breaks("2")).whole()
        assert "after 3 returns" in caught.value.__notes__[0]

    def test_without_faults_it_is_the_same_run(self, tmp_path: Path) -> None:
        runs = bench(tmp_path, loss="breaks")
        expected = state_of(runs.whole("stop"))
        assert differences(state_of(runs.whole("rollback", on_nonfinite="rollback")), expected) == []


def test_nobody_needs_the_engine_to_load_it(tmp_path: Path) -> None:
    bench(tmp_path, on_nonfinite="skip").whole()
    assert ganzoo.load(tmp_path / "whole", plugins=[tmp_path / "myplugin.py"]).step == 20
