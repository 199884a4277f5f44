"""``ganzoo tensorboard``: show runs in TensorBoard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from ganzoo import errors


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), default="runs")
@click.option("--port", type=click.IntRange(0, 65535), default=6006, show_default=True, help="0 takes a free one.")
def command(runs: Path, port: int) -> int:
    """Open TensorBoard on RUNS, a log directory or the directory of one run.

    Only this machine can connect. Every picture is kept.
    """
    if not runs.is_dir():
        raise errors.RunError(f"there is no directory {runs}: give the --logdir of your runs, or train one: ganzoo run")
    # By default TensorBoard keeps ten pictures of a run. The documented 0 for "all" makes the fast loader keep none.
    # The host is localhost, so that only this machine can connect.
    keep = ["--samples_per_plugin", "images=100000,scalars=100000"]
    arguments = ["--logdir", str(runs), "--host", "localhost", "--port", str(port), *keep]
    # -P: a file tensorboard.py in the current directory is not the program.
    program = [sys.executable, "-P", "-m", "tensorboard.main", *arguments]
    if os.name == "posix":
        os.execv(program[0], program)  # signals to this process reach the server, so that no server keeps the port
    try:
        return subprocess.run(program, check=False).returncode
    except KeyboardInterrupt:
        return 130
