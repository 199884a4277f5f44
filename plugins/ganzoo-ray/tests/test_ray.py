"""Comparisons on a Ray that is started here, with two workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo import errors, plugins
from ganzoo.cli import main
from ganzoo.comparison import recipes
from ganzoo.comparison.plan import Plan

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.filterwarnings("default")

BASE: dict[str, Any] = {
    "data": "ring",
    "arch": "mlp:width=4,depth=1",
    "regularizers": ["sn"],
    "batch_size": 8,
    "latent_dim": 2,
    "samples": 4,
    "steps": 400,
    "sample_every": 200,
    "checkpoint_every": 50,
    "metrics": ["modes"],
    "device": "cpu",
}
TABLES = ("table.md", "table.csv", "table.json")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_a_killed_worker_changes_no_byte_of_the_table(cluster: None, tmp_path: Path) -> None:
    plan = Plan(base=BASE, vary={"loss": ["hinge", "sgan"]}, seeds=[0])
    catalogue = plugins.load_catalogue()
    recipes.compare(plan, tmp_path / "local", catalogue, on="local", say=lambda line: None)
    killed: list[int] = []

    def kill() -> None:
        """Kill the worker of the first run that has a checkpoint."""
        until = time.monotonic() + 120
        while time.monotonic() < until and not killed:
            for lock in (tmp_path / "ray" / "runs").glob("*/lock"):
                if any((lock.parent / "checkpoints").glob("0*")):
                    pid = int(lock.read_text().split()[1])
                    for stat in (Path(f"/proc/{pid}/stat"),):
                        parent = int(stat.read_text().rpartition(")")[2].split()[1])
                        os.kill(parent, signal.SIGKILL)
                        killed.append(parent)
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    recipes.compare(plan, tmp_path / "ray", catalogue, on="ray", say=lambda line: None)
    thread.join()
    assert killed
    for name in TABLES:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_an_unreachable_address_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(**options: Any) -> None:
        assert options["address"] == "10.0.0.1:6379"
        raise ConnectionError("ray client connection timeout\nmore")

    monkeypatch.setattr(ray, "init", unreachable)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    words = [
        "compare",
        "--vary",
        "loss=hinge",
        "--steps",
        "1",
        "--on",
        "ray:10.0.0.1:6379",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 2
    found = capsys.readouterr().err.strip().splitlines()
    assert "Ray at 10.0.0.1:6379 cannot be reached (ray client connection timeout): start a cluster" in found[-1]


def test_resources_and_addresses_are_parameters() -> None:
    catalogue = plugins.load_catalogue()
    engine: Any = recipes.engine(catalogue, "ray:auto")
    assert engine.address == "auto"
    engine = recipes.engine(catalogue, "ray:address=auto,gpus=0.5")
    assert (engine.gpus, engine.cpus) == (0.5, 1.0)
    with pytest.raises(errors.BadParameter):
        ganzoo.part("engine", "ray:cpus=0")
