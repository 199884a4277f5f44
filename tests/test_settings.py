"""Names and files from outside: config files and run names cannot do what they should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo import errors, recipe
from ganzoo.settings import read_config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss: hinge\nloss: sgan", "'loss' is given twice"),
        ("loss: {name: hinge, name: sgan}", "'name' is given twice"),
        ("loss: !!python/object/apply:os.system ['true']", "is not YAML: could not determine a constructor"),
        ("- loss", "is not a mapping of settings"),
        ("", "is not a mapping of settings"),
        ("1: 2", "is not a mapping of settings"),
        ("loss: [", "is not YAML"),
        ("[" * 20_000, "is not YAML"),
        ("loss: " + "x" * (1 << 20), "is larger than 1 MiB"),
        ("\x00", "is not YAML"),
    ],
    ids=lambda text: text[:30],
)
def test_a_config_that_is_none_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(errors.SettingsError) as caught:
        read_config(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_full_of_aliases_stays_small(tmp_path: Path) -> None:
    """The "billion laughs": aliases share what they name, so that it takes no memory to load."""
    file = tmp_path / "config.yaml"
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30))]
    file.write_text("\n".join(lines))
    assert len(read_config(file)) == 30


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["..", ".", "../up", "a/b", "/abs", "", "a\\b", "-x", "a b", "a\n", "x\x00", ".hid"])
def test_a_run_name_cannot_leave_its_directory(
    experiment: Callable[..., recipe.Experiment], tmp_path: Path, name: str
) -> None:
    with pytest.raises(errors.RunError, match="is not a name of letters"):
        recipe.open_directory(experiment(name=name))
    assert sorted(p.name for p in (tmp_path / "runs").rglob("*")) == []


def test_nothing_is_ever_overwritten(experiment: Callable[..., recipe.Experiment], tmp_path: Path) -> None:
    recipe.open_directory(experiment(name="a"))
    before = (tmp_path / "runs" / "a" / "config.yaml").stat().st_mtime_ns
    with pytest.raises(errors.RunError, match="exists: give another --name, or go on with: ganzoo resume"):
        recipe.open_directory(experiment(name="a"))
    assert (tmp_path / "runs" / "a" / "config.yaml").stat().st_mtime_ns == before


@pytest.mark.parametrize("given", ["model.pt", "config.yaml"])
def test_a_file_offered_as_a_run_is_not_opened(tmp_path: Path, given: str) -> None:
    import ganzoo

    (tmp_path / given).write_bytes(b"\x80\x04.")
    for call in (ganzoo.resume, ganzoo.load):
        with pytest.raises(errors.RunError, match="is a file, and was not opened: give the run directory"):
            call(tmp_path / given)


def signs_of(**values: Any) -> list[str]:
    from ganzoo import health

    return [name for name, _ in health.signs({k.replace("__", "/"): v for k, v in values.items()})]


def test_signs_of_a_run_that_goes_wrong() -> None:
    healthy = {
        "samples__diversity": 0.9, "scores__accuracy": 0.8, "grad__generator": 0.1, "grad__discriminator": 1.0,
        "scores__real": 1.0, "scores__fake": -1.0,
    }  # fmt: skip
    assert signs_of(**healthy) == []
    assert signs_of() == []
    assert signs_of(**{**healthy, "samples__diversity": 0.05}) == ["collapse"]
    assert signs_of(**{**healthy, "scores__accuracy": 1.0}) == [], "a discriminator may lead"
    assert signs_of(**{**healthy, "scores__accuracy": 1.0, "grad__generator": 1e-7}) == ["won"]
    assert signs_of(**{**healthy, "scores__real": 2e4}) == ["gap"]
    assert signs_of(**{**healthy, "grad__generator": 1e5}) == ["wild-generator"]
    assert signs_of(**{**healthy, "grad__discriminator": 1e5}) == ["wild-discriminator"]
