"""What tests of faults share: real processes, runs that stop where they are told, and how two runs are compared."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ganzoo
from ganzoo import plugins
from ganzoo.disk import checkpoint
from ganzoo.recipe.assemble import Experiment, assemble, total_steps, train
from ganzoo.recipe.directory import open_directory
from ganzoo.recipe.resume import reopen
from ganzoo.recipe.settings import resolve
from ganzoo.speed import compilers
from ganzoo.training import loop, signals
from ganzoo.training.run import Run

TINY = {
    "arch": "dcgan:width=4",
    "batch_size": "8",
    "latent_dim": "4",
    "samples": "4",
    "device": "cpu",
    "data": "digits",
    "optimizer": "adam",
    "loss": "hinge",
    "regularizers": "sn",
    "schedule": "onestep",
}


def words(**settings: Any) -> list[str]:
    """Settings as the command line takes them."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, **settings}.items()]


DEFAULT_SIGNALS = [
    sys.executable,
    "-S",
    "-c",
    "import os, signal, sys\n"
    "signal.pthread_sigmask(signal.SIG_SETMASK, ())\n"
    "for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1): signal.signal(n, signal.SIG_DFL)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])",
]
"""Written before a command: gives the command the signals of an interactive shell's child, none ignored, none blocked.

A shell that runs the tests in the background, or `nohup`, has the tests ignore SIGINT or SIGHUP. Every child of the
tests inherits this. The process that runs the command keeps its number, since `execvp` replaces the program only.
"""


class Process:
    """A `ganzoo` that runs."""

    def __init__(self, server: Server, pid: int, out: Path) -> None:
        self.server, self.pid, self.out = server, pid, out

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        return int(self.server.ask(wait=self.pid)["code"])

    @property
    def said(self) -> str:
        return self.out.read_text() if self.out.exists() else ""


class Server:
    """Starts processes; see server.py."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error", "COLUMNS": "300"}
        self._process = subprocess.Popen(
            [*DEFAULT_SIGNALS, sys.executable, str(Path(__file__).with_name("faults") / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(self, out: Path, *arguments: str, seam: str = "", **environment: str) -> Process:
        asked = self.ask(run=arguments, out=str(out), seam=seam, environment=environment)
        return Process(self, asked["pid"], out)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(600)  # on a busy machine the server may still be importing torch
        self._process.stdout.close()


def until(true: Callable[[], Any], seconds: float = 600.0) -> None:
    """Wait for something to be so. The time is for a busy machine: it ends a test that would wait for ever.

    Looks that cost much are made seldom, so that the wait takes no processor from what is waited for.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if true():
            return
        now = time.monotonic()
        assert now < end, f"it did not come to be so within {seconds:.0f} seconds"
        time.sleep(max(0.005, min(0.25, 10 * (now - began))))


