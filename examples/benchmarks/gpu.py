"""What ganzoo's step costs on a CUDA device, in one command: the tests marked gpu, then a table and a JSON file.

``python examples/benchmarks/gpu.py --out gpu``

A cell of the table is a network, a schedule, penalties and a precision. The contestants of a cell are measured in one
process, in turn: a plain script, ganzoo's step as written, captured, compiled, and compiled and captured. The cells are
measured in the order of their importance until ``--minutes`` have passed. The cells that are left out are named.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import paired
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.utils.data import TensorDataset

import ganzoo
from ganzoo import bench
from ganzoo.data.choose import feed
from ganzoo.speed import hardware
from ganzoo.training.steps import compiled_steps, step_compiler

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Network:
    """A network of the table.

    Attributes:
        name: for the table.
        arch: the architecture and its parameters.
        side: height and width of the images.
        batch: samples in a batch.
    """

    name: str
    arch: str
    side: int
    batch: int


NETWORKS = (
    Network("DCGAN-32", "dcgan:width=64,upsample=transposed", 32, 64),
    Network("ResNet-64", "resnet", 64, 256),
)

TINY = (Network("DCGAN-16", "dcgan:width=4,upsample=transposed", 16, 4), Network("ResNet-16", "resnet:width=4", 16, 4))
"""Networks that show on any machine that the script runs. Their times mean nothing."""

PENALTIES = {"none": [], "R1": ["r1:gamma=0.05"], "R1+R2": ["r1r2:gamma=0.05"]}

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class Cell:
    """What the contestants of a comparison share.

    Attributes:
        network: the two networks and the batch.
        schedule: which player moves when.
        penalty: a key of ``PENALTIES``.
        precision: one of ``PRECISIONS``.
        compiled: whether compiled steps are among the contestants. Compilation takes most of a minute.
    """

    network: Network
    schedule: str
    penalty: str
    precision: str
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.network.name} {self.schedule} {self.penalty} {self.precision}"


@dataclass
class Row:
    """What was measured of a contestant.

    Attributes:
        name: of the contestant.
        first: seconds of the first step, with all that is recorded or compiled before it.
        milliseconds: a step, repeat by repeat.
        launches: kernels and graphs that the host starts in a step, None where the profiler sees no device.
        busy: the share of the time in which the device computes, None where the profiler sees no device.
        memory: bytes of the device that a step takes at most.
        waits: whether a step waits for the device, None where that was not looked at.
        said: warnings, and why a contestant is missing.
    """

    name: str
    first: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    launches: float | None = None
    busy: float | None = None
    memory: int = 0
    waits: bool | None = None
    said: list[str] = field(default_factory=list)


def cells(networks: tuple[Network, ...], can_compile: bool) -> Iterator[Cell]:
    """The cells in the order of their importance: what the bars are about, then the rest."""
    small, large = networks
    first = [
        Cell(small, "onestep", "none", "tf32"),
        Cell(large, "onestep", "none", "bf16"),
        Cell(large, "onestep", "R1+R2", "bf16"),
        Cell(small, "onestep", "R1+R2", "bf16", compiled=can_compile),
        Cell(large, "onestep", "R1+R2", "tf32"),
        Cell(large, "alternating", "none", "bf16"),
        Cell(large, "alternating", "R1", "bf16", compiled=can_compile),
    ]
    seen = {str(cell) for cell in first}
    yield from first
    for precision in reversed(PRECISIONS):
        for penalty in PENALTIES:
            for schedule in ("onestep", "alternating"):
                for network in networks:
                    cell = Cell(network, schedule, penalty, precision)
                    if str(cell) not in seen:
                        yield cell


def images(side: int) -> Tensor:
    """2048 images of noise as bytes, (N, 3, side, side). What a step costs does not depend on the pixels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2048, 3, side, side), dtype=torch.uint8, generator=generator)


def experiment(cell: Cell, device: torch.device, **settings: Any) -> Any:
    """What ``ganzoo run`` would train, ready for its first step."""

    class Known(ganzoo.Data):
        """The images."""

        def dataset(self) -> TensorDataset:
            return TensorDataset(images(cell.network.side))

    return paired.experiment(
        arch=cell.network.arch,
        data=Known(),
        batch_size=cell.network.batch,
        schedule=cell.schedule,
        regularizers=PENALTIES[cell.penalty],
        precision="bf16" if cell.precision == "bf16" else "fp32",
        device=str(device),
        **settings,
    )


