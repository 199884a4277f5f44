"""Trials for the default recipe: how many samples of scikit-learn's digits can be read, by several figures.

One recipe with three seeds: ``python examples/first_picture.py --recipe default --seeds 3``. A recipe of one's own:
``python examples/first_picture.py --set arch=dcgan:width=24 --set steps=2000``. Each row of the table is printed as
soon as the run has ended.

The figures are of 1797 samples of the average, scaled to 8x8 by the means of blocks:

- read: share of the samples to which a support vector machine, trained on 900 real digits, gives one class with a
  probability above 0.8. Of the other 897 real digits the machine reads 0.92.
- right: share of the samples that are read as the class that was asked for. The share read where no class
  was asked for.
- frechet: Frechet distance of the 64 pixels in [-1, 1] between the samples and the real digits.
- nearest: smallest distance of a sample to a real digit, in units of the smallest distance of two real digits to one
  another. Below 1 a sample could be a copy.
- close: share of the samples whose distance to the nearest real digit is below that of 99 of 100 real digits to the
  nearest other one.
- CPU s: user and system time of the training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ganzoo

RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "16x16": {
        "arch": "dcgan:width=32",
        "data": "digits:size=16",
        "optimizer": "adam:lr=1e-3..0,betas=0.0,0.9",
        "steps": 3000,
    },
}


class Judge:
    """A support vector machine that reads digits, and the real digits that samples are compared with."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits
        from sklearn.svm import SVC

        counts, labels = load_digits(return_X_y=True)
        rows = np.random.RandomState(0).permutation(len(counts))
        training, held_out = rows[:900], rows[900:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.machine = SVC(gamma=0.001, probability=True, random_state=0).fit(counts[training], labels[training])
        self.held_out = self.read(counts[held_out])[0]
        self.real = torch.from_numpy(counts) / 8 - 1
        distances = torch.cdist(self.real, self.real).fill_diagonal_(float("inf")).min(1).values
        self.smallest, self.percentile = float(distances.min()), float(distances.quantile(0.01))

    def read(self, counts: Any) -> tuple[float, Any]:
        """The share of images whose class is read with a probability above 0.8, and the classes, -1 where unread."""
        probabilities = self.machine.predict_proba(counts)
        sure = probabilities.max(1) > 0.8
        return float(sure.mean()), np.where(sure, self.machine.classes_[probabilities.argmax(1)], -1)

    def figures(self, images: Tensor, labels: Tensor | None) -> dict[str, float]:
        """The figures of (N, 1, S, S) images in [-1, 1], of which S is a multiple of 8."""
        small = torch.nn.functional.avg_pool2d(images.double(), images.shape[-1] // 8).flatten(1)
        read, classes = self.read((small.numpy() + 1) * 8)
        distances = torch.cdist(small, self.real).min(1).values
        return {
            "read": read,
            "right": read if labels is None else float((classes == labels.numpy()).mean()),
            "frechet": frechet(small, self.real),
            "nearest": float(distances.min()) / self.smallest,
            "close": float((distances < self.percentile).double().mean()),
        }


def frechet(x: Tensor, y: Tensor) -> float:
    """The Frechet distance of two sets of vectors, each taken for normal."""
    a, b = x.T.cov(), y.T.cov()
    root = torch.linalg.eigvals(a @ b).real.clamp(min=0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + a.trace() + b.trace() - 2 * root)


def trial(judge: Judge, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Train one recipe with one seed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as logdir:
        began = time.process_time()
        run = ganzoo.run(**{"threads": 1, **settings, "seed": seed, "logdir": logdir, "device": "cpu"}, quiet=True)
        spent = time.process_time() - began
        count, classes = len(judge.real), run.spec.classes
        labels = torch.arange(count) % classes if classes else None
        figures = judge.figures(run.sample(count, seed=1, labels=labels), labels)
    return {**figures, "cpu": spent}


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default="default", help="one of the recipes of this file")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of ganzoo.run")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    settings = {**RECIPES[given.recipe]}
    for text in given.set:
        name, _, value = text.partition("=")
        settings[name] = int(value) if value.isdigit() else value.split() if name == "regularizers" else value
    judge = Judge()
    print(f"real digits held out: read {judge.held_out:.3f}")
    name = " ".join([given.recipe, *given.set])
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        f = trial(judge, settings, seed)
        print(
            f"| {name} | {seed} | {f['read']:.3f} | {f['right']:.3f} | {f['frechet']:.2f} | {f['nearest']:.2f} "
            f"| {f['close']:.3f} | {f['cpu']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
