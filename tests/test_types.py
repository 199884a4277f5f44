"""The typed signatures: equal to the settings and kinds that they describe, and useful to a type checker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import pytest

import ganzoo
from ganzoo import api, words
from ganzoo.kinds import Kinds
from ganzoo.parts import KINDS
from ganzoo.recipe.settings import RESUME_MAY_CHANGE, PartsDict, Settings, SettingsDict

ROOT = Path(__file__).parents[1]
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_typed_dict_has_every_setting_and_no_other() -> None:
    assert list(PartsDict.__annotations__) == list(Kinds().settings)
    assert list(SettingsDict.__annotations__) == [*Kinds().settings, *words.parameters(Settings)]


def test_the_typed_dict_has_the_types_of_the_settings() -> None:
    """A path may be given as a Path, and a number that follows the run as text. Bounds are checked at run time."""
    hints = typing.get_type_hints(SettingsDict)
    fields_ = typing.get_type_hints(Settings)
    for name, parameter in words.parameters(Settings).items():
        given = set(typing.get_args(hints[name])) or {hints[name]}
        meant = set(typing.get_args(fields_[name])) or {fields_[name]}
        assert given - ({Path, str} if parameter.can_follow else {Path}) == meant, name


def test_each_kind_has_the_contract_as_the_type_of_its_settings() -> None:
    for kind in Kinds().values():
        for setting in kind.settings:
            assert kind.load().__name__ in PartsDict.__annotations__[setting.name].__forward_arg__


def test_part_is_overloaded_for_each_kind() -> None:
    found = {}
    for overload in typing.get_overloads(api.part):
        hints = typing.get_type_hints(overload)
        found.update(dict.fromkeys(typing.get_args(hints["kind"]), hints["return"]))
    assert found == dict(KINDS)


def test_what_resume_may_change_are_settings() -> None:
    assert {field.name for field in fields(Settings)} >= RESUME_MAY_CHANGE


WRONG = """\
import ganzoo
run = ganzoo.run(stepz=5)
run.dir / 'samples'
reveal_type(ganzoo.part('loss', 'hinge'))
reveal_type(ganzoo.part('metric', 'modes'))
reveal_type(ganzoo.catalogue())
reveal_type(ganzoo.catalogue('loss')[0].name)
ganzoo.run(steps='many')
ganzoo.run(loss=ganzoo.part('data', 'digits'))
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What ``mypy --strict`` prints for the README's Python and for ``WRONG``, by file."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("typed")
    (readme,) = [text for text in PYTHON if "ganzoo.run(" in text]
    files = {"readme.py": readme, "wrong.py": WRONG}
    for name, code in files.items():
        (folder / name).write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", *files]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    out = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert out.stderr == ""
    lines = out.stdout.splitlines()
    return {name: [line for line in lines if line.startswith(name)] for name in files}


@pytest.mark.slow
def test_the_readme_is_strictly_typed(checked: dict[str, list[str]]) -> None:
    assert checked["readme.py"] == []


@pytest.mark.slow
def test_a_type_checker_sees_a_misspelt_setting_and_the_kind_of_a_part(checked: dict[str, list[str]]) -> None:
    lines = checked["wrong.py"]
    assert [int(line.split(":")[1]) for line in lines if " error: " in line] == [2, 8, 9]
    said = "\n".join(lines)
    assert 'Unexpected keyword argument "stepz" for "run"' in said
    assert 'Revealed type is "ganzoo.parts.loss.Loss"' in said
    assert 'Revealed type is "ganzoo.parts.metric.Metric"' in said
    assert 'Revealed type is "ganzoo.plugins.catalogue.Catalogue"' in said
    assert 'Revealed type is "str"' in said or 'Revealed type is "builtins.str"' in said


def test_a_run_that_was_not_begun_has_no_directory(experiment: typing.Callable[..., typing.Any]) -> None:
    with pytest.raises(ganzoo.errors.RunError, match="has no directory: it was assembled and not begun"):
        experiment().run.dir  # noqa: B018
