"""Names and files from outside: config files and run names cannot do what they should not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo import errors, plugins
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.directory import open_directory
from ganzoo.recipe.settings import read_config, resolve
from ganzoo.training import diagnostics

CATALOGUE = plugins.load_catalogue(no_plugins=True)


MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9))
"""Merges of merges: without a limit, 463 bytes cost PyYAML before 6.0.4 a minute and gigabytes."""


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
        ("loss: " + "x" * (1 << 20), "is larger than 64 KiB"),
        ("\x00", "is not YAML"),
        ("seed: 2020-99-99", "is not YAML"),
        ("seed: !!int abc", "is not YAML"),
        ("seed: !!bool x", "is not YAML"),
        ("seed: !!timestamp x", "is not YAML"),
        ("seed: " + "9" * 6000, "a number of 6000 characters"),
        ("seed: 0x" + "f" * 6000, "a number of 6002 characters"),
        ("seed: 1" + ":1" * 30_000, "a number of 60001 characters"),
        ("ema: 1" + ":1" * 30_000 + ".5", "a number of 60003 characters"),
        ("? [a, b]\n: 1", "is not YAML"),
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


def test_a_config_of_many_keys_is_read_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(f"k{i}: {i}" for i in range(5_000)))
    began = time.monotonic()
    assert len(read_config(file)) == 5_000
    assert time.monotonic() - began < 60  # one look at each key, not one at all the others for each


def test_merges_of_merges_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML from 6.0.4 on drops repeated keys of a merge. Older versions are stopped by the count of merged keys."""
    file = tmp_path / "config.yaml"
    file.write_text(MERGES)
    with contextlib.suppress(errors.SettingsError):
        assert len(read_config(file)) == 9
    monkeypatch.setattr("ganzoo.recipe.settings.MERGED_KEYS", 3)
    with pytest.raises(errors.SettingsError, match="<< brings too many keys"):
        read_config(file)


def test_keys_may_be_merged(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")
    assert read_config(file)["b"] == {"x": 1, "y": 3}


BOMB = f"[{', '.join(f'&a{i} [' + ', '.join([f'*a{i - 1}' if i else 'x'] * 10) + ']' for i in range(12))}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("regularizers: 5", "5 does not name a part"),
        ("metrics: true", "True does not name a part"),
        ("preset: 5", "there is no preset '5'"),
        ("preset: [a]", "there is no preset 'a'"),
        ("steps: true", "steps=true is not a whole number"),
        ("loss: {name: hinge, margin: false}", "margin=false"),
        ("batch_size: BOMB", "batch_size=[["),
        ("loss: BOMB", "does not name a part"),
        ("loss: {name: hinge, margin: BOMB}", "hinge: margin=[["),
        ("regularizers: BOMB", "does not name a part"),
        ("name: " + "x" * 9999, "is not a name"),
    ],
    ids=lambda text: text[:30],
)
def test_a_value_of_the_wrong_kind_is_refused_in_a_line(
    experiment: Callable[..., Experiment], tmp_path: Path, text: str, said: str
) -> None:
    """Also aliases of aliases, which take no memory until somebody spells them out."""
    file = tmp_path / "config.yaml"
    file.write_text(text.replace("BOMB", BOMB))
    with pytest.raises(errors.GanzooError) as caught:
        open_directory(assemble(resolve(CATALOGUE, config=file), CATALOGUE))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)


def test_an_empty_list_may_be_left_empty() -> None:
    assert resolve(CATALOGUE, config={"regularizers": None, "metrics": None}).parts["regularizers"] == ()


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["..", ".", "../up", "a/b", "/abs", "", "a\\b", "-x", "a b", "a\n", "x\x00", ".hid"])
def test_a_run_name_cannot_leave_its_directory(
    experiment: Callable[..., Experiment], tmp_path: Path, name: str
) -> None:
    with pytest.raises(errors.GanzooError, match=r"is not a name of letters|holds a null byte"):
        open_directory(experiment(name=name))
    assert sorted(p.name for p in (tmp_path / "runs").rglob("*")) == []


def test_nothing_is_ever_overwritten(experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    open_directory(experiment(name="a"))
    before = (tmp_path / "runs" / "a" / "config.yaml").stat().st_mtime_ns
    with pytest.raises(errors.RunError, match="exists: give another --name, or go on with: ganzoo resume"):
        open_directory(experiment(name="a"))
    assert (tmp_path / "runs" / "a" / "config.yaml").stat().st_mtime_ns == before


@pytest.mark.parametrize("given", ["model.pt", "config.yaml"])
def test_a_file_offered_as_a_run_is_not_opened(tmp_path: Path, given: str) -> None:
    import ganzoo

    (tmp_path / given).write_bytes(b"\x80\x04.")
    for call in (ganzoo.resume, ganzoo.load):
        with pytest.raises(errors.RunError, match="is a file, and was not opened: give the run directory"):
            call(tmp_path / given)


def signs_of(**values: Any) -> list[str]:
    return [name for name, _ in diagnostics.signs({k.replace("__", "/"): v for k, v in values.items()})]


def test_signs_of_a_run_that_goes_wrong() -> None:
    healthy = {
        "samples__diversity": 0.9,
        "scores__accuracy": 0.8,
        "grad__generator": 0.1,
        "grad__discriminator": 1.0,
        "scores__real": 1.0,
        "scores__fake": -1.0,
    }
    assert signs_of(**healthy) == []
    assert signs_of() == []
    early = dict(diagnostics.signs({"samples/diversity": 0.05}, step=3))
    assert early == {}, "a new generator's samples are always alike"
    ((_, line),) = diagnostics.signs({"grad/generator": 1e5}, constraints=["here", "there"])
    assert "a regularizer that constrains the discriminator such as here, there" in line
    assert signs_of(**{**healthy, "samples__diversity": 0.05}) == ["collapse"]
    assert signs_of(**{**healthy, "scores__accuracy": 1.0}) == [], "a discriminator may lead"
    assert signs_of(**{**healthy, "scores__accuracy": 1.0, "grad__generator": 1e-7}) == ["won"]
    assert signs_of(**{**healthy, "scores__real": 2e4}) == ["gap"]
    assert signs_of(**{**healthy, "grad__generator": 1e5}) == ["wild-generator"]
    assert signs_of(**{**healthy, "grad__discriminator": 1e5}) == ["wild-discriminator"]
