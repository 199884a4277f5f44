"""Write TensorBoard's event file. No other file of ganzoo imports TensorBoard.

Every tag has a description. A layout of custom scalars, a row of the hparams table and the end of the session belong to
every run, without configuration. The hparams are the start and the end of a session in a file of the run, and no
experiment of their own. TensorBoard then collects the columns of all runs, so that runs of different parts share one
table. The file of the session is written anew when training starts and when training ends, since the row of the table
says what became of the run.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DataClass, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.metadata import (
    PLUGIN_DATA_VERSION,
    PLUGIN_NAME,
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer import event_file_writer
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ganzoo.disk.tags import ACCURACY_BAND, FAMILIES, About, description, shown

STATUS = {
    "finished": api_pb2.STATUS_SUCCESS,
    "stopped": api_pb2.STATUS_SUCCESS,
    "diverged": api_pb2.STATUS_FAILURE,
    "failed": api_pb2.STATUS_FAILURE,
}
"""The status of the hparams table for each status of a run."""

DATA_CLASS = {
    "scalars": DataClass.DATA_CLASS_SCALAR,
    "images": DataClass.DATA_CLASS_BLOB_SEQUENCE,
    "histograms": DataClass.DATA_CLASS_TENSOR,
}
"""What kind of data each plugin of TensorBoard reads."""

BAND = ("wanted/accuracy/low", "wanted/accuracy/high")
"""The tags of the two edges of the band that the accuracy should stay in."""

STATUS_COLUMN, REASON_COLUMN = "5 status", "7 reason"
"""The columns of the hparams table that say what became of the run."""

SESSION_FILE = "events.out.tfevents.0000000000.hparams"
"""The file of a run directory that holds the row of the hparams table. TensorBoard reads the file first."""


def layout(figures: Sequence[str] = ()) -> dict[str, dict[str, list[Any]]]:
    """The charts of TensorBoard's custom scalars, for every run.

    Args:
        figures: the tags of the figures of metrics that have a band.

    Returns:
        The charts by category, as ``SummaryWriter.add_custom_scalars`` takes the charts. Tags are regular expressions.
    """
    balance, stability, quality = FAMILIES["balance"], FAMILIES["stability"], FAMILIES["quality"]
    accuracy = shown("scores/accuracy")
    bands = {
        f"{' '.join(tag.split('/')[1:])}, and the range of its last values": [
            "Margin",
            [shown(tag), *(shown(f"{tag.replace('metrics', 'spread', 1)}/{edge}") for edge in ("lowest", "highest"))],
        ]
        for tag in figures
    }
    return {
        "1 is it balanced?": {
            "losses of both players": ["Multiline", [f"{balance}/loss .*"]],
            "mean scores of real and generated samples": ["Multiline", [f"{balance}/score (real|fake)$"]],
            "accuracy of the discriminator, and the band to stay in": [
                "Multiline",  # the areas of many runs on top of one another would hide the curves
                [accuracy, *map(shown, BAND)],
            ],
        },
        "2 is it stable?": {
            "norms of the gradients": ["Multiline", [f"{stability}/gradient .*"]],
            "penalties": ["Multiline", [f"{stability}/penalty .*"]],
            "what parts report, such as singular values": [
                "Multiline",
                [f"{stability}/(?!gradient|penalty).*"],
            ],
        },
        "3 is it good?": {
            **(bands or {"metrics": ["Multiline", [f"{quality}/(?!diversity|best).*"]]}),
            "best figures so far": ["Multiline", [f"{quality}/best .*"]],
            "diversity of the samples, 1 for the diversity of the data": ["Multiline", [f"{quality}/diversity"]],
        },
        "4 is it fast?": {
            "images a second": ["Multiline", [shown("speed/images_per_second")]],
            "learning rates": ["Multiline", [f"{FAMILIES['speed']}/learning rate .*"]],
        },
    }


@contextmanager
def _named_in_order(folder: Path) -> Iterator[None]:
    """A context in which the name of a new event file follows the names of the event files of a directory.

    TensorBoard reads event files in the order of their names, which begin with the second of the clock. A file of the
    same second, or of a clock that was set back, would be read first: steps would be doubled and the newest dropped.
    """
    names = (re.match(r"events\.out\.tfevents\.(\d{1,12})\.", path.name) for path in folder.iterdir())
    latest = max((int(match[1]) for match in names if match), default=0)
    if latest < int(time.time()):
        yield
        return
    # TensorBoard takes the second from `time.time` alone, and no argument sets the name.
    clock = event_file_writer.time
    event_file_writer.time = SimpleNamespace(time=lambda: latest + 1)
    try:
        yield
    finally:
        event_file_writer.time = clock


class Board:
    """The event file of a run.

    Args:
        folder: the run directory.
        purge: the first step of earlier event files that TensorBoard drops, or None.
        suffix: the end of the name of the event file.
    """

    def __init__(self, folder: Path, purge: int | None, suffix: str = "") -> None:
        with _named_in_order(folder):
            self._writer = SummaryWriter(str(folder), purge_step=purge, max_queue=1000, filename_suffix=suffix)
        self._described: set[str] = set()
        self._folder, self._about = folder, About()

    def begin(self, about: About, *, resumed: bool = False) -> None:
        """Write what is written once a run: texts, the layout, and the row of the hparams table.

        Args:
            about: what there is to say.
            resumed: earlier event files hold the texts and the layout already.
        """
        self._about = about
        if not resumed:
            for tag, text in about.texts.items():
                self.text(tag, text)
            self.layout(about.figures)
        self._session("training", "")

    def layout(self, figures: Sequence[str] = ()) -> None:
        """Write the charts of custom scalars.

        Args:
            figures: the tags of the figures of metrics that have a band.
        """
        self._writer.add_custom_scalars(layout(figures))

    def end(self, status: str, reason: str, text: str, step: int) -> None:
        """Write the outcome of the run.

        Args:
            status: ``finished``, ``stopped``, ``diverged`` or ``failed``.
            reason: why the training ended early, or an empty text.
            text: the outcome in Markdown.
            step: the last step.
        """
        self.text("outcome", text, step)
        self._session(status, reason)

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Write a text.

        Args:
            tag: the tag.
            text: the text in Markdown.
            step: the step.
        """
        self._writer.add_text(tag, text, step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars. The edges of the band of the accuracy go along with the accuracy.

        Args:
            values: the scalars by tag, as in ``metrics.jsonl``.
            step: the step.
        """
        pairs = [(tag, shown(tag), value) for tag, value in values.items()]
        if "scores/accuracy" in values:
            pairs += [(tag, shown(tag), edge) for tag, edge in zip(BAND, ACCURACY_BAND, strict=True)]
        found = []
        for tag, name, value in pairs:
            proto = TensorProto(dtype=DT_FLOAT, float_val=[value])
            found.append(Summary.Value(tag=name, tensor=proto, metadata=self._metadata(tag, name, "scalars")))
        self._add(Summary(value=found), step)

    def image(self, tag: str, picture: Tensor, step: int) -> None:
        """Write a picture.

        Args:
            tag: the tag, such as ``samples/ema``.
            picture: (3, H, W), uint8.
            step: the step.
        """
        name = shown(tag)
        height, width = picture.shape[1:]
        png = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(png, format="PNG")
        data = [str(width).encode(), str(height).encode(), png.getvalue()]
        proto = TensorProto(dtype=DT_STRING, tensor_shape=_shape(len(data)), string_val=data)
        metadata = self._metadata(tag, name, "images")
        self._add(Summary(value=[Summary.Value(tag=name, tensor=proto, metadata=metadata)]), step)

    def histogram(self, tag: str, values: Tensor, step: int) -> None:
        """Write a histogram.

        Args:
            tag: the tag, such as ``scores of real/all``.
            values: any numbers. Numbers that are not finite are left out.
            step: the step.
        """
        found = values.detach().flatten().double().cpu().numpy()
        found = found[np.isfinite(found)]
        if not len(found):
            return
        counts, edges = np.histogram(found, bins=30)
        buckets = np.stack([edges[:-1], edges[1:], counts], 1)
        name = shown(tag)
        proto = TensorProto(dtype=DT_DOUBLE, tensor_shape=_shape(*buckets.shape), double_val=buckets.ravel().tolist())
        metadata = self._metadata(tag, name, "histograms")
        self._add(Summary(value=[Summary.Value(tag=name, tensor=proto, metadata=metadata)]), step)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()

    def _metadata(self, tag: str, name: str, plugin: str) -> SummaryMetadata:
        """The metadata of a tag: the plugin that shows the tag, and at the first writing the description."""
        if name in self._described:
            text = ""
        else:
            self._described.add(name)
            text = self._about.descriptions.get(tag) or description(tag)
        return SummaryMetadata(
            display_name=name.partition("/")[2],
            summary_description=text,
            plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=b""),
            data_class=DATA_CLASS[plugin],
        )

    def _session(self, status: str, reason: str) -> None:
        """Write the row of the hparams table, in the place of the row that the run had before."""
        start = SessionStartInfo(group_name=self._about.group)
        for key, value in {
            **self._about.columns,
            STATUS_COLUMN: status,
            REASON_COLUMN: shorten(reason, 80) or "none",
        }.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                start.hparams[key].number_value = value
            else:
                start.hparams[key].string_value = str(value)
        found = {SESSION_START_INFO_TAG: HParamsPluginData(session_start_info=start, version=PLUGIN_DATA_VERSION)}
        if status in STATUS:
            end = SessionEndInfo(status=STATUS[status])
            found[SESSION_END_INFO_TAG] = HParamsPluginData(session_end_info=end, version=PLUGIN_DATA_VERSION)
        draft = self._folder / f".{SESSION_FILE}.{os.getpid()}"  # a name that TensorBoard does not read
        try:
            with draft.open("wb") as file:
                records = RecordWriter(file)
                records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
                for tag, data in found.items():
                    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=data.SerializeToString())
                    value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))
                    event = Event(wall_time=time.time(), summary=Summary(value=[value]))
                    records.write(event.SerializeToString())
            draft.replace(self._folder / SESSION_FILE)
        finally:
            draft.unlink(missing_ok=True)

    def _add(self, summary: Summary, step: int | None = None) -> None:
        events: Any = self._writer._get_file_writer()  # type: ignore[no-untyped-call]  # torch's
        events.add_summary(summary, step)


def _shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])
