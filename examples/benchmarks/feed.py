"""What a batch costs: ganzoo's feeds against the usual DataLoader of PIL images, and against the step that uses it.

``python examples/benchmarks/feed.py [PATH of a folder or a .zip of 32x32 images]``; images are made up without a path.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import paired
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

import ganzoo
from ganzoo import bench
from ganzoo.data.choose import feed
from ganzoo.data.feed import Feed


class Pictures(Dataset[Any]):
    """As torchvision's CIFAR10 does it: an array in memory, an item by way of PIL."""

    def __init__(self, images: Tensor) -> None:
        self.arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> Tensor:
        item: Tensor = self.transform(Image.fromarray(self.arrays[i]))
        return item


class Rows(Dataset[Tensor]):
    """A tensor, item by item."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]


def usual(dataset: Dataset[Any], workers: int) -> Callable[[], object]:
    """Batches of a DataLoader, epoch after epoch."""
    loader = DataLoader(
        dataset, paired.BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )

    def batches() -> Iterator[Any]:
        while True:
            yield from loader

    return partial(next, batches())


def ours(fed: Feed) -> Callable[[], object]:
    """Batches of a feed."""
    numbers = count()
    return lambda: fed.reals(next(numbers))


def made(dataset: Dataset[Any]) -> Callable[[], object]:
    return ours(feed(dataset, "images", paired.BATCH, 0, paired.CPU, torch.float32))


def invent(place: Path, images: int) -> Path:
    """JPEG files of smooth noise, as hard to decode as photos of that size."""
    noise = np.random.default_rng(0).integers(0, 256, (images, 8, 8, 3), dtype=np.uint8)
    for k, small in enumerate(noise):
        Image.fromarray(small).resize((32, 32)).save(place / f"{k}.jpg", quality=90)
    return place


def share_of_a_step(images: Tensor, how: argparse.Namespace) -> None:
    """What part of a training step is waiting for its data."""

    class Known(ganzoo.Data):
        """The images."""

        def dataset(self) -> TensorDataset:
            return TensorDataset(images)

    step, fed = paired.ours(data=Known()), made(TensorDataset(images))
    for warm in (step, fed, step):
        warm()
    times = bench.race([step, fed], paired.CPU, repeats=how.repeats, steps=3)
    share = bench.ratios(times[1], times[0])
    whole = bench.Spread.of([1e3 * seconds for seconds in times[0]]).median
    print(
        f"\nthe feed's share of a step of {paired.ARCH} ({whole:.1f} ms): {100 * share.median:.3f} % "
        f"({100 * share.low:.3f} to {100 * share.high:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", nargs="?", type=Path, help="a folder or a .zip of 32x32 images, such as CIFAR-10")
    parser.add_argument("--repeats", type=int, default=11, help="how many times each is measured [11]")
    parser.add_argument("--steps", type=int, default=40, help="batches timed together [40]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU [all]")
    how = parser.parse_args()
    torch.set_num_threads(how.threads)
    with tempfile.TemporaryDirectory() as scratch:
        path = how.path or invent(Path(scratch), 5000)
        folder = f"folder:path={path},size=32,channels=3"
        images = ganzoo.part("data", folder).dataset().tensors[0]
        print(f"{len(images)} images of {tuple(images.shape[1:])}, batches of {paired.BATCH}, {os.cpu_count()} cores")
        contestants = {
            "DataLoader + PIL": usual(Pictures(images), 0),
            "DataLoader + PIL, 2 workers": usual(Pictures(images), 2),
            "resident": made(TensorDataset(images)),
            "resident again": made(TensorDataset(images)),
        }
        paired.table("in memory", "DataLoader + PIL", contestants, how)
        del contestants  # and its workers
        share_of_a_step(images, how)
        mapped = ganzoo.part("data", f"{folder},memory=0,cache={scratch}/cache").dataset()
        contestants = {
            "decoded as used": made(ganzoo.part("data", f"{folder},memory=0,cache=none").dataset()),
            "decoded once": made(mapped),
            "decoded once, by a DataLoader": usual(Rows(mapped.tensors[0]), 0),
            "decoded once, by a DataLoader, 2 workers": usual(Rows(mapped.tensors[0]), 2),
        }
        paired.table("larger than memory", "decoded as used", contestants, how)


if __name__ == "__main__":
    main()
