"""What happened, for TensorBoard and for the machine: the only file that imports TensorBoard.

Scalars go to ``metrics.jsonl`` and to the event file; pictures to ``samples/`` and to the event file; the settings as
text, and as hparams written as session start and end into the run's own event file, so that runs of different parts
share one table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ganzoo import pictures


class Recorder:
    """Writes one run's records. Opening it on a run that goes on removes what was recorded past ``step``."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the records.

        Args:
            folder: the run directory.
            step: the last step that counts; what was recorded later is of a future that was not kept.
        """
        self.folder = folder
        self._lines = folder / "metrics.jsonl"
        kept = [line for line in read(self._lines) if line["step"] <= step]
        self._file = self._lines.open("w", encoding="utf-8")
        for line in kept:
            self._write(line)
        self._board = SummaryWriter(str(folder), purge_step=step + 1 if step else None, max_queue=1000)
        (folder / "samples").mkdir(exist_ok=True)

    def settings(self, hparams_: Mapping[str, Any], text: str, metric_tags: list[str]) -> None:
        """The settings: as text, and as one row of the hparams table."""
        self._board.add_text("settings", text, 0)
        row = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in hparams_.items()}
        for summary in hparams(row, dict.fromkeys(metric_tags, 0.0)):  # type: ignore[no-untyped-call]  # torch's
            self._event_file.add_summary(summary)

    def scalars(self, step: int, images: int, values: Mapping[str, float]) -> None:
        """Scalars by tag, at a step."""
        self._write({"step": step, "images": images, **values})
        for tag, value in values.items():
            self._board.add_scalar(tag, value, step)

    def images(self, step: int, tag: str, samples: Tensor, columns: int | None = None) -> Path:
        """A picture of samples; returns where its PNG is."""
        picture = pictures.picture(samples, columns)
        self._board.add_image(tag, picture, step)
        path = self.folder / "samples" / f"{step:08d}-{tag.rpartition('/')[2]}.png"
        pictures.save(picture, path)
        return path

    def flush(self) -> None:
        """Push what was written to disk."""
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        self._board.close()

    @property
    def _event_file(self) -> Any:
        return self._board._get_file_writer()  # type: ignore[no-untyped-call]  # torch's

    def _write(self, line: Mapping[str, Any]) -> None:
        # JSON has no NaN; null is what readers of JSON expect
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()}
        self._file.write(json.dumps(clean) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; a last line that was torn by a crash is left out."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
    return lines
