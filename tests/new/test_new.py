"""A package that ``ganzoo new plugin`` writes passes its own tests, ruff and mypy; a recipe trains."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import ganzoo
from ganzoo.cli import main
from ganzoo.new.plugin import KINDS, write_plugin
from ganzoo.plugins import load_catalogue

ROOT = Path(ganzoo.__file__).parents[1]


def in_package(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command of Python gives in the directory of a package, with ganzoo beside the package."""
    paths = os.pathsep.join(map(str, (folder, ROOT, ROOT / "plugins")))
    given = {**os.environ, "PYTHONPATH": paths, "MYPYPATH": paths, "OMP_NUM_THREADS": "1"}
    given.pop("PYTEST_ADDOPTS", None)
    words = [sys.executable, "-m", *command]
    return subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a part of every kind and a command, with the metadata that pip would write."""
    place = tmp_path_factory.mktemp("packages")
    assert main(["new", "plugin", "my-try", "--parts", ",".join(KINDS), "--to", str(place)]) == 0
    folder = place / "ganzoo-my-try"
    metadata = folder / "ganzoo_my_try-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ganzoo-my-try\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[ganzoo]\nmy-try = ganzoo_my_try\n")
    return folder


@pytest.mark.slow
def test_its_own_tests_pass(package: Path) -> None:
    done = in_package(package, "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_listed(package: Path) -> None:
    done = in_package(package, "ganzoo", "list")
    assert done.stdout.count("my-try\tmy-try\t") == len(KINDS) - 1, done.stdout + done.stderr
    assert done.stderr == ""


def test_ruff_has_nothing_to_say(package: Path) -> None:
    if find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    for words in (["check", "."], ["format", "--check", "."]):
        done = in_package(package, "ruff", *words, "--no-cache")
        assert done.returncode == 0, done.stdout


@pytest.mark.soak
def test_mypy_has_nothing_to_say(package: Path) -> None:
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    done = in_package(package, "mypy", "--follow-imports=silent")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_of_one_part_compiles(kind: str, tmp_path: Path) -> None:
    for file in write_plugin("a1", [kind], tmp_path):
        if file.suffix == ".py":
            compile(file.read_text(), str(file), "exec")


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ganzoo-a").mkdir()
    for words, due in (
        (["plugin", "My_Try"], "no name of small letters"),
        (["plugin", "b", "--parts", "los,banana"], "--parts banana: there are architecture"),
        (["plugin", "a"], "exists: give another name"),
        (["recipe", "wgn-gp"], "neither a preset (did you mean 'wgan-gp'?)"),
        (["recipe", str(tmp_path)], "it has no config.yaml"),
    ):
        place = ["--to", str(tmp_path)] if words[0] == "plugin" else []
        assert main(["new", *words, *place]) == 2
        said = capsys.readouterr().err.strip()
        assert due in said
        assert "\n" not in said


def test_a_recipe_has_comments_and_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "recipe.yaml"
    assert main(["new", "recipe", "wgan-gp", "--out", str(out)]) == 0
    text = out.read_text()
    settings = yaml.safe_load(text)
    assert settings["loss"]["name"] == "wgan"
    assert "# a multiple of the penalty" in text or "weight:" in text
    assert all("#" in line for line in text.splitlines() if line.startswith(("steps", "batch_size", "ema:")))
    small = ["--steps=1", "--batch-size=8", "--samples=4", "--data=digits:size=8", "--arch=dcgan:width=4", "-q"]
    assert main(["run", "--config", str(out), *small, "--logdir", str(tmp_path), "--name", "a"]) == 0
    assert main(["new", "recipe", str(tmp_path / "a"), "--out", str(tmp_path / "again.yaml")]) == 0
    again = yaml.safe_load((tmp_path / "again.yaml").read_text())
    assert again["steps"] == 1
    assert again["arch"]["width"] == 4


def test_doctor_says_what_a_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-trial"]) == 0
    said = capsys.readouterr().out
    for word in ("ganzoo", "torch", "threads", "BLAS", "disk", "plugin", "chosen device"):
        assert f"\n{word}" in f"\n{said}"


def test_the_trial_of_the_doctor_trains(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from ganzoo.cli import doctor

    monkeypatch.setattr(doctor, "TRIAL", 0.0)
    assert main(["doctor"]) == 0
    assert "steps of the default recipe" in capsys.readouterr().out


def test_the_catalogue_stays_as_it_was() -> None:
    assert load_catalogue(no_plugins=True).problems == []
