"""Metrics after training equal metrics during training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import ganzoo
from ganzoo import errors
from ganzoo.cli import main
from ganzoo.recipe.evaluate import evaluations

PLUGIN = '''
import torch

import ganzoo


class Drift(ganzoo.Metric):
    """The difference of the means, in batches, with a random direction and a cached mean.

    Args:
        held: compare with held-out samples.
    """

    held: bool = False

    samples = 300
    figures = {"gap": False}

    @property
    def held_out(self) -> bool:
        return self.held

    def evaluate(self, samples):
        def make():
            rows = list(samples.real(lambda x: x.flatten(1).double().sum(1)))
            return {"mean": torch.cat(rows).mean()}

        direction = torch.randn(())
        made = torch.cat(list(samples.fake(lambda x: x.flatten(1).double().sum(1))))
        assert len(made) == samples.count
        return {"gap": float((samples.reference("sum", make)["mean"] - made.mean()) * direction)}
'''

SMALL: dict[str, Any] = {
    "arch": "mlp:width=4,depth=1",
    "data": "digits:size=8,hold_out=0.5",
    "regularizers": None,
    "batch_size": 8,
    "latent_dim": 3,
    "samples": 4,
    "sample_every": 2,
    "checkpoint_every": 2,
    "steps": 4,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ganzoo.Run, Path]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANZOO_CACHE", str(folder / "cache"))
        plugin = folder / "drift.py"
        plugin.write_text(PLUGIN)
        run = ganzoo.run(metrics=["drift"], plugins=[plugin], logdir=folder, quiet=True, **SMALL)
    return run, plugin


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


def recorded(run: ganzoo.Run) -> dict[int, float]:
    lines = [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["metrics/drift/gap"] for line in lines if "metrics/drift/gap" in line}


def test_figures_equal_those_of_training_at_every_checkpoint(trained: tuple[ganzoo.Run, Path], cache: Path) -> None:
    run, plugin = trained
    before = (run.dir / "metrics.jsonl").read_bytes()
    found = ganzoo.evaluate(run.dir, checkpoint="all", plugins=[plugin])
    assert {each.step: each.figures["gap"] for each in found} == recorded(run)
    assert {each.step: each.images for each in found} == {2: 16, 4: 32}
    again = ganzoo.evaluate(run.dir, checkpoint="all", plugins=[plugin])
    assert again == found
    assert (run.dir / "metrics.jsonl").read_bytes() == before
    assert [line["figures"] for line in evaluations(run.dir)] == [dict(each.figures) for each in found]
    assert len(list(cache.glob("*.safetensors"))) == 1
    board = EventAccumulator(str(run.dir), size_guidance={"tensors": 0})
    board.Reload()
    shown = [(event.step, event.tensor_proto.float_val[0]) for event in board.Tensors("2 quality/drift gap")]
    assert {step for step, _ in shown} == {2, 4}
    assert len(shown) == 6  # two of training, and two of each evaluation


def test_a_damaged_cache_is_made_again(trained: tuple[ganzoo.Run, Path], cache: Path) -> None:
    run, plugin = trained
    expected = recorded(run)[4]
    for _ in range(2):
        (found,) = ganzoo.evaluate(run.dir, plugins=[plugin], record=False)
        assert found.figures["gap"] == expected
        (file,) = cache.glob("*.safetensors")
        file.write_bytes(b"torn")


def test_statistics_of_the_real_samples_are_the_users_alone(trained: tuple[ganzoo.Run, Path], cache: Path) -> None:
    run, plugin = trained
    ganzoo.evaluate(run.dir, plugins=[plugin], record=False)
    (file,) = cache.glob("*.safetensors")
    assert file.stat().st_mode & 0o077 == 0


def test_other_weights_seeds_and_counts_have_other_tags(trained: tuple[ganzoo.Run, Path]) -> None:
    run, plugin = trained
    found = ganzoo.evaluate(run.dir, source="both", seed=9, samples=7, plugins=[plugin], record=False)
    assert [list(each.tags) for each in found] == [
        ["metrics/drift/gap/seed9/samples7"],
        ["metrics/drift/gap/generator/seed9/samples7"],
    ]
    assert found[0].figures != found[1].figures


def test_batches_are_the_samples_of_the_run(trained: tuple[ganzoo.Run, Path]) -> None:
    run, _ = trained

    class Keeps(ganzoo.Metric):
        """Keeps the samples."""

        samples = 600
        figures: ClassVar = {"n": None}

        def evaluate(self, samples: ganzoo.Samples) -> dict[str, float]:
            made = torch.cat(list(samples.fake()))
            assert [len(b) for b in samples.fake()] == [256, 256, 88]
            assert made.equal(run.sample(600, seed=run.settings.seed + 1))
            assert samples.reals == 600
            return {"n": float(len(torch.cat(list(samples.real()))))}

    (found,) = ganzoo.evaluate(run.dir, metrics=[Keeps()], record=False)
    assert found.figures == {"n": 600.0}


def test_the_command_prints_a_table_and_json(
    trained: tuple[ganzoo.Run, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, plugin = trained
    options = ["--plugin", str(plugin), "--no-record"]
    assert main(["evaluate", str(run.dir), str(run.dir), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[1]
    assert lines[0].split("\t")[1:6] == ["4", "ema", "300", "1", "drift/gap"]
    assert main(["evaluate", str(run.dir), "--checkpoint", "2", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["gap"] == recorded(run)[2]


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["evaluate", *args]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said, said
    return said


def test_mistakes_are_a_line(
    trained: tuple[ganzoo.Run, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plugin = trained
    folder, options = str(run.dir), ["--plugin", str(plugin)]
    assert "no run directory" in refused(capsys, str(tmp_path))
    assert "no checkpoint 3" in refused(capsys, folder, "--checkpoint", "3", *options)
    assert "compares pairs" in refused(capsys, folder, "--metric", "dice", *options)
    assert "no metric is named" in refused(capsys, folder, "--metric", "mods", *options)
    assert main(["evaluate", folder, "--metric", "modes", *options]) == 2
    assert "known modes" in capsys.readouterr().err


def test_other_data_is_refused(tmp_path: Path) -> None:
    run = ganzoo.run(logdir=tmp_path, quiet=True, **{**SMALL, "data": "ring", "steps": 1})
    text = (run.dir / "config.yaml").read_text()
    (run.dir / "config.yaml").write_text(text.replace("std: 0.008", "std: 0.009"))
    with pytest.raises(errors.CheckpointError, match="trained on other data"):
        ganzoo.evaluate(run.dir, metrics="modes")


def test_a_run_without_a_metric_says_so(tmp_path: Path) -> None:
    run = ganzoo.run(logdir=tmp_path, quiet=True, **{**SMALL, "data": "ring", "steps": 1})
    with pytest.raises(errors.Incompatible, match="without a metric: name one with --metric"):
        ganzoo.evaluate(run.dir)


def test_a_metric_on_held_out_samples_needs_them(trained: tuple[ganzoo.Run, Path]) -> None:
    run, plugin = trained
    (found,) = ganzoo.evaluate(run.dir, metrics="drift:held=true", plugins=[plugin], record=False)
    assert found.figures["gap"] != recorded(run)[4]
    with pytest.raises(errors.Incompatible, match="holds none out"):
        ganzoo.run(metrics="drift:held=true", plugins=[plugin], quiet=True, **{**SMALL, "data": "digits:size=8"})


def test_metrics_of_classes_need_classes(tmp_path: Path) -> None:
    class Classes(ganzoo.Metric):
        """Needs classes."""

        labels = True
        figures: ClassVar = {"right": True}

        def evaluate(self, samples: ganzoo.Samples) -> dict[str, float]:
            assert samples.fake_labels is not None
            return {"right": float(samples.fake_labels.double().mean())}

    with pytest.raises(errors.Incompatible, match="the networks are given none"):
        ganzoo.run(metrics=Classes(), quiet=True, **SMALL)
    with pytest.raises(errors.Incompatible, match=r"data ring.* has none"):
        ganzoo.run(metrics=Classes(), quiet=True, **{**SMALL, "data": "ring"})


def test_real_rows_do_not_depend_on_the_batches() -> None:
    rows: list[Tensor] = []
    samples = ganzoo.Samples(
        real=torch.arange(10.0).view(5, 2), fake=torch.zeros(3, 2), data=ganzoo.part("data", "ring"), batch=2
    )
    rows = list(samples.real(lambda x: x.sum(1)))
    assert torch.cat(rows).tolist() == [1.0, 5.0, 9.0, 13.0, 17.0]
    assert samples.reference("sum", lambda: {"mean": torch.cat(rows).mean()})["mean"] == 9.0
