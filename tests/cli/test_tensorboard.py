"""``ganzoo tensorboard``: the server runs no file of the current directory, and ends with its command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ganzoo import cli
from ganzoo.cli import tensorboard


def server(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[str]:
    """The program that the command becomes."""
    found: list[list[str]] = []

    class Became(Exception):
        pass

    def become(path: str, program: list[str]) -> Any:
        found.append(program)
        raise Became

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(Became):
        cli.main(["tensorboard", str(folder), "--no-browser", *(more or ("--port", "0"))])
    return found[0]


@pytest.mark.skipif(os.name != "posix", reason="the command becomes the server on POSIX")
def test_no_file_of_the_current_directory_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would import ``./tensorboard/main.py`` for -m, and ``./absl.py`` from there on."""
    program = server(tmp_path, monkeypatch)
    assert program[0] == sys.executable
    mark = tmp_path / "mark"
    evil = f"from pathlib import Path; Path({str(mark)!r}).write_text('ran')\n"
    (tmp_path / "tensorboard").mkdir()
    for name in ("tensorboard/__init__", "tensorboard/main", "absl", "socket"):
        (tmp_path / f"{name}.py").write_text(evil)
    until_logdir = program[: program.index("--logdir")]
    done = subprocess.run([*until_logdir, "--version_tb"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    unsafe = [word for word in until_logdir if word != "-P"]
    subprocess.run([*unsafe, "--version_tb"], cwd=tmp_path, capture_output=True, check=False)
    assert mark.exists(), "the test would not notice"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_that_is_a_child(tmp_path: Path, number: int) -> None:
    """Where a browser is opened, the command stays and waits. No server keeps the port after it."""
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    parent = f"import sys; from ganzoo.cli.tensorboard import _wait; sys.exit(_wait([sys.executable, '-c', {child!r}]))"
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(number)
        process.wait(600)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(os.name != "posix", reason="the command becomes the server on POSIX")
def test_the_first_free_port_is_taken_and_other_options_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as used, socket.socket() as free:
        for each in (used, free):
            each.bind(("localhost", 0))
        used.listen()
        ports = used.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setattr(tensorboard, "PORTS", ports)
        program = server(tmp_path, monkeypatch, "--reload_interval", "7")
    assert program[program.index("--port") + 1] == str(ports[1])
    assert program[-2:] == ["--reload_interval", "7"]


def test_a_browser_is_opened_as_soon_as_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def note(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(tensorboard.webbrowser, "open", note)
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        listening.listen()
        port = listening.getsockname()[1]
        tensorboard.open_browser(port)
    assert opened == [f"http://localhost:{port}/"]


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="these systems have a screen")
@pytest.mark.parametrize(
    ("terminal", "environment", "expected"),
    [
        (True, {"DISPLAY": ":0"}, True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        (True, {}, False),
        (True, {"DISPLAY": ":0", "SSH_CONNECTION": "1"}, False),
        (False, {"DISPLAY": ":0"}, False),
    ],
)
def test_a_browser_is_opened_where_a_screen_and_a_terminal_are(
    terminal: bool, environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert tensorboard.has_screen() is expected
