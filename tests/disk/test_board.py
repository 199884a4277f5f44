"""What TensorBoard is given: names, descriptions, the hparams, and scalars over images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import ganzoo
from ganzoo.cli import main
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
    assert row["3 loss"].string_value == "hinge"
    assert row["arch mlp.width"].number_value == 4
    assert row["settings/seed"].number_value == 0
    end = HParamsPluginData.FromString(found["_hparams_/session_end_info"].plugin_data.content)
    assert end.session_end_info.status == board.STATUS["finished"]


def test_the_table_says_what_became_of_a_run_also_after_a_resume(tmp_path: Path) -> None:
    """The row of the table is written anew, since TensorBoard keeps the first row that it reads."""

    def row() -> dict[str, str]:
        found = events(tmp_path / "a").summary_metadata["_hparams_/session_start_info"].plugin_data.content
        columns = HParamsPluginData.FromString(found).session_start_info.hparams
        return {key: columns[key].string_value for key in ("5 status", "7 reason")}

    class Two(ganzoo.Tracker):
        """Ends the run."""

        def step_made(self, run: ganzoo.Run, step: int) -> None:
            if step == 2:
                run.request_stop("two steps are enough")

    ganzoo.run(data="ring", logdir=tmp_path, name="a", log=[Two()], **SMALL)
    assert row() == {"5 status": "stopped", "7 reason": "two steps are enough"}
    ganzoo.resume(tmp_path / "a", log=[Two()], quiet=True)
    assert row() == {"5 status": "finished", "7 reason": "none"}


def test_a_figure_has_a_band_in_the_custom_scalars(run: ganzoo.Run) -> None:
    found = events(run.dir)
    low, value, high = (
        [event.tensor_proto.float_val[0] for event in found.Tensors(tag)]
        for tag in ("9 bands/modes modes lowest", "2 quality/modes modes", "9 bands/modes modes highest")
    )
    assert all(a <= b <= c for a, b, c in zip(low, value, high, strict=True))
    charts = board.layout(["metrics/modes/modes"])["3 is it good?"]
    tags_of_chart = ["2 quality/modes modes", "9 bands/modes modes lowest", "9 bands/modes modes highest"]
    assert charts["modes modes, and the range of its last values"] == ["Margin", tags_of_chart]


def test_the_outcome_holds_the_health(run: ganzoo.Run) -> None:
    text = events(run.dir).Tensors("outcome/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "**finished** after step 4 of 4" in text
    assert "**health**: " in text
    assert "modes modes: " in text


def test_the_projector_reads_points_names_and_pictures(tmp_path: Path) -> None:
    words = ["--arch=dcgan:width=4,conditional=projection", "--data=digits:size=8", "--steps=1", "--samples=4"]
    assert main(["run", *words, "--batch-size=4", "--device=cpu", "-q", "--logdir", str(tmp_path), "--name", "a"]) == 0
    assert main(["sample", str(tmp_path / "a"), "--count", "12", "--projector"]) == 0
    points = (tmp_path / "a/projector/points.tsv").read_text().splitlines()
    names = (tmp_path / "a/projector/names.tsv").read_text().splitlines()
    assert len(points) == len(names) - 1 == 24
    assert names[0] == "source and class\tsource\tclass"
    assert names[-1] == "generated 1\tgenerated\t1"
    assert {len(line.split("\t")) for line in points} == {24}
    with Image.open(tmp_path / "a/projector/pictures.png") as sheet:
        assert sheet.size == (40, 40)
    config = text_format.Parse((tmp_path / "a/projector_config.pbtxt").read_text(), ProjectorConfig())
    assert list(config.embeddings[0].sprite.single_image_dim) == [8, 8]
    assert main(["sample", str(tmp_path / "a"), "--count", "9999", "--projector"]) == 2


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


def test_a_notebook_shows_the_samples_of_a_run_and_a_shell_shows_a_line(run: ganzoo.Run) -> None:
    assert repr(run) == f"Run('{run.dir}', mlp:width=4 on ring, loss hinge, step 4)"
    picture = run._repr_png_()
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
