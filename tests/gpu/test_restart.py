"""A process that is killed on a CUDA device of its own: torchrun starts all processes again, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import emulation
import pytest
import torch
from harness import DEFAULT_SIGNALS, differences, final, until
from test_lost_ranks import saved, workers
from test_processes import PLAIN, SMALL, ganzoo

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


def test_a_killed_process_is_started_again_and_the_weights_are_equal(tmp_path: Path) -> None:
    """With captured steps, a lazy penalty and a power iteration: bit for bit the run that nobody killed."""
    if not emulation.is_emulated() and torch.cuda.device_count() < 2:
        pytest.skip("there are not 2 GPUs")
    words = [*SMALL, *PLAIN, "--logdir", str(tmp_path), "--steps", "400", "--checkpoint-every", "20"]
    words += ["--sample-every", "100000", "--deterministic"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    command = [*DEFAULT_SIGNALS, sys.executable, *launcher, "-m", "ganzoo", "run", *words, "--name", "killed"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "FAKECUDA_DEVICES": "2"}
    killed = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    try:
        until(lambda: saved(tmp_path / "killed", 20))
        os.kill(workers(killed)[1], signal.SIGKILL)
        _, said = killed.communicate(timeout=600)
    finally:
        if killed.poll() is None:
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
    assert killed.returncode == 0, said
    assert "exitcode: -9" in said
    ganzoo(2, "run", *words, "--name", "whole")
    assert differences(final(tmp_path / "killed"), final(tmp_path / "whole")) == []
