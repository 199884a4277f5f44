"""The public names, and which way the arrows between the files point."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganzoo

ENGINE = Path(ganzoo.__file__).parent
ZOO = ENGINE.parent / "plugins" / "ganzoo_zoo"

PUBLIC = [
    "API_VERSION",
    "Architecture",
    "Batch",
    "Data",
    "Engine",
    "Game",
    "Job",
    "Kind",
    "Learning",
    "Loss",
    "Metric",
    "Networks",
    "Optimizer",
    "Part",
    "Regularizer",
    "Run",
    "Samples",
    "Schedule",
    "ScheduledNumber",
    "Scores",
    "Setting",
    "Spec",
    "Stage",
    "TensorSpec",
    "Tracker",
    "cache_folder",
    "catalogue",
    "compare",
    "errors",
    "evaluate",
    "hookimpl",
    "lab",
    "load",
    "part",
    "read_item",
    "resume",
    "run",
    "testing",
    "user_path",
]

LAYERS = [  # a file imports from the layers above it here, or from its own folder, and from nothing below
    {"names", "image_depth", "image_formats"},
    {"errors", "kinds", "file_modules"},
    {"launcher", "parts", "hookspecs", "disk"},
    {"words"},
    {"step"},
    {"speed", "data"},
    {"testing"},
    {"training"},
    {"recipe"},
    {"plugins"},
    {"trained", "new"},
    {"comparison"},
    {"api", "lab", "bench"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imports(file: Path) -> Iterator[str]:
    """The modules and names that a file imports when it runs: not those for the type checker."""

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield from walk(other)
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            home = ENGINE.parent if file.is_relative_to(ENGINE) else ZOO.parent
            package = file.relative_to(home).parts[: -node.level] if node.level else ()
            module = ".".join(filter(None, [*package, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(file.read_text()))


def of_engine(file: Path) -> set[str]:
    """The files of the engine that a file imports: ``parts``, ``cli``."""
    found = (name.split(".")[1] for name in imports(file) if name.startswith("ganzoo."))
    return {name for name in found if name in RANK}


def name_of(file: Path) -> str:
    return file.relative_to(ENGINE).parts[0].removesuffix(".py")


FILES = sorted(file for file in ENGINE.rglob("*.py") if file != ENGINE / "__init__.py")
PARTS = sorted(ZOO.rglob("*.py"))


def test_the_public_names():
    assert ganzoo.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(ganzoo))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_is_there(name):
    assert getattr(ganzoo, name) is not None


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'ganzoo' has no attribute 'Critic'$"):
        ganzoo.Critic  # noqa: B018


@pytest.mark.parametrize("code", ["import ganzoo", "import ganzoo; ganzoo.Loss, ganzoo.hookimpl, ganzoo.errors"])
def test_importing_ganzoo_imports_no_torch(code):
    report = f"{code}\nimport sys; print(*[m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_every_file_has_its_layer():
    assert {name_of(file) for file in FILES} == set(RANK)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENGINE)))
def test_arrows_point_one_way(file):
    own = name_of(file)
    back = {name for name in of_engine(file) if RANK[name] >= RANK[own] and own != name}
    assert not back, f"{own} imports {', '.join(sorted(back))}"


def test_the_game_knows_parts_and_state_and_torch():
    found = set(imports(ENGINE / "step" / "game.py"))
    assert of_engine(ENGINE / "step" / "game.py") <= {"parts", "step", "errors"}
    outside = {name.partition(".")[0] for name in found} - sys.stdlib_module_names
    assert outside <= {"torch", "ganzoo"}


def test_only_what_users_call_knows_plugins():
    assert {name_of(file) for file in FILES if "plugins" in of_engine(file)} <= {
        "api",
        "bench",
        "lab",
        "cli",
        "comparison",
        "plugins",
    }


def test_only_the_board_imports_tensorboard():
    reached = {
        file.name
        for file in FILES
        for name in imports(file)
        if name.startswith(("tensorboard", "torch.utils.tensorboard"))
    }
    assert reached == {"board.py"}


@pytest.mark.parametrize("file", [*FILES, ENGINE / "__init__.py"], ids=lambda file: str(file.relative_to(ENGINE)))
def test_the_engine_imports_no_plugin_package(file):
    assert not [name for name in imports(file) if name.startswith("ganzoo_")]


@pytest.mark.parametrize("file", PARTS, ids=lambda file: str(file.relative_to(ZOO)))
def test_parts_use_public_names_and_their_own_kind(file):
    allowed = ("ganzoo.errors", "ganzoo.hookspecs", "ganzoo.image_depth", "ganzoo.image_formats", "ganzoo.testing")
    kind = file.relative_to(ZOO).parts[0] if file.parent != ZOO else "presets"
    for name in imports(file):
        if name.startswith("ganzoo."):
            assert name.split(".")[1] in PUBLIC or name.startswith(allowed), f"{name} is not public"
        if name.startswith("ganzoo_zoo."):
            assert name.split(".")[1] == kind, f"{name} is another kind's"
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ganzoo":
            assert node.attr in PUBLIC, f"ganzoo.{node.attr} is not public"