def final(run_dir: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run's newest checkpoint, and its numbers that count."""
    saved = checkpoint.newest(run_dir / "checkpoints")
    return {f"{group}/{name}": value for group, named in saved.tensors.items() for name, value in named.items()}


def differences(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    """Names of the tensors that are not the same, bit for bit."""
    assert a.keys() == b.keys()
    return [
        name
        for name, value in a.items()
        if value.dtype != b[name].dtype or not torch.equal(_bits(value), _bits(b[name]))
    ]


def _bits(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(-1).view(torch.uint8) if value.numel() else value


def state_of(made: Experiment | Run) -> dict[str, torch.Tensor]:
    """All tensors of a run in memory."""
    run = made.run if isinstance(made, Experiment) else made
    return {f"{g}/{n}": v.clone() for g, named in run.state.tensors().items() for n, v in named.items()}


SMALLEST = {
    "biggan": "width=4,shared=4",
    "gat": "width=8,depth=2,levels=1,heads=1,projection_size=8",
    "gated": "width=4,d_width=4",
    "multiscale": "scales=2",
    "packed": "of=mlp,width=16,depth=1",
    "patch": "width=4,d_width=4",
    "pggan": "channel_base=64,channel_max=8",
    "rrdb": "width=4,blocks=1,d_width=4,growth=4",
    "srresnet": "width=4,blocks=1,d_width=4",
    "stylegan2": "width=4,mapping=2",
    "unet": "width=4,d_width=4",
}
"""Parameters with which an architecture takes little time, where ``width=4`` alone does not do."""


def smallest(arch: str) -> str:
    """Parameters of an architecture with which a step takes little time: ``width=4``."""
    return SMALLEST.get(arch, "width=4")


NEEDS_FILES = frozenset({"colorize", "esrgan", "srgan"})
"""Presets that read pictures or published weights, which tests do not fetch. Tests of the parts train them."""


def shrunk(preset: str) -> list[str]:
    """Overrides with which a preset takes little time: ``["arch.width=4"]``."""
    arch = str(ganzoo.catalogue().presets()[preset].get("arch", "dcgan")).partition(":")[0]
    return [f"arch.{parameter}" for parameter in smallest(arch).split(",")]


class Stops:
    """Hears a run, and ends it at a step: by SIGTERM, which saves, or by an error, which does not."""

    def __init__(self, step: int, saves: bool) -> None:
        self.step, self.saves = step, saves

    def step_recorded(self, run: Any, step: int, values: Any) -> None:
        if step == self.step and self.saves:
            signal.raise_signal(signal.SIGTERM)
        elif step == self.step:
            raise Crash

    def ignore(self, *facts: Any, **named: Any) -> None:
        pass

    run_started = step_made = images_recorded = checkpoint_saved = run_finished = ignore


class Crash(Exception):
    """A fault that nobody foresaw."""


def train_until(made: Experiment, total: int, stops: Stops) -> None:
    """Train until it is stopped."""
    try:
        with contextlib.suppress(signals.Interrupted, Crash):
            loop.train(made.run, made.game, made.feed, total, stops, quiet=True)
    finally:
        assert made.lock is not None
        made.lock.release()


class Bench:
    """Runs of one recipe, in one place."""

    def __init__(self, folder: Path, plugin: str = "", **settings: Any) -> None:
        files = []
        if plugin:
            files = [folder / "myplugin.py"]
            files[0].write_text(plugin)
        self.catalogue = plugins.load_catalogue(no_plugins=True, files=files)
        self.folder, self.settings = folder, {**TINY, "log_every": 1, "logdir": str(folder), **settings}

    def assembled(self, name: str, **settings: Any) -> Experiment:
        given = {**self.settings, "name": name, **settings}
        return assemble(resolve(self.catalogue, given=given), self.catalogue)

    def whole(self, name: str = "whole", **settings: Any) -> Run:
        """A run that nothing happens to."""
        made = self.assembled(name, **settings)
        open_directory(made)
        return train(made, quiet=True)

    def stopped(self, step: int, saves: bool = True, name: str = "stopped", **settings: Any) -> Path:
        """The directory of a run that ended at a step before its last."""
        made = self.assembled(name, **settings)
        open_directory(made)
        train_until(made, total_steps(made.run.settings), Stops(step, saves))
        assert made.run.step == step
        return self.folder / name

    def resumed(self, folder: Path, steps: int | None = None) -> Run:
        made, total = reopen(folder, self.catalogue, steps=steps)
        return train(made, total, quiet=True)


class Again:
    """Records nothing: the step is called again, with whatever its tensors hold then."""

    name = "made again"

    def __init__(self, spoil: Callable[[], None] | None = None, draws: bool = False) -> None:
        self.recorded, self.spoil, self.draws = 0, spoil, draws

    def __call__(self, step: compilers.Step, reads: Sequence[Tensor]) -> compilers.Step:
        self.recorded += 1

        def again() -> list[Tensor]:
            made = step()
            if self.spoil is not None:
                self.spoil()
            return made

        return again


class Failing(checkpoint.Disk):
    """A disk whose n-th call of a kind fails, and every one after it if it broke for good."""

    def __init__(self, kind: str, number: int, for_good: bool) -> None:
        self.kind, self.left, self.for_good = kind, number, for_good
        self.failed = False

    def _count(self, kind: str) -> None:
        if self.kind in (kind, "any"):
            self.left -= 1
            if self.left == 0 or (self.left < 0 and self.for_good):
                self.failed = True
                raise OSError(28, "No space left on device")

    def make(self, folder: Path) -> None:
        self._count("make")
        super().make(folder)

    def write(self, file: Path, content: bytes) -> None:
        try:
            self._count("write")
        except OSError:
            super().write(file, content[: len(content) // 2])  # a disk that is full takes a part
            raise
        super().write(file, content)

    def sync(self, path: Path) -> None:
        self._count("sync")  # and no more: real ones cost milliseconds, and change nothing that can be seen

    def rename(self, old: Path, new: Path) -> None:
        self._count("rename")
        super().rename(old, new)

    def remove(self, folder: Path) -> None:
        self._count("remove")
        super().remove(folder)
