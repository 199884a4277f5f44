"""A run that was stopped and resumed is the run that was not: all tensors, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from harness import Bench, Stops, differences, final, state_of, train_until

import ganzoo
from ganzoo import errors
from ganzoo.disk import checkpoint
from ganzoo.disk.record import read
from ganzoo.parts import PLAYERS
from ganzoo.recipe.directory import open_directory
from ganzoo.recipe.resume import reopen

PLUGIN = '''
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset
import ganzoo

IMAGES = torch.randint(0, 256, (44, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

class Tiny(ganzoo.Data):
    """44 pictures of noise: an epoch is 5 batches of 8, and 4 samples are left out of each."""
    def dataset(self):
        return TensorDataset(IMAGES)

class Cropped(Dataset):
    def __len__(self):
        return len(IMAGES)
    def __getitem__(self, i):
        return torch.roll(IMAGES[i], int(torch.randint(8, ())), 1)

class Streamed(ganzoo.Data):
    """The same, read one by one, and moved at random."""
    def dataset(self):
        return Cropped()

class EmaThing(ganzoo.Regularizer):
    """Holds the scores near their average of the past; a network of its own that the discriminator's player trains."""
    def prepare(self, networks, spec):
        module = nn.Linear(1, 1)
        module.register_buffer("past", torch.zeros(()))
        module.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        return module
    def discriminator_penalty(self, s):
        with torch.no_grad():
            self.module.past.lerp_(s.real.mean(), 0.1)
            self.module.seen.add_(1)
        return (self.module(s.real[:, None]).mean() - self.module.past).square()

@ganzoo.hookimpl
def register_data(register):
    register("tiny", Tiny)
    register("streamed", Streamed)

@ganzoo.hookimpl
def register_regularizers(register):
    register("ema-thing", EmaThing)
