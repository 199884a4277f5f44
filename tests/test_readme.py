"""What the README says is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import ganzoo
from ganzoo.cli import group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_table_of_parts_is_what_the_catalogue_says() -> None:
    """To bring it up to date: ganzoo list --markdown --no-plugins."""
    written = re.search(r"<!-- parts: ganzoo (.*?) -->\n(.*?)<!-- /parts -->", README, re.DOTALL)
    assert written is not None
    assert written[2] == CliRunner().invoke(group, written[1].split()).stdout


def test_the_tree_has_every_engine_file_once() -> None:
    files = [p.name for p in (ROOT / "ganzoo").glob("*.py") if not p.name.startswith("__")]
    assert sorted(re.findall(r"^  (\w+\.py) ", README, re.MULTILINE)) == sorted(files)


@pytest.mark.parametrize("line", re.findall(r"^[^`\n]*ganzoo run (-.*?)(?: +#.*)?$", README, re.MULTILINE))
def test_every_run_of_the_tour_is_understood(line: str, tmp_path: Path) -> None:
    """The words are right: parts, keys, presets, options. Only data that is not here may be missing."""
    soft = tmp_path / "soft.py"
    soft.write_text(re.search(r"# soft.py\n(.*?)```", README, re.DOTALL)[1])  # type: ignore[index]
    words = shlex.split(line.replace("soft.py", str(soft)).split(";")[0])
    found = CliRunner().invoke(group, ["run", *words, "-n"])
    if isinstance(found.exception, ganzoo.errors.DataError):
        assert "--data" in line
    else:
        assert found.exit_code == 0, found.output


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
