"""The processes of a comparison run no file of the directory that the user is in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ganzoo.comparison import recipes
from ganzoo.comparison.plan import Plan

EVIL = "from pathlib import Path; Path({mark!r}).write_text('ran')\n"


def test_no_file_of_the_current_directory_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python puts the current directory first for ``-m``."""
    mark = tmp_path / "mark"
    (tmp_path / "ganzoo").mkdir()
    for name in ("ganzoo/__init__", "ganzoo/__main__", "click", "torch"):
        (tmp_path / f"{name}.py").write_text(EVIL.format(mark=str(mark)))
    monkeypatch.setattr(Plan, "runs", lambda self: [("a", None, 0)])
    (waiting,) = recipes._waiting(Plan.__new__(Plan), tmp_path)
    program = list(waiting.command[: waiting.command.index("compare")])
    done = subprocess.run([*program, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "ganzoo")
    assert not mark.exists()
    unsafe = [word for word in program if word != "-P"]
    subprocess.run([*unsafe, "--version"], cwd=tmp_path, capture_output=True, check=False)
    assert mark.exists(), "the test would notice"
