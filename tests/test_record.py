"""The logs of a run: removed after a step, read from the end, never written through a link."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo import errors
from ganzoo.disk import pictures, record
from ganzoo.disk.checkpoint import disk
from ganzoo.disk.record import RunLogger
from ganzoo.disk.tags import About


def written(path: Path, steps: range, **values: Any) -> bytes:
    text = "".join(json.dumps({"step": step, "images": 2 * step, **values}) + "\n" for step in steps)
    path.write_text(text)
    return text.encode()


@pytest.mark.parametrize("step", [0, 1, 499, 500, 999, 1000, 5000])
def test_what_is_after_a_step_is_cut_off(tmp_path: Path, step: int) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = written(path, range(1, 1001), text="x" * 300).splitlines(keepends=True)
    record.remove_after(path, step)
    assert path.read_bytes() == b"".join(lines[:step])


@pytest.mark.parametrize(
    "torn", [b'{"step": 3, "lo', b"\x00\xff\n", b'{"step": "x"}\n', b"[1]\n", b'{"step": 3}', b"\n"]
)
def test_a_torn_end_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = written(path, range(1, 4))
    path.write_bytes(whole + torn)
    record.remove_after(path, 9)
    assert path.read_bytes() == whole


def test_a_missing_file_stays_missing(tmp_path: Path) -> None:
    record.remove_after(tmp_path / "metrics.jsonl", 3)
    assert record.read(tmp_path / "metrics.jsonl") == []
    assert record.newest(tmp_path / "metrics.jsonl") == {}
    assert list(tmp_path.iterdir()) == []


def test_the_newest_value_of_each_tag(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 1, "a": 1.0, "b": 5.0}, {"step": 2, "images": 4, "a": None}, {"step": 3, "c": "text"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "a"')
    found = record.newest(path)
    assert found.keys() == {"a", "b"}
    assert math.isnan(found["a"])
    assert found["b"] == 5.0


def test_memory_and_reads_do_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume reads as much of a long file as it removes; a load reads the last lines."""
    path = tmp_path / "metrics.jsonl"
    written(path, range(1, 200_001), loss=0.25)
    parsed: list[bytes] = []
    real = record._parsed
    monkeypatch.setattr(record, "_parsed", lambda text: parsed.append(text) or real(text))
    record.remove_after(path, 199_990)
    assert len(parsed) == 11
    record.newest(path)
    assert len(parsed) == 11 + record.NEWEST_LINES


def test_figures_of_a_long_file_are_read_without_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a run, and a comparison, read what metrics recorded: of 20,000 lines the 20 with a figure."""
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": k, "images": 2 * k, "loss": float(k)} | ({"metrics/fd/x": k / 2} if k % 1000 == 0 else {})
        for k in range(1, 20_001)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    parsed: list[bytes] = []
    real = record._parsed
    monkeypatch.setattr(record, "_parsed", lambda text: parsed.append(text) or real(text))
    found = record.outline(path)
    assert [line["metrics/fd/x"] for line in found[:-1]] == [k / 2 for k in range(1000, 20_001, 1000)]
    assert found[0] == {"step": 1000, "images": 2000, "metrics/fd/x": 500.0}
    assert found[-1] == {"step": 20_000, "images": 40_000, "loss": 20_000.0}
    assert len(parsed) == 20 + 1 + record.NEWEST_LINES
    assert record.last_line(path)["step"] == 20_000
    assert record.outline(tmp_path / "none") == []


def test_a_pipe_is_one_line_and_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    os.mkfifo(path)
    for reading in (record.read, record.newest):
        with pytest.raises(errors.RunError, match=r"metrics\.jsonl cannot be read \(no regular file\)"):
            reading(path)
    lines: list[str] = []
    logger = RunLogger(tmp_path, 0, lines.append)
    logger.scalars(1, 2, {"a": 1.0})
    logger.close()
    assert [line for line in lines if "metrics.jsonl" in line and line.endswith("training goes on without")]
    assert len(lines) == 1


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b'{"step": 9}\n')
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "metrics.jsonl").symlink_to(outside)
    (run / "samples" / "00000001-ema.png").symlink_to(outside)
    logger = RunLogger(run, 0, lambda line: None)
    logger.scalars(1, 2, {"a": 1.0})
    logger.images(1, "samples/ema", torch.zeros(4, 3, 8, 8))
    logger.close()
    assert outside.read_bytes() == b'{"step": 9}\n'
    assert not (run / "samples" / "00000001-ema.png").is_symlink()
    assert (run / "samples" / "00000001-ema.png").stat().st_size > 50


def test_a_picture_that_breaks_off_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    file = tmp_path / "a.png"
    pictures.save(torch.zeros(3, 4, 4, dtype=torch.uint8), file)
    old = file.read_bytes()

    def fail(image: Image.Image, path: Any, **options: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        pictures.save(torch.ones(3, 4, 4, dtype=torch.uint8), file)
    assert file.read_bytes() == old
    assert list(tmp_path.iterdir()) == [file]


def test_logs_are_on_the_disk_when_sync_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").resolve().name.split(".")[0])
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    logger = RunLogger(tmp_path, 0, lambda line: None)
    logger.scalars(1, 2, {"a": 1.0})
    logger.sync()
    assert {"metrics", "events", tmp_path.name} <= set(synced)
    assert record.read(tmp_path / "metrics.jsonl") == [{"step": 1, "images": 2, "a": 1.0}]
    assert disk is not None
    logger.close()


def events(folder: Path) -> list[Any]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return [event for file in sorted(folder.glob(record.EVENT_FILES)) for event in EventFileLoader(str(file)).Load()]


def test_a_resume_does_not_log_the_settings_again(tmp_path: Path) -> None:
    for step in (0, 5, 9):
        logger = RunLogger(tmp_path, step, lambda line: None)
        logger.begin(About({"loss": "hinge"}, {"settings": "text"}, "hinge"))
        logger.scalars(step + 1, 0, {"a": 1.0})
        logger.close()
    texts = [e for e in events(tmp_path) if any(v.tag.startswith("settings") for v in e.summary.value)]
    assert len(texts) == 1
