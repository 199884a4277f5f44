"""What TensorBoard is given: names, descriptions, the hparams, and scalars over images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import ganzoo
from ganzoo.disk import axis, board, tags

SMALL: dict[str, Any] = {
    "arch": "mlp:width=4",
    "batch_size": 8,
    "latent_dim": 4,
    "samples": 4,
    "device": "cpu",
    "quiet": True,
    "log_every": 1,
    "sample_every": 2,
    "steps": 4,
}


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ganzoo.Run:
    """A run on points with a metric."""
    return ganzoo.run(data="ring", metrics=["modes"], logdir=tmp_path_factory.mktemp("r"), name="a", **SMALL)


def test_every_tag_has_a_description_and_one_level(run: ganzoo.Run) -> None:
    found = events(run.dir)
    for tag, metadata in found.summary_metadata.items():
        if metadata.plugin_data.plugin_name in ("scalars", "images", "histograms"):
            assert tag.count("/") == 1, tag
            assert tag.partition("/")[0] in tags.FAMILIES.values(), tag
            assert metadata.summary_description, tag


def test_the_row_of_the_table_has_every_parameter_and_the_status(run: ganzoo.Run) -> None:
    found = events(run.dir).summary_metadata
    start = HParamsPluginData.FromString(found["_hparams_/session_start_info"].plugin_data.content)
    row = start.session_start_info.hparams
    assert row["loss"].string_value == "hinge"
    assert row["arch mlp.width"].number_value == 4
    assert row["settings/seed"].number_value == 0
    end = HParamsPluginData.FromString(found["_hparams_/session_end_info"].plugin_data.content)
    assert end.session_end_info.status == board.STATUS["finished"]


def test_the_best_figure_never_gets_worse(run: ganzoo.Run) -> None:
    tag = next(tag for tag in events(run.dir).Tags()["tensors"] if tag.startswith("2 quality/best "))
    values = [event.tensor_proto.float_val[0] for event in events(run.dir).Tensors(tag)]
    assert values == sorted(values)


def test_seeds_share_a_group_and_recipes_do_not(tmp_path: Path) -> None:
    from ganzoo.training.hparams import group

    made = [
        ganzoo.run(data="ring", logdir=tmp_path, **{**SMALL, "steps": 1}, **more)
        for more in ({"seed": 0}, {"seed": 1}, {"loss": "wgan"})
    ]
    first, second, other = map(group, made)
    assert first == second
    assert first != other


def test_scalars_over_images_follow_a_run(run: ganzoo.Run, tmp_path: Path) -> None:
    mirror = axis.Mirror(run.dir.parent, tmp_path)
    mirror.update()
    found = events(tmp_path / "a")
    assert [event.step for event in found.Tensors("3 balance/loss generator")] == [8, 16, 24, 32]
    with (run.dir / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "images": 40, "loss/generator": None}) + '\n{"step": 6, "ima')
    mirror.update()
    assert [event.step for event in events(tmp_path / "a").Tensors("3 balance/loss generator")][-1] == 40


def test_a_histogram_leaves_out_what_is_not_finite(tmp_path: Path) -> None:
    made = board.Board(tmp_path, None)
    made.histogram("scores of real/all", torch.tensor([1.0, float("nan"), 2.0]), 3)
    made.histogram("scores of fake/all", torch.tensor([float("inf")]), 3)
    made.close()
    (event,) = events(tmp_path).Tensors("3 balance/scores of real")
    assert sum(event.tensor_proto.double_val[2::3]) == 2
    assert "3 balance/scores of fake" not in events(tmp_path).Tags()["tensors"]
