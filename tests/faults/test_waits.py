"""Waits end: by a signal where the data do not come, and at once where shared memory is full."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Process, until, words

from ganzoo.disk import checkpoint

Start = Callable[..., Process]

STUCK = """
import multiprocessing, pathlib, time, torch
import ganzoo

class Items(torch.utils.data.Dataset):
    "A hundred items are read, as of a network disk that then hangs."
    def __init__(self, mark): self.mark, self.count = pathlib.Path(mark), 0
    def __len__(self): return 64
    def __getitem__(self, i):
        self.count += 1
        if self.count > 300:
            self.mark.touch()
            time.sleep(600)
        return torch.tensor([i / 64, 1.0])

class Stuck(ganzoo.Data):
    "A dataset that waits."
    mark: str = ""
    def dataset(self): return Items(self.mark)

@ganzoo.hookimpl
def register_data(register):
    register("stuck", Stuck)
"""

SLEEPS = """
import pathlib, time
import ganzoo

class Sleeps(ganzoo.Loss):
    "Waits in the sixth step."
    mark: str = ""
    def discriminator(self, s):
        if s.progress > 0.1:
            pathlib.Path(self.mark).touch()
            time.sleep(600)
        return s.fake.mean() - s.real.mean()
    def generator(self, s):
        return -s.fake.mean()

@ganzoo.hookimpl
def register_losses(register):
    register("sleeps", Sleeps)
"""


def started(start: Start, folder: Path, code: str, **settings: object) -> Process:
    """A run that saves each step, and has begun to wait."""
    plugin = folder / "own.py"
    plugin.write_text(code)
    given = {"arch": "mlp:width=4,depth=1", "steps": 50, "checkpoint_every": 1, "logdir": folder, "name": "a"}
    process = start("run", *words(**{**given, **settings}), "-q", f"--plugin={plugin}", seam="seams:impatient")
    until((folder / "mark").exists)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_for_data(ganzoo_process: Start, tmp_path: Path, number: int, code: int) -> None:
    """The dataset is read by the training process itself, whose main thread waits in a call of the system."""
    process = started(ganzoo_process, tmp_path, STUCK, data=f"stuck:mark={tmp_path / 'mark'}")
    process.kill(number)
    assert process.wait() == code
    step = checkpoint.newest(tmp_path / "a" / "checkpoints").step
    said = process.said.strip().splitlines()[-1]
    assert said.startswith(f"ganzoo: {signal.Signals(number).name}: stopped in step {step + 1}, which waited for data")
    assert f"the last checkpoint, of step {step}, is intact; go on with: ganzoo resume" in said
    assert "Traceback" not in process.said


def test_a_second_sigterm_ends_whatever_waits(ganzoo_process: Start, tmp_path: Path) -> None:
    """The first lets the step end. A script that repeats SIGTERM each second would otherwise spoil every save."""
    process = started(ganzoo_process, tmp_path, SLEEPS, data="ring", loss=f"sleeps:mark={tmp_path / 'mark'}")
    process.kill(signal.SIGTERM)
    time.sleep(1.5)  # longer than the first counts, here
    process.kill(signal.SIGTERM)
    assert process.wait() == 143
    assert "Traceback" not in process.said
    assert checkpoint.newest(tmp_path / "a" / "checkpoints").step > 0


FULL = """
import sys, time
import torch
from ganzoo import errors
from ganzoo.data import choose, streamed
from wide import Wide
streamed.Streamed._workers = lambda self: 2
fed = choose.feed(Wide(), "wide", 64, 0, torch.device("cpu"), torch.float32)
began = time.monotonic()
try:
    for k in range(50):
        fed.reals(k)
except errors.DataError as error:
    print(str(error))
    print(time.monotonic() - began)
"""
WIDE = """
import torch
class Wide(torch.utils.data.Dataset):
    def __len__(self): return 640
    def __getitem__(self, i): return torch.zeros(3, 64, 64, dtype=torch.uint8)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare, to mount a small /dev/shm")
def test_shared_memory_that_is_full_is_said_at_once(tmp_path: Path) -> None:
    """A /dev/shm of 1 MiB of its own. torch alone prints tracebacks of its threads, and waits without end."""
    (tmp_path / "wide.py").write_text(WIDE)
    (tmp_path / "script.py").write_text(FULL)
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system of his own")
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-W", "ignore", "script.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    said, seconds = ended.stdout.splitlines()
    assert said.startswith("shared memory (/dev/shm), through which processes hand over batches, is full: give more")
    assert float(seconds) < 60, "no wait until the patience with workers is over"
