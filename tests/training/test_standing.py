"""Standing statistics of batch norm, and the statistics of the generator's average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import ganzoo
from ganzoo import errors
from ganzoo.cli import group
from ganzoo.training.standing import stand
from ganzoo_zoo.architectures.layers.norms import SwitchableNorm

SMALL: dict[str, Any] = {
    "arch": "biggan:width=2",
    "data": "digits:size=8",
    "batch_size": 8,
    "latent_dim": 6,
    "samples": 4,
    "steps": 3,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "quiet": True,
}


@pytest.mark.parametrize("make", [nn.BatchNorm2d, SwitchableNorm])
def test_the_statistics_are_the_means_over_batches(make: Any) -> None:
    net = nn.Sequential(make(3), nn.Dropout(0.5)).eval()
    batches = [torch.randn(4, 3, 5, 5) * (b + 1) + b for b in range(3)]
    stand(net, 3, lambda b: net(batches[b]))
    correction = 1 if make is nn.BatchNorm2d else 0  # torch keeps the unbiased variance
    torch.testing.assert_close(net[0].running_mean, torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0))
    variances = torch.stack([x.var((0, 2, 3), correction=correction) for x in batches])
    torch.testing.assert_close(net[0].running_var, variances.mean(0))
    assert net[0].momentum == 0.1
    assert not any(m.training for m in net.modules())


def test_what_has_no_statistics_is_refused() -> None:
    with pytest.raises(errors.SettingsError, match="has no statistics of batches"):
        stand(nn.Linear(1, 1), 2, print)
    with pytest.raises(errors.SettingsError, match="of 0 batches are none"):
        stand(nn.BatchNorm1d(1), 0, print)


def test_a_run_stands_and_samples(tmp_path: Path) -> None:
    run = ganzoo.run(**SMALL, logdir=tmp_path, name="a")
    before, vectors = run.sample(4), [b.clone() for n, b in run.ema.named_buffers() if "_u" in n]  # type: ignore[union-attr]
    run.stand(4)
    after = run.sample(4)
    assert not after.equal(before)
    assert all(a.equal(b) for a, b in zip(vectors, [b for n, b in run.ema.named_buffers() if "_u" in n], strict=True))  # type: ignore[union-attr]
    run.stand(4)
    assert run.sample(4).equal(after)  # the same seed gives the same statistics
    run.stand(4, truncation=0.5)
    assert not run.sample(4).equal(after)
    assert ganzoo.load(tmp_path / "a").sample(4).equal(before)  # no file has changed


def test_from_the_command_line(tmp_path: Path) -> None:
    ganzoo.run(**SMALL, logdir=tmp_path, name="a")
    ganzoo.run(**{**SMALL, "arch": "dcgan:width=2,norm=none"}, logdir=tmp_path, name="b")
    sample = ["sample", str(tmp_path / "a"), "--count", "20"]
    plain = CliRunner().invoke(group, [*sample, "--out", str(tmp_path / "plain.png")])
    made = CliRunner().invoke(
        group, [*sample, "--standing", "3", "--truncation", "0.7", "--label", "4", "--out", str(tmp_path / "stood.png")]
    )
    assert (plain.exit_code, made.exit_code) == (0, 0), made.output
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "stood.png").read_bytes()
    refused = CliRunner().invoke(group, ["sample", str(tmp_path / "b"), "--standing", "3"])
    assert isinstance(refused.exception, errors.SettingsError)
    assert "has no statistics of batches" in str(refused.exception)


def test_the_average_has_averaged_statistics(experiment: Any) -> None:
    state = experiment(arch="dcgan:width=2,norm=switchable", ema=0.5).run.state
    norms = [
        [m for m in net.modules() if isinstance(m, SwitchableNorm)] for net in (state.ema, state.networks.generator)
    ]
    assert norms[0]
    for average, trained in zip(*norms, strict=True):
        average.running_mean.fill_(1.0)
        trained.running_mean.fill_(3.0)
    state.average(0.25)
    assert all(norm.running_mean.eq(1.5).all() for norm in norms[0])
