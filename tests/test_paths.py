"""Paths with any character in every form: words, a path alone, a config, a dry run that is pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from PIL import Image

import ganzoo
from ganzoo import cli
from ganzoo.words import PartSpec, spelled

NAMES = [
    "my photos",
    "a, b",
    "it's",
    'say "hi"',
    'it\'s "x", y=3',
    "a,size=9",
    "a, size=9",
    " lead",
    "trail ",
    "two  spaces",
    "emoji \N{ROCKET}",
    "a:b",
    "c=d",
    "(x)",
    "a(,b",
    "x;y&z",
    "$HOME `ls`",
    "back\\slash",
    "#hash",
    "~nosuchuser",
    "1..2",
    "None",
    "'quoted'",
    ",",
    "-n",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_survives_the_words(name: str) -> None:
    spec = PartSpec("folder", {"path": name, "size": 8})
    assert PartSpec.parse(str(spec)).parameters == {"path": name, "size": "8"}
    outer = PartSpec("colorize", {"of": spec, "crop": 3})
    assert PartSpec.of(PartSpec.parse(str(outer)).parameters["of"]).parameters == {"path": name, "size": "8"}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_dry_run_prints_can_be_pasted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    for k in range(2):
        Image.new("L", (8, 8), 99 * k).save(Path(name, f"{k}.png"))
    rest = ["--batch-size", "2", "--arch", "mlp:width=8,depth=1", "--latent-dim", "4", "--precision", "fp32"]

    def described(*words: str) -> str:
        assert cli.main(["run", "-n", *rest, *words]) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("data\t"))

    words = f"folder:path={spelled(name)},size=8,channels=1"
    line = described("--data", words)
    assert str(ganzoo.part("data", words).path) == name  # type: ignore[attr-defined]
    (pasted, *_) = shlex.split(line.removeprefix("data\t"))
    assert described("--data", pasted) == line
    alone = described("--data", name)
    assert shlex.quote(f"folder:path={spelled(name)}") in alone
    Path("config.yaml").write_text(
        yaml.safe_dump({"data": {"name": "folder", "path": name, "size": 8, "channels": 1}}), encoding="utf-8"
    )
    assert described("--config", "config.yaml") == line


def test_a_home_folder_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "labels.csv").write_text("1.png,cat\n0.png,dog\n")
    for k in range(2):
        Image.new("L", (8, 8), 99 * k).save(tmp_path / "photos" / f"{k}.png")
    run = ganzoo.run(
        data="folder:path=~/photos,size=8,labels=~/photos/labels.csv,channels=1",
        arch="mlp:width=8,depth=1",
        batch_size=2,
        steps=1,
        samples=1,
        logdir="~/runs",
        name="a-b",
        quiet=True,
    )
    assert run.dir == tmp_path / "runs" / "a-b"
    assert ganzoo.load("~/runs/a-b").class_names == ["cat", "dog"]
    assert ganzoo.resume("~/runs/a-b", steps=2, quiet=True).step == 2
