"""A server of real processes, and a place for runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Process, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture
def ganzoo_process(server: Server, tmp_path: Path) -> Callable[..., Process]:
    """Start `ganzoo` with these words, in a process of its own."""

    def start(*arguments: str, seam: str = "") -> Process:
        number = len(list(tmp_path.glob("out*")))
        return server.start(tmp_path / f"out{number}", *arguments, seam=seam)

    return start
