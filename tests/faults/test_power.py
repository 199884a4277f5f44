"""A power cut: what was not synced is gone. What a checkpoint counts on is there, and the run goes on bit for bit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from harness import Bench, differences, final, state_of

from ganzoo.disk import checkpoint
from ganzoo.disk.record import EVENT_FILES, read


class Platter:
    """What the disk itself holds: of each file the content when it was synced last, of each directory the names.

    Files are known by their number (inode), so that a renamed directory keeps what was synced under its old name. Each
    synced file is held open, so that no other file gets its number.
    """

    def __init__(self) -> None:
        self.held: list[int] = []
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, tuple[int, bool]]] = {}
        self.states: list[tuple[dict[int, bytes], dict[int, dict[str, tuple[int, bool]]]]] = []
        self._fsync = os.fsync

    def fsync(self, handle: int) -> None:
        """Note what reaches the disk in a call of ``os.fsync``, and sync nothing, which would cost milliseconds."""
        self.held.append(os.dup(handle))
        number, place = os.fstat(handle).st_ino, Path(f"/proc/self/fd/{handle}").resolve()
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self.names[number] = {
                each.name: (each.stat().st_ino, each.is_dir()) for each in place.iterdir() if not each.is_symlink()
            }
        else:
            self.contents[number] = place.read_bytes()
        self.states.append((dict(self.contents), dict(self.names)))

    def after(self, count: int, root: Path, to: Path) -> Path:
        """The directory as it is found after a power cut that follows the n-th sync.

        Args:
            count: the number of syncs before the cut.
            root: the directory as it was.
            to: where to write the directory.
        """
        contents, names = self.states[count - 1]

        def restore(number: int, folder: Path) -> None:
            folder.mkdir()
            for name, (child, is_folder) in names.get(number, {}).items():
                if is_folder:
                    restore(child, folder / name)
                else:
                    (folder / name).write_bytes(contents.get(child, b""))  # a name without its content

        restore(root.stat().st_ino, to)
        return to

    def close(self) -> None:
        for handle in self.held:
            os.close(handle)


def test_what_was_not_synced_is_lost_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After whichever sync the power goes: no checkpoint is damaged, and no record before a checkpoint is missing."""
    logdir = tmp_path / "runs"
    logdir.mkdir()
    bench = Bench(logdir, arch="mlp:width=4,depth=1", data="ring", steps=8, checkpoint_every=2, sample_every=4)
    whole = bench.whole()
    platter = Platter()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", platter.fsync)
        bench.stopped(7, saves=False, name="cut")
    platter.close()
    newest: list[int] = []
    for count in range(1, len(platter.states) + 1):
        run = platter.after(count, logdir, tmp_path / f"after-{count}") / "cut"
        if not run.exists():
            continue
        assert {"config.yaml", "command.txt", "environment.json"} <= {each.name for each in run.iterdir()}
        assert all((run / name).read_bytes() for name in ("config.yaml", "command.txt", "environment.json"))
        places = checkpoint.found(run / "checkpoints")
        newest.append(checkpoint.newest(run / "checkpoints").step if places else 0)
        assert newest[-1] == (checkpoint.step_of(places[-1]) if places else 0), "the newest is whole"
        steps = [line["step"] for line in read(run / "metrics.jsonl")]
        assert steps[: newest[-1]] == [*range(1, newest[-1] + 1)]
        if places:
            assert all(file.stat().st_size > 0 for file in run.glob(EVENT_FILES))
    assert newest == sorted(newest)
    assert {0, 2, 4, 6} <= set(newest)
    # the last moment, and one in the middle of a save
    for count in (len(platter.states), len(platter.states) - 6):
        found = Bench(tmp_path / f"after-{count}", arch="mlp:width=4,depth=1", data="ring")
        again = found.resumed(tmp_path / f"after-{count}" / "cut")
        assert differences(state_of(again), state_of(whole)) == []
        assert differences(final(again.dir), final(whole.dir)) == []
        assert lines(again.dir) == lines(whole.dir)


def lines(run: Path) -> list[dict[str, Any]]:
    """The records, but for the speed."""
    return [{k: v for k, v in line.items() if k != "speed/images_per_second"} for line in read(run / "metrics.jsonl")]
