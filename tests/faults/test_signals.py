"""Real signals to a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import seams
from harness import DEFAULT_SIGNALS, Process, Server, differences, final, until, words
from torch import Tensor

from ganzoo.disk import checkpoint

Start = Callable[..., Process]
STEPS = 4000


def train(start: Start, folder: Path, *more: str, seam: str = "", **settings: object) -> Process:
    """A run that goes on until it is stopped."""
    standard = {
        "steps": STEPS,
        "checkpoint_every": 20,
        "sample_every": 10_000,
        "log_every": 5,
        "logdir": folder,
        "name": "a",
    }
    process = start("run", *words(**{**standard, **settings}), *more, seam=seam)
    if "checkpoint_every" not in settings:
        until(lambda: newest(folder) > 0)
    return process


def newest(folder: Path) -> int:
    found = checkpoint.found(folder / "a" / "checkpoints")
    return int(found[-1].name) if found else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_step_is_finished_and_saved(ganzoo_process: Start, tmp_path: Path, number: int, code: int) -> None:
    process = train(ganzoo_process, tmp_path)
    process.kill(number)
    assert process.wait() == code
    step = newest(tmp_path)
    last = process.said.strip().splitlines()[-1]
    assert "error" not in last, "the user asked for it"
    assert last.endswith(
        f"{signal.Signals(number).name}: stopped after step {step}, which is saved; "
        f"go on with: ganzoo resume {tmp_path / 'a'}"
    )
    assert "Traceback" not in process.said
    checkpoint.read(tmp_path / "a" / "checkpoints" / f"{step:08d}")
    again = ganzoo_process("resume", str(tmp_path / "a"), f"--steps={step + 30}")
    assert again.wait() == 0, again.said
    assert newest(tmp_path) == step + 30


def test_a_second_ctrl_c_ends_at_once_without_damage(ganzoo_process: Start, tmp_path: Path) -> None:
    process = train(ganzoo_process, tmp_path, seam="seams:slow_disk")
    process.kill(signal.SIGINT)  # now it saves, which takes seconds here
    until(lambda: "slow: sync" in process.said)
    began = time.monotonic()
    while alive(process):  # two that arrive at once are one to the system: press until it is heard
        process.kill(signal.SIGINT)
        time.sleep(0.1)
    assert time.monotonic() - began < seams.SYNC_SECONDS, "a save takes longer here"
    assert process.wait() == 130
    assert "Traceback" not in process.said
    step = checkpoint.newest(tmp_path / "a" / "checkpoints").step
    again = ganzoo_process("resume", str(tmp_path / "a"), f"--steps={step + 10}", "-q")
    assert again.wait() == 0, again.said


def alive(process: Process) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_ctrl_c_that_was_ignored_at_the_start_stays_ignored_and_this_is_said(
    ganzoo_process: Start, tmp_path: Path
) -> None:
    """`nohup`, `&`: Ctrl-C at that terminal is meant for another program."""
    process = train(ganzoo_process, tmp_path, seam="seams:background_job")
    process.kill(signal.SIGINT)
    before = newest(tmp_path)
    until(lambda: newest(tmp_path) > before + 20)
    process.kill(signal.SIGTERM)
    assert process.wait() == 143
    said = "Ctrl-C (SIGINT) is ignored, since the process was started so, as background jobs are: stop with: kill"
    assert f"{said} {process.pid}" in process.said


def test_sigusr1_saves_and_goes_on(ganzoo_process: Start, tmp_path: Path) -> None:
    process = train(ganzoo_process, tmp_path, checkpoint_every=STEPS)
    until(lambda: "step 1/" in process.said)
    process.kill(signal.SIGUSR1)
    until(lambda: newest(tmp_path) > 0)
    saved = newest(tmp_path)
    assert 0 < saved < STEPS
    process.kill(signal.SIGUSR1)
    until(lambda: newest(tmp_path) > saved)
    process.kill(signal.SIGTERM)
    assert process.wait() == 143


def test_a_terminal_that_hangs_up_does_not_end_training(ganzoo_process: Start, tmp_path: Path) -> None:
    process = train(ganzoo_process, tmp_path)
    process.kill(signal.SIGHUP)
    before = newest(tmp_path)
    until(lambda: newest(tmp_path) > before + 20)
    process.kill(signal.SIGTERM)
    assert process.wait() == 143


LONG = words(steps=300, log_every=1, sample_every=50, name="a")


@pytest.mark.parametrize("which", ["pipe", "terminal"])
def test_training_goes_on_when_nobody_reads(server: Server, tmp_path: Path, which: str) -> None:
    """`ganzoo run | head`, and a terminal that is closed."""
    reading, writing = os.pipe() if which == "pipe" else os.openpty()
    name = os.ttyname(writing) if which == "terminal" else f"/proc/{os.getpid()}/fd/{writing}"
    process = server.start(Path(name), "run", *LONG, f"--logdir={tmp_path}")
    assert os.read(reading, 1)
    os.close(writing)
    os.close(reading)
    assert process.wait() == 0
    assert newest(tmp_path) == 300


def test_training_goes_on_without_stdout_and_stderr(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "ganzoo", "run", *LONG, f"--logdir={tmp_path}"]
    shell = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], check=False)
    assert shell.returncode == 0
    assert newest(tmp_path) == 300


def test_a_stopped_run_goes_on_to_the_same_weights(ganzoo_process: Start, tmp_path: Path) -> None:
    whole = ganzoo_process("run", *words(steps=200, logdir=tmp_path, name="whole", sample_every=10_000), "-q")
    assert whole.wait() == 0, whole.said
    process = train(ganzoo_process, tmp_path, "-q", steps=200)
    codes = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.kill(number)
        codes.append(process.wait())
        if codes[-1] == 0:
            break
        process = ganzoo_process("resume", str(tmp_path / "a"), "-q")
        before = newest(tmp_path)
        until(lambda before=before: newest(tmp_path) > before)
    if codes[-1] != 0:
        assert process.wait() == 0, process.said
    assert codes[0] == 143
    assert differences(final(tmp_path / "a"), final(tmp_path / "whole")) == []


def test_two_trainings_of_one_run(ganzoo_process: Start, tmp_path: Path) -> None:
    process = train(ganzoo_process, tmp_path)
    second = ganzoo_process("resume", str(tmp_path / "a"))
    assert second.wait() == 2
    assert f"is being trained by process {process.pid} on " in second.said
    assert len(second.said.strip().splitlines()) == 1
    process.kill(signal.SIGTERM)
    assert process.wait() == 143


# Parts that stop in a phase of a run, which the file `phase` beside them names, until there is a file `passed`.
GATES = """
import time
from pathlib import Path

