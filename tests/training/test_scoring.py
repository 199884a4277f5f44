"""Features of metrics are shared by processes, in the order of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = '''
import torch

import ganzoo


class Order(ganzoo.Metric):
    """A sum that depends on the order of the rows, and a cached mean."""

    samples = 300
    reals = None
    figures = {"sum": None, "mean": None}

    def evaluate(self, samples):
        def rows(batches):
            return torch.cat([batch.cpu() for batch in batches])

        def features(x):
            return x.flatten(1).double().sum(1)

        fake = rows(samples.fake(features))
        order = torch.arange(1, len(fake) + 1).double()
        kept = samples.reference("mean", lambda: {"mean": rows(samples.real(features)).mean()})
        assert len(list(samples.fake())) == len(list(samples.real(features)))  == 2, "batches"
        return {"sum": float((fake * order).sum()), "mean": float(kept["mean"])}
'''


@pytest.mark.slow
def test_two_processes_compute_the_figures_of_one(tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text(PLUGIN)
    run = ["run", "--plugin", "order.py", "--metric", "order", "--data", "digits:size=8,hold_out=0.8", "-r", "none"]
    run += ["--arch", "mlp:width=4,depth=1,norm=batch", "--batch-size", "4", "--latent-dim", "3", "--samples", "4"]
    run += ["--steps", "2", "--name", "two", "--device", "cpu", "--precision", "fp32", "-q"]
    environment = {**os.environ, "GANZOO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ganzoo"]
    evaluate = ["evaluate", "runs/two", "--plugin", "order.py", "--json"]
    say = {}
    for name, command in {"run": [*two, *run], "two": [*two, *evaluate]}.items():
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        say[name] = done.stdout
    line = json.loads((tmp_path / "runs/two/metrics.jsonl").read_text().splitlines()[-1])
    environment["GANZOO_CACHE"] = str(tmp_path / "another")
    one = subprocess.run(
        [sys.executable, "-m", "ganzoo", *evaluate],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(one.stdout)["figures"]
    assert json.loads(say["two"])["figures"] == figures
    assert figures == {"sum": line["metrics/order/sum"], "mean": line["metrics/order/mean"]}
