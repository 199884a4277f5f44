"""A folder that is too large for the memory: decoded as it is used, and kept in a cache of decoded pictures."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from image_files import greys, level, png, refused, save, zipped
from torch.utils.data import DataLoader, TensorDataset

from ganzoo import cache_folder, errors
from ganzoo.data.choose import feed
from ganzoo.data.resident import Resident
from ganzoo_zoo.data import _cache, _files
from ganzoo_zoo.data._images import ImageSet
from ganzoo_zoo.data._lazy import LazyImages
from ganzoo_zoo.data.folder import Folder

pytestmark = pytest.mark.usefixtures("cache")

# too many to be held in memory


def large(root: Path, **how) -> ImageSet | LazyImages:
    return Folder(path=str(root), **{"size": 8, "memory": 0, **how}).dataset()


def test_a_large_set_is_decoded_as_it_is_used(tmp_path):
    greys(tmp_path, [f"{c}/{k}.png" for c in "ab" for k in range(5)])
    held, lazy = Folder(path=str(tmp_path), size=8).dataset(), large(tmp_path, cache=None)
    assert isinstance(lazy, LazyImages)
    assert (len(lazy), lazy.classes) == (10, held.classes)
    assert torch.equal(lazy.labels, held.labels)
    for k in (0, 3, 9, -1):
        assert torch.equal(lazy[k][0], held[k][0])
        assert lazy[k][1] == int(held[k][1])
    with pytest.raises(IndexError):
        lazy[10]
    assert lazy[0][0].is_contiguous()
    (tmp_path / "a/0.png").rename(tmp_path / "1.png")
    assert isinstance(large(tmp_path, cache=None)[0], torch.Tensor)  # no labels: no pair


def test_the_next_readable_image_takes_an_unreadable_ones_place(tmp_path, caplog):
    greys(tmp_path, [f"a/{k}.png" for k in range(5)] + [f"b/{k}.png" for k in range(5)])
    lazy = Folder(path=str(tmp_path), size=8, memory=0, cache=None, max_skipped=0.2).dataset()
    (tmp_path / "a/4.png").unlink()  # while it is being trained on
    (tmp_path / "b/4.png").write_bytes(b"")
    for _ in range(2):
        assert (level(lazy[4][0][None]), lazy[4][1]) == ([5], 1)
        assert (level(lazy[9][0][None]), lazy[9][1]) == ([0], 0)
    assert caplog.messages == [
        "folder: a/4.png cannot be read (vanished): the next image takes its place",
        "folder: b/4.png cannot be read (empty): the next image takes its place",
    ]
    (tmp_path / "a/0.png").unlink()
    with pytest.raises(errors.DataError, match=r"3 of 10 files .* more than max_skipped=0.2 allows"):
        lazy[0]


def test_when_all_of_it_vanishes(tmp_path):
    greys(tmp_path, [f"{k}.png" for k in range(4)])
    lazy = Folder(path=str(tmp_path), size=8, memory=0, cache=None, max_skipped=1).dataset()
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(errors.DataError, match="a GAN needs many images"):
        lazy[0]


def test_a_large_set_says_at_once_what_the_listing_shows(tmp_path, caplog):
    greys(tmp_path, ["1.png", "2.png"])
    (tmp_path / "3.png").symlink_to("nowhere")
    refused(Folder(path=str(tmp_path), size=8, memory=0, cache=None), r"1 of 3 files .*3\.png \(broken link\)")
    assert len(Folder(path=str(tmp_path), size=8, memory=0, cache=None, max_skipped=0.5).dataset()) == 2
    assert "skipped 1 of 3 files" in caplog.text


def test_a_zip_is_read_by_worker_processes(tmp_path):
    path = zipped(tmp_path / "x.zip", {f"{k}.png": png(10 * k) for k in range(20)})
    lazy = Folder(path=str(path), size=8, memory=0, cache=None).dataset()
    lazy[0]  # opened in the parent
    loader = DataLoader(lazy, batch_size=5, num_workers=2, multiprocessing_context="fork")
    for _ in range(3):
        assert level(torch.cat(list(loader))) == list(range(20))


def test_a_forked_process_opens_the_zip_anew(tmp_path, monkeypatch):
    archive = _files.Archive(zipped(tmp_path / "x.zip", {"1.png": png(), "2.png": png(20)}))
    ours = archive._opened[1]
    archive.open("1.png")
    assert archive._opened[1] is ours
    monkeypatch.setattr("os.getpid", lambda: -1)  # two processes would move one position in one open file
    assert archive.open("2.png").read() == png(20)
    assert archive._opened[1] is not ours


def test_a_lazy_set_survives_pickling(tmp_path):
    path = zipped(tmp_path / "x.zip", {f"{k}.png": png(10 * k) for k in range(3)})
    lazy = pickle.loads(pickle.dumps(Folder(path=str(path), size=8, memory=0, cache=None).dataset()))
    assert level(torch.stack([lazy[k] for k in range(3)])) == [0, 1, 2]


# decoded once, into a file


@pytest.fixture
def decodings(monkeypatch) -> list[str]:
    """The files that are decoded."""
    done, decode = [], LazyImages._decode
    monkeypatch.setattr(LazyImages, "_decode", lambda self, at: done.append(self.names[at]) or decode(self, at))
    return done


@pytest.mark.parametrize("bad", [[], ["a/4.png", "a/3.png", "b/4.png"]])
def test_a_cached_set_is_the_set_that_is_decoded_as_it_is_used(tmp_path, cache, caplog, capsys, bad, decodings):
    names = [f"{c}/{k}.png" for c in "ab" for k in range(5)]
    greys(tmp_path, names)
    for name in bad:
        (tmp_path / name).write_bytes(b"")
    lazy, kept = large(tmp_path, cache=None, max_skipped=0.3), large(tmp_path, max_skipped=0.3)
    assert sorted(decodings) == names, "each image once"
    assert isinstance(kept, TensorDataset)
    assert kept.classes == lazy.classes
    assert torch.equal(kept.labels, lazy.labels)
    for k in range(10):
        assert torch.equal(kept[k][0], lazy[k][0])
        assert int(kept[k][1]) == lazy[k][1]
    given = [feed(data, "folder", 4, 0, torch.device("cpu"), torch.float32) for data in (lazy, kept)]
    assert isinstance(given[1], Resident)
    streamed, held = (each.fingerprint() for each in given)
    assert held == {**streamed, "content": held["content"]}
    assert torch.equal(given[0]._frequencies, given[1]._frequencies)
    for k in range(4):
        assert torch.equal(given[0].reals(k).images, given[1].reals(k).images)
    assert caplog.messages[0].startswith("folder: decoding 10 images of ")
    assert (f"skipped {len(bad)} of 10 files that cannot be read: a/3.png (empty)" in caplog.text) == bool(bad)
    decodings.clear()
    caplog.clear()
    again = large(tmp_path, max_skipped=0.3)
    assert not decodings
    assert torch.equal(again.tensors[0], kept.tensors[0])
    assert len(caplog.messages) == bool(bad), "and the unreadable ones are named again"
    with pytest.raises(errors.DataError, match="3 of 10 files") if bad else contextlib.nullcontext():
        large(tmp_path, max_skipped=0.2)
    assert capsys.readouterr().err.strip() == ""


def test_vanished_files_do_not_matter_once_they_are_cached(tmp_path):
    greys(tmp_path, ["1.png", "2.png", "3.png"])
    kept = large(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    assert level(kept.tensors[0]) == [0, 1, 2]


def test_an_image_that_changed_is_decoded_again_and_what_decodes_it_otherwise_too(tmp_path, cache, decodings):
    greys(tmp_path, ["1.png", "2.png", "3.png"])
    old = large(tmp_path)
    was = (tmp_path / "2.png").stat()
    save(tmp_path / "2.png", grey=30)  # of the same size ...
    os.utime(tmp_path / "2.png", ns=(was.st_atime_ns, was.st_mtime_ns))  # ... and time
    assert (tmp_path / "2.png").stat().st_size == was.st_size
    assert level(large(tmp_path).tensors[0]) == [0, 3, 2]
    assert level(old.tensors[0]) == [0, 1, 2], "whoever has the old one keeps it"
    assert len([each for each in cache.iterdir() if each.is_dir()]) == 1, "which is not kept for others"
    for how in ({"size": 4}, {"channels": 1}, {"resize": "pad"}, {"limit": 2}):
        del decodings[:]
        assert len(large(tmp_path, **how)) == how.get("limit", 3) == len(decodings)
    del decodings[:]
    assert level(large(tmp_path).tensors[0]) == [0, 3, 2]
    assert not decodings


def test_a_zips_images_are_cached_too(tmp_path, decodings):
    path = zipped(tmp_path / "x.zip", {f"{k}.png": png(10 * k) for k in range(3)})
    assert level(large(path).tensors[0]) == level(large(path).tensors[0]) == [0, 1, 2]
    assert len(decodings) == 3
    zipped(path, {f"{k}.png": png(10 * k) for k in (0, 2, 1)})
    assert level(large(path).tensors[0]) == [0, 1, 2]
    zipped(path, {f"{k}.png": png(20 * k) for k in range(3)})
    assert level(large(path).tensors[0]) == [0, 2, 4]


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "gone", "zeros", "no facts", "other facts", "half facts"])
def test_a_damaged_cache_is_made_again(tmp_path, cache, decodings, damage):
    greys(tmp_path, ["1.png", "2.png", "3.png"])
    large(tmp_path)
    (pixels,) = cache.glob("*/pixels")
    facts, whole = pixels.with_name("facts.json"), pixels.read_bytes()
    {
        "cut": lambda: pixels.write_bytes(whole[:-1]),
        "longer": lambda: pixels.write_bytes(whole + b"0"),
        "empty": lambda: pixels.write_bytes(b""),
        "gone": pixels.unlink,
        "zeros": lambda: pixels.write_bytes(bytes(len(whole))),
        "no facts": facts.unlink,
        "other facts": lambda: facts.write_text("[]"),
        "half facts": lambda: facts.write_text(facts.read_text()[:50]),
    }[damage]()
    del decodings[:]
    assert level(large(tmp_path).tensors[0]) == [0, 1, 2]
    assert len(decodings) == 3
    assert level(large(tmp_path).tensors[0]) == [0, 1, 2]
    assert len(decodings) == 3


def test_no_room_is_said_in_one_line_and_does_no_harm(tmp_path, cache, caplog, monkeypatch):
    greys(tmp_path / "set", ["1.png", "2.png"])
    monkeypatch.setattr("shutil.disk_usage", lambda place: Disk(2**20))
    assert isinstance(large(tmp_path / "set"), LazyImages)
    monkeypatch.undo()
    monkeypatch.setattr("os.posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert isinstance(large(tmp_path / "set", cache=str(tmp_path / "c")), LazyImages)
    assert not [each for each in (tmp_path / "c").iterdir() if each.is_dir()], "nothing is left"
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    assert isinstance(large(tmp_path / "set", cache=str(tmp_path / "file")), LazyImages)
    assert [m.split("(")[1].split(")")[0] for m in caplog.messages] == [
        "0.00 GiB of 0.00 GiB that are free",
        "No space left on device",
        "File exists",
    ]
    assert all(m.startswith("folder: images are decoded as they are used, for they") for m in caplog.messages)


class Disk:
    def __init__(self, free):
        self.free = free


def test_a_kill_in_the_middle_leaves_nothing_for_long(tmp_path, cache):
    greys(tmp_path, ["1.png", "2.png"])
    large(tmp_path)
    (folder,) = (each for each in cache.iterdir() if each.is_dir())
    shutil.rmtree(folder)
    (cache / f".{folder.name}.making-x" / "new").mkdir(parents=True)
    large(tmp_path)
    assert [each for each in cache.iterdir() if each.is_dir()] == [folder]


def test_of_two_processes_at_once_one_decodes(tmp_path, cache):
    greys(tmp_path, [f"{k}.png" for k in range(20)])
    script = (
        "import sys, time\n"
        "from ganzoo_zoo.data import _lazy, folder\n"
        "decode = _lazy.decode\n"
        "_lazy.decode = lambda *a: time.sleep(0.05) or decode(*a)\n"
        "print(folder.Folder(path=sys.argv[1], size=8, memory=0).dataset().tensors[0].float().mean().item())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    out, err = zip(*(each.communicate(timeout=60) for each in both), strict=True)
    assert out == ("95.0\n",) * 2
    assert "".join(err).count("decoding 20 images") == 1
    assert level(large(tmp_path).tensors[0]) == list(range(20))


def test_where_the_users_cache_is(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/ganzoo")
    monkeypatch.setenv("HOME", "/h")
    for unset in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_folder() == Path("/h/.cache/ganzoo")
    monkeypatch.setenv("GANZOO_CACHE", "~/kept")
    assert cache_folder() == Path("/h/kept")


def test_a_wait_for_the_cache_is_said_and_ends(tmp_path, monkeypatch, caplog):
    """Another process that decodes the same images may be stopped (SIGSTOP)."""
    import fcntl

    monkeypatch.setattr(_cache, "_WORD", 0.05)
    monkeypatch.setattr(_cache, "_WAIT", 0.3)
    with (tmp_path / ".x.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process holds"), _cache._alone(tmp_path / ".x.lock"):
            pass
    assert [line for line in caplog.messages if line.startswith("waiting for another process that decodes")]
    with _cache._alone(tmp_path / ".x.lock") as alone:
        assert alone


def test_the_cache_of_private_images_is_private(tmp_path):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    greys(root, [f"{k}.png" for k in range(4)])
    large(root, cache=str(cache))
    (kept,) = [each for each in cache.iterdir() if each.is_dir()]
    assert kept.stat().st_mode & 0o777 == 0o700
    kept.chmod(0o755)  # as an earlier version left it
    large(root, cache=str(cache))
    assert kept.stat().st_mode & 0o777 == 0o700
