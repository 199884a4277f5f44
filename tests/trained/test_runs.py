"""The table of runs, and what removes and archives runs."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.disk import status
from ganzoo.disk.lock import Lock
from ganzoo.trained import runs as rows

SMALL = ["--arch=mlp:width=4", "--data=ring", "--batch-size=8", "--latent-dim=4", "--samples=4", "--device=cpu", "-q"]


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    """A directory with a run of three steps and a metric."""
    assert main(["run", *SMALL, "--steps=3", "--metric=modes", "--name=a", "--logdir", str(tmp_path / "runs")]) == 0
    return tmp_path / "runs"


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    """The table as data."""
    capsys.readouterr()
    assert main(["runs", *words, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_a_finished_run(logdir, capsys):
    (row,) = table(capsys, str(logdir))
    assert (row["status"], row["step"], row["until"], row["reason"]) == ("finished", 3, 3, "")
    assert row["recipe"] == "mlp hinge sn onestep ring"
    assert str(row["figure"]).startswith("modes/")
    assert row["size"] == sum(f.stat().st_size for f in (logdir / "a").rglob("*") if f.is_file())
    assert table(capsys, str(logdir / "a")) == [row]
    assert main(["runs", str(logdir)]) == 0
    assert capsys.readouterr().out.split("\t")[:3] == ["a", "finished", "3/3"]
    assert table(capsys, str(logdir), "--status", "failed") == []


def test_a_run_in_training_is_seen_and_never_touched(logdir, capsys):
    lock = Lock(logdir / "a", print)
    assert table(capsys, str(logdir))[0]["status"] == "training"
    for words in (["--remove", "a", "--yes"], ["--archive", "a"]):
        assert main(["runs", str(logdir), *words]) == 2
        assert "is being trained by" in capsys.readouterr().err
    lock.release()
    assert (logdir / "a/config.yaml").exists()
    assert sorted(p.name for p in logdir.iterdir()) == ["a"]
    assert main(["runs", str(logdir), "--remove", "a", "--yes"]) == 0
    assert list(logdir.iterdir()) == []


def test_a_killed_run(logdir, capsys):
    status.write(logdir / "a", status.Status("training", 1, 9))
    row = table(capsys, str(logdir))[0]
    assert (row["status"], row["step"], row["until"]) == ("killed", 3, 9)
    (logdir / "a/status.json").write_text("{")  # damaged: the checkpoint says how far the run was to go
    assert table(capsys, str(logdir))[0]["status"] == "finished"


class Explodes(ganzoo.Loss):
    """A loss that is not finite."""

    def discriminator(self, s):
        return (s.real - s.fake).mean() / 0

    def generator(self, s):
        return s.fake.mean()


def test_a_diverged_run_and_an_interrupted_one(tmp_path, capsys):
    settings = {"arch": "mlp:width=4", "data": "ring", "batch_size": 8, "latent_dim": 4, "samples": 4, "steps": 3}
    with pytest.raises(errors.NonFinite):
        ganzoo.run(loss=Explodes(), name="bad", logdir=str(tmp_path), device="cpu", quiet=True, **settings)
    (row,) = table(capsys, str(tmp_path))
    assert row["status"] == "diverged"
    assert "the update was not made" in str(row["reason"])
    ended = status.ended(KeyboardInterrupt(), 2, 3)
    assert (ended.status, ended.reason) == ("stopped", "KeyboardInterrupt")


def test_an_archive_holds_the_run(logdir, tmp_path, capsys):
    names = {str(file.relative_to(logdir)) for file in (logdir / "a").rglob("*") if file.is_file()}
    assert main(["runs", str(logdir), "--archive", "a"]) == 0
    assert capsys.readouterr().out.strip().endswith("a.tar.gz")
    assert [p.name for p in logdir.iterdir()] == ["a.tar.gz"]
    with tarfile.open(logdir / "a.tar.gz") as packed:
        packed.extractall(tmp_path / "again", filter="data")
    again = tmp_path / "again"
    assert {str(file.relative_to(again)) for file in again.rglob("*") if file.is_file()} == names
    assert ganzoo.load(again / "a").step == 3
    (again / "a").rename(logdir / "a")
    with pytest.raises(errors.RunError, match=r"a\.tar\.gz exists"):
        rows.archive(logdir / "a")


def test_mistakes_are_one_line(logdir, tmp_path, capsys):
    for words, due in (
        ([str(tmp_path / "none")], "there is no directory"),
        ([str(logdir), "--remove", "b", "--yes"], "has no run 'b': there are a"),
        ([str(logdir), "--remove", "a"], "give --yes"),
    ):
        assert main(["runs", *words]) == 2
        said = capsys.readouterr().err.strip()
        assert due in said
        assert "\n" not in said
    with pytest.raises(errors.RunError, match=r"no config\.yaml"):
        rows.remove(tmp_path)
    assert rows.in_training(tmp_path) is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_unknown(logdir):
    (logdir / "a/metrics.jsonl").chmod(0)
    assert rows.facts(logdir / "a").figure == ""
