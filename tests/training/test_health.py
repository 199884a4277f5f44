"""The health of a run in words, and the conditions that end a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.cli import main
from ganzoo.training.health import summary

FINE = {"step": 400, "scores/accuracy": 0.7, "samples/diversity": 0.9, "grad/generator": 0.1}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "balanced"),
        ({"samples/diversity": 0.01}, "collapsed"),
        ({"scores/accuracy": 1.0, "grad/generator": 1e-9}, "discriminator won"),
        ({"scores/accuracy": 0.98}, "discriminator ahead"),
        ({"scores/accuracy": 0.1}, "generator ahead"),
        ({"grad/generator": 1e7}, "unstable"),
    ],
)
def test_words(changes: dict[str, Any], word: str) -> None:
    assert summary([FINE | changes]).partition(":")[0] == word


@pytest.mark.parametrize(
    ("values", "up", "word"),
    [
        ([4.0, 3.0, 2.0, 1.0], False, "still improving"),
        ([4.0, 3.0, 2.0, 1.0], True, "balanced"),
        ([4.0, 1.0, 2.0, 3.0], False, "balanced"),
        ([4.0, 3.0, 1.0], False, "balanced"),
        ([4.0, 3.0, 2.0, 1.0], None, "balanced"),
        ([1.0, 1.0, 1.0, 1.0], False, "balanced"),
    ],
)
def test_still_improving(values: list[float], up: bool | None, word: str) -> None:
    lines = [FINE | {"metrics/fd/x": value} for value in values]
    assert summary(lines, {"metrics/fd/x": up}).partition(":")[0] == word


def test_no_records() -> None:
    assert summary([]).startswith("unknown")


SMALL = [
    "run",
    "--data",
    "ring",
    "--arch",
    "mlp:width=4,depth=1",
    "-r",
    "none",
    "--batch-size",
    "8",
    "--latent-dim",
    "2",
]
SMALL += [
    "--latent-dim",
    "2",
    "--samples",
    "4",
    "--device",
    "cpu",
    "-q",
    "--log-every",
    "1",
    "--name",
    "it",
    "--steps",
    "60",
]


def test_a_run_ends_with_its_health(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--logdir", str(tmp_path), "--metric", "modes"]) == 0
    assert any(line.startswith("health") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("budget:seconds=0.000001", "budget of 1e-06 seconds is spent"),
        ("trouble:sign=wild,patience=2,after=1", "2 records in a row show trouble: wild"),
        ("early-stop:figure=loss/generator,patience=1,margin=100", "loss/generator has not become better"),
    ],
)
def test_stop_when(words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--logdir", str(tmp_path), "--stop-when", words]
    if "wild" in words:
        (tmp_path / "wild.py").write_text(
            "import ganzoo\n\n\nclass Wild(ganzoo.Loss):\n    '''Steep (wild).'''\n    bounded = True\n\n"
            "    def discriminator(self, s):\n        return 1e9 * (s.fake.mean() - s.real.mean())\n\n"
            "    def generator(self, s):\n        return -1e9 * s.fake.mean()\n"
        )
        options += ["--plugin", str(tmp_path / "wild.py"), "--loss", "wild", "--optimizer", "sgd:lr=1e-30"]
    assert main([*SMALL, *options]) == 0
    (folder,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    assert said in (folder / "status.json").read_text()
    assert ganzoo.load(folder, plugins=list(tmp_path.glob("*.py"))).step < 60
