"""Checkpoints: whole or not there, damaged or not believed."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Failing

from ganzoo import errors
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock

Tensors = dict[str, dict[str, torch.Tensor]]


def value(seed: int) -> Tensors:
    noise = torch.Generator().manual_seed(seed)
    return {
        "generator": {"w": torch.randn(4, 3, generator=noise), "count": torch.tensor(seed)},
        "discriminator": {"w": torch.randn(5, generator=noise).to(torch.bfloat16), "empty": torch.zeros(0)},
        "optimizer-generator": {},
        "part-other/thing": {
            "seen": torch.tensor(True),
            "wide": torch.randn(2, 3, 4, 5, generator=noise).to(memory_format=torch.channels_last),
        },
    }


def save(folder: Path, step: int, keep: int = 9, best: int | None = None) -> Path:
    return checkpoint.save(folder, step, value(step), {"counters": {"step": step}}, keep, best)


def same(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(
        a[g].keys() == b[g].keys()
        and all(a[g][n].dtype == b[g][n].dtype and torch.equal(a[g][n], b[g][n]) for n in a[g])
        for g in a
    )


def steps(folder: Path) -> list[int]:
    return [int(p.name) for p in checkpoint.found(folder)]


def test_what_was_saved_is_read_bit_for_bit(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    written = value(7)
    place = checkpoint.save(folder, 7, written, {"counters": {"step": 7}, "lr": 0.1 + 0.2}, 3)
    assert place == folder / "00000007"
    found = checkpoint.newest(folder)
    assert (found.step, found.passed_over) == (7, ())
    assert same(found.tensors, written)
    assert found.numbers["lr"] == 0.1 + 0.2
    assert {p.name for p in folder.iterdir()} == {"00000007"}, "no draft is left"
    assert {p.name for p in place.iterdir()} == {
        "generator.safetensors",
        "discriminator.safetensors",
        "optimizer-generator.safetensors",
        "part-other%2Fthing.safetensors",
        "state.json",
        "manifest.json",
    }


def test_a_file_is_usable_by_itself(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    assert torch.equal(load_file(save(tmp_path, 3) / "generator.safetensors")["w"], value(3)["generator"]["w"])


def test_the_last_ones_are_kept_by_number_and_the_best(tmp_path: Path) -> None:
    for step in (99_999_998, 99_999_999, 100_000_000, 100_000_001):
        save(tmp_path, step, keep=3, best=99_999_998)
    assert steps(tmp_path) == [99_999_998, 99_999_999, 100_000_000, 100_000_001]
    save(tmp_path, 100_000_002, keep=1)
    assert steps(tmp_path) == [100_000_002]


def spoil(how: str) -> Callable[[Path], None]:
    def bit(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.write_bytes(content)

    return {
        "truncated": lambda file: os.truncate(file, file.stat().st_size - 1),
        "emptied": lambda file: os.truncate(file, 0),
        "removed": lambda file: file.unlink(),
        "one bit flipped": bit,
        "longer": lambda file: file.write_bytes(file.read_bytes() + b" "),
        "of another step": lambda file: shutil.copy(file.parents[1] / "00000001" / file.name, file),
        "not utf-8": lambda file: file.write_bytes(b"\xff\xfe\x00"),
        "a list": lambda file: file.write_text("[]"),
        "deep": lambda file: file.write_text("[" * 100_000),
    }[how]


FILES = [
    "generator.safetensors",
    "discriminator.safetensors",
    "optimizer-generator.safetensors",
    "part-other%2Fthing.safetensors",
    "state.json",
    "manifest.json",
]
WAYS = [
    "truncated",
    "emptied",
    "removed",
    "one bit flipped",
    "longer",
    "of another step",
    "not utf-8",
    "a list",
    "deep",
]
SAME = {("optimizer-generator.safetensors", "of another step"), ("manifest.json", "longer")}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", WAYS)
def test_any_damage_is_seen_and_the_one_before_it_is_used(tmp_path: Path, name: str, how: str) -> None:
    if (name, how) in SAME:
        return  # an empty group is the same at every step; JSON may end in a space
    save(tmp_path, 1)
    place = save(tmp_path, 2)
    spoil(how)(place / name)
    with pytest.raises(errors.CheckpointError) as caught:
        checkpoint.read(place)
    assert str(place) in str(caught.value)
    found = checkpoint.newest(tmp_path)
    assert found.step == 1
    assert same(found.tensors, value(1))
    assert place.exists(), "who only reads changes nothing"
    again = checkpoint.newest(tmp_path, set_aside=True)
    assert again.step == 1
    assert len(again.passed_over) == 1
    assert again.passed_over[0].endswith("(renamed to 00000002.damaged)")
    assert steps(tmp_path) == [1]
    assert (tmp_path / "00000002.damaged").is_dir()
    save(tmp_path, 2)
    assert checkpoint.newest(tmp_path).step == 2


def test_a_second_one_set_aside_has_a_name_of_its_own(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for _ in range(3):
        spoil("emptied")(save(tmp_path, 2) / "state.json")
        checkpoint.newest(tmp_path, set_aside=True)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"00000001", "00000002.damaged", "00000002.damaged2", "00000002.damaged3"}


def test_when_none_is_whole_all_are_named(tmp_path: Path) -> None:
    for step in (1, 2):
        spoil("removed")(save(tmp_path, step) / "state.json")
    with pytest.raises(errors.CheckpointError, match=r"no checkpoint in .* is whole: .*00000002.*00000001"):
        checkpoint.newest(tmp_path)
    with pytest.raises(errors.CheckpointError, match="there is no checkpoint in"):
        checkpoint.newest(tmp_path / "nothing")


def test_damaged_ones_are_never_counted(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    for step, how in ((2, "truncated"), (3, "removed")):
        spoil(how)(tmp_path / f"{step:08d}" / "generator.safetensors")
    save(tmp_path, 4, keep=2)
    assert steps(tmp_path) == [1, 2, 3, 4], "1 and 4 are the two that are kept"
    assert checkpoint.read(tmp_path / "00000001").step == 1


def test_a_step_saved_again_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, 5)
    checkpoint.save(tmp_path, 5, value(6), {}, 3)
    assert same(checkpoint.newest(tmp_path).tensors, value(6))
    assert {p.name for p in tmp_path.iterdir()} == {"00000005"}


def test_a_newer_format_is_said(tmp_path: Path) -> None:
    place = save(tmp_path, 1)
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(errors.RunError, match="has format 99, and this ganzoo knows 1: take a newer one"):
        checkpoint.newest(tmp_path, set_aside=True)
    assert place.is_dir(), "it is not damaged"


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.EACCES])
def test_what_cannot_be_read_now_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    save(tmp_path, 1)
    place = save(tmp_path, 2)

    def fail(path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint.disk, "read", fail)
    with pytest.raises(errors.RunError, match=os.strerror(number)) as caught:
        checkpoint.newest(tmp_path, set_aside=True)
    assert not isinstance(caught.value, errors.CheckpointError)
    assert place.is_dir()


@pytest.mark.parametrize("made", [lambda path: path.symlink_to("nowhere"), Path.touch], ids=["link", "file"])
def test_checkpoints_out_of_reach_are_not_none(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path / "checkpoints")
    with pytest.raises(errors.RunError, match="is no directory, or leads to none: put back what belongs there"):
        checkpoint.found(tmp_path / "checkpoints")


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("name", ["generator.safetensors", "state.json", "manifest.json", "evil.pt"])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the place of a file, nor one with a seal of its own, nor beside the others."""
    import hashlib

    monkeypatch.setenv("BOMB", str(tmp_path / "gone off"))
    place = save(tmp_path / "checkpoints", 1)
    (place / name).write_bytes(pickle.dumps(Bomb()))
    if name != "manifest.json":
        seal = json.loads((place / "manifest.json").read_text())
        seal["sha256"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
        seal["bytes"][name] = (place / name).stat().st_size
        (place / "manifest.json").write_text(json.dumps(seal))
    with pytest.raises(errors.CheckpointError):
        checkpoint.read(place)
    assert not (tmp_path / "gone off").exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert (tmp_path / "gone off").exists(), "the bomb was live"


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b.safetensors", ".."])
def test_a_seal_cannot_name_a_file_outside(tmp_path: Path, name: str) -> None:
    place = save(tmp_path, 1)
    seal = json.loads((place / "manifest.json").read_text())
    seal["sha256"][name] = "0" * 64
    seal["bytes"][name] = 0
    (place / "manifest.json").write_text(json.dumps(seal))
    with pytest.raises(errors.CheckpointError, match=r"names a file outside itself"):
        checkpoint.read(place)


class Counting(Failing):
    def __init__(self) -> None:
        super().__init__("none", 0, False)
        self.calls: dict[str, int] = {}

    def _count(self, kind: str) -> None:
        self.calls[kind] = self.calls.get(kind, 0) + 1


def calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    with monkeypatch.context() as patch:
        counting = Counting()
        patch.setattr(checkpoint, "disk", counting)
        for step in (1, 2, 3):
            save(folder, step, keep=2)
    return counting.calls


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("kind", ["make", "write", "sync", "rename", "remove"])
def test_whichever_call_fails_a_whole_checkpoint_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, for_good: bool
) -> None:
    counted = calls(tmp_path / "counted", monkeypatch)
    assert counted == {"make": 4, "write": 18, "sync": 25, "rename": 4, "remove": 1}, "three saves, one removal"
    for number in range(1, counted[kind] + 1):
        folder = tmp_path / f"{kind}-{number}"
        broken = Failing(kind, number, for_good)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "disk", broken)
            reached = []
            for step in (1, 2, 3):
                try:
                    save(folder, step, keep=2)
                    reached.append(step)
                except errors.RunError as error:
                    assert "cannot be written (No space left on device)" in str(error)
        assert broken.failed
        if reached:
            assert checkpoint.newest(folder).step >= reached[-1]
        for place in checkpoint.found(folder):
            checkpoint.read(place)  # what bears a number is whole
        save(folder, 4, keep=2)  # and a disk that recovers is used again
        assert checkpoint.newest(folder, set_aside=True).step == 4
        assert checkpoint.newest(folder).passed_over == ()
        assert {p.name for p in folder.iterdir() if p.name.startswith(".")} == set(), "drafts are swept away"


