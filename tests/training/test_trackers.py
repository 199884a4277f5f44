"""Trackers and what they ask a run for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.cli import main

SMALL: dict[str, Any] = {
    "arch": "mlp:width=4",
    "data": "ring",
    "batch_size": 8,
    "latent_dim": 4,
    "samples": 4,
    "device": "cpu",
    "quiet": True,
    "log_every": 1,
}


class Asks(ganzoo.Tracker):
    """Asks for something at a step.

    Args:
        what: stop, save or sample.
        at: the step.
    """

    what: str = "stop"
    at: int = 2
    interval = 2

    def step_made(self, run: ganzoo.Run, step: int) -> None:
        assert step % 2 == 0
        if step == self.at:
            getattr(run, f"request_{self.what}")()

    def run_finished(self, run: ganzoo.Run, error: BaseException | None) -> None:
        self.state.ended = error
        (run.dir / "ended.txt").write_text(repr(error))


def test_a_tracker_ends_a_run_which_goes_on_at_a_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ganzoo.run(log=[Asks(at=4)], steps=9, logdir=tmp_path, name="a", **{**SMALL, "quiet": False})
    assert run.step == 4
    assert "stopped after step 4: an observer asked for the end" in capsys.readouterr().err
    said = json.loads((run.dir / "status.json").read_text())
    assert (said["status"], said["step"], said["until"]) == ("stopped", 4, 9)
    assert (run.dir / "ended.txt").read_text() == "None"
    assert ganzoo.load(run.dir, log=[Asks()]).step == 4
    assert ganzoo.resume(run.dir, quiet=True, log=[Asks(at=0)]).step == 9


def test_a_tracker_asks_for_a_checkpoint_and_for_samples(tmp_path: Path) -> None:
    trackers = [Asks(what="save", at=2)]
    run = ganzoo.run(log=trackers, steps=5, logdir=tmp_path, name="a", keep=9, sample_every=5, **SMALL)
    assert sorted(p.name for p in (run.dir / "checkpoints").iterdir()) == ["00000002", "00000005"]
    run = ganzoo.run(log=[Asks(what="sample", at=4)], steps=7, logdir=tmp_path, name="b", sample_every=7, **SMALL)
    made = sorted(p.name.split("-")[0] for p in (run.dir / "samples").glob("*generator.png"))
    assert made == ["00000004", "00000007"]


def test_csv_holds_every_record(tmp_path: Path) -> None:
    run = ganzoo.run(log=["csv:path=new/s.csv"], steps=2, logdir=tmp_path, name="a", **SMALL)
    with (run.dir / "new/s.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tag"] == "loss/generator"]
    assert [(row["step"], row["images"]) for row in rows] == [("1", "8"), ("2", "16")]
    assert float(rows[1]["value"]) == run.metrics["loss/generator"]


def test_early_stop_waits_for_its_patience(tmp_path: Path) -> None:
    words = "early-stop:figure=lr/generator,patience=3,higher=true"  # the rate falls from the first step on
    run = ganzoo.run(log=[words], steps=20, logdir=tmp_path, name="a", **SMALL)
    assert run.step == 4
    said = json.loads((run.dir / "status.json").read_text())
    assert said["reason"].startswith("lr/generator has not become better than")


def test_the_command_line_and_the_config_name_trackers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--arch=mlp:width=4", "--data=ring", "--batch-size=8", "--samples=4", "--device=cpu", "--steps=1", "-q"]
    given = ["--log", "csv", "--logdir", str(tmp_path), "--name", "a"]
    assert main(["run", *small, *given]) == 0
    assert "log:\n- name: csv\n  path: scalars.csv" in (tmp_path / "a/config.yaml").read_text()
    again = ["run", "--config", str(tmp_path / "a/config.yaml"), "--name", "b", "-q", "-o", "csv.path=other.csv"]
    assert main(again) == 0
    assert (tmp_path / "b/other.csv").exists()


class Broken(ganzoo.Tracker):
    """Fails at the first record."""

    def step_recorded(self, run: ganzoo.Run, step: int, values: object) -> None:
        raise OSError("the service is gone")


def test_a_tracker_that_fails_is_switched_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = ganzoo.run(log=[Broken()], steps=3, logdir=tmp_path, name="a", **SMALL)
    assert run.step == 3
    (said,) = [r.getMessage() for r in caplog.records if "the service is gone" in r.getMessage()]
    assert "step_recorded failed, and is switched off" in said
