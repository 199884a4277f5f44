"""What saving costs a run of the default recipe, and how long it takes from the command to the first training step.

``python examples/benchmarks/checkpointing.py``
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import ganzoo
from ganzoo import bench
from ganzoo.disk import checkpoint
from ganzoo.step.state import State


def timed(spent: Counter[str], owner: Any, name: str, clock: Callable[[], float]) -> None:
    """Have a function say how long it took, each time."""
    function = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        began = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += clock() - began

    setattr(owner, name, wrapper)


def share(steps: int, every: int) -> None:
    """Of the wall time of a run: what saving holds the steps up for, and what it does in a thread beside them."""
    spent: Counter[str] = Counter()
    timed(spent, State, "copies", time.perf_counter)  # the copy off the device, before the next step
    timed(spent, State, "unsound", time.perf_counter)  # is it finite?
    timed(spent, checkpoint, "save", time.thread_time)  # in the background: what it takes from a core
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ganzoo.run(steps=steps, checkpoint_every=every, logdir=folder, sample_every=steps, device="cpu", quiet=True)
        wall = time.perf_counter() - began
    held = spent["copies"] + spent["unsound"]
    print(f"\n{steps} steps, a checkpoint each {every}, load {os.getloadavg()[0]:.2f}\n")
    print("| of the wall time | s | share |\n| --- | --- | --- |")
    print(f"| the run | {wall:.2f} | 100 % |\n| steps held up | {held:.4f} | {100 * held / wall:.3f} % |")
    print(f"| written in the background (CPU) | {spent['save']:.4f} | {100 * spent['save'] / wall:.3f} % |")


def first_step() -> float:
    """Seconds from starting the command until it says that its first step is made."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "ganzoo", "run", "--logdir", folder, "--device", "cpu"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("step 1/"):
                    found = time.perf_counter() - began
                    process.send_signal(signal.SIGINT)
                    return found
        raise SystemExit("the run ended before its first step")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000, help="of the run that saves [1000]")
    parser.add_argument("--every", type=int, default=500, help="steps between two checkpoints [500, the default]")
    parser.add_argument("--repeats", type=int, default=5, help="of the first step [5]")
    how = parser.parse_args()
    share(how.steps, how.every)
    found = bench.Spread.of([first_step() for _ in range(how.repeats)])
    print(f"\nFrom the command to the first step: {found.median:.2f} s (quartiles {found.low:.2f} to {found.high:.2f})")


if __name__ == "__main__":
    main()
