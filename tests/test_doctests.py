"""The examples in docstrings are run, and every part and every public name has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import ganzoo
from ganzoo import kinds

ROOT = Path(__file__).parents[1]


def examples() -> list[tuple[str, int, str]]:
    """Module, line and text of each docstring with an example, docstrings of constants included."""
    found = []
    for package in (ROOT / "ganzoo", ROOT / "plugins" / "ganzoo_zoo"):
        for file in sorted(package.rglob("*.py")):
            parts = file.relative_to(package.parent).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    text = node.value.value
                    if isinstance(text, str) and ">>>" in text:
                        found.append((name, node.lineno, text))
    return found


@pytest.mark.parametrize(("name", "line", "text"), examples(), ids=lambda value: str(value).split("\n")[0])
def test_an_example_gives_what_it_shows(name: str, line: int, text: str) -> None:
    module = importlib.import_module(name)
    test = doctest.DocTestParser().get_doctest(text, dict(vars(module)), name, module.__file__, line - 1)
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert result.attempted
    assert not result.failed, "".join(report)


PARTS = [
    (entry.kind, entry.name)
    for kind in (each.name for each in kinds.KINDS)
    for entry in ganzoo.catalogue(kind)  # type: ignore[call-overload]  # a kind by its name
    if entry.provider == "zoo"
]


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=str)
def test_a_part_shows_what_it_computes(kind: str, name: str) -> None:
    entry = next(each for each in ganzoo.catalogue(kind) if each.name == name)  # type: ignore[call-overload]
    module, _, attribute = entry.target.partition(":")
    doc = inspect.getdoc(getattr(importlib.import_module(module), attribute)) or ""
    assert "Example:\n" in doc
    assert ">>>" in doc


@pytest.mark.parametrize("name", ganzoo.__all__)
def test_a_public_name_shows_how_it_is_used(name: str) -> None:
    found = getattr(ganzoo, name)
    if inspect.ismodule(found):  # its public names have examples of their own
        return
    if name == "hookimpl":  # an object: its docstring stands after the assignment
        assert "@ganzoo.hookimpl\n" in (ROOT / "ganzoo" / "hookspecs.py").read_text(encoding="utf-8")
        return
    assert ">>>" in (inspect.getdoc(found) or "")