import ganzoo
from ganzoo import parts
from ganzoo.disk import checkpoint

HERE = Path(__file__).parent

def gate(phase):
    if (HERE / "phase").read_text() == phase:
        (HERE / "reached").touch()
        while not (HERE / "passed").exists():
            time.sleep(0.005)

gate("import")

class Disk(checkpoint.Disk):
    def write(self, file, content):
        gate("save")
        super().write(file, content)

checkpoint.disk = Disk()

class GatedLoss(ganzoo.Loss):
    \"\"\"Hinge, with gates.\"\"\"
    def discriminator(self, s):
        gate("first step" if s.progress == 0 else "middle" if 0.4 < s.progress < 0.6 else "")
        return (1 - s.real).relu().mean() + (1 + s.fake).relu().mean()
    def generator(self, s):
        return -s.fake.mean()

class GatedData(ganzoo.Data):
    \"\"\"Digits, behind a gate.\"\"\"
    def dataset(self):
        gate("assembly")
        return ganzoo.part("data", "digits", size=8).dataset()

class GatedMetric(ganzoo.Metric):
    \"\"\"Nothing, behind a gate.\"\"\"
    def score(self, real, fake, data):
        if fake is not real:  # else the metric is tried on real samples, before training
            gate("metrics")
        return {"nothing": 0.0}

@ganzoo.hookimpl
def register_losses(register):
    register("gated", GatedLoss)

@ganzoo.hookimpl
def register_data(register):
    register("gated", GatedData)

@ganzoo.hookimpl
def register_metrics(register):
    register("gated", GatedMetric)

@ganzoo.hookimpl
def run_started(run):
    gate("start")

