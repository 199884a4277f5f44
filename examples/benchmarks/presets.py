"""The time of a step of each preset at its own resolution, with a small batch.

``python examples/benchmarks/presets.py --threads 1``, or with the names of presets behind.

The samples are random pixels in the shape of the source, so that no data set is needed. A network that grows is
measured at its full size, and stages that are trained one after another are measured together. The perceptual term of
SRGAN and ESRGAN is left out, since its network has to be fetched, and so are the first steps of WGAN, with 100 moves of
the critic. A row is printed as soon as it is measured, with medians and quartiles. The time of the processor
says what a step costs on a busy machine, where the clock waits for others.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import Dataset

import ganzoo
from ganzoo import bench, plugins
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import resolve

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Own:
    """What a preset is measured on: the shape of a sample, the batch, and what differs from the preset."""

    shape: Shape = (3, 32, 32)
    batch: int = 4
    classes: int = 0
    inputs: dict[str, Shape] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


def pairs(side: int, small: int, channels: int = 3, **more: Any) -> Own:
    """A preset that makes a picture of ``side`` pixels from a picture of ``small`` pixels."""
    return Own((3, side, side), 2, inputs={"condition": (channels, small, small)}, **more)


MASK: dict[str, Shape] = {"condition": (3, 256, 256), "mask": (1, 256, 256)}
CLASSIC = Own(batch=64)
OWN: dict[str, Own] = {
    "default": Own((1, 32, 32), 64, classes=10),
    "wgan": Own(batch=64, overrides=("schedule.burst=5",)),
    **dict.fromkeys(("wgan-gp", "onestep-hinge", "lsgan", "rsgan", "wgan-div", "gan-qp", "ttur"), CLASSIC),
    **dict.fromkeys(("dragan", "ogan", "meg"), CLASSIC),
    "acgan": Own(batch=64, classes=10),
    "lecam": Own(batch=64, classes=10),
    "dcgan": Own((3, 64, 64)),
    "sngan": Own(),
    "sngan-projection": Own(classes=10),
    "biggan-cifar": Own(classes=10),
    "r3gan": Own(batch=2),
    "stylegan2-ada": Own(batch=2),
    "sagan": Own((3, 128, 128), 2, classes=1000),
    "biggan": Own((3, 128, 128), 2, classes=1000),
    "fastgan": Own((3, 256, 256), 2),
    "pix2pix": pairs(256, 256),
    "colorize": pairs(256, 256, 1),
    "inpaint-gated": Own((3, 256, 256), 2, inputs=MASK),
    "coarse-to-refine": Own((3, 256, 256), 2, inputs=MASK, overrides=("arch.first=0",)),
    "srresnet": pairs(96, 24),
    "srgan": pairs(96, 24, settings={"regularizers": ["l2"]}),
    "esrgan": pairs(128, 32, settings={"regularizers": ["l1:weight=2"]}),
    "pggan": Own((3, 1024, 1024), 2, overrides=("arch.start=1024",)),
    "stylegan2": Own((3, 1024, 1024), 2),
    "gat": Own((4, 32, 32), 2, classes=1000),
}
"""The presets at the resolution of their sources. Without an entry: ``segan``, whose data part is at hand."""


class Items(Dataset[dict[str, Any]]):
    """Random pictures with labels and inputs."""

    def __init__(self, own: Own) -> None:
        random = torch.Generator().manual_seed(0)
        shapes = {"image": own.shape, **own.inputs}
        self.count = max(8, own.batch)
        self.tensors = {
            name: torch.randint(256, (self.count, *each), generator=random, dtype=torch.uint8)
            for name, each in shapes.items()
        }
        self.classes = [str(k) for k in range(own.classes)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {name: each[index] for name, each in self.tensors.items()}
        return {**item, "label": index % len(self.classes)} if self.classes else item


def data(own: Own) -> ganzoo.Data:
    """A data part of random pictures."""

    class Random(ganzoo.Data):
        """Random pictures."""

        def dataset(self) -> Items:
            return Items(own)

    return Random()


def experiment(name: str, threads: int) -> Experiment:
    """What `ganzoo run --preset NAME` would train on random pictures."""
    own = OWN[name]
    given = {"data": data(own), "batch_size": own.batch, "metrics": [], "device": "cpu", "precision": "fp32"}
    given |= {"threads": threads, **own.settings}
    catalogue = plugins.load_catalogue(no_plugins=True)
    return assemble(resolve(catalogue, preset=name, given=given, overrides=own.overrides), catalogue)


def measured(name: str, repeats: int, threads: int) -> tuple[bench.Spread, bench.Spread, float]:
    """Milliseconds of the processor and of the clock, and operations, of a step of a preset.

    A step with the lazy penalties and a step without are measured apart, and weighed by how often each comes.
    """
    made = experiment(name, threads)
    step, updates = bench.Steps(made), made.run.state.counters.updates
    cycle = math.lcm(*(r.every for some in made.game.penalties.values() for r in some.values()))
    shares = {0: 1 / cycle, 1: 1 - 1 / cycle} if cycle > 1 else {0: 1.0}
    totals, operations = [[0.0, 0.0] for _ in range(repeats)], 0.0
    for number, share in shares.items():

        def one(number: int = number) -> None:
            if cycle > 1:
                updates.update(dict.fromkeys(updates, number))
            step()

        operations += share * bench.flops(one, 1)
        for total in totals:
            began = time.process_time(), time.perf_counter()
            one()
            total[0] += 1e3 * share * (time.process_time() - began[0])
            total[1] += 1e3 * share * (time.perf_counter() - began[1])
    made.feed.close()
    made.game.close()
    return bench.Spread.of([t[0] for t in totals]), bench.Spread.of([t[1] for t in totals]), operations


def main() -> None:
    """Print a row for each preset."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("presets", nargs="*", default=[*OWN], help="names of presets [all]")
    parser.add_argument("--repeats", type=int, default=3, help="how many times each is measured [3]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU [all]")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    logging.getLogger("ganzoo").setLevel(logging.ERROR)  # the data of this file is read without worker processes
    print(f"{asked.threads} threads, load {os.getloadavg()[0]:.2f}\n")
    columns = "preset", "sample", "batch", "processor, ms", "clock, ms", "GFLOP", "GFLOP/s of the processor"
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for name in asked.presets:
        own = OWN[name]
        processor, clock, operations = measured(name, asked.repeats, asked.threads)
        times = " | ".join(f"{t.median:,.0f} ({t.low:,.0f} to {t.high:,.0f})" for t in (processor, clock))
        cells = f"{operations / 1e9:,.1f} | {operations / processor.median / 1e6:,.0f}"
        print(f"| `{name}` | {'x'.join(map(str, own.shape))} | {own.batch} | {times} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
