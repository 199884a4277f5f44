"""Files of a run directory: regular ones alone, of a stated size, and JSON that nests as deep as Python reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganzoo.disk import regular
from ganzoo.disk.checkpoint import disk


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/zero")):
        with pytest.raises(OSError, match=r"no regular file|Is a directory"):
            regular.read_bytes(path)


def test_a_link_is_read_and_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert regular.read_json(tmp_path / "link") == 1
    with pytest.raises(OSError, match="symbolic link"):
        regular.descriptor(tmp_path / "link", os.O_WRONLY, links=False)


def test_size_and_depth_are_limited(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"[" * 2048)
    with pytest.raises(OSError, match="larger than 1 KiB"):
        regular.read_text(file, 1 << 10)
    file.write_bytes(b"[" * 100_000)
    with pytest.raises(ValueError, match="nested too deep"):
        regular.read_json(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        regular.read_json(file)


def test_a_pipe_can_be_synced_without_a_wait(tmp_path: Path) -> None:
    """A save syncs every event file of the directory, whatever it is."""
    os.mkfifo(tmp_path / "events.out.tfevents.1")
    with pytest.raises(OSError, match="Invalid argument"):
        disk.sync(tmp_path / "events.out.tfevents.1")
