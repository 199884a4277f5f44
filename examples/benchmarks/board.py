"""What the pictures, histograms and tables of TensorBoard cost a default run, beside scalars and sample grids alone.

``python examples/benchmarks/board.py --pairs 5``

Whole runs of the default recipe in turn, with and without, in another order each time. The seconds of the processor
count, and the seconds of the clock are beside them. A third run of each round is a run without once more: its ratio is
what chance does. The time inside of what is left out is measured as well, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import ganzoo
from ganzoo import bench
from ganzoo.disk.board import Board
from ganzoo.training.hparams import Figures
from ganzoo.training.looks import Looks

EXTRAS: tuple[tuple[type, str], ...] = ((Looks, "record"), (Board, "begin"), (Board, "end"), (Figures, "update"))
"""What is left out: pictures and histograms, the texts, charts and row of the table, the outcome, bests and bands."""


@contextmanager
def without() -> Iterator[None]:
    """A context in which TensorBoard is given scalars and grids alone."""
    with ExitStack() as stack:
        for owner, name in EXTRAS:
            nothing: Callable[..., Any] = (lambda *_, **__: {}) if owner is Figures else (lambda *_, **__: None)
            stack.enter_context(patch.object(owner, name, nothing))
        yield


@contextmanager
def timed(spent: list[float]) -> Iterator[None]:
    """A context in which the seconds of the processor inside of the extras are added up."""

    def measured(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[-1] += time.thread_time() - start

        return call

    with ExitStack() as stack:
        for owner, name in EXTRAS:
            stack.enter_context(patch.object(owner, name, measured(getattr(owner, name))))
        yield


def run(steps: int | None, threads: int) -> tuple[float, float]:
    """Train the default recipe: seconds of the processor, and of the clock."""
    given: dict[str, Any] = {} if steps is None else {"steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        clock, processor = time.perf_counter(), time.process_time()
        ganzoo.run(device="cpu", precision="fp32", threads=threads, logdir=folder, quiet=True, **given)
        return time.process_time() - processor, time.perf_counter() - clock


def main() -> None:
    """Measure, and print a table as markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="rounds of three runs [5]")
    parser.add_argument("--steps", type=int, help="of a run [those of the default recipe]")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU [1]")
    how = parser.parse_args()
    run(20, how.threads)  # imports and first uses
    found: dict[str, list[tuple[float, float]]] = {"without": [], "again": [], "with": []}
    spent: list[float] = []
    for number in range(how.pairs):
        order = list(found)[number % 3 :] + list(found)[: number % 3]
        for name in order if number % 2 == 0 else reversed(order):
            with ExitStack() as stack:
                if name == "with":
                    spent.append(0.0)
                    stack.enter_context(timed(spent))
                else:
                    stack.enter_context(without())
                found[name].append(run(how.steps, how.threads))
        print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}", flush=True)
    print(
        "\n| runs | seconds of the processor | ratio | quartiles | ratio of the clock |\n"
        "| --- | --- | --- | --- | --- |"
    )
    base = found["without"]
    for name, values in found.items():
        own = bench.ratios([a for a, _ in values], [a for a, _ in base])
        clock = bench.ratios([b for _, b in values], [b for _, b in base])
        seconds = bench.Spread.of([a for a, _ in values])
        print(
            f"| {name} | {seconds.median:.1f} | {own.median:.4f} | {own.low:.4f} to {own.high:.4f} "
            f"| {clock.median:.4f} |"
        )
    shares = bench.Spread.of([inside / whole for inside, (whole, _) in zip(spent, found["with"], strict=True)])
    print(f"\ninside of the extras: {100 * shares.median:.2f} % ({100 * shares.low:.2f} to {100 * shares.high:.2f})")


if __name__ == "__main__":
    main()
