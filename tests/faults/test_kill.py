"""`kill -9` at random moments, and `ganzoo resume` after each: the weights are those of a run left in peace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Process, differences, final, until, words

from ganzoo.disk import checkpoint
from ganzoo.disk.record import read

Start = Callable[..., Process]
RECIPE = {
    "arch": "dcgan:width=4,norm=batch",
    "loss": "sgan",
    "data": "digits:size=8",
    "ema": 0.9,
    "log_every": 3,
    "sample_every": 50,
    "checkpoint_every": 7,
    "keep": 2,
    "d_optimizer": "rmsprop:lr=1e-3,momentum=0.5",
}
EXTRA = ["-r", "r1:every=4", "-r", "instance-noise", "-r", "label-smoothing:mode=random", "-q"]


def killed(start: Start, folder: Path, kills: int, steps: int, seed: int) -> None:
    """Train whole, and train with kills; compare."""
    arguments = ["run", *words(**RECIPE, steps=steps, logdir=folder), *EXTRA]
    whole = start(*arguments, "--name=whole")
    assert whole.wait() == 0, whole.said
    chance = random.Random(seed)
    run = folder / "killed"
    done, moments = 0, []
    arguments = [*arguments, "--name=killed"]
    while done < kills:
        process = start(*arguments)
        reached = newest(run)
        # any moment: while it starts (and reads the checkpoint), while it trains, while it saves
        if chance.random() < 0.8:
            until(lambda reached=reached, process=process: newest(run) > reached or not alive(process))
        time.sleep(chance.random() * 0.06)
        process.kill()
        code = process.wait()
        if code == 0:
            pytest.fail(f"all steps were made after {done} kills: give the run more steps")
        assert code == -9, process.said
        done += 1
        moments.append(newest(run))
        if run.exists():  # else it was killed before: there is no run yet
            arguments = ["resume", str(run), "-q"]
    last = start(*arguments)
    assert last.wait() == 0, last.said
    assert differences(final(run), final(folder / "whole")) == []
    assert moments == sorted(moments), "the newest checkpoint is never lost"
    assert len(set(moments)) > kills // 3, moments
    assert [line["step"] for line in read(run / "metrics.jsonl")] == [
        line["step"] for line in read(folder / "whole" / "metrics.jsonl")
    ]
    assert not [p for p in (run / "checkpoints").iterdir() if not p.name.isdecimal()], "no draft, nothing set aside"


def newest(run: Path) -> int:
    found = checkpoint.found(run / "checkpoints")
    return int(found[-1].name) if found else -1


def alive(process: Process) -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_10_kills(ganzoo_process: Start, tmp_path: Path) -> None:
    killed(ganzoo_process, tmp_path, kills=10, steps=250, seed=0)


@pytest.mark.soak
def test_100_kills(ganzoo_process: Start, tmp_path: Path) -> None:
    killed(ganzoo_process, tmp_path, kills=100, steps=2000, seed=1)