def test_whichever_call_is_the_last_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut: nothing at all happens after the n-th call, not even clearing up."""

    class Cut(BaseException):
        pass

    class Cutting(Failing):
        def _count(self, kind: str) -> None:
            self.left -= 1
            if self.left <= 0:
                raise Cut

    total = sum(calls(tmp_path / "counted", monkeypatch).values())
    for number in range(1, total + 1):
        folder = tmp_path / str(number)
        reached = 0
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "disk", Cutting("any", number, True))
            try:
                for step in (1, 2, 3):
                    save(folder, step, keep=2)
                    reached = step
            except Cut:
                pass
        assert reached < 3
        if reached:
            assert checkpoint.newest(folder).step >= reached
        for place in checkpoint.found(folder):
            checkpoint.read(place)


def test_too_little_room_is_seen_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    class Full(Failing):
        def free(self, folder: Path) -> int:
            return 1 << 19

    monkeypatch.setattr(checkpoint, "disk", Full("write", 1, False))
    with pytest.raises(errors.RunError, match=r"it takes 1 MiB, and 0 MiB are free"):
        save(tmp_path, 2)
    assert {p.name for p in tmp_path.iterdir()} == {"00000001"}


def test_a_writer_says_how_it_went(tmp_path: Path) -> None:
    writer = checkpoint.Writer()
    assert writer.finished(wait=True) is None
    go = threading.Event()

    def slow() -> Path:
        go.wait(10)
        return save(tmp_path, 1)

    writer.start(slow)
    assert writer.finished(wait=False) is None
    go.set()
    assert writer.finished(wait=True) == tmp_path / "00000001"
    assert writer.finished(wait=True) is None

    def fails() -> Path:
        raise errors.RunError("no")

    writer.start(fails)
    with pytest.raises(errors.RunError, match="no"):
        writer.finished(wait=True)
    assert writer.finished(wait=True) is None, "an error is raised once"


GOLDEN = Path(__file__).parents[1] / "data" / "format1"


def test_a_checkpoint_of_format_1_is_read() -> None:
    """Written by ganzoo 0.1.0; it must load for as long as format 1 is promised."""
    found = checkpoint.newest(GOLDEN / "checkpoints")
    assert found.step == 3
    assert found.tensors.keys() == {
        "generator",
        "discriminator",
        "ema",
        "optimizer-generator",
        "optimizer-discriminator",
    }


def test_a_run_of_format_1_goes_on() -> None:
    import ganzoo

    run = ganzoo.load(GOLDEN)
    assert run.step == 3
    expected = json.loads((GOLDEN / "expected.json").read_text())
    torch.testing.assert_close(run.sample(2, seed=0).flatten()[:5], torch.tensor(expected), rtol=1e-4, atol=1e-5)


class TestLock:
    @pytest.fixture
    def lock(self, tmp_path: Path) -> Iterator[Lock]:
        held = Lock(tmp_path, pytest.fail)
        yield held
        held.release()

    def other(self, folder: Path, more: str = "") -> subprocess.CompletedProcess[str]:
        load = "from ganzoo.disk.lock import Lock; from pathlib import Path"
        code = f"{load}\nlock = Lock(Path({str(folder)!r}), print)\n{more}"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    def test_another_process_is_kept_out_and_told_by_whom(self, tmp_path: Path, lock: Lock) -> None:
        out = self.other(tmp_path)
        assert out.returncode == 1
        assert f"is being trained by process {os.getpid()} on " in out.stderr
        lock.release()
        assert self.other(tmp_path).returncode == 0

    def test_it_outlives_copies_of_the_directory(self, tmp_path: Path, lock: Lock) -> None:
        (tmp_path / "lock").read_bytes()  # a lock of the process would be gone when that file is closed
        assert self.other(tmp_path).returncode == 1
        assert os.waitstatus_to_exitcode(os.waitpid(os.fork() or os._exit(0), 0)[1]) == 0
        assert self.other(tmp_path).returncode == 1

    def test_the_same_process_is_kept_out(self, tmp_path: Path, lock: Lock) -> None:
        with pytest.raises(errors.RunError, match="by this very process"):
            Lock(tmp_path, pytest.fail)
        lock.release()
        Lock(tmp_path, pytest.fail).release()

    def test_the_lock_of_a_dead_process_is_no_lock(self, tmp_path: Path) -> None:
        out = self.other(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert out.returncode == -9
        assert (tmp_path / "lock").read_text().startswith("process ")
        Lock(tmp_path, pytest.fail).release()

    def test_a_child_does_not_inherit_it(self, tmp_path: Path) -> None:
        """Workers that read data outlive a killed parent for seconds."""
        child = (
            "import os, time, signal\n"
            "os.fork() or (os.close(1), os.close(2), time.sleep(3))\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        assert self.other(tmp_path, child).returncode == -9
        Lock(tmp_path, pytest.fail).release()

    def test_a_filesystem_without_locks_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import fcntl

        def refuse(*arguments: Any) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(fcntl, "lockf", refuse)
        monkeypatch.setattr(fcntl, "fcntl", refuse)
        said: list[str] = []
        Lock(tmp_path, said.append).release()
        assert len(said) == 1
        assert said[0].startswith(f"{tmp_path} is on a filesystem without locks (Operation not supported): see that")

    def test_a_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(errors.RunError, match="cannot be written"):
            Lock(tmp_path / "nowhere", pytest.fail)


def test_without_a_thread_the_checkpoint_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    writer = checkpoint.Writer()
    writer.start(lambda: save(tmp_path, 4))
    assert writer.finished(wait=False) == tmp_path / checkpoint.name_of(4)
    assert writer.finished(wait=True) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": "2"}, "manifest.json: step: input should be a valid integer"),
        ({"step": -1}, "manifest.json: step: input should be greater than or equal to 0"),
        ({"format": "1"}, "manifest.json: format: input should be a valid integer"),
        ({"sha256": []}, "manifest.json: sha256: input should be a valid dictionary"),
        ({"sha256": {"state.json": 5}}, "manifest.json: sha256.state.json: input should be a valid string"),
        ({"bytes": {}}, "manifest.json lists sizes of other files"),
        ({"sha256": {}, "bytes": {}}, "it is not of step 2"),
        ({"bytes": None}, "manifest.json: bytes: input should be a valid dictionary"),
    ],
)
def test_a_manifest_of_another_schema_is_damaged(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = save(tmp_path, 2) / checkpoint.MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(errors.CheckpointError, match=f"00000002 is damaged: {said}"):
        checkpoint.read(file.parent)


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(tmp_path, 2) / checkpoint.MANIFEST
    monkeypatch.setattr(checkpoint, "MANIFEST_BYTES", file.stat().st_size)
    checkpoint.read(file.parent)
    file.write_text(file.read_text() + " ")
    with pytest.raises(errors.CheckpointError, match=r"manifest\.json is larger than a manifest can be"):
        checkpoint.read(file.parent)


def test_a_size_that_differs_is_seen_without_reading_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save(tmp_path, 2)
    with (place / "generator.safetensors").open("ab") as file:
        file.write(b"x")
    read = checkpoint.disk.read
    asked: list[str] = []
    monkeypatch.setattr(checkpoint.disk, "read", lambda file: asked.append(file.name) or read(file))
    with pytest.raises(errors.CheckpointError, match=r"generator\.safetensors is not what was written"):
        checkpoint.read(place)
    assert asked == [checkpoint.MANIFEST]
