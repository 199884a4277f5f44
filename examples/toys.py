"""The table of examples/toys.md: recipes on points in the plane whose modes are known, the same steps for each.

Train every recipe, rows are added to toys.csv as they come: ``python examples/toys.py run --steps 3000 --seeds 3``.
One of them for longer: ``python examples/toys.py run --steps 24000 --recipe rpgan-r1r2-cosine``.
The rows as markdown, means and spreads over the seeds: ``python examples/toys.py table``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

COMMON: dict[str, Any] = {
    "arch": "mlp:width=64,depth=6",
    "optimizer": "adam:lr=2e-3..1e-5,betas=0.0,0.9",
    "schedule": "onestep",
    "batch_size": 256,
    "latent_dim": 4,
    "ema": 0.999,
    "metrics": ["modes"],
    "device": "cpu",
}
FADING = "gamma=0.0005..0.00002"  # a slope of 50 at the edge of a mode, squared, costs about as much as a score of 1
RECIPES: dict[str, dict[str, Any]] = {
    "sgan": {"loss": "sgan"},
    "sgan-noise": {"loss": "sgan", "regularizers": ["instance-noise:sigma=0.1..0"]},
    "sgan-r1": {"loss": "sgan", "regularizers": [f"r1:{FADING}"]},
    "hinge-sn": {"loss": "hinge", "regularizers": ["sn"]},
    "hinge-r1": {"loss": "hinge", "regularizers": [f"r1:{FADING}"]},
    "lsgan-r1": {"loss": "lsgan", "regularizers": [f"r1:{FADING}"]},
    "wgan-clip": {
        "loss": "wgan",
        "regularizers": ["weight-clip:value=0.1"],
        "optimizer": "rmsprop:lr=2e-4..1e-5",
        "schedule": "alternating:discriminator_steps=2",
    },
    "wgan-gp": {
        "loss": "wgan",
        "regularizers": ["wgan-gp:weight=0.1"],
        "schedule": "alternating:discriminator_steps=2",
    },
    "wgan-r1": {"loss": "wgan", "regularizers": [f"r1:{FADING}"]},
    "ragan-r1": {"loss": "ragan", "regularizers": [f"r1:{FADING}"]},
    "rpgan-r1": {"loss": "rpgan", "regularizers": [f"r1:{FADING}"]},
    "rpgan-r1r2": {"loss": "rpgan", "regularizers": [f"r1r2:{FADING}"]},
    "rpgan-r1r2-cosine": {"loss": "rpgan", "regularizers": ["r1r2:gamma=cosine(0.002,0.00001)"], "batch_size": 512},
}
FIGURES = ("modes", "high_quality", "reverse_kl", "spread")
COLUMNS = ("data", "recipe", "steps", "seed", *FIGURES, "cpu_seconds", "why")


def one(data: str, recipe: str, steps: int, seed: int) -> dict[str, Any]:
    """Train one recipe with one seed; its figures, or why it stopped."""
    import torch

    import ganzoo

    torch.set_num_threads(1)
    row: dict[str, Any] = {"data": data, "recipe": recipe, "steps": steps, "seed": seed}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as logdir:
        often = {"sample_every": steps, "checkpoint_every": steps, "log_every": min(steps, 1000)}
        given = {**COMMON, **RECIPES[recipe], **often, "data": data, "steps": steps, "seed": seed, "logdir": logdir}
        try:
            run = ganzoo.run(**given, quiet=True)
            row |= {figure: run.metrics[f"metrics/modes/{figure}"] for figure in FIGURES}
        except ganzoo.errors.TrainingStopped as error:
            row |= {"modes": 0.0, "high_quality": 0.0, "why": str(error).partition(":")[0]}
    return {**row, "cpu_seconds": round(time.process_time() - began, 1)}


def run(file: Path, data: list[str], recipes: list[str], steps: int, seeds: int, workers: int) -> None:
    """Train what the file has no row of, and add the rows."""
    done = {(r["data"], r["recipe"], int(r["steps"]), int(r["seed"])) for r in read(file)}
    wanted = [(d, r, steps, seed) for seed in range(seeds) for d in data for r in recipes]
    with ProcessPoolExecutor(workers) as pool, file.open("a", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        if not done:
            writer.writeheader()
        for each in as_completed([pool.submit(one, *key) for key in wanted if key not in done]):
            row = each.result()
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
            lines.flush()
            print(row, flush=True)


def read(file: Path) -> list[dict[str, str]]:
    """The rows of a file, none where there is none."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [*csv.DictReader(lines)]


def table(file: Path) -> str:
    """The rows as markdown: mean +- standard deviation over the seeds."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in read(file):
        groups[row["data"], row["steps"], row["recipe"]].append(row)
    lines = [
        "| data | steps | recipe | seeds | modes | high quality | reverse KL | spread | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    best = sorted(groups.items(), key=lambda item: (item[0][:2], -_mean(item[1], "high_quality")[0]))
    for (data, steps, recipe), rows in best:
        cells = [
            "{:.{d}f} ± {:.{d}f}".format(*_mean(rows, figure), d=digits)
            for figure, digits in (*zip(FIGURES, (1, 3, 2, 2), strict=True), ("cpu_seconds", 0))
        ]
        lines.append(f"| {data} | {steps} | {recipe} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(rows: list[dict[str, str]], figure: str) -> tuple[float, float]:
    values = [float(row[figure]) for row in rows if row[figure]]
    if not values:
        return float("nan"), float("nan")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--file", type=Path, default=Path(__file__).with_name("toys.csv"))
    parser.add_argument("--data", nargs="+", default=["grid"])
    parser.add_argument("--recipe", nargs="+", default=[*RECIPES], choices=[*RECIPES])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    if told.what == "run":
        run(told.file, told.data, told.recipe, told.steps, told.seeds, told.workers)
    else:
        print(table(told.file))


if __name__ == "__main__":
    main()
