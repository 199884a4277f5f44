"""Two real processes under torchrun: one that dies or fails ends both; a restart goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import DEFAULT_SIGNALS, differences, final, until

FAILS = """
import os, ganzoo

class Fails(ganzoo.Loss):
    "Fails in one process."
    def discriminator(self, s):
        if os.environ["RANK"] == "1" and s.progress > 0:
            raise ValueError("no more")
        return s.fake.mean() - s.real.mean()
    def generator(self, s):
        return -s.fake.mean()

@ganzoo.hookimpl
def register_losses(register):
    register("fails", Fails)
"""


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start two processes of `ganzoo run` in a session of their own."""
    started = []

    def start(*words: str, restarts: int = 0, steps: int = 60) -> subprocess.Popen[str]:
        launcher = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "--max-restarts",
            str(restarts),
            "-m",
            "ganzoo",
            "run",
        ]
        small = [
            "--arch",
            "dcgan:width=4",
            "--data",
            "digits:size=8",
            "--device",
            "cpu",
            "--batch-size",
            "8",
            "--latent-dim",
            "4",
            "--samples",
            "4",
            "--steps",
            str(steps),
            "--checkpoint-every",
            "5",
            "--logdir",
            str(tmp_path / "runs"),
            "--seed",
            "3",
            "-q",
        ]
        started.append(
            subprocess.Popen(
                [*DEFAULT_SIGNALS, *launcher, *small, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # The loopback interface always answers, whatever the machine's name resolves to.
                env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def workers(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes that a launcher started, by rank."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        rank = [int(word[5:]) for word in environment if word.startswith(b"RANK=")]
        if parent == launcher.pid and rank:
            found.append((rank[0], int(folder.name)))
    return [pid for _, pid in sorted(found)]


def saved(runs: Path, step: int) -> bool:
    return any(int(p.name) >= step for p in runs.rglob("checkpoints/0*"))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_both_and_a_restart_loses_nothing(
    tmp_path: Path, torchrun: Callable[..., subprocess.Popen[str]], rank: int
) -> None:
    """With --max-restarts 1: the same weights, bit for bit, in the same directory, as a run that nobody killed."""
    whole = torchrun("--name", "whole")
    assert whole.wait(600) == 0
    killed = torchrun("--name", "killed", restarts=1)
    until(lambda: saved(tmp_path / "runs" / "killed", 5))
    os.kill(workers(killed)[rank], signal.SIGKILL)
    _, said = killed.communicate(timeout=600)
    assert killed.returncode == 0, said
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["killed", "whole"]
    assert not differences(final(tmp_path / "runs" / "killed"), final(tmp_path / "runs" / "whole"))
    assert "ended without a word" in said


def test_an_error_in_one_process_ends_both_with_its_message(
    tmp_path: Path, torchrun: Callable[..., subprocess.Popen[str]]
) -> None:
    plugin = tmp_path / "fails.py"
    plugin.write_text(FAILS)
    process = torchrun("--plugin", str(plugin), "--loss", "fails")
    _, said = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "process 1 of 2 stopped: ValueError: no more" in said
    assert "in loss fails" in said  # and the bug keeps its traceback


def test_a_mistake_is_said_once(tmp_path: Path, torchrun: Callable[..., subprocess.Popen[str]]) -> None:
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "config.yaml").touch()
    mistakes = {"--loss=hing": "no loss is named 'hing'", "--name=taken": "taken exists: give another --name"}
    for word, told in mistakes.items():
        process = torchrun(word)
        _, said = process.communicate(timeout=600)
        assert said.count("ganzoo: error: ") == 1, said
        assert told in said


def test_ctrl_c_reaches_launcher_and_processes_and_stops_once(
    tmp_path: Path, torchrun: Callable[..., subprocess.Popen[str]]
) -> None:
    """A terminal sends SIGINT to all; torchrun passes it on to the processes again: they finish the step and save."""
    process = torchrun(steps=100_000)
    until(lambda: saved(tmp_path / "runs", 5))
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert said.count("ganzoo: SIGINT: stopped after step ") == 1
    (folder,) = (tmp_path / "runs").iterdir()
    step = int(said.partition("stopped after step ")[2].partition(",")[0])
    assert (folder / "checkpoints" / f"{step:08d}").is_dir()