class Script:
    """The usual script: the discriminator's move on detached fakes, then the generator's, everything as torch does.

    Args:
        cell: networks, penalties and precision.
        device: where the script runs.
    """

    def __init__(self, cell: Cell, device: torch.device) -> None:
        made = experiment(cell, device)
        self.cell, self.device = cell, device
        self.networks: tuple[nn.Module, nn.Module] = made.run.state.networks
        for net in self.networks:
            net.to(memory_format=torch.contiguous_format)
        made.game.close()
        made.feed.close()
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=paired.LR, betas=paired.BETAS) for net in self.networks
        ]
        self.images = images(cell.network.side).to(device).float() / 127.5 - 1
        self.steps = 0

    def __call__(self) -> None:
        """Make a step."""
        (generator, discriminator), (g_optimizer, d_optimizer) = self.networks, self.optimizers
        batch, sides = self.cell.network.batch, {"none": "", "R1": "r", "R1+R2": "rf"}[self.cell.penalty]
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.cell.precision == "bf16" else nullcontext()
        start = self.steps * batch % (len(self.images) - batch + 1)
        self.steps += 1
        real = self.images[start : start + batch].detach().requires_grad_("r" in sides)
        with autocast:
            fake = generator(torch.randn(batch, paired.LATENT, device=self.device))
            seen = fake.detach().requires_grad_("f" in sides)
            real_scores, fake_scores = discriminator(real).float(), discriminator(seen).float()
        d_loss = relu(1 - real_scores).mean() + relu(1 + fake_scores).mean()
        for side, (scores, points) in {"r": (real_scores, real), "f": (fake_scores, seen)}.items():
            if side in sides:
                (slope,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
                d_loss = d_loss + paired.R1 / 2 * slope.float().square().sum((1, 2, 3)).mean()
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        with autocast:
            g_loss = -discriminator(fake).float().mean()
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()  # scripts print the losses


@contextmanager
def flags(tensor_cores: bool) -> Iterator[None]:
    """TF32 on or off while a contestant is made and measured."""
    with hardware.tensor_cores(tensor_cores):
        yield


def contestants(cell: Cell, device: torch.device, stack: ExitStack) -> Iterator[tuple[Row, Callable[[], object]]]:
    """Make the contestants of a cell. Each has made the first step when it is yielded.

    Args:
        cell: what the contestants share.
        device: the CUDA device.
        stack: closes the contestants at the end.
    """

    def ours(said: list[str], **settings: Any) -> bench.Steps:
        made = experiment(cell, device, **settings)
        stack.callback(made.feed.close)
        stack.callback(made.game.close)
        step = bench.Steps(made)
        if (recorder := step_compiler(made.run)) is not None:
            step.steps = compiled_steps(made.run, made.game, recorder, said.append)
        return step

    makers: dict[str, Callable[[list[str]], Callable[[], object]]] = {
        "plain script fp32": lambda said: Script(Cell(cell.network, cell.schedule, cell.penalty, "fp32"), device),
        "plain script": lambda said: Script(cell, device),
        "as written": partial(ours, capture=False),
        "captured": ours,
    }
    if cell.precision == "fp32":
        del makers["plain script fp32"]
    if cell.compiled:
        makers["compiled"] = partial(ours, capture=False, compile=True)
        makers["compiled and captured"] = partial(ours, compile=True)
    for name, make in makers.items():
        row = Row(name)
        with flags(cell.precision == "tf32" and name != "plain script fp32"):
            began = time.perf_counter()
            try:
                step = make(row.said)
                step()
                torch.cuda.synchronize(device)
                row.first = time.perf_counter() - began
                for _ in range(4):
                    step()
            except Exception as error:  # one contestant that fails leaves the others of the table
                row.said.append(f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
                yield row, lambda: None
                continue
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            step()
            torch.cuda.synchronize(device)
            row.memory = torch.cuda.max_memory_allocated(device) - before
            row.launches, row.busy = profiled(step, device)
            row.waits = None if name.startswith("plain") else waits(step)
        yield row, step


def waits(step: Callable[[], object]) -> bool:
    """Whether a step waits for the device. torch raises an error at the first wait that it knows of."""
    if isinstance(step, bench.Steps):
        step.rows = []  # records are brought from the device once in log_every steps, which is a wait by design
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def profiled(step: Callable[[], object], device: torch.device, steps: int = 5) -> tuple[float | None, float | None]:
    """Launches a step, and the share of the time in which the device computes.

    Args:
        step: makes a step.
        device: the CUDA device.
        steps: steps that are profiled together.

    Returns:
        None for both where the profiler sees no device, as on an emulated one.
    """
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    try:
        with torch.profiler.profile(activities=activities) as profile:
            for _ in range(steps):
                step()
            torch.cuda.synchronize(device)
    except RuntimeError:
        return None, None
    kernels = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    if not kernels:
        return None, None
    launches = sum(
        event.name.startswith(("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync"))
        for event in profile.events()
    )
    busy, until = 0.0, kernels[0][0]
    for start, end in kernels:  # kernels of several streams may overlap
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return launches / steps, busy / max(until - kernels[0][0], 1e-9)


def measured(cell: Cell, device: torch.device, repeats: int, steps: int) -> list[Row]:
    """The rows of a cell: every contestant in turn, and in the other order every other time."""
    rows, made = [], []
    with ExitStack() as stack:
        for row, step in contestants(cell, device, stack):
            rows.append(row)
            made.append(step)
        with flags(cell.precision == "tf32"):
            for row, seconds in zip(rows, bench.race(made, device, repeats=repeats, steps=steps), strict=True):
                row.milliseconds = [1e3 * each for each in seconds]
        del made
    gc.collect()
    torch.cuda.empty_cache()
    return [row for row in rows if not any(said.startswith("failed") for said in row.said)] or rows


def ratio(rows: list[Row], base: str, other: str) -> float | None:
    """How many times faster one contestant is than another: the median of the ratios repeat by repeat."""
    found = {row.name: row.milliseconds for row in rows}
    if base not in found or other not in found:
        return None
    return bench.ratios(found[base], found[other]).median


def table(cell: Cell, rows: list[Row]) -> str:
    """The rows of a cell as Markdown."""
    lines = [
        f"\n### {cell}, batch {cell.network.batch}\n",
        "| step | ms | images/s | x plain | x as written | first, s | launches | busy | peak MiB | waits |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]

    def said(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for row in rows:
        ms = median(row.milliseconds)
        faster = [said(ratio(rows, base, row.name), ".2f") for base in ("plain script", "as written")]
        lines.append(
            f"| {row.name} | {ms:.3f} | {1e3 * cell.network.batch / ms:,.0f} | {faster[0]} | {faster[1]} "
            f"| {row.first:.1f} | {said(row.launches, '.0f')} | {said(row.busy, '.0%')} | {row.memory / 2**20:.0f} "
            f"| {'-' if row.waits is None else 'yes' if row.waits else 'no'} |"
        )
    lines += [f"\n{row.name}: {warning}" for row in rows for warning in row.said]
    return "\n".join(lines)


@dataclass(frozen=True)
class Bar:
    """A figure that a card is to reach.

    Attributes:
        what: the figure in words.
        limit: the least ratio, or the most where ``at_most``.
        found: the ratio, None where it was not measured.
        at_most: whether a smaller ratio is better.
    """

    what: str
    limit: float
    found: float | None
    at_most: bool = False

    def __str__(self) -> str:
        if self.found is None:
            return f"| {self.what} | {self.limit} | not measured | |"
        reached = self.found <= self.limit if self.at_most else self.found >= self.limit
        sign = "<=" if self.at_most else ">="
        return f"| {self.what} | {sign} {self.limit} | {self.found:.2f} | {'reached' if reached else 'missed'} |"


def bars(found: dict[str, list[Row]], networks: tuple[Network, ...]) -> list[Bar]:
    """The figures that decide whether the path to the GPU earns its place."""
    small, large = networks
    none, both = (found.get(str(Cell(large, "onestep", penalty, "bf16")), []) for penalty in ("none", "R1+R2"))
    first = found.get(str(Cell(small, "onestep", "none", "tf32")), [])
    times = [median(row.milliseconds) for rows in (none, both) for row in rows if row.name == "captured"]
    ours = [row for rows in found.values() for row in rows if not row.name.startswith("plain")]
    busy = [row.busy for rows in (none, both) for row in rows if row.name == "captured" and row.busy is not None]
    return [
        Bar(f"{small.name}: captured to as written", 3.0, ratio(first, "as written", "captured")),
        Bar(f"{small.name}: captured to the plain script", 4.0, ratio(first, "plain script", "captured")),
        Bar(f"{large.name}: bf16 to the plain fp32 script", 2.0, ratio(none, "plain script fp32", "captured")),
        Bar(f"{large.name}: R1+R2 to no penalty, time", 1.6, times[1] / times[0] if len(times) == 2 else None, True),
        Bar("steps that wait for the device", 0.0, float(sum(bool(row.waits) for row in ours)) if ours else None, True),
        Bar(f"{large.name}: busy share of the device", 0.95, min(busy) if busy else None),
    ]


def fed(network: Network, device: torch.device, repeats: int) -> dict[str, float]:
    """Microseconds of a batch from data on the device, and from data in host memory."""
    data = images(network.side)
    made = {
        "on the device": feed(TensorDataset(data), "images", network.batch, 0, device, torch.float32),
        "from host memory": feed(_Rows(data), "images", network.batch, 0, device, torch.float32),
    }
    counters = dict.fromkeys(made, 0)

    def draw(name: str) -> None:
        made[name].reals(counters[name])
        counters[name] += 1

    draws = [partial(draw, name) for name in made]
    for each in draws:
        each()
    times = bench.race(draws, device, repeats=repeats, steps=20)
    for each_feed in made.values():
        each_feed.close()
    return {name: 1e6 * median(seconds) for name, seconds in zip(made, times, strict=True)}


class _Rows(torch.utils.data.Dataset[Tensor]):
    """A tensor, item by item, so that the feed does not keep it on the device."""

    def __init__(self, data: Tensor) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Tensor:
        return self.data[index]


def scaling(network: Network, steps: int) -> dict[str, float] | str:
    """Images a second of a whole run on one device and on two, at the same batch in all."""
    if torch.cuda.device_count() < 2:
        return "this machine has one device"
    found = {}
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            words = ["-m", "ganzoo", "run", "--arch", network.arch, "--data", f"digits:size={network.side}", "-q"]
            sizes = [f"--steps={steps}", f"--batch-size={network.batch}", "--log-every=5", f"--sample-every={steps}"]
            done = subprocess.run(
                [*launch, *words, *sizes, f"--logdir={scratch}", "--device=cuda", "--precision=fp32"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return f"{processes} processes failed: {done.stderr.strip().splitlines()[-1:]}"
            (records,) = Path(scratch).glob("*/metrics.jsonl")
            rows = [json.loads(line) for line in records.read_text().splitlines()]
        rates = [row["speed/images_per_second"] for row in rows if "speed/images_per_second" in row]
        found[f"{processes} device{'s' * (processes > 1)}"] = median(rates[len(rates) // 2 :])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-benchmark"), help="where table.md and table.json go")
    parser.add_argument("--minutes", type=float, default=7.0, help="no new cell begins after so many minutes [7]")
    parser.add_argument("--repeats", type=int, default=11, help="how often each contestant is measured [11]")
    parser.add_argument("--steps", type=int, default=20, help="steps timed together [20]")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: shows only that the script runs")
    parser.add_argument("--no-tests", action="store_true", help="leave the tests marked gpu out")
    how = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no CUDA device: torch.cuda.is_available() is False")
    began, device = time.perf_counter(), torch.device("cuda", torch.cuda.current_device())
    networks = TINY if how.tiny else NETWORKS
    how.out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name(device)
    text = [f"# ganzoo on {name}, torch {torch.__version__}, CUDA {torch.version.cuda}\n"]
    result: dict[str, Any] = {"device": name, "torch": torch.__version__, "cells": {}}

    def say(line: str) -> None:
        print(line, flush=True)
        text.append(line)

    if not how.no_tests:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "gpu",
            "tests/gpu",
            "tests/speed",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        result["tests"] = done.stdout.strip().splitlines()[-1:]
        say(f"pytest -m gpu: {' '.join(result['tests'])} ({time.perf_counter() - began:.0f} s)")
    rows_of: dict[str, list[Row]] = {}
    left_out = []
    can_compile = not how.tiny and importlib.util.find_spec("triton") is not None
    for cell in cells(networks, can_compile):
        if time.perf_counter() - began > 60 * how.minutes:
            left_out.append(str(cell))
            continue
        rows_of[str(cell)] = measured(cell, device, how.repeats, how.steps)
        say(table(cell, rows_of[str(cell)]))
        result["cells"][str(cell)] = [asdict(row) for row in rows_of[str(cell)]]
    if left_out:
        say(f"\nleft out after {how.minutes:g} minutes: {'; '.join(left_out)}")
    say("\n| bar | limit | found | |\n| --- | --- | --- | --- |")
    for bar in bars(rows_of, networks):
        say(str(bar))
    result["bars"] = [asdict(bar) for bar in bars(rows_of, networks)]
    result["feed"] = {network.name: fed(network, device, how.repeats) for network in networks}
    say(f"\nmicroseconds of a batch: {result['feed']}")
    result["scaling"] = scaling(networks[-1], 20 if how.tiny else 200)
    say(f"\nimages a second of a run: {result['scaling']}")
    result["seconds"] = time.perf_counter() - began
    say(f"\n{result['seconds']:.0f} s in all")
    (how.out / "table.md").write_text("\n".join(text) + "\n")
    (how.out / "table.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