@ganzoo.hookimpl
def images_recorded(run, step, tag, images):
    gate("samples" if step else "")

@ganzoo.hookimpl
def run_finished(run, error):
    gate("end")
"""
BEFORE, WHILE = ["import", "assembly", "start"], ["first step", "middle", "save", "samples", "metrics"]


class Gated:
    """A run that waits in one of its phases."""

    def __init__(self, start: Start, folder: Path, phase: str) -> None:
        self.folder, self.plugin = folder, f"--plugin={folder / 'gates.py'}"
        (folder / "gates.py").write_text(GATES)
        (folder / "phase").write_text(phase)
        self.arguments = [
            *words(loss="gated", data="gated", steps=21, checkpoint_every=4, sample_every=7, log_every=3),
            "--metric=gated",
            f"--logdir={folder}",
            "-q",
            self.plugin,
        ]
        self.process = start("run", *self.arguments, "--name=a")
        until((folder / "reached").exists if phase else (folder / "a").exists)

    def hears(self, *numbers: int) -> int:
        """Send signals, then let it go on; what it exits with."""
        for number in numbers:
            self.process.kill(number)
        (self.folder / "passed").touch()
        code = self.process.wait()
        assert "Traceback" not in self.process.said
        return code


@pytest.fixture(scope="module")
def undisturbed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The weights of a run that hears nothing."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = Gated(lambda *arguments: server.start(folder / "out", *arguments), folder, "")
    assert run.hears() == 0, run.process.said
    return final(folder / "a")


@pytest.mark.parametrize("phase", [*BEFORE, *WHILE, "end"])
def test_sigusr1_and_sighup_end_nothing(
    ganzoo_process: Start, tmp_path: Path, undisturbed: dict[str, Tensor], phase: str
) -> None:
    run = Gated(ganzoo_process, tmp_path, phase)
    assert run.hears(signal.SIGUSR1, signal.SIGHUP) == 0, run.process.said
    assert run.process.said.startswith(f"run      {tmp_path / 'a'}\n")
    assert differences(final(tmp_path / "a"), undisturbed) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("phase", [*BEFORE, *WHILE, "end"])
def test_whatever_a_run_does_it_ends_in_a_line_and_goes_on_from_there(
    ganzoo_process: Start, tmp_path: Path, undisturbed: dict[str, Tensor], phase: str, number: int, code: int
) -> None:
    """Before training at once, without a word; while it trains when the step is made and saved."""
    run = Gated(ganzoo_process, tmp_path, phase)
    assert run.hears(number) == code, run.process.said
    lines = run.process.said.split("\n")
    if phase in WHILE:
        assert len(lines) == 2
        assert f"stopped after step {newest(tmp_path)}, which is saved" in lines[0]
    else:
        assert not "".join(lines)
        assert newest(tmp_path) == (21 if phase == "end" else 0)
    if phase in ("import", "assembly"):
        assert not (tmp_path / "a").exists()
        again = ganzoo_process("run", *run.arguments, "--name=a")
    else:
        again = ganzoo_process("resume", str(tmp_path / "a"), "-q", run.plugin)
    assert again.wait() == 0, again.said
    assert differences(final(tmp_path / "a"), undisturbed) == []


@pytest.mark.parametrize(
    ("numbers", "code"),
    [([signal.SIGUSR1, signal.SIGHUP], 0), ([signal.SIGINT], 130), ([signal.SIGTERM], 143)],
    ids=["USR1+HUP", "INT", "TERM"],
)
def test_while_torch_is_imported(tmp_path: Path, numbers: list[int], code: int) -> None:
    """A whole process: the signals come as soon as it hears any, which is before it imports anything large."""
    command = [sys.executable, "-m", "ganzoo", "run", *words(steps=2, logdir=tmp_path, name="a"), "-q"]
    command = [*DEFAULT_SIGNALS, *command]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: ignored(process.pid) >> (signal.SIGUSR1 - 1) & 1)
        for number in numbers:
            process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == code
    assert not said.strip()
    assert newest(tmp_path) == (2 if code == 0 else 0)


def ignored(pid: int) -> int:
    """The signals that a process ignores, a bit each."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("SigIgn")), 16)
