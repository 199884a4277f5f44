"""Two real processes under torchrun: one that dies or fails ends both; a restart goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from harness import DEFAULT_SIGNALS, Process, Server, differences, final, until

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


SMALL = [
    *(
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
    ),
    *("--samples", "4", "--checkpoint-every", "5", "--sample-every", "100000", "--log-every", "5", "--seed", "3", "-q"),
]
"""A run whose steps take milliseconds."""

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start two processes of `ganzoo run` under torchrun, in a session of their own."""
    started = []

    def start(*words: str, restarts: int = 0, steps: int = 60) -> subprocess.Popen[str]:
        launcher = [*TORCHRUN, "--max-restarts", str(restarts), "-m", "ganzoo", "run"]
        place = ["--steps", str(steps), "--logdir", str(tmp_path / "runs")]
        started.append(
            subprocess.Popen(
                [*DEFAULT_SIGNALS, *launcher, *SMALL, *place, *words],
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


@pytest.fixture
def pair(tmp_path: Path, server: Server) -> Iterator[Callable[..., list[Process]]]:
    """Start two processes of one run without a launcher: they import nothing, and need no port to meet."""
    started: list[Process] = []

    def start(*words: str, second: Sequence[str] = (), steps: int = 60, **environment: str) -> list[Process]:
        number = len(started)
        for rank in range(2):
            command = ["run", *SMALL, "--steps", str(steps), "--logdir", str(tmp_path / "runs"), *words]
            started.append(
                server.start(
                    tmp_path / f"out{number}-{rank}",
                    *command,
                    *(second if rank else ()),
                    seam="seams:one_of_two",
                    RANK=str(rank),
                    WORLD_SIZE="2",
                    MASTER_ADDR="localhost",
                    MASTER_PORT="1",
                    STORE=str(tmp_path / f"store{number}"),
                    GLOO_SOCKET_IFNAME="lo",
                    **environment,
                )
            )
        return started[number:]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


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
    tmp_path: Path,
    torchrun: Callable[..., subprocess.Popen[str]],
    pair: Callable[..., list[Process]],
    rank: int,
) -> None:
    """With --max-restarts 1: the same weights, bit for bit, in the same directory, as a run that nobody killed."""
    whole = pair("--name", "whole")
    killed = torchrun("--name", "killed", restarts=1)
    assert [process.wait() for process in whole] == [0, 0], whole[0].said
    until(lambda: saved(tmp_path / "runs" / "killed", 5))
    os.kill(workers(killed)[rank], signal.SIGKILL)
    _, said = killed.communicate(timeout=600)
    assert killed.returncode == 0, said
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["killed", "whole"]
    assert not differences(final(tmp_path / "runs" / "killed"), final(tmp_path / "runs" / "whole"))
    assert "ended without a word" in said


def test_an_error_in_one_process_ends_both_with_its_message(tmp_path: Path, pair: Callable[..., list[Process]]) -> None:
    plugin = tmp_path / "fails.py"
    plugin.write_text(FAILS)
    both = pair("--plugin", str(plugin), "--loss", "fails")
    assert [process.wait() for process in both] == [1, 70]
    assert "process 1 of 2 stopped: ValueError: no more" in both[0].said
    assert "in loss fails" in both[1].said  # and the bug keeps its traceback


def test_a_mistake_is_said_once(tmp_path: Path, pair: Callable[..., list[Process]]) -> None:
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "config.yaml").touch()
    mistakes = {"--loss=hing": "no loss is named 'hing'", "--name=taken": "taken exists: give another --name"}
    for word, told in mistakes.items():
        both = pair(word)
        assert all(process.wait() in (1, 2) for process in both)
        said = "".join(process.said for process in both)
        assert said.count("ganzoo: error: ") == 1, said
        assert told in said


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (["--steps", "99"], "steps is 60 in process 0 and 99 in another"),
        (["--log-every", "7"], "log_every is 5 in process 0 and 7 in another"),
        (["--sample-every", "7"], "sample_every is 100000 in process 0 and 7 in another"),
        (["--seed", "4"], "seed is 3 in process 0 and 4 in another"),
        (["--batch-size", "16"], "batch_size is 8 in process 0 and 16 in another"),
        (["--checkpoint-every", "7"], "checkpoint_every is 5 in process 0 and 7 in another"),
        (["--precision", "fp64"], "precision is auto in process 0 and fp64 in another"),
        (["-o", "loss.margin=2"], "loss.margin is 1.0 in process 0 and 2.0 in another"),
        (["--data", "digits:size=16"], "data digest is"),
    ],
)
def test_processes_that_were_told_different_things_do_not_begin(
    tmp_path: Path, pair: Callable[..., list[Process]], second: list[str], told: str
) -> None:
    """No deadlock, no training on other data in silence, and no run directory."""
    both = pair("--loss", "hinge", second=second)
    assert all(process.wait() in (1, 2) for process in both)
    assert told in both[1].said
    assert "the processes of one run were told different things" in both[0].said
    assert not (tmp_path / "runs").exists()


def test_a_stopped_process_is_named_and_given_up(tmp_path: Path, pair: Callable[..., list[Process]]) -> None:
    """SIGSTOP closes no connection: the others would wait for ever. The last checkpoint is intact."""
    main, other = pair(steps=1_000_000, SILENT_SECONDS="10")
    until(lambda: saved(tmp_path / "runs", 5))
    other.kill(signal.SIGSTOP)
    assert main.wait() == 1
    assert "waiting for process 1 of 2, which gives no sign of life: it is given up after 10 seconds" in main.said
    assert "process 1 of 2 has given no sign of life for 10 seconds: it is stopped" in main.said
    assert "is intact" in main.said
    other.kill(signal.SIGKILL)


def test_a_signal_ends_the_wait_for_a_stopped_process(tmp_path: Path, pair: Callable[..., list[Process]]) -> None:
    """Python hears signals while it waits. A second Ctrl-C ends the process at once, as it does without others."""
    main, other = pair(steps=1_000_000)
    until(lambda: saved(tmp_path / "runs", 5))
    other.kill(signal.SIGSTOP)
    main.kill(signal.SIGINT)
    until(lambda: not pending(main.pid, signal.SIGINT))
    main.kill(signal.SIGINT)
    assert main.wait() == 130
    other.kill(signal.SIGKILL)


def pending(pid: int, number: int) -> bool:
    """Whether a signal was sent to a process and has not reached it."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    (mask,) = (int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:"))
    return bool(mask >> (number - 1) & 1)


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
