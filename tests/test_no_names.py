"""The engine knows no part by name: what its messages recommend comes from the catalogue."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganzoo

ENGINE = Path(ganzoo.__file__).parent
WORDS = {
    "command",
    "copies",
    "local",
    "digits",
    "folder",
    "grid",
    "modes",
    "pairs",
    "ring",
    "unrolled",
}  # names of parts that are also English words
FOLDERS = ["data", "disk", "recipe", "speed", "step", "training"]
EXAMPLES = {  # strings that show the grammar of a part's text
    "is not part.key=value, such as -o loss.margin=2 or -o r1.gamma=5",
    "is not a mapping of settings, such as `loss: hinge`",
}


def literals(file: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a file that are no docstrings."""
    tree = ast.parse(file.read_text())
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {id(line.value) for node in holders for line in node.body if isinstance(line, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


FILES = [file for folder in FOLDERS for file in sorted((ENGINE / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENGINE)))
def test_no_string_of_the_engine_names_a_part(file: Path) -> None:
    names = {entry.name for entry in ganzoo.catalogue(no_plugins=True).entries()} - WORDS
    named = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(names)))})(?![\w-])")
    found = [
        f"{file.name}:{line}: {match[1]}"
        for line, value in literals(file)
        if (match := named.search(value)) and not any(example in value for example in EXAMPLES)
    ]
    assert not found


def test_the_laboratory_branches_on_no_part() -> None:
    """Names stand in the laboratory as its defaults alone: which parts its table compares unless told."""
    tree = ast.parse((ENGINE / "lab.py").read_text())
    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    names = {entry.name for entry in ganzoo.catalogue(no_plugins=True).entries()}
    assert not [text for text in compared for name in names if f"'{name}'" in text]


def test_advice_names_the_parts_that_have_the_fact() -> None:
    catalogue = ganzoo.catalogue(no_plugins=True)
    constraining = catalogue.names_with("regularizer", "constrains_discriminator")
    assert {"r1", "sn", "wgan-gp", "weight-clip"} <= set(constraining)
    assert "ada" not in constraining
    assert catalogue.names_with("loss", "energy_based") == ["meg"]
    assert catalogue.names_with("loss", "trains_encoder") == ["ogan"]