'''

RECIPES: dict[str, dict[str, Any]] = {
    # every kind of state there is: SN's vectors, BatchNorm's statistics, a lazy penalty's phase, courses, random
    # targets, a part's own network, momentum of three kinds, the average
    "everything": {
        "arch": "dcgan:width=4,norm=batch",
        "loss": "sgan",
        "ema": 0.9,
        "regularizers": [
            "sn",
            "r1:every=4",
            "instance-noise:sigma=0.5..0",
            "label-smoothing:mode=random",
            "myplugin/ema-thing",
        ],
        "d_optimizer": "rmsprop:lr=1e-3,momentum=0.5",
        "g_optimizer": "adam:lr=1e-3..0,betas=0.5,0.9",
    },
    # the mean of the styles, constant noise, the fixed probability of an augmentation, a second beta and a half-life
    # that follow the run, and a discriminator of another architecture
    "styles": {
        "arch": "stylegan2:width=4,style=3,mapping=1,conditional=none",
        "d_arch": "r3gan:width=4,blocks=1,group=2,conditional=none",
        "loss": "sgan",
        "regularizers": ["r1r2:gamma=course(0.5,0.05)", "ada:p=course(0,0.5),cutout=1", "path-length:every=2"],
        "optimizer": "adam:lr=course(2e-3,5e-4),beta2=course(0.9,0.99)",
        "ema_half_life": "course(0,100)",
        "ema_rampup": 0.5,
    },
    "momentum": {
        "arch": "dcgan:width=4,norm=batch,d_norm=batch",
        "loss": "wgan",
        "regularizers": ["weight-clip:value=0.1"],
        "optimizer": "sgd:lr=0.01,momentum=0.9,nesterov=true",
        "ema": 0.5,
    },
}
SCHEDULES = ["onestep", "alternating:discriminator_steps=2"]
STEPS, EVERY = 12, 4


def bench(folder: Path, **settings: Any) -> Bench:
    standard = {"data": "myplugin/tiny", "steps": STEPS, "checkpoint_every": EVERY, "sample_every": 6, "keep": 9}
    return Bench(folder, PLUGIN, **{**standard, **settings})


@pytest.mark.parametrize("data", ["tiny", "streamed"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("which", RECIPES)
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path, which: str, schedule: str, data: str) -> None:
    runs = bench(tmp_path, **RECIPES[which], schedule=schedule, data=f"myplugin/{data}")
    whole = runs.whole()
    expected = state_of(whole)
    draws = 1 if schedule == "onestep" else 2  # sgan and wgan ask for no reals to move the generator
    assert whole.state.counters.draws == STEPS * draws
    # an epoch's end, mid-epoch between two lazy penalties, a checkpoint's own step: saved by a signal
    for k in (5, 7, 8):
        again = runs.resumed(runs.stopped(k, name=f"saved-{k}"))
        assert differences(state_of(again), expected) == [], k
        assert again.state.counters == whole.state.counters
    # before the first checkpoint, and after one: the steps since then are lost, and made again
    for k in (2, 7, 11):
        again = runs.resumed(runs.stopped(k, saves=False, name=f"lost-{k}"))
        assert differences(state_of(again), expected) == [], k
        assert differences(final(tmp_path / f"lost-{k}"), final(tmp_path / "whole")) == []


def test_resumed_at_every_step_is_uninterrupted(tmp_path: Path) -> None:
    """Twelve resumes in a row, a step each."""
    runs = bench(tmp_path, **RECIPES["everything"])
    runs.whole()
    folder = runs.stopped(1)
    for step in range(2, STEPS + 1):
        made, total = reopen(folder, runs.catalogue)
        assert made.run.step == step - 1
        train_until(made, total, Stops(step, saves=True))
    assert differences(final(folder), final(tmp_path / "whole")) == []


def test_the_records_of_a_resumed_run_are_those_of_one_run(tmp_path: Path) -> None:
    runs = bench(tmp_path)
    runs.whole()
    folder = runs.stopped(7, saves=False)
    lines = folder / "metrics.jsonl"
    assert [line["step"] for line in read(lines)] == [*range(1, 8)], "of which 5, 6 and 7 are made again"
    with lines.open("a") as torn:
        torn.write('{"step": 9, "loss')
    runs.resumed(folder)
    whole, again = read(tmp_path / "whole" / "metrics.jsonl"), read(lines)
    assert [line["step"] for line in again] == [*range(1, STEPS + 1)] == [line["step"] for line in whole]
    assert all(json.loads(text) for text in lines.read_text().splitlines())
    for line in [*again, *whole]:
        line.pop("speed/images_per_second")
    assert again == whole


@pytest.mark.parametrize(("stop", "saves"), [(6, False), (9, False), (9, True)])
def test_a_record_is_of_all_its_steps_wherever_the_run_was_stopped(tmp_path: Path, stop: int, saves: bool) -> None:
    """Checkpoints at 4 and 8, records at 3, 6, 9 and 12: the one after a resume knows of the steps before it."""
    runs = bench(tmp_path, log_every=3)
    runs.whole()
    runs.resumed(runs.stopped(stop, saves=saves))
    whole, again = (read(tmp_path / name / "metrics.jsonl") for name in ("whole", "stopped"))
    for line in (*whole, *again):
        line.pop("speed/images_per_second")
    assert [line["step"] for line in whole] == [1, 3, 6, 9, 12]
    assert again == whole


class StopsBetweenRecords(Stops):
    """Sends SIGTERM when a checkpoint was saved. The run stops a step later, at which no record is due."""

    def step_recorded(self, run: Any, step: int, values: Any) -> None:
        pass

    def checkpoint_saved(self, run: Any, step: int, path: Path) -> None:  # type: ignore[override]
        if step == self.step:
            signal.raise_signal(signal.SIGTERM)


def test_a_signal_between_two_records_leaves_no_trace_in_them(tmp_path: Path) -> None:
    """No record is added, and the next record is the mean over all of its steps."""
    runs = bench(tmp_path, log_every=6)
    runs.whole()
    made = runs.assembled("stopped")
    open_directory(made)
    train_until(made, STEPS, StopsBetweenRecords(4, saves=True))
    assert 4 <= made.run.step < 12
    runs.resumed(tmp_path / "stopped")
    whole, again = (read(tmp_path / name / "metrics.jsonl") for name in ("whole", "stopped"))
    for line in (*whole, *again):
        line.pop("speed/images_per_second")
    assert [line["step"] for line in whole] == [1, 6, 12]
    assert again == whole


@pytest.mark.parametrize(("stop", "clock"), [(3, 0), (11, 0), (11, -86_400)])
def test_tensorboard_shows_one_continuous_run(
    tmp_path: Path, stop: int, clock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there was no checkpoint yet, and the run begins again; and where the clock was set back a day."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    runs = bench(tmp_path)
    folder = runs.stopped(stop, saves=False)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + clock)
    runs.resumed(folder)
    events = EventAccumulator(str(folder), {"tensors": 0}, purge_orphaned_data=True)
    events.Reload()
    assert [e.step for e in events.Tensors("3 balance/loss generator")] == [*range(1, STEPS + 1)]
    assert [e.step for e in events.Tensors("1 samples/d real")] == [0]
    assert [e.step for e in events.Tensors("1 samples/b average")] == [6, 12]


def test_steps_written_into_the_config_are_not_passed_over_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = bench(tmp_path)
    runs.whole()
    edit(tmp_path / "whole", steps=15)
    assert runs.resumed(tmp_path / "whole").step == STEPS
    assert "config.yaml says 15: give --steps 15 to go that far" in " ".join(capsys.readouterr().err.split())
    assert runs.resumed(tmp_path / "whole", steps=15).step == 15
    assert "config.yaml says" not in capsys.readouterr().err


def test_more_steps_than_were_told(tmp_path: Path) -> None:
    runs = bench(tmp_path)
    expected = state_of(runs.whole(steps=15))
    runs.whole("short", steps=9)
    assert differences(state_of(runs.resumed(tmp_path / "short", steps=15)), expected) == []
    with pytest.raises(errors.SettingsError, match=r"at step 15 already: give --steps 16 or more$"):
        runs.resumed(tmp_path / "short", steps=9)
    assert runs.resumed(tmp_path / "short").step == 15, "nothing is left to train, and nothing is lost"


def test_optimizer_settings_keep_their_types(tmp_path: Path) -> None:
    runs = bench(tmp_path, optimizer="adam:lr=1e-3,betas=0.5,0.9")
    runs.whole()
    again, _ = reopen(tmp_path / "whole", runs.catalogue)
    for player in PLAYERS:
        fresh = runs.assembled("x").run.state.optimizers[player].param_groups[0]
        loaded = again.run.state.optimizers[player].param_groups[0]
        assert {k: type(v) for k, v in fresh.items()} == {k: type(v) for k, v in loaded.items()}
        assert loaded["betas"] == (0.5, 0.9)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Bench, Path]:
    runs = bench(tmp_path, loss="sgan", regularizers=["sn", "r1:gamma=2"])
    return runs, runs.stopped(6)


def edit(folder: Path, **changes: Any) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config.update(changes)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"loss": "hinge"}, "loss.name was sgan and is hinge"),
    ({"regularizers": ["sn", "r1:gamma=5"]}, "regularizers.r1.gamma was 2.0 and is 5.0"),
    ({"regularizers": ["r1:gamma=2"]}, "regularizers.sn.name was sn and is gone"),
    ({"regularizers": ["sn", "r1:gamma=2", "instance-noise"]}, "regularizers.instance-noise.name was not there"),
    ({"batch_size": 4}, "batch_size was 8 and is 4"),
    ({"seed": 1}, "seed was 0 and is 1"),
    ({"optimizer": "adam:lr=1"}, "optimizer.lr was"),
    ({"ema": 0.5}, "ema was 0.999 and is 0.5"),
    ({"schedule": "alternating"}, "schedule.name was onestep and is alternating"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=lambda x: str(x)[:40])
def test_other_settings_are_refused_with_the_difference(
    trained: tuple[Bench, Path], change: dict[str, Any], said: str
) -> None:
    runs, folder = trained
    edit(folder, **change)
    with pytest.raises(errors.SettingsError) as caught:
        runs.resumed(folder)
    assert said in str(caught.value)
    assert f"ganzoo run --init-from {folder}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_move_the_weights_may_change(trained: tuple[Bench, Path]) -> None:
    runs, folder = trained
    expected = state_of(runs.whole())
    edit(folder, log_every=5, sample_every=3, samples=9, checkpoint_every=5, keep=1, steps=99, best=None)
    assert differences(state_of(runs.resumed(folder)), expected) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("IMAGES[7, 0, 3, 3] += 1", "its samples are not the same"),
        ("IMAGES[8, 0, 3, 3] += 1", "its samples are not the same"),
        ("IMAGES = IMAGES[:40]", "it had 44 samples, and has 40"),
        ("IMAGES = IMAGES[:, :, :4]", "numbers a sample"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str) -> None:
    monkeypatch.setattr("ganzoo.data.feed.FINGERPRINTED", 1)  # samples in memory are compared to the last number
    runs = bench(tmp_path, arch="mlp")
    folder = runs.stopped(6)
    other = Bench(tmp_path, PLUGIN.replace("\nclass Tiny", f"\n{change}\n\nclass Tiny"))
    with pytest.raises(errors.CheckpointError, match="was trained on other data") as caught:
        other.resumed(folder)
    assert said in str(caught.value)


def test_data_that_moved_are_the_same_data(tmp_path: Path) -> None:
    from PIL import Image

    for place in ("before", "after"):
        (tmp_path / place).mkdir()
        for i in range(10):
            Image.new("L", (8, 8), 25 * i).save(tmp_path / place / f"{i}.png")
    runs = bench(tmp_path, data=f"folder:path={tmp_path / 'before'},size=8", steps=4)
    expected = state_of(runs.whole())
    folder = runs.stopped(2)
    edit(folder, data=f"folder:path={tmp_path / 'after'},size=8")
    assert differences(state_of(runs.resumed(folder)), expected) == []


def test_random_items_are_a_function_of_the_batch_whichever_worker_reads_it() -> None:
    from ganzoo.data.workers import SeededItems

    class Drawn(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __getitem__(self, i: int) -> Any:
            return torch.rand(())

    seeded = SeededItems(Drawn(), seed=3)
    state = torch.default_generator.get_state()
    first = seeded.__getitems__([7, 0, 1])
    assert torch.equal(torch.default_generator.get_state(), state), "the parts' random numbers are left alone"
    torch.rand(5)
    assert seeded.__getitems__([7, 0, 1]) == first
    assert seeded.__getitems__([8, 0, 1]) != first


def test_another_version_is_said(trained: tuple[Bench, Path]) -> None:
    runs, folder = trained
    place = checkpoint.found(folder / "checkpoints")[-1]
    state = json.loads((place / "state.json").read_text())
    state["versions"] |= {"torch": "1.0", "the number of processes": 2}
    seal_again(place, state)
    made, _ = reopen(folder, runs.catalogue)
    for line in (f"torch was 1.0 and is {torch.__version__}", "the number of processes was 2 and is 1"):
        assert f"{line}: training goes on, but not bit for bit as it would have" in made.run.warnings


def seal_again(place: Path, state: dict[str, Any]) -> None:
    import hashlib

    (place / "state.json").write_text(json.dumps(state))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["sha256"]["state.json"] = hashlib.sha256((place / "state.json").read_bytes()).hexdigest()
    manifest["bytes"]["state.json"] = (place / "state.json").stat().st_size
    (place / "manifest.json").write_text(json.dumps(manifest))


class TestInitFrom:
    def test_networks_and_average_are_taken_and_nothing_else(self, trained: tuple[Bench, Path]) -> None:
        runs, folder = trained
        made = runs.assembled("tuned", init_from=str(folder), optimizer="sgd", seed=5)
        ours, theirs = state_of(made), final(folder)
        groups = ("generator/", "discriminator/", "ema/")
        assert all(torch.equal(v, theirs[k]) for k, v in ours.items() if k.startswith(groups))
        assert made.run.step == 0
        assert all(not optimizer.state for optimizer in made.run.state.optimizers.values())

    def test_without_an_average_it_begins_at_the_generator(self, tmp_path: Path) -> None:
        runs = bench(tmp_path, ema=0.0)
        folder = runs.stopped(6)
        made = runs.assembled("tuned", init_from=str(folder), ema=0.9)
        for name, value in made.run.ema.state_dict().items():
            assert torch.equal(value, made.run.generator.state_dict()[name])

    def test_a_resume_does_not_begin_again(self, trained: tuple[Bench, Path]) -> None:
        runs, folder = trained
        expected = state_of(runs.whole(init_from=str(folder)))
        tuned = runs.stopped(6, name="tuned", init_from=str(folder))
        early = runs.stopped(2, saves=False, name="early", init_from=str(folder))
        assert differences(state_of(runs.resumed(early)), expected) == []
        folder.rename(folder.with_name("gone"))
        assert differences(state_of(runs.resumed(tuned)), expected) == []

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"arch": "dcgan:width=8"}, "of shape"),
            ({"regularizers": []}, "of another network"),
            ({"init_from": "nowhere"}, "is no run directory"),
        ],
    )
    def test_what_does_not_fit_is_said_in_a_line(
        self, trained: tuple[Bench, Path], change: dict[str, Any], said: str
    ) -> None:
        runs, folder = trained
        with pytest.raises(errors.RunError) as caught:
            runs.assembled("tuned", **{"init_from": str(folder), **change})
        assert said in str(caught.value)
        assert "--init-from" in str(caught.value)
        assert "\n" not in str(caught.value)


class TestBest:
    PLUGIN = PLUGIN + (
        "\nFIGURES = iter([0, 1, 5, 3, 4, 2])  # the first is asked for before training, to see that the metric works\n"
        "class Told(ganzoo.Metric):\n"
        '    """What it is told."""\n'
        "    figures = {'figure': True, 'other': True, 'less': False}\n"
        "    def score(self, real, fake, data): f = next(FIGURES); return {'figure': f, 'less': f}\n"
        "@ganzoo.hookimpl\n"
        "def register_metrics(register): register('told', Told)\n"
    )

    def kept(self, tmp_path: Path, best: str = "told/figure") -> list[int]:
        runs = Bench(
            tmp_path,
            self.PLUGIN,
            data="myplugin/tiny",
            metrics=["myplugin/told"],
            best=best,
            steps=10,
            sample_every=2,
            checkpoint_every=3,
            keep=2,
        )
        runs.whole()
        return [int(p.name) for p in checkpoint.found(tmp_path / "whole" / "checkpoints")]

    def test_the_best_and_the_last_are_kept(self, tmp_path: Path) -> None:
        assert self.kept(tmp_path) == [4, 9, 10]
        assert checkpoint.newest(tmp_path / "whole" / "checkpoints").numbers["best"] == {
            "figure": "told/figure",
            "value": 5.0,
            "step": 4,
        }

    def test_less_may_be_better(self, tmp_path: Path) -> None:
        assert self.kept(tmp_path, "told/less") == [2, 9, 10]

    def test_another_figure_begins_anew(self, tmp_path: Path) -> None:
        """A value of one is not compared with values of the other: at step 4, less is 5 and the figure was 1."""
        runs = Bench(
            tmp_path,
            self.PLUGIN,
            data="myplugin/tiny",
            metrics=["myplugin/told"],
            best="told/figure",
            steps=10,
            sample_every=2,
            checkpoint_every=2,
            keep=1,
        )
        folder = runs.stopped(2)
        edit(folder, best="told/less")
        best = runs.resumed(folder).state.best
        assert best["figure"] == "told/less"
        assert best["step"] > 2

    def test_the_best_before_is_kept_where_the_new_one_could_not_be_saved(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save, steps = checkpoint.save, []

        def full(folder: Path, step: int, *given: Any) -> Path:
            steps.append(step)
            if steps.count(4) == 1 and step == 4:
                raise errors.RunError("the disk is full")
            return save(folder, step, *given)

        monkeypatch.setattr(checkpoint, "save", full)
        assert self.kept(tmp_path) == [8, 9, 10]  # 4 at step 8 is more than 1 at step 2, which was kept until then
        assert [step for step in steps if step % 3] == [2, 4, 8, 10]

    @pytest.mark.parametrize("best", ["modes/covered", "told", ""])
    def test_an_unknown_figure_is_refused(self, tmp_path: Path, best: str) -> None:
        with pytest.raises(errors.SettingsError, match=r"--best .* there are none: name a --metric$"):
            bench(tmp_path, best=best).assembled("x")

    def test_a_figure_that_does_not_come(self, tmp_path: Path) -> None:
        runs = Bench(tmp_path, self.PLUGIN, data="myplugin/tiny", metrics=["myplugin/told"], best="told/other")
        with pytest.raises(errors.SettingsError, match="there are told/figure"):
            runs.whole(steps=2)


def test_a_run_loads_while_it_is_trained(tmp_path: Path) -> None:
    """Reading takes no lock, and sets nothing aside."""
    runs = bench(tmp_path)
    folder = runs.stopped(6)
    made, _ = reopen(folder, runs.catalogue)
    assert ganzoo.load(folder, plugins=[tmp_path / "myplugin.py"]).step == 6
    with pytest.raises(errors.RunError, match="by this very process"):
        reopen(folder, runs.catalogue)
    made.lock.release()
    assert runs.resumed(folder).step == STEPS


def test_signals_are_as_they_were_after_training(tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    bench(tmp_path).stopped(3)
    assert [signal.getsignal(number) for number in numbers] == before


def test_more_steps_stretch_the_numbers_that_follow_the_run_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"arch": "mlp:width=8,depth=1", "data": "ring", "batch_size": 4, "samples": 4, "quiet": True}
    run = ganzoo.run(**words, steps=2, optimizer="adam:lr=0.002..0", logdir=tmp_path, name="a")
    capsys.readouterr()
    ganzoo.resume(run.dir, steps=8, quiet=True)
    said = capsys.readouterr().err
    assert "the numbers that follow the run stretch from 2 to 8 steps: " in said
    assert "lr=0.002..0" in said
    assert "each goes on from its value at 25% of its way" in said
    ganzoo.resume(run.dir, quiet=True)
    assert "stretch" not in capsys.readouterr().err


def test_more_steps_may_keep_the_ways_of_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was lengthened after half of its way is the run that was lengthened at its end."""
    words = {"arch": "mlp:width=8,depth=1", "data": "ring", "batch_size": 4, "samples": 4, "quiet": True}
    words |= {"steps": 4, "optimizer": "adam:lr=0.004..0.001", "logdir": tmp_path, "checkpoint_every": 2}
    ended, stopped = ganzoo.run(**words, name="ended"), ganzoo.run(**words, name="stopped")
    for newest in (stopped.dir / "checkpoints").glob("*4*"):
        shutil.rmtree(newest) if newest.is_dir() else newest.unlink()
    capsys.readouterr()
    ends = [ganzoo.resume(run.dir, steps=6, keep_courses=True, quiet=True) for run in (ended, stopped)]
    said = capsys.readouterr().err
    assert said.count("the numbers that follow the run keep their way of 4 steps: optimizer.lr=0.004..0.001") == 2
    assert said.count("each has its last value from step 4 to step 6") == 2
    for number in (None, 8):  # what was kept is kept by a later resume, told so or not
        ends = [ganzoo.resume(run.dir, steps=number, keep_courses=bool(number), quiet=True) for run in ends]
        assert differences(state_of(ends[0]), state_of(ends[1])) == []
        assert [run.state.optimizers["generator"].param_groups[0]["lr"] for run in ends] == pytest.approx([0.001] * 2)
    assert ends[0].step == 8
    assert "stretch from 4 to 10 steps" in (ganzoo.resume(ends[0].dir, steps=10), capsys.readouterr().err)[1]
    with pytest.raises(errors.SettingsError, match="give steps"):
        ganzoo.resume(ends[0].dir, keep_courses=True)
