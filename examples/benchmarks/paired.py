"""What these benchmarks share: the networks, ganzoo's step on them, and a table of what ran in turn.

Everything in a table ran in one process, in turn (A B C A B C, then the other way round); a ratio is the median of the
ratios repeat by repeat, with the quartiles. The first row is ganzoo against ganzoo: what chance does.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import ganzoo
from ganzoo import bench, plugins
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.settings import resolve

ARCH = "dcgan:width=64,upsample=transposed"
BATCH, LATENT, LR, BETAS = 64, 64, 2e-4, (0.0, 0.9)
R1 = 0.05
CPU = torch.device("cpu")


class Digits(ganzoo.Data):
    """scikit-learn's digits as 32x32 images of three channels."""

    def dataset(self) -> TensorDataset:
        images: Tensor = ganzoo.part("data", "digits:size=32").dataset().tensors[0]
        return TensorDataset(images.expand(-1, 3, -1, -1).contiguous())


def experiment(*, r1: bool = False, precision: str = "fp32", **settings: Any) -> Experiment:
    """What `ganzoo run` would train, ready for its first step; the same weights every time."""
    given = {
        "arch": ARCH,
        "loss": "hinge",
        "regularizers": [f"r1:gamma={R1}"] if r1 else [],
        "schedule": "onestep",
        "data": Digits(),
        "optimizer": f"adam:lr={LR},betas={','.join(map(str, BETAS))}",
        "batch_size": BATCH,
        "latent_dim": LATENT,
        "device": "cpu",
        "precision": precision,
        **settings,
    }
    catalogue = plugins.load_catalogue(no_plugins=True)
    return assemble(resolve(catalogue, given=given), catalogue)


def ours(**settings: Any) -> bench.Steps:
    """The engine's step: what a run does between two of its records."""
    return bench.Steps(experiment(**settings))


def networks(**settings: Any) -> tuple[nn.Module, nn.Module]:
    """Copies of the generator and the discriminator, laid out in memory as torch does by itself."""
    made = copy.deepcopy(experiment(**settings).run.state.networks)
    return made.generator.to(memory_format=torch.contiguous_format), made.discriminator.to(
        memory_format=torch.contiguous_format
    )


def images() -> Tensor:
    """The data as a script holds it: floats in [-1, 1]."""
    return Digits().dataset().tensors[0].float() / 127.5 - 1


def options(description: str | None) -> argparse.Namespace:
    """What the benchmarks take on their command lines."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=21, help="how many times each is measured [21]")
    parser.add_argument("--steps", type=int, default=3, help="steps timed together [3]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU [all]")
    found = parser.parse_args()
    torch.set_num_threads(found.threads)
    return found


def table(title: str, base: str, contestants: Mapping[str, Callable[[], object]], how: argparse.Namespace) -> None:
    """Measure, and print a table as markdown: of each, its time, and how many times faster than ``base`` it is."""
    for step in contestants.values():
        for _ in range(3):
            step()
    found = bench.race([*contestants.values()], CPU, repeats=how.repeats, steps=how.steps)
    times = dict(zip(contestants, found, strict=True))
    print(f"\n{title}: {how.threads} threads, {how.repeats} times {how.steps} steps, load {os.getloadavg()[0]:.2f}\n")
    print(f"| step | ms | quartiles | times as fast as {base} | quartiles |\n| --- | --- | --- | --- | --- |")
    for name, seconds in times.items():
        ms, ratio = bench.Spread.of([1e3 * s for s in seconds]), bench.ratios(times[base], seconds)
        print(
            f"| {name} | {ms.median:.2f} | {ms.low:.2f} to {ms.high:.2f} "
            f"| {ratio.median:.3f} | {ratio.low:.3f} to {ratio.high:.3f} |"
        )
