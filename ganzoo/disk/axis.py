"""Show scalars over the images that a run has seen, instead of over its steps.

``metrics.jsonl`` holds both numbers in every line. The scalars are written again to a temporary folder, with the images
in the place of the step. The folder follows the runs while it is used.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganzoo.disk.board import Board

EVERY = 5.0
"""Seconds between two looks at the runs."""


class Mirror:
    """Scalars of a directory of runs, with images in the place of steps.

    Args:
        runs: a log directory, or a run directory.
        folder: the folder to write to.
    """

    def __init__(self, runs: Path, folder: Path) -> None:
        self.runs, self.folder = runs, folder
        self.read: dict[Path, int] = {}
        self.boards: dict[Path, Board] = {}

    def update(self) -> None:
        """Write what the runs have recorded since the last call."""
        for file in sorted(self.runs.rglob("metrics.jsonl")):
            start = self.read.get(file, 0)
            if not file.is_file() or file.is_symlink() or file.stat().st_size <= start:
                continue
            with file.open("rb") as opened:
                opened.seek(start)
                text = opened.read()
            whole = text[: text.rfind(b"\n") + 1]  # a line that is being written is read the next time
            self.read[file] = start + len(whole)
            if file not in self.boards:
                place = self.folder / os.path.relpath(file.parent, self.runs)
                place.mkdir(parents=True, exist_ok=True)
                self.boards[file] = Board(place, None)
                self.boards[file].layout()
            for line in whole.splitlines():
                try:
                    values = json.loads(line)
                    images = int(values.pop("images"))
                    values.pop("step")
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
                numbers = {tag: float("nan") if v is None else float(v) for tag, v in values.items()}
                self.boards[file].scalars(numbers, images)
            self.boards[file].flush()


@contextmanager
def by_images(runs: Path) -> Iterator[Path]:
    """A context with a folder of event files whose steps are images. A thread keeps the folder up to date.

    Args:
        runs: a log directory, or a run directory.

    Yields:
        The folder, which is removed at the end.
    """
    with tempfile.TemporaryDirectory(prefix="ganzoo-") as name:
        mirror, ended = Mirror(runs, Path(name)), threading.Event()
        mirror.update()

        def follow() -> None:
            while not ended.wait(EVERY):
                mirror.update()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield Path(name)
        finally:
            ended.set()
            thread.join()
            for board in mirror.boards.values():
                board.close()
