"""``ganzoo lab dirac``, as a person types it."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from ganzoo.cli import main
from ganzoo.disk import pictures

SHORT = ["--steps", "60", "--batch-size", "2"]


def test_one_composition_is_told_line_by_line(capsys):
    assert main(["lab", "dirac", "--loss", "wgan", "-r", "r1:gamma=1", *SHORT]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["loss"] == "wgan"
    assert said["regularizers"] == "r1:gamma=1.0"
    assert said["eigenvalues"] == said["theory"] == "0.95+-0.0866i"
    assert said["modulus"] == "0.9539"
    assert said["verdict"] in ("converged", "orbits")


def test_json_has_the_trajectory(capsys):
    words = ["--loss", "wgan", "--schedule", "alternating", "--lr", "0.5", "--start", "1", "0", "--json"]
    assert main(["lab", "dirac", "--steps", "2", "--batch-size", "2", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["theta"] == [1.0, 0.75, 0.3125]
    assert found["psi"] == [0.0, -0.5, -0.875]
    assert found["eigenvalues"][0] == pytest.approx([0.875, 0.4841229], abs=1e-6)


def test_what_runs_away_is_null_in_json(capsys):
    assert main(["lab", "dirac", "--loss", "wgan", "--lr", "30", *SHORT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "diverges"
    assert found["radius"] is None
    assert found["theta"][-1] is None


def test_the_grid_is_a_table_a_csv_and_a_picture(tmp_path, capsys):
    table, drawn = tmp_path / "new" / "dirac.csv", tmp_path / "new" / "dirac.png"
    words = ["--loss", "wgan", "--loss", "sgan"]
    words += ["-r", "none", "-r", "label-smoothing", "-r", "r1:gamma=1 + weight-clip"]
    files = ["--csv", str(table), "--picture", str(drawn)]
    assert main(["lab", "dirac", "--grid", *words, "--schedule", "onestep", *SHORT, *files]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [
        [loss, some] for loss in ("wgan", "sgan") for some in ("none", "label-smoothing", "r1:gamma=1.0 weight-clip")
    ]
    assert lines[1][3] == "refused"
    rows = [*csv.DictReader(table.read_text().splitlines())]
    assert [row["verdict"] for row in rows] == [line[3] for line in lines]
    assert "moves the targets" in rows[1]["notes"]
    assert rows[0]["steps"] == "60"
    with Image.open(drawn) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {pictures.VERDICTS[row["verdict"]] for row in rows} <= colours


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loss", "sgan", "--loss", "wgan"], "ganzoo: error: one loss and one schedule at a time"),
        (["--loss", "sgam"], "ganzoo: error: no loss is named 'sgam' (did you mean 'sgan'?)"),
        (["--loss", "wgan", "-r", "label-smoothing"], "ganzoo: error: label-smoothing moves the targets"),
        (["--picture", "x.nothing", *SHORT], "ganzoo: error: x.nothing cannot be written (unknown file extension"),
        (["--steps", "0"], "ganzoo lab dirac: error: Invalid value for '--steps'"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "dirac", *words]) != 0
    found = capsys.readouterr().err
    assert found.startswith(said)
    assert found.count("\n") == 1


def test_the_laboratory_says_what_there_is(capsys):
    assert main(["lab"]) == 0
    assert "dirac" in capsys.readouterr().out
