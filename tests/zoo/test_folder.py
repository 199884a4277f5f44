from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import greys, level, png, refused, save, zipped
from PIL import Image
from torch.utils.data import TensorDataset

from ganzoo import errors, words
from ganzoo_zoo.data import _files
from ganzoo_zoo.data._files import natural
from ganzoo_zoo.data.folder import Folder

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpg-train.zip"
real = [
    pytest.mark.data,
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="the real CIFAR-10 is not beside the checkout"),
]
pytestmark = pytest.mark.usefixtures("cache")


# what is found, in which order, with which labels


def test_class_folders_are_labels_in_natural_order(tmp_path):
    greys(tmp_path, ["c2/1.png", "c2/2.png", "c2/10.png", "c10/deep/er/1.png", "c10/x.JPG"])
    data = Folder(path=str(tmp_path), size=8).dataset()
    images, labels = data.tensors
    assert isinstance(data, TensorDataset)
    assert (images.shape, images.dtype, labels.dtype) == ((5, 3, 8, 8), torch.uint8, torch.int64)
    assert data.classes == ["c2", "c10"]
    assert (level(images), labels.tolist()) == ([0, 1, 2, 3, 4], [0, 0, 0, 1, 1])


@pytest.mark.parametrize("names", [["1.png", "2.png", "10.png"], ["a/1.png", "a/2.png", "a/10.png"]])
def test_no_labels_without_two_class_folders(tmp_path, names):
    greys(tmp_path, names)
    data = Folder(path=str(tmp_path), size=8).dataset()
    assert (len(data.tensors), data.labels, data.classes) == (1, None, [])
    assert level(data.tensors[0]) == [0, 1, 2]


def test_a_single_outer_folder_is_looked_through(tmp_path):
    greys(tmp_path, ["set/train/cat/1.png", "set/train/dog/1.png"])
    assert Folder(path=str(tmp_path), size=8).dataset().classes == ["cat", "dog"]


def test_images_beside_the_class_folders_leave_none_with_a_label(tmp_path):
    greys(tmp_path, ["cat/1.png", "dog/1.png", "stray.png"])
    images = Folder(path=str(tmp_path), size=8).dataset()
    assert images.labels is None
    assert images.notes == ["folder: images lie outside the 2 class folders, so none has a label"]


