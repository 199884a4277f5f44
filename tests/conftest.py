"""What tests share: small experiments, where the real data is, and a place to install plugins of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch

from ganzoo import plugins
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import resolve

ROOT = Path(__file__).parents[1]

REAL_DATA = ROOT.parent / "shared" / "data"


NOT_MEASURED = (
    *("comparison", "faults", "gpu", "new", "speed", "testing", "zoo"),
    *("test_compositions.py", "test_readme.py"),
)
"""Tests whose lines are no part of the figure of coverage: they run in child processes, in torch's own compiler, or go
through every part of the catalogue. Measuring would take half as long again as the tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Switch the measuring of coverage off where it costs half a test's time and shows nothing."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] in NOT_MEASURED or item.get_closest_marker("slow"):
            item.add_marker("no_cover")


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real MNIST and CIFAR-10 are not at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small nets are faster on one thread, and tests that run side by side do not fight for cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[Callable[..., Experiment]]:
    """An assembled experiment: small and quick unless told. Its game is closed, whatever becomes of the test."""
    games = []

    def make(**settings: Any) -> Experiment:
        small = {
            "arch": "dcgan:width=4",
            "batch_size": 8,
            "latent_dim": 4,
            "steps": 10,
            "regularizers": [],
            "device": "cpu",
            "logdir": str(tmp_path / "runs"),
            "samples": 4,
            "data": "digits:size=8",
        }
        catalogue = plugins.load_catalogue(no_plugins=True)
        made = assemble(resolve(catalogue, given={**small, **settings}), catalogue)
        games.append(made.game)
        return made

    yield make
    for game in games:
        game.close()


_numbers = itertools.count()


class Site:
    """A folder on the import path where plugins are installed as pip does it: modules, and metadata beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, provider: str, code: str, *, distribution: str = "", points: str = "", version: str = "1.0") -> str:
        """Install a plugin of one module; return the module's name, which ``{module}`` in the code stands for."""
        distribution = distribution or f"ganzoo-{provider}"
        module = f"fake_{next(_numbers)}_{''.join(c if c.isalnum() else '_' for c in provider)}"
        (self.path / f"{module}.py").write_text(dedent(code).replace("{module}", module))
        metadata = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        points = points or f"{provider} = {{module}}"
        (metadata / "entry_points.txt").write_text("[ganzoo]\n" + points.replace("{module}", module) + "\n")
        return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty Site on sys.path, and an environment that limits no plugin."""
    for name in ("GANZOO_PLUGINS", "GANZOO_STRICT_PLUGINS", "GANZOO_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    return Site(path)
