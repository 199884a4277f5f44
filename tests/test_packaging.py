"""A stranger's package, installed by pip, is a plugin like ours; and our own metadata says what it should."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import ganzoo

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "ganzoo-softmargin"
CSVLOG = ROOT / "examples" / "ganzoo-csvlog"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that pip installed the example into, with no network, from a copy of it."""
    return pip_installed(EXAMPLE, tmp_path_factory.mktemp("softmargin"))


@pytest.fixture(scope="module")
def csvlog(tmp_path_factory):
    """The same for the example that brings a kind, a part of it and a command."""
    return pip_installed(CSVLOG, tmp_path_factory.mktemp("csvlog"))


def pip_installed(example, base):
    pytest.importorskip("setuptools")
    source, target = base / "source", base / "site"
    for file in example.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            copy = source / file.relative_to(example)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *offline, str(source)], check=True, capture_output=True, text=True)
    return target


def ask(installed, *words):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "ganzoo", *words]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=installed)
    assert out.stderr == ""
    return out.stdout


def test_it_is_listed_with_its_provider(installed):
    assert "loss\tsoftmargin\tsoftmargin\tHinge with a soft corner.\n" in ask(installed, "list", "losses")


def test_it_is_among_the_plugins(installed):
    facts = json.loads(ask(installed, "plugins", "--json"))
    assert facts["problems"] == []
    (theirs,) = [p for p in facts["plugins"] if p["provider"] == "softmargin"]
    assert (theirs["distribution"], theirs["version"], theirs["builtin"]) == ("ganzoo-softmargin", "0.1.0", False)
    assert theirs["parts"] == ["loss:softmargin"]


def test_it_can_be_shown(installed):
    out = ask(installed, "show", "loss:softmargin")
    assert out.startswith("loss softmargin\nHinge with a soft corner.\n")
    assert "brought by softmargin (ganzoo-softmargin 0.1.0)" in out
    assert "margin: number, default 1.0" in out


def test_it_is_as_small_as_promised():
    """12 lines of Python beside the docstring, 8 of configuration."""
    python = [re.sub('""".*?"""', "", file.read_text(), flags=re.DOTALL) for file in EXAMPLE.rglob("*.py")]
    assert len([line for text in python for line in text.splitlines() if line.strip()]) == 12
    assert len((EXAMPLE / "setup.cfg").read_text().splitlines()) == 8


def test_a_package_brings_a_kind_a_part_of_it_and_a_command(csvlog, tmp_path):
    """Listings, help, a run with the kind's option, config.yaml, resume, the exam, and the command."""
    assert "logger\tcsv\tcsvlog\tScalars in a CSV file: step, tag, value.\n" in ask(csvlog, "list", "loggers")
    assert "path: text, default scalars.csv" in ask(csvlog, "show", "logger:csv")
    assert "scalars Print the last scalars that --logger csv wrote. [csvlog]" in " ".join(ask(csvlog, "--help").split())
    assert "--logger NAME[:KEY=VALUE,...]" in ask(csvlog, "run", "--help")
    small = ["--data", "ring", "--arch", "mlp:width=4", "-r", "none", "--batch-size", "4", "--log-every", "1", "-q"]
    logdir = ["--logdir", str(tmp_path), "--name", "a", "--samples", "4", "--steps", "2", "--optimizer", "adam:lr=1e-3"]
    ask(csvlog, "run", *small, *logdir, "--logger", "csv:path=my figures.csv")
    file = tmp_path / "a" / "my figures.csv"
    assert [line.split(",")[0] for line in file.read_text().splitlines()][:2] == ["step", "1"]
    assert "name: csvlog/csv\n  path: my figures.csv" in (tmp_path / "a" / "config.yaml").read_text()
    ask(csvlog, "resume", str(tmp_path / "a"), "--steps", "3", "-q")
    assert file.read_text().splitlines()[-1].startswith("3,")
    assert "loss/discriminator\t" in ask(csvlog, "scalars", str(file))
    assert " failed" not in ask(csvlog, "check", "logger:csv").replace(" 0 failed", "")


def test_our_version_is_the_same_in_every_file():
    assert metadata.version("ganzoo") == ganzoo.__version__
    assert f"version = {ganzoo.__version__}\n" in (ROOT / "setup.cfg").read_text()
    assert f"\nversion: {ganzoo.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_oldest_versions_for_continuous_integration():
    """`.ci/oldest` names each dependency that has a lower bound once: torch and torchvision apart."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    bounds = re.findall(r"^\s*(\S+)>=(\S+)$", config["options"]["install_requires"], re.MULTILINE)
    bounds += re.findall(r"^\s*(\S+)>=(\S+)$", config["options.extras_require"]["test"], re.MULTILINE)
    script = [sys.executable, str(ROOT / ".ci" / "oldest")]
    torch = subprocess.run([*script, "--torch"], capture_output=True, text=True, check=True).stdout.split()
    others = subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()
    assert {line.partition("==")[0] for line in torch} == {"torch", "torchvision"}
    assert sorted(torch + others) == sorted(f"{name}=={version}" for name, version in bounds)


def test_every_package_of_ours_is_in_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    there = {
        ".".join(file.parent.relative_to(home).parts)
        for home, top in ((ROOT, "ganzoo"), (ROOT / "plugins", "ganzoo_zoo"))
        for file in (home / top).rglob("__init__.py")
    }
    assert listed == there


def test_pyproject_holds_the_build_system_and_nothing_else():
    import tomllib

    for file in (ROOT / "pyproject.toml", EXAMPLE / "pyproject.toml"):
        assert list(tomllib.loads(file.read_text())) == ["build-system"]
