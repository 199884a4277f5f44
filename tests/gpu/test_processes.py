"""Several processes, each on a CUDA device of its own, over NCCL: the update is that of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import emulation
import pytest
import torch
from harness import final

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

SMALL = [
    *("--device", "cuda", "--precision", "fp64", "--data", "digits:size=8", "--batch-size", "12", "--latent-dim", "4"),
    *("--optimizer", "adam:lr=2e-4", "--samples", "4", "--log-every", "2", "-q"),
]
PLAIN = ["--arch", "dcgan:width=4,norm=none", "-r", "sn", "-r", "r1:every=2", "--schedule", "alternating"]
NORMED = ["--arch", "dcgan:width=4,norm=batch,d_norm=batch", "-r", "none", "--batch-norm", "sync"]


def ganzoo(count: int, *words: str, **variables: str) -> str:
    """Run a command in so many processes. Returns what was said."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FAKECUDA_DEVICES": str(max(2, count)), **variables}
    command = [sys.executable, *launcher, "-m", "ganzoo", *words]
    made = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout + made.stderr


@pytest.mark.parametrize(("count", "words"), [(2, PLAIN), (3, NORMED)], ids=["two", "three with synchronised norms"])
def test_processes_on_devices_of_their_own_make_the_update_of_one(tmp_path: Path, count: int, words: list[str]) -> None:
    """The processes stop in the middle and go on, and the one does not. All of them capture their steps."""
    if not emulation.is_emulated() and torch.cuda.device_count() < count:
        pytest.skip(f"there are not {count} GPUs")
    for processes, name in ((count, "many"), (1, "one")):
        start = ["--logdir", str(tmp_path), "--name", name, "--steps", "3" if processes > 1 else "6"]
        ganzoo(processes, "run", *SMALL, *words, *start)
    ganzoo(count, "resume", str(tmp_path / "many"), "--steps", "6", "-q")
    ours, theirs = final(tmp_path / "many"), final(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name].double(), value.double(), atol=1e-12, rtol=0, msg=name)


@pytest.mark.skipif(not emulation.is_emulated(), reason="a graph of another choice of kernels rounds otherwise")
def test_captured_steps_of_two_processes_are_those_as_written(tmp_path: Path) -> None:
    """The all-reduces are in the graphs. The emulated device notes each capture and its end."""
    for name in ("capture", "no-capture"):
        log = {"FAKECUDA_LOG": str(tmp_path / f"{name}.log")}
        said = ganzoo(
            2, "run", *SMALL, *PLAIN, "--logdir", str(tmp_path), "--name", name, "--steps", "6", f"--{name}", **log
        )
        assert "warning" not in said
    ours, theirs = final(tmp_path / "capture"), final(tmp_path / "no-capture")
    assert {name for name, value in ours.items() if not torch.equal(value, theirs[name])} == set()
    noted = "".join(each.read_text() for each in tmp_path.glob("capture.log*"))
    assert noted.count("cudaSuccess") >= 2 * 2  # two kinds of steps in two processes
    assert "capture" not in "".join(each.read_text() for each in tmp_path.glob("no-capture.log*"))
