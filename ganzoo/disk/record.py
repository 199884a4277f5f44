"""What happened, for TensorBoard and for the machine: the only file that imports TensorBoard.

Scalars go to ``metrics.jsonl`` and to the event file; pictures to ``samples/`` and to the event file; the settings as
text, and as hparams written as session start and end into the run's own event file, so that runs of different parts
share one table. Records must not end a training: whatever of them fails is said once and left out from then on.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ganzoo.disk import pictures


class RunLogger:
    """Writes one run's records. Opening it on a run that goes on removes what was recorded past ``step``."""

    def __init__(self, folder: Path, step: int, say: Callable[[str], object]) -> None:
        """Open the records.

        Args:
            folder: the run directory.
            step: the last step that counts; what was recorded later is of a future that was not kept.
            say: told, in a line, what cannot be recorded.
        """
        self.folder, self._say = folder, say
        self._lost: set[str] = set()
        self._open: dict[str, TextIO | SummaryWriter] = {}
        self._hook = threading.excepthook
        self._try("metrics.jsonl", lambda: self._open_lines(step))
        self._try("TensorBoard", lambda: self._open_board(step))
        self._try("samples", lambda: (folder / "samples").mkdir(exist_ok=True))

    def settings(self, hparams_: Mapping[str, Any], text: str, metric_tags: list[str]) -> None:
        """The settings: as text, and as one row of the hparams table."""
        row = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in hparams_.items()}

        def write() -> None:
            self._board.add_text("settings", text, 0)
            events: Any = self._board._get_file_writer()  # type: ignore[no-untyped-call]  # torch's
            for summary in hparams(row, dict.fromkeys(metric_tags, 0.0)):  # type: ignore[no-untyped-call]  # torch's
                events.add_summary(summary)

        self._try("TensorBoard", write)

    def scalars(self, step: int, images: int, values: Mapping[str, float]) -> None:
        """Scalars by tag, at a step."""
        # JSON has no NaN; null is what readers of JSON expect
        clean = {k: v if math.isfinite(v) else None for k, v in values.items()}
        line = json.dumps({"step": step, "images": images, **clean}) + "\n"
        self._try("metrics.jsonl", lambda: self._lines.write(line))

        def write() -> None:
            for tag, value in values.items():
                self._board.add_scalar(tag, value, step)

        self._try("TensorBoard", write)

    def images(self, step: int, tag: str, samples: Tensor, columns: int | None = None, **more: Tensor | None) -> None:
        """A picture of samples, also as a PNG; ``more`` is what ``pictures.picture`` takes besides."""
        picture = pictures.picture(samples, columns, **more)
        file = self.folder / "samples" / f"{step:08d}-{tag.rpartition('/')[2]}.png"
        self._try("TensorBoard", lambda: self._board.add_image(tag, picture, step))
        self._try("samples", lambda: pictures.save(picture, file))

    def flush(self) -> None:
        """Push what was written to disk."""
        for what, sink in self._open.items():
            self._try(what, sink.flush)

    def close(self) -> None:
        """Flush and close."""
        for what, sink in self._open.items():
            self._try(what, sink.close)
        threading.excepthook = self._hook

    def _open_lines(self, step: int) -> None:
        self._lines = _without_future(self.folder / "metrics.jsonl", step).open("a", encoding="utf-8")
        self._open["metrics.jsonl"] = self._lines

    def _open_board(self, step: int) -> None:
        # TensorBoard writes in a thread, whose error comes back at the next call; its traceback is not wanted as well
        self._hook, threading.excepthook = threading.excepthook, self._thread_failed
        # what a viewer is to forget: all that is past this step, and everything where the run begins again
        purge = (step + 1 if step else 0) if any(self.folder.glob("events.out.tfevents.*")) else None
        self._board = SummaryWriter(str(self.folder), purge_step=purge, max_queue=1000)
        self._open["TensorBoard"] = self._board

    def _thread_failed(self, told: threading.ExceptHookArgs) -> None:
        if "tensorboard" not in type(told.thread).__module__:
            self._hook(told)

    def _try(self, what: str, write: Callable[[], object]) -> None:
        """Write, unless that kind of record was lost before; if it fails, it is lost from now on."""
        if what in self._lost:
            return
        try:
            write()
        except Exception as error:  # whatever TensorBoard, Pillow or the disk may raise
            self._lost.add(what)
            self._say(f"warning: {what} in {self.folder} cannot be written ({error}): training goes on without")


def _without_future(path: Path, step: int) -> Path:
    """A ``metrics.jsonl`` without torn lines and what is past a step; another file takes its place only when whole."""
    if path.exists():
        kept = [line for line in read(path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        if text.encode() != path.read_bytes():
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; a last line that was torn by a crash is left out."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
    return lines
