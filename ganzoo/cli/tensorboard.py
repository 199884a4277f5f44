"""``ganzoo tensorboard``: show runs in TensorBoard."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

import click

from ganzoo import errors
from ganzoo.cli import say

PORTS = range(6006, 6106)
"""The ports that are tried in turn."""

ENDING_SECONDS = 10.0
"""Seconds after Ctrl-C after which a server that has not ended is killed."""

PATIENCE = 60.0
"""Seconds that a browser waits for the server."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("runs", type=click.Path(path_type=Path), default="runs")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port; 0 takes any. [default: the first free from 6006]"
)
@click.option(
    "--browser/--no-browser", default=None, help="Open a browser. [default: where a screen is, and a terminal]"
)
@click.option(
    "--axis",
    type=click.Choice(["steps", "images"]),
    default="steps",
    show_default=True,
    help="The horizontal axis of scalars. images: runs of different batch size compare by the images that they saw.",
)
@click.pass_context
def command(ctx: click.Context, runs: Path, port: int | None, browser: bool | None, axis: str) -> int:
    """Open TensorBoard on RUNS, a log directory or the directory of one run.

    Only this machine can connect. Every picture is kept. Other options are passed on to TensorBoard.
    """
    if not runs.is_dir():
        raise errors.RunError(f"there is no directory {runs}: give the --logdir of your runs, or train one: ganzoo run")
    port = free_port() if port is None else port
    # By default TensorBoard keeps ten pictures of a run. The documented 0 for "all" makes the fast loader keep none.
    # The host is localhost, so that only this machine can connect.
    keep = ["--samples_per_plugin", "images=100000,scalars=100000"]
    # -P: a file tensorboard.py in the current directory is not the program.
    program = [sys.executable, "-P", "-m", "tensorboard.main", "--host", "localhost", "--port", str(port), *keep]
    if browser if browser is not None else has_screen():
        threading.Thread(target=open_browser, args=(port,), daemon=True).start()
    if axis == "images":
        from ganzoo.disk.axis import by_images

        with by_images(runs) as folder:
            return _wait([*program, "--logdir", str(folder), *ctx.args])
    program += ["--logdir", str(runs), *ctx.args]
    if os.name == "posix" and threading.active_count() == 1:
        os.execv(program[0], program)  # signals to this process reach the server, so that no server keeps the port
    return _wait(program)


def _wait(program: list[str]) -> int:
    """Run the server as a child until it ends. A signal that ends this process ends the server.

    A closed terminal (SIGHUP) counts too. The second signal kills a server that does not end.
    """
    import signal

    endings: list[Callable[[], None]] = []

    def end(number: int, frame: object) -> None:
        if not endings:  # the server has not started
            os._exit(128 + number)
        (endings.pop(0) if len(endings) > 1 else endings[0])()

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # Windows has no SIGHUP
                signal.signal(getattr(signal, name), end)
    with subprocess.Popen(program) as server:
        endings += [server.terminate, server.kill]
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            try:
                server.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
            return 130


def free_port() -> int:
    """Find the first port from 6006 on that no program uses.

    Returns:
        The port, or 0 where all of the hundred ports are used. TensorBoard then takes any.
    """
    for port in PORTS:
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("localhost", port))
            return port
    return 0


def has_screen() -> bool:
    """Tell whether a browser window makes sense: a terminal, and a screen that programs can draw on."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(port: int) -> None:
    """Open the page in a browser as soon as the server answers.

    Args:
        port: the port of the server.
    """
    until = time.monotonic() + PATIENCE
    while port and time.monotonic() < until:
        with socket.socket() as trial:
            if trial.connect_ex(("localhost", port)) == 0:
                if not webbrowser.open(f"http://localhost:{port}/"):
                    say(f"open http://localhost:{port}/ in a browser")
                return
        time.sleep(0.3)