def test_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    greys(tmp_path, [f"{k}.png" for k in range(12)])
    listing = os.scandir

    class Backwards:
        def __init__(self, place):
            self.entries = sorted(listing(place), key=lambda e: e.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("os.scandir", Backwards)
    assert level(Folder(path=str(tmp_path), size=8).dataset().tensors[0]) == list(range(12))


def test_natural_order():
    names = [
        "a/1.png",
        "a/01.png",
        "a/2.png",
        "a/2b.png",
        "a/10.png",
        "a/b/1.png",
        "a10/1.png",
        "b.png",
        "é.png",
        "9" * 5000 + ".png",
    ]
    assert sorted(names, key=natural) == [
        "9" * 5000 + ".png",
        "a/01.png",
        "a/1.png",
        "a/2.png",
        "a/2b.png",
        "a/10.png",
        "a/b/1.png",
        "a10/1.png",
        "b.png",
        "é.png",
    ]


def test_hidden_files_shadows_and_other_files_are_not_looked_at(tmp_path, caplog):
    greys(tmp_path, ["1.png", "2.png"])
    for name in ["._1.png", ".hidden.png", ".git/x.png", "__MACOSX/1.png", "notes.txt", "Thumbs.db", "png", ".png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    images = Folder(path=str(tmp_path), size=8).dataset()
    assert len(images) == 2
    said = f"folder: 3 of 5 files in {tmp_path} are not looked at: 1 .txt, 1 .db, 1 without an ending"
    assert sorted(images.notes[0]) == sorted(said)  # in the order in which the file system lists them
    assert not caplog.messages


def test_links_are_followed_and_loops_are_not(tmp_path):
    root = tmp_path / "root"
    greys(root, ["a/1.png", "b/1.png"])
    save(tmp_path / "elsewhere" / "1.png", grey=20)
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "to_b").symlink_to(root / "b")
    (root / "b" / "to_a").symlink_to(root / "a")
    (root / "b" / "self").symlink_to(root / "b" / "self")
    data = Folder(path=str(root), size=8).dataset()
    assert data.classes == ["a", "b", "c"]
    # each folder also through the other's link, once: a/1, a/to_b/1, b/1, b/to_a/1, c/1
    assert (level(data.tensors[0]), data.labels.tolist()) == ([0, 1, 1, 0, 2], [0, 0, 1, 1, 2])


def test_the_limit_is_spread_over_all(tmp_path):
    greys(tmp_path, [f"{c}/{k}.png" for c in "ab" for k in range(6)])
    data = Folder(path=str(tmp_path), size=8, limit=4).dataset()
    assert (level(data.tensors[0]), data.labels.tolist()) == ([0, 3, 6, 9], [0, 0, 1, 1])
    assert len(Folder(path=str(tmp_path), size=8, limit=100).dataset()) == 12


# what cannot be read


def broken(root: Path, good: int = 95) -> None:
    """Five files of which nothing can be had, among good ones."""
    greys(root, [f"good/{k:03}.png" for k in range(25)])
    for k in range(25, good):
        save(root / f"good/{k:03}.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = save(root / "bad/1 cut.png", Image.fromarray(noise)).read_bytes()
    (root / "bad/1 cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "bad/2 empty.png").write_bytes(b"")
    (root / "bad/3 text.png").write_text("this is text")
    (root / "bad/4 dangling.png").symlink_to(root / "nowhere.png")
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)  # 3.6 thousand million pixels
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (root / "bad/5 bomb.png").write_bytes(whole[:8] + chunk + whole[33:])


def test_unreadable_files_are_named_counted_and_left_out(tmp_path, caplog):
    broken(tmp_path)
    data = Folder(path=str(tmp_path), size=8).dataset()
    assert (len(data), data.classes, data.labels.unique().tolist()) == (95, ["bad", "good"], [1])
    assert level(data.tensors[0][:25]) == list(range(25))
    (said,) = caplog.messages
    assert said.startswith("folder: skipped 5 of 100 files that cannot be read: ")
    assert said.count("(") == 3
    assert said.endswith(", ...")


def test_one_more_than_the_limit_is_refused(tmp_path):
    broken(tmp_path, good=94)
    said = refused(Folder(path=str(tmp_path), size=8), "^folder: 5 of 99 files in .* more than max_skipped=0.05 allows")
    assert "raise max_skipped" in said
    assert len(Folder(path=str(tmp_path), size=8, max_skipped=0.06).dataset()) == 94


def test_the_reasons(tmp_path, caplog, monkeypatch):
    broken(tmp_path, good=25)
    reasons = {}
    monkeypatch.setattr("ganzoo_zoo.data.folder.Tally.named", lambda self: reasons.update(self.skipped) or "")
    Folder(path=str(tmp_path), size=8, max_skipped=1).dataset()
    assert reasons == {
        "bad/1 cut.png": "truncated",
        "bad/2 empty.png": "empty",
        "bad/3 text.png": "not an image",
        "bad/4 dangling.png": "broken link",
        "bad/5 bomb.png": "too many pixels",
    }


@pytest.mark.parametrize("ending", ["bmp", "gif", "jpg", "png", "ppm", "tif", "webp"])
def test_a_file_cut_anywhere_is_unreadable_and_nothing_worse(tmp_path, ending):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = save(tmp_path / f"whole.{ending}", noise).read_bytes()
    save(tmp_path / "other.png")
    cuts = [len(whole) * k // 20 for k in range(19)]
    for k, cut in enumerate(cuts):
        (tmp_path / f"{k}.{ending}").write_bytes(whole[:cut])
    assert len(Folder(path=str(tmp_path), size=8, max_skipped=0.95).dataset()) == 2


def test_what_may_not_be_read(tmp_path, monkeypatch, caplog):
    greys(tmp_path, ["a/1.png", "a/2.png", "b/3.png", "locked/4.png"])
    real_open, real_scandir = Path.open, os.scandir

    def denied(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(Path, "open", lambda p, *a: denied(p) if p.name == "2.png" else real_open(p, *a))
    monkeypatch.setattr("os.scandir", lambda p: denied(p) if p.name == "locked" else real_scandir(p))
    data = Folder(path=str(tmp_path), size=8, max_skipped=0.6).dataset()
    assert (level(data.tensors[0]), data.classes) == ([0, 2], ["a", "b"])
    said = "folder: skipped 2 of 4 files that cannot be read: locked/ (permission denied), a/2.png (permission denied)"
    assert caplog.messages == [said]


def test_a_pipe_does_not_wait_for_ever(tmp_path):
    greys(tmp_path, ["1.png", "2.png"])
    os.mkfifo(tmp_path / "pipe.png")
    refused(Folder(path=str(tmp_path), size=8), r"pipe\.png \(not a regular file\)")


def test_an_odd_name_is_said_on_one_line(tmp_path):
    greys(tmp_path, ["1.png", "2.png"])
    (tmp_path / "new\nline\udcff.png").write_bytes(b"")
    said = refused(Folder(path=str(tmp_path), size=8), r"new\\nline\\udcff\.png \(empty\)")
    said.encode()


def test_postscript_is_never_run(tmp_path):
    greys(tmp_path, ["1.png", "2.png"])
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    refused(Folder(path=str(tmp_path), size=8), r"x\.png \(not an image\)")


# what is not there


def test_nothing_to_read(tmp_path):
    refused(Folder(path=str(tmp_path / "none")), "does not exist: name a folder of images or a .zip")
    refused(Folder(path=" "), "path is empty")
    said = refused(Folder(path=str(tmp_path)), "^folder: no images in ")
    assert ".png" in said
    (tmp_path / "a.png").write_bytes(b"")
    save(tmp_path / "a.png")
    refused(Folder(path=str(tmp_path)), "^folder: only one image in .*a GAN needs many: expected files that end in")
    (tmp_path / "b.png").symlink_to("nowhere")
    refused(Folder(path=str(tmp_path)), r"only one image in .* that can be read: b\.png \(broken link\)")
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.png").write_bytes(b"")
    refused(Folder(path=str(tmp_path), max_skipped=1), r"1 of 2 files .* a GAN needs many images: b\.png \(empty\)")


def test_other_files_than_a_zip(tmp_path):
    save(tmp_path / "a.png")
    refused(Folder(path=str(tmp_path / "a.png")), "neither a folder nor a .zip: name the folder that it lies in")
    (tmp_path / "a.tar").write_bytes(b"x" * 1024)
    refused(Folder(path=str(tmp_path / "a.tar")), "neither a folder nor a .zip: unpack it and name the folder")
    (tmp_path / "a.zip").write_bytes(b"x" * 1024)
    refused(Folder(path=str(tmp_path / "a.zip")), "is not a readable zip .*: copy or download it again")
    refused(Folder(path=str(tmp_path / "a.png" / "below")), "cannot be read")


def test_a_home_of_ones_own(tmp_path, monkeypatch):
    greys(tmp_path / "pictures", ["1.png", "2.png"])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Folder(path="~/pictures").dataset()) == 2


# zips


def test_a_zip_is_read_as_the_folder_is(tmp_path):
    names = ["a/1.png", "a/2.png", "a/10.png", "b/1.png"]
    greys(tmp_path / "set", names)
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        files = {name: (tmp_path / "set" / name).read_bytes() for name in names[::-1]}
        members = {"outer/": b"", **{f"outer/{name}": content for name, content in files.items()}}
        path = zipped(tmp_path / "set.zip", members, compression=how)
        data, tree = Folder(path=str(path), size=8).dataset(), Folder(path=str(tmp_path / "set"), size=8).dataset()
        assert data.classes == tree.classes == ["a", "b"]
        assert all(torch.equal(x, y) for x, y in zip(data.tensors, tree.tensors, strict=True))
    path.rename(tmp_path / "no_ending")
    assert len(Folder(path=str(tmp_path / "no_ending"), size=8).dataset()) == 4


def test_a_zip_leaves_its_folder_in_no_way(tmp_path, caplog):
    evil = ["../1.png", "/abs.png", "a/../../x.png", "C:\\x.png", "..\\y.png"]
    files = {
        **{f"{k}.png": png() for k in range(3)},
        **{name: png() for name in evil},
        "__MACOSX/._0.png": b"",
        "._1.png": b"",
        "sub\\3.png": png(),
    }
    path = zipped(tmp_path / "x.zip", files)
    before = sorted(tmp_path.rglob("*"))
    assert len(Folder(path=str(path), size=8, max_skipped=0.6).dataset()) == 4
    assert "skipped 5 of 9 files" in caplog.text
    assert "../1.png (leaves the zip)" in caplog.text
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_encrypted_and_exploding_members(tmp_path, monkeypatch):
    path = zipped(tmp_path / "x.zip", {f"{k}.png": png(k) for k in range(5)})
    content = bytearray(path.read_bytes())
    content[content.find(png(1)) + 50] ^= 0xFF  # the checksum no longer fits
    at = content.find(b"PK\x01\x02", content.find(b"PK\x01\x02") + 1)
    at = content.find(b"PK\x01\x02", at + 1)
    content[at + 8] |= 1  # the third member is said to be encrypted
    path.write_bytes(content)
    said = refused(Folder(path=str(path), size=8), "2 of 5 files")
    assert "1.png (Bad CRC-32" in said
    assert "2.png (encrypted)" in said
    monkeypatch.setattr(_files, "_LARGEST", 2**20)
    bomb = zipped(tmp_path / "b.zip", {"0.png": png(), "1.png": png(), "2.png": bytes(2**21)}, compression=8)
    assert bomb.stat().st_size < 2**14
    refused(Folder(path=str(bomb), size=8), r"2\.png \(unpacks to more than 1 MiB\)")


def test_an_empty_zip(tmp_path):
    refused(Folder(path=str(zipped(tmp_path / "x.zip", {"readme.txt": b"hello"}))), "^folder: no images in ")


# by its words


def test_the_words(tmp_path):
    part = words.make(Folder, "data folder", {"path": "x, y", "size": "32", "limit": "none", "resize": "pad"})
    assert (part.path, part.size, part.limit, part.resize) == ("x, y", 32, None, "pad")
    assert words.make(Folder, "data folder", {"path": "x", "channels": 1}).channels == 1
    assert all(p.meaning for p in words.parameters(Folder).values())
    with pytest.raises(errors.BadParameter, match="path"):
        words.make(Folder, "data folder", {})
    for key, value in {"size": "0", "resize": "fit", "channels": "2", "limit": "1", "max_skipped": "5"}.items():
        with pytest.raises(errors.BadParameter, match=f"{key}={value} is not"):
            words.make(Folder, "data folder", {"path": "x", key: value})


class TestReal:
    pytestmark = real

    def test_cifar_as_a_zip_of_class_folders(self, caplog):
        data = Folder(path=str(ARCHIVE), size=32, limit=2000).dataset()
        assert data.tensors[0].shape == (2000, 3, 32, 32)
        assert data.labels.bincount().tolist() == [200] * 10
        assert data.classes[:3] == ["airplane", "automobile", "bird"]
        assert data.tensors[0].double().mean() / 255 == pytest.approx(0.473, abs=0.01)  # CIFAR-10's mean
        assert not caplog.messages


# limits in memory and time


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    """A PNG of 173 kB can hold a gigapixel. JPEG is decoded at a smaller size, so that a camera's image is read."""
    monkeypatch.setattr("ganzoo_zoo.data._decode._PIXELS", 100 * 100)
    for name in ("1.png", "2.png", "3.png", "4.png"):
        save(tmp_path / name)
    Image.new("RGB", (400, 400)).save(tmp_path / "5.jpg")
    assert len(Folder(path=str(tmp_path), size=8).dataset()) == 5
    Image.new("RGB", (400, 400)).save(tmp_path / "6.png")
    refused(Folder(path=str(tmp_path), size=8), r"6\.png \(too many pixels\)")


def test_a_member_that_unpacks_to_more_than_the_zip_states(tmp_path, monkeypatch):
    """The false size is believed by nobody: no more is unpacked than the zip states."""
    path = zipped(tmp_path / "x.zip", {"0.png": png(), "1.png": png(), "2.png": bytes(2**26)}, compression=8)
    content = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size in the local and in the central header
        place = content.rfind(sign) + at
        content[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    refused(Folder(path=str(path), size=8), r"2\.png \(of another size than the zip states|2\.png \(Bad CRC")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_folders_that_are_linked_to_one_another_do_not_multiply(tmp_path):
    """With links to all others, n folders have n! ways. Each folder is read four times at most."""
    names = [f"f{k}" for k in range(8)]
    greys(tmp_path, [f"{name}/1.png" for name in names])
    for name in names:
        for other in names:
            if other != name:
                (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
    tree = _files.Tree(tmp_path)
    assert len(tree.names) <= 4 * len(names)
    assert {why for _, why in tree.skipped} == {"linked from more than 4 places"}
