"""Comparisons that are made, interrupted and gone on with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo import errors, plugins
from ganzoo.cli import main
from ganzoo.comparison import finished, job, recipes
from ganzoo.comparison.plan import Plan
from ganzoo.comparison.table import Table
from ganzoo.training import loop

PLUGIN = '''
import pathlib

import ganzoo
from ganzoo import plugins
from ganzoo.comparison import job
from ganzoo.comparison.plan import read


class Here(ganzoo.Engine):
    """This process (here)."""

    def perform(self, jobs, at_once):
        for each in jobs:
            folder = pathlib.Path(each.command[-3])
            plan = read(folder)
            job.perform(folder, plan, each.name, plugins.load_catalogue(files=tuple(plan.plugins)))


class Explodes(ganzoo.Loss):
    """Not a number from the third step on."""

    def discriminator(self, s):
        return s.real.mean() - s.fake.mean() + (float("nan") if s.progress > 0.3 else 0.0)

    def generator(self, s):
        return s.fake.mean()
'''

BASE: dict[str, Any] = {
    "data": "ring",
    "arch": "mlp:width=4,depth=1",
    "regularizers": ["sn"],
    "batch_size": 8,
    "latent_dim": 2,
    "samples": 4,
    "steps": 6,
    "sample_every": 3,
    "checkpoint_every": 2,
    "metrics": ["modes"],
    "device": "cpu",
}
TABLES = ("table.md", "table.csv", "table.json")


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    (tmp_path / "here.py").write_text(PLUGIN)
    return str(tmp_path / "here.py")


def made(plan: Plan, folder: Path, plugin: str, on: str = "here") -> dict[str, bytes]:
    recipes.compare(plan, folder, plugins.load_catalogue(files=[plugin]), on=on, say=lambda line: None)
    return {name: (folder / name).read_bytes() for name in TABLES}


def plan_of(plugin: str, **changes: Any) -> Plan:
    return Plan(
        **{"base": BASE, "vary": {"loss": ["hinge", "explodes"]}, "seeds": [0, 1], "plugins": [plugin], **changes}
    )


def test_an_interrupted_comparison_ends_with_the_same_table(
    tmp_path: Path, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(plugin)
    expected = made(plan, tmp_path / "whole", plugin)
    text = expected["table.md"].decode()
    assert "| loss=hinge | 2/2 | none |" in text
    assert "| loss=explodes | 0/2 | 2 not finite |" in text
    assert {"curves.png", "samples.png"} <= {p.name for p in (tmp_path / "whole").iterdir()}

    after, places = loop.Trainer.after_step, iter([1, 5, 3, 9, 2, 8])
    left = [next(places)]

    def dies(self: loop.Trainer, interrupt: Any) -> int:
        ended = after(self, interrupt)
        left[0] -= 1
        if left[0] == 0:
            left[0] = next(places, 10**6)
            raise KeyboardInterrupt
        return ended

    monkeypatch.setattr(loop.Trainer, "after_step", dies)
    deaths = 0
    while True:
        try:
            found = made(plan, tmp_path / "broken", plugin)
            break
        except KeyboardInterrupt:
            deaths += 1
    assert deaths >= 3
    assert found == expected
    monkeypatch.undo()
    assert made(plan, tmp_path / "broken", plugin) == expected  # nothing is left to do


def test_processes_of_this_machine(tmp_path: Path, plugin: str, capfd: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(plugin, vary={"loss": ["hinge", "sgan"]}, base={**BASE, "regularizers": ["label-smoothing"]})
    expected = made(plan, tmp_path / "here", plugin)
    options = ["--vary", "loss=hinge,sgan", "-r", "label-smoothing", "--seeds", "2", "--jobs", "2", "--metric", "modes"]
    options += ["--data", "ring", "--arch", "mlp:width=4,depth=1", "--batch-size", "8", "--latent-dim", "2"]
    options += ["--samples", "4", "--steps", "6", "--sample-every", "3", "--checkpoint-every", "2", "--device", "cpu"]
    assert main(["compare", *options, "--plugin", plugin, "--out", str(tmp_path / "local")]) == 0
    said = capfd.readouterr()
    assert said.out == expected["table.md"].decode()
    assert "4 of 4 runs to make on local" in said.err
    assert "refused: label-smoothing moves the targets" in said.out
    for name in TABLES:
        assert (tmp_path / "local" / name).read_bytes() == expected[name]
    assert main(["compare", str(tmp_path / "local"), "--format", "csv"]) == 0
    assert capfd.readouterr().out == expected["table.csv"].decode()
    assert main(["compare", str(tmp_path / "local"), "--steps", "7"]) == 2
    assert "holds its plan" in capfd.readouterr().err


def test_a_run_whose_process_dies_is_counted(tmp_path: Path, plugin: str) -> None:
    (tmp_path / "dies.py").write_text(
        "import ganzoo\n\n\nclass Dies(ganzoo.Engine):\n    '''Nothing runs (dies).'''\n\n"
        "    def perform(self, jobs, at_once):\n        print('handed', len(jobs))\n"
    )
    catalogue = plugins.load_catalogue(files=[plugin, tmp_path / "dies.py"])
    plan = plan_of(plugin, vary={"loss": ["hinge"]})
    table = recipes.compare(plan, tmp_path / "out", catalogue, on="dies", say=lambda line: None)
    assert table.lines[0].failures == {"died": 2}
    assert (tmp_path / "out" / "results").is_dir()


def test_commands_get_a_script_each(tmp_path: Path, plugin: str) -> None:
    plan = plan_of(plugin, vary={"loss": ["hinge"]}, seeds=[0])
    said: list[str] = []
    catalogue = plugins.load_catalogue(files=[plugin])
    log = tmp_path / "submitted"
    table = recipes.compare(plan, tmp_path / "out", catalogue, on=f"command:echo {{}} >> {log}", say=said.append)
    (script,) = log.read_text().split()
    assert "1 runs were handed over" in said[-1]
    assert len(table.missing) == 1
    subprocess.run([script], check=True)
    assert recipes.report(plan, (tmp_path / "out").resolve(), catalogue).missing == []
    with pytest.raises(errors.RunError, match="'false' ended with status 1"):
        recipes.compare(plan, tmp_path / "other", catalogue, on="command:false", say=said.append)


def test_engines_are_named_with_text_or_keys(plugin: str) -> None:
    catalogue = plugins.load_catalogue(files=[plugin])
    assert recipes.engine(catalogue, "command:sbatch --gpus=1").submit == "sbatch --gpus=1"  # type: ignore[attr-defined]
    assert recipes.engine(catalogue, "local:gpus=0").gpus == "0"  # type: ignore[attr-defined]
    with pytest.raises(errors.UnknownPart, match="no engine is named 'slurm'"):
        recipes.engine(catalogue, "slurm")
    with pytest.raises(errors.BadWords, match="takes key=value"):
        recipes.engine(catalogue, "here:there")


def test_a_run_that_a_tracker_ended_is_finished(tmp_path: Path, plugin: str) -> None:
    early = {**BASE, "log_every": 1, "stop_when": ["early-stop:figure=loss/generator,patience=1,margin=100"]}
    plan = plan_of(plugin, base=early, vary={"loss": ["hinge"]}, seeds=[0])
    first = made(plan, tmp_path, plugin)
    ((name, _, _),) = plan.runs()
    result = job.read_result(tmp_path, name)
    assert result is not None
    assert (result["status"], result["step"]) == ("finished", 2)
    job.result_file(tmp_path, name).unlink()  # as after a kill between the end of the run and the result
    assert made(plan, tmp_path, plugin) == first
    assert job.read_result(tmp_path, name) == result


def test_one_process_manages_a_comparison(tmp_path: Path, plugin: str) -> None:
    plan = plan_of(plugin)
    lock = recipes._lock(tmp_path)
    with pytest.raises(errors.RunError, match="is a comparison that is made by"):
        recipes.compare(plan, tmp_path, plugins.load_catalogue(files=[plugin]), on="here", say=lambda line: None)
    lock.release()


def test_finished_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        ganzoo.run(logdir=tmp_path / "runs", quiet=True, **{**BASE, "loss": loss, "steps": steps, "seed": 0}).dir
        for loss, steps in (("hinge", 6), ("sgan", 9))
    ]
    ganzoo.evaluate(runs[0], metrics="swd:count=50")
    found = finished.compare(runs, plugins.load_catalogue(), tmp_path / "out")
    assert found.settings["loss.name"] == ["hinge", "sgan"]
    assert "steps" not in found.settings
    assert found.images == 48
    assert found.at_images["swd/swd"][1] is None
    assert found.at_images["modes/modes"][0] is not None
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*TABLES, "curves.png", "samples.png"}
    assert main(["compare", *map(str, runs), "--format", "json"]) == 0
    assert '"images": 48' in capsys.readouterr().out

    other = ganzoo.run(logdir=tmp_path / "runs", quiet=True, **{**BASE, "data": "ring:gaussians=5"}).dir
    assert main(["compare", str(runs[0]), str(other)]) == 2
    said = capsys.readouterr().err.strip()
    assert "different data" in said
    assert "\n" not in said
    assert main(["compare", str(runs[0]), str(other), "--different-data"]) == 0
    assert "figures of different data do not compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "two runs or more"),
        (["nowhere", "there"], "no run directory"),
        (["--loss", "hinge"], "nothing to compare"),
        (["--vary", "loss=hinge", "--seeds", "x"], "neither a number"),
        (["--vary", "loss=hinge", "--vary", "loss=sgan"], "names a key twice"),
        (["--vary", "loss=hinge,hing", "--steps", "1"], "no loss is named 'hing'"),
        (["--plan", "nowhere.yaml"], "cannot be read"),
        (["--vary", "loss=hinge", "--on", "kubernetes"], "no engine is named"),
    ],
)
def test_mistakes_are_a_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    found = capsys.readouterr().err.strip()
    assert said in found
    assert "\n" not in found
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
def test_kill_nine_at_random(tmp_path: Path, plugin: str) -> None:
    """Ten times, the command and its children are killed at random, and the table is that of the undisturbed call."""
    plan = plan_of(plugin, base={**BASE, "steps": 400, "checkpoint_every": 20, "sample_every": 100}, seeds=[0, 1, 2])
    expected = made(plan, tmp_path / "whole", plugin)
    folder = tmp_path / "broken"
    from ganzoo.comparison.plan import write

    write(plan, folder)
    chance = random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "ganzoo", "compare", str(folder), "--jobs", "2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(3, 9))
        if chance.random() < 0.5:
            process.kill()  # the children notice, and end
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-m", "ganzoo", "compare", str(folder), "--jobs", "2"], check=True)
    assert {name: (folder / name).read_bytes() for name in TABLES} == expected


def test_from_python(tmp_path: Path, plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"out": tmp_path / "out", "on": "here", "plugins": [plugin], "quiet": True}
    table = ganzoo.compare(vary={"loss": ["hinge", "sgan"]}, seeds=[3], **options, **BASE)
    assert isinstance(table, Table)
    assert [line.name for line in table.lines] == ["loss=hinge", "loss=sgan"]
    runs = sorted((tmp_path / "out" / "runs").iterdir())
    both = ganzoo.compare(*runs)
    assert isinstance(both, finished.Compared)
    assert both.at_images["modes/modes"][0] == table.lines[0].figures["modes/modes"].mean
    assert capsys.readouterr().out == ""
    part: Any = ganzoo.part("loss", "sgan")
    with pytest.raises(errors.SettingsError, match="as text"):
        ganzoo.compare(vary={"loss": [part]}, **{**options, "out": tmp_path / "other"}, **BASE)


def test_results_are_read_only_when_whole(tmp_path: Path) -> None:
    assert job.read_result(tmp_path, "a") is None
    job.write_result(tmp_path, "a", {"status": "finished"})
    assert job.read_result(tmp_path, "a") == {"status": "finished"}
    job.result_file(tmp_path, "a").write_text('{"status": "fin')
    assert job.read_result(tmp_path, "a") is None
