"""Log a run to TensorBoard and to ``metrics.jsonl``.

Scalars are written to ``metrics.jsonl`` and to TensorBoard's event file. Pictures are written to ``samples/`` and to
the event file. The settings are written to the event file as text and as a row of the hparams table.

A log must not end a training. A kind of log that fails is reported once, and is left out for the rest of the process.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from torch import Tensor

from ganzoo import errors
from ganzoo.disk import pictures
from ganzoo.disk.board import Board
from ganzoo.disk.checkpoint import disk
from ganzoo.disk.regular import descriptor, parse_json
from ganzoo.disk.tags import About

EVENT_FILES = "events.out.tfevents.*"
"""The pattern of the names that TensorBoard gives to event files."""

BLOCK = 1 << 16
"""Bytes that are read at a time where ``metrics.jsonl`` is read from the end."""

NEWEST_LINES = 10_000
"""Lines from the end of ``metrics.jsonl`` among which the newest value of a tag is looked for."""


class RunLogger:
    """Writes the logs of one run.

    Opening the logs of a resumed run removes what was logged after the step that the run is resumed from.
    """

    def __init__(self, folder: Path, step: int, warn: Callable[[str], object]) -> None:
        """Open the logs.

        Args:
            folder: the run directory.
            step: the step that the run is at. What was logged after ``step`` is removed.
            warn: shows a line to the user.
        """
        self.folder, self._warn = folder, warn
        self._failed: set[str] = set()
        self._open: dict[str, TextIO | Board] = {}
        self._hook = threading.excepthook
        self._resumed = step > 0 and any(folder.glob(EVENT_FILES))
        self._try("metrics.jsonl", lambda: self._open_lines(step))
        self._try("TensorBoard", lambda: self._open_board(step))
        self._try("samples", self._make_samples)

    def begin(self, about: About) -> None:
        """Log what is logged once a run: texts, charts, and the row of the hparams table.

        A resumed run has the texts and the charts in an earlier event file already.

        Args:
            about: what there is to say of the run.
        """
        self._try("TensorBoard", lambda: self._board.begin(about, resumed=self._resumed))

    def end(self, status: str, reason: str, text: str, step: int) -> None:
        """Log the outcome of the run.

        Args:
            status: ``finished``, ``stopped``, ``diverged`` or ``failed``.
            reason: why the training ended early, or an empty text.
            text: the outcome in Markdown.
            step: the last step.
        """
        self._try("TensorBoard", lambda: self._board.end(status, reason, text, step))

    def scalars(
        self, step: int, images: int, values: Mapping[str, float], shown: Mapping[str, float] | None = None
    ) -> None:
        """Log scalars.

        Args:
            step: the step that the values belong to.
            images: the number of real images that the run has seen.
            values: the scalars by tag. A value that is not finite is written as ``null`` to ``metrics.jsonl``.
            shown: further scalars, for TensorBoard alone.
        """
        # JSON has no NaN. Python's own "NaN" would make the line unreadable to every other reader.
        clean = {k: v if math.isfinite(v) else None for k, v in values.items()}
        line = json.dumps({"step": step, "images": images, **clean}) + "\n"
        self._try("metrics.jsonl", lambda: self._lines.write(line))

        self._try("TensorBoard", lambda: self._board.scalars({**values, **(shown or {})}, step))

    def images(
        self,
        step: int,
        tag: str,
        samples: Tensor,
        columns: int | None = None,
        *,
        names: Sequence[str] = (),
        **options: Tensor | None,
    ) -> None:
        """Log a picture of samples, to the event file and as a PNG file in ``samples/``.

        Args:
            step: the step that the samples belong to.
            tag: the tag in TensorBoard, such as ``samples/ema``. The last word names the PNG file.
            samples: (N, *shape), in [-1, 1].
            columns: samples in a row of the picture, see ``pictures.picture``.
            names: words above the columns.
            options: further arguments of ``pictures.picture``.
        """
        picture = pictures.picture(samples, columns, names=names, **options)
        file = self.folder / "samples" / f"{step:08d}-{tag.rpartition('/')[2]}.png"
        self._try("TensorBoard", lambda: self._board.image(tag, picture, step))
        self._try("samples", lambda: pictures.save(picture, file))

    def extra_picture(self, step: int, tag: str, picture: Tensor) -> None:
        """Log a picture to the event file alone.

        Args:
            step: the step that the picture belongs to.
            tag: the tag, such as ``samples/walk``.
            picture: (3, H, W), uint8.
        """
        self._try("TensorBoard", lambda: self._board.image(tag, picture, step))

    def histogram(self, step: int, tag: str, values: Tensor) -> None:
        """Log a histogram to the event file.

        Args:
            step: the step that the values belong to.
            tag: the tag, such as ``scores of real/all``.
            values: any numbers.
        """
        self._try("TensorBoard", lambda: self._board.histogram(tag, values, step))

    def flush(self) -> None:
        """Hand everything that was logged to the operating system, so that other processes can read the logs."""
        for what, sink in self._open.items():
            self._try(what, sink.flush)

    def sync(self) -> None:
        """Block until everything that was logged is on the disk itself.

        A checkpoint that is written afterwards never knows of more steps than the logs, even after a power cut.
        """
        self.flush()
        if "metrics.jsonl" in self._open:
            self._try("metrics.jsonl", lambda: os.fsync(self._lines.fileno()))
        # TensorBoard keeps no handle of the event file open, so that the file is synced by name.
        for file in self.folder.glob(EVENT_FILES):
            self._try("TensorBoard", partial(disk.sync, file))
        self._try("metrics.jsonl", lambda: disk.sync(self.folder))

    def close(self) -> None:
        """Flush and close all files."""
        for what, sink in self._open.items():
            self._try(what, sink.close)
        threading.excepthook = self._hook

    def _open_lines(self, step: int) -> None:
        path = self.folder / "metrics.jsonl"
        remove_after(path, step)
        opened = descriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, links=False)
        self._lines = os.fdopen(opened, "a", encoding="utf-8")
        self._open["metrics.jsonl"] = self._lines

    def _make_samples(self) -> None:
        place = self.folder / "samples"
        if place.is_symlink():  # pictures must not be written outside of a run directory that came from elsewhere
            raise OSError(0, "it is a link, which is not followed", str(place))
        place.mkdir(exist_ok=True)

    def _open_board(self, step: int) -> None:
        # TensorBoard writes in a thread of its own. An error there is raised again by the next call of the writer,
        # where `_try` reports one line. The traceback that the thread would print as well is suppressed.
        self._hook, threading.excepthook = threading.excepthook, self._thread_failed
        # TensorBoard drops what earlier files hold from the purged step on. A run that begins again purges everything.
        # The first file says so too, since TensorBoard takes the first such note of a run for the beginning.
        purge = step + 1 if step else 0
        self._board = Board(self.folder, purge)
        self._open["TensorBoard"] = self._board

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        if "tensorboard" not in type(failure.thread).__module__:
            self._hook(failure)

    def _try(self, what: str, write: Callable[[], object]) -> None:
        """Write one kind of log. The first failure is reported, and that kind of log is left out from then on."""
        if what in self._failed:
            return
        try:
            write()
        except Exception as error:  # TensorBoard, Pillow and the disk raise errors of many classes
            self._failed.add(what)
            self._warn(f"warning: {what} in {self.folder} cannot be written ({error}): training goes on without")


def append_line(path: Path, line: Mapping[str, object]) -> None:
    """Append a line of JSON to a file of records. Several processes may append at the same time.

    Args:
        path: the file, which is made if missing.
        line: plain data. A number that is not finite is written as ``null``.

    Raises:
        RunError: the file cannot be written, or is no regular file.
    """
    text = json.dumps(finite(line)) + "\n"
    try:
        file = descriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, links=False)
        try:
            os.write(file, text.encode())  # a single call, so that lines of two processes do not mix
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise errors.RunError(f"{path} cannot be written ({error.strerror}): make it writable") from error


def board_scalars(folder: Path, step: int, values: Mapping[str, float]) -> None:
    """Add scalars to TensorBoard, in an event file of their own beside the event files of training.

    Args:
        folder: the run directory.
        step: the step that the values belong to.
        values: the scalars by tag.

    Raises:
        RunError: the directory cannot be written.
    """
    try:
        board = Board(folder, None, suffix=".evaluation")
        try:
            board.scalars(values, step)
        finally:
            board.close()
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be written ({error.strerror}): make it writable") from error


def finite(value: object) -> object:
    """Put None in place of each number of plain data that is not finite. JSON has no NaN.

    Args:
        value: plain data.

    Returns:
        Plain data with lists in place of tuples.

    Example:
        >>> finite({"fid": float("nan"), "steps": (1, 2)})
        {'fid': None, 'steps': [1, 2]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def remove_after(path: Path, step: int) -> None:
    """Cut what was logged after a step off the end of a ``metrics.jsonl``. A torn last line is cut off as well.

    Steps grow from line to line, so that the file is read from the end only as far as lines are removed.

    Args:
        path: the file. A missing file is left missing.
        step: the last step to keep.

    Raises:
        OSError: the file cannot be read or written, or is no regular file.
    """
    if not os.path.lexists(path):
        return
    with os.fdopen(descriptor(path, os.O_RDWR, links=False), "r+b") as file:
        keep = file.seek(0, os.SEEK_END)
        for start, text in _backwards(file):
            line = _parsed(text)
            if text.endswith(b"\n") and line is not None and line["step"] <= step:
                break
            keep = start
        file.truncate(keep)


def read(path: Path) -> list[dict[str, Any]]:
    """Read all lines of a ``metrics.jsonl``.

    Args:
        path: the file.

    Returns:
        One mapping a line, the oldest first: ``step``, ``images`` and the scalars by tag. Lines that a crash has torn
        are left out. The list is empty when the file is missing.

    Raises:
        RunError: the file cannot be read, or is no regular file.
    """
    return list(lines(path))


def lines(path: Path, holding: str = "") -> Iterator[dict[str, Any]]:
    """Read the lines of a ``metrics.jsonl`` one by one. Memory does not grow with the file.

    Args:
        path: the file.
        holding: leave out lines that do not hold these characters, without parsing the line.

    Yields:
        A mapping a line, as ``read`` gives them.

    Raises:
        RunError: the file cannot be read, or is no regular file.
    """
    wanted = holding.encode()
    with _reading(path) as file:
        for text in file or ():
            if wanted in text and (line := _parsed(text)) is not None:
                yield line


def outline(path: Path, prefix: str = "metrics/") -> list[dict[str, Any]]:
    """Read the figures of a ``metrics.jsonl``, and the newest value of every other tag.

    Figures are recorded seldom: a file of a million lines has a few thousand.

    Args:
        path: the file.
        prefix: the beginning of the tags of figures.

    Returns:
        A mapping a line with figures, with ``step``, ``images`` and the figures, the oldest first. The last mapping has
        the newest value of every other tag, with ``step`` and ``images`` of the last line. The list is empty when the
        file is missing or empty.

    Raises:
        RunError: the file cannot be read, or is no regular file.
    """
    found = [
        {tag: value for tag, value in line.items() if tag in ("step", "images") or tag.startswith(prefix)}
        for line in lines(path, f'"{prefix}')
    ]
    last = last_line(path)
    rest = {tag: value for tag, value in newest(path).items() if not tag.startswith(prefix)}
    return [*found, {**rest, **{tag: last[tag] for tag in ("step", "images") if tag in last}}] if last else found


def newest(path: Path) -> dict[str, float]:
    """Read the newest value of each tag of a ``metrics.jsonl``, from the end of the file.

    Args:
        path: the file.

    Returns:
        The newest value by tag among the last ``NEWEST_LINES`` lines. A value that was not finite is NaN.

    Raises:
        RunError: the file cannot be read, or is no regular file.
    """
    values: dict[str, float] = {}
    with _reading(path) as file:
        for count, (_, text) in enumerate(_backwards(file) if file is not None else ()):
            if count == NEWEST_LINES:
                break
            for tag, value in (_parsed(text) or {}).items():
                if tag not in ("step", "images") and isinstance(value, (int, float, type(None))):
                    values.setdefault(tag, math.nan if value is None else float(value))
    return values


def last_line(path: Path) -> dict[str, Any]:
    """Read the last line of a ``metrics.jsonl``, from the end of the file.

    Args:
        path: the file.

    Returns:
        The line as ``read`` gives it. Empty where the file is missing or empty.

    Raises:
        RunError: the file cannot be read, or is no regular file.
    """
    with _reading(path) as file:
        for count, (_, text) in enumerate(_backwards(file) if file is not None else ()):
            line = _parsed(text)
            if line is not None:
                return line
            if count == NEWEST_LINES:
                break
    return {}


class _reading:
    """A context with an opened ``metrics.jsonl``, or None when the file is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO | None:
        try:
            if os.path.lexists(self.path):
                self.file = os.fdopen(descriptor(self.path, links=False), "rb")
        except OSError as error:
            raise errors.RunError(f"{self.path} cannot be read ({error.strerror}): make it readable") from error
        return self.file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.file is not None:
            self.file.close()
        if isinstance(error, OSError):
            raise errors.RunError(f"{self.path} cannot be read ({error.strerror}): make it readable") from error


def _backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The position and the bytes of each line of a file, the last line first. Memory does not grow with the file."""
    end = file.seek(0, os.SEEK_END)
    rest = b""  # the beginning of the lines already read, whose own beginning may lie in the block before
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        rest = file.read(end - start) + rest
        lines = rest.splitlines(keepends=True)
        complete = lines if start == 0 else lines[1:]
        position = start + len(rest)
        for line in reversed(complete):
            position -= len(line)
            yield position, line
        rest, end = (lines[0] if start else b""), start


def _parsed(text: bytes) -> dict[str, Any] | None:
    """A line of a ``metrics.jsonl``, or None for a line that is damaged."""
    try:
        line = parse_json(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None
