"""``ganzoo bench``, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganzoo import bench
from ganzoo.cli import main
from ganzoo.cli import run as run_command
from ganzoo.cli.bench import command

SMALL = [
    "--arch",
    "dcgan:width=4",
    "--data",
    "digits:size=8",
    "--batch-size",
    "8",
    "--latent-dim",
    "4",
    "--device",
    "cpu",
    "--repeats",
    "1",
    "--steps-each",
    "1",
    "--threads",
    "1",
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganzoo.bench.measurement.matmul_peak", lambda device, dtype: 1e12)


def test_it_says_what_a_step_costs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, "-r", "r1:every=2", "-r", "top-k", "--against", "plain"]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    said = {line[:24].strip(): line[24:] for line in found.out.splitlines()}
    assert said["runs on"] == "cpu, fp32, 1 thread, batch 8"
    assert said["regularizers"].startswith("r1:every=2")
    assert {*bench.PHASES, "penalty", "other"} <= said.keys()
    assert said["step"].endswith("1 times 1 steps")
    assert "of a large matrix product here" in said["operations"]
    assert "as long" in said["control"]
    assert "as long" in said["plain loop"]
    assert said[""] == "without top-k, for which a plain loop has no place"
    assert not [*tmp_path.iterdir()]


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, "--json", "--against", "plain", "--precision", "bf16"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precision"] == "bf16"
    assert found["against"]["ratio"].keys() == {"median", "low", "high"}
    assert sum(found["phases"].values()) == pytest.approx(found["milliseconds"]["median"])
    assert found["fraction"] == pytest.approx(found["flops"] / found["milliseconds"]["median"] * 1e3 / 1e12)


def test_it_takes_a_recipe_as_run_does() -> None:
    ours, theirs = ({option.name for option in some.params} for some in (command, run_command.command))
    assert theirs - ours == {"dry_run", "quiet"}
    assert ours - theirs == {"against", "repeats", "steps_each", "as_json"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "x"], "ganzoo bench: error: Invalid value for '--against': 'x' is not 'plain'"),
        (["--repeats", "0"], "ganzoo bench: error: Invalid value for '--repeats'"),
        (["--loss", "hinje"], "ganzoo: error: no loss is named 'hinje' (did you mean 'hinge'?)"),
        (["--batch-size", "9999"], "ganzoo: error: data digits:size=8 has 1797 samples, fewer than a batch of 9999"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, *words]) != 0
    found = capsys.readouterr().err
    assert found.startswith(said)
    assert found.count("\n") == 1
