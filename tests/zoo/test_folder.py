from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from ganzoo import errors, words
from ganzoo.data.choose import feed
from ganzoo.data.resident import Resident
from ganzoo_zoo.data import _cache, _files
from ganzoo_zoo.data._files import natural
from ganzoo_zoo.data._images import ImageSet
from ganzoo_zoo.data.folder import Folder, LazyImages

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpg-train.zip"
real = [
    pytest.mark.data,
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="the real CIFAR-10 is not beside the checkout"),
]
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return Path(os.environ["XDG_CACHE_HOME"]) / "ganzoo"


def save(path: Path, image: Image.Image | None = None, grey: int = 0, **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (8, 8), (grey, grey, grey))).save(path, **how)
    return path


def greys(root: Path, names: list[str]) -> None:
    """Flat images; the k-th has grey level 10 k."""
    for k, name in enumerate(names):
        save(root / name, grey=10 * k)


def level(x: torch.Tensor) -> list[int]:
    """The levels of flat images, a tenth of their grey."""
    assert all(len(image.unique()) == 1 for image in x)
    return [int(image.max()) // 10 for image in x]


def one(tmp_path: Path, image: Image.Image, name: str = "a.png", save_as: dict | None = None, **how) -> torch.Tensor:
    """What becomes of one image; the data part wants two."""
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    save(root / name, image, **(save_as or {}))
    save(root / "z.png")
    return Folder(path=str(root), **{"size": 8, **how}).dataset().tensors[0][0]


def refused(part: Folder, match: str) -> str:
    with pytest.raises(errors.DataError, match=match) as caught:
        part.dataset()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def zipped(path: Path, files: dict[str, bytes], **how) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def png(grey: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), grey).save(out, "png")
    return out.getvalue()


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


def test_images_beside_the_class_folders_leave_none_with_a_label(tmp_path, caplog):
    greys(tmp_path, ["cat/1.png", "dog/1.png", "stray.png"])
    assert Folder(path=str(tmp_path), size=8).dataset().labels is None
    assert caplog.messages == ["folder: images lie outside the 2 class folders, so none has a label"]


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
    assert len(Folder(path=str(tmp_path), size=8).dataset()) == 2
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


# images of every kind


def test_grey_and_colour(tmp_path):
    assert one(tmp_path, Image.new("L", (8, 8), 99))[:, 0, 0].tolist() == [99, 99, 99]
    assert one(tmp_path, Image.new("RGB", (8, 8), RED))[:, 0, 0].tolist() == [255, 0, 0]
    grey = one(tmp_path, Image.new("RGB", (8, 8), RED), channels=1)
    assert (grey.shape, grey.unique().tolist()) == ((1, 8, 8), [76])  # luma of red: 0.299


def test_palette_bilevel_and_cmyk(tmp_path):
    assert one(tmp_path, Image.new("RGB", (8, 8), RED).convert("P"))[:, 3, 3].tolist() == [255, 0, 0]
    assert one(tmp_path, Image.new("1", (8, 8), 1)).unique().tolist() == [255]
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert one(tmp_path, cmyk, "a.tif")[:, 3, 3].tolist() == [255, 0, 0]
    assert one(tmp_path, cmyk, "a.jpg")[0, 3, 3] > 250
    assert one(tmp_path, cmyk, "a.jpg", channels=1)[0, 3, 3] == pytest.approx(76, abs=3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparent_is_white(tmp_path, mode):
    if mode == "P":  # one transparent entry of the palette, as bytes
        image, how = Image.new("P", (8, 8), 0), {"transparency": bytes([0, 255])}
        image.putpalette([0, 0, 0, 255, 0, 0])
    elif mode in ("RGB", "L"):  # one colour that stands for transparent
        image, how = Image.new(mode, (8, 8), 0), {"transparency": (0, 0, 0) if mode == "RGB" else 0}
    else:
        image, how = Image.new(mode, (8, 8), 0), {}
    assert one(tmp_path, image, save_as=how).unique().tolist() == [255]


def test_half_transparent_is_half_white(tmp_path):
    assert one(tmp_path, Image.new("RGBA", (8, 8), (0, 0, 0, 128))).unique().tolist() == [127]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, name):
    levels = np.repeat(np.array([0, 257, 32896, 65535, 300, 65278, 400, 128], np.uint16)[None], 8, axis=0)
    if name == "a.pgm":
        save(tmp_path / "x.png")
        (tmp_path / name).write_bytes(b"P5 8 8 65535\n" + levels.astype(">u2").tobytes())
        x = Folder(path=str(tmp_path), size=8).dataset().tensors[0][0]
    else:
        x = one(tmp_path, Image.fromarray(levels), name)
    assert x[0, 0].tolist() == [0, 1, 128, 255, 1, 254, 2, 0]
    assert torch.equal(x[0], x[2])


def test_big_endian_16_bit_and_floating_point(tmp_path):
    big = Image.frombytes("I;16B", (8, 8), np.full((8, 8), 32896, ">u2").tobytes())
    assert one(tmp_path, big, "a.tif").unique().tolist() == [128]
    assert one(tmp_path, Image.fromarray(np.full((8, 8), 0.5, np.float32)), "a.tif").unique().tolist() == [128]


@pytest.mark.parametrize("value", [np.float32(3), np.float32("nan"), np.int32(70000), np.int32(-1)])
def test_numbers_without_a_known_range_are_unreadable(tmp_path, value):
    greys(tmp_path, [f"{k}.png" for k in range(3)])
    save(tmp_path / "odd.tif", Image.fromarray(np.full((8, 8), value)))
    refused(Folder(path=str(tmp_path), size=8), r"odd\.tif \((floating-point values outside|integers beyond)")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_exif_asks_for(tmp_path, orientation):
    upright = Image.new("RGB", (16, 8), BLACK)
    upright.paste(WHITE, (0, 0, 4, 4))  # the upper left corner
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.jpg"):
        x = one(tmp_path, stored, name, {"exif": exif, "quality": 95}, resize="stretch", size=16)[0].int()
        assert x[:8, :4].min() > 200
        assert x[8:].max() < 60
        assert x[:, 6:].max() < 60


def test_damaged_exif_does_not_lose_the_image(tmp_path):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert one(tmp_path, Image.new("RGB", (8, 8), WHITE), "a.jpg", {"exif": exif}).min() > 250


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE, BLACK)]
    for name in ("a.gif", "a.webp", "a.tif"):
        how = {"save_all": True, "append_images": frames[1:], **({"lossless": True} if name == "a.webp" else {})}
        assert one(tmp_path, frames[0], name, how)[:, 4, 4].tolist() == [255, 0, 0]


def test_a_wrong_ending_is_no_matter(tmp_path):
    save(tmp_path / "a.png", grey=200, format="JPEG")
    save(tmp_path / "b.jpg", grey=100, format="PNG")
    assert Folder(path=str(tmp_path), size=8).dataset().tensors[0].amax((1, 2, 3)).tolist() == [200, 100]


# any shape


def test_an_image_of_the_right_size_is_untouched(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for how in ("crop", "pad", "stretch"):
        assert torch.equal(one(tmp_path, Image.fromarray(pixels), resize=how), torch.from_numpy(pixels).movedim(2, 0))


@pytest.mark.parametrize("size", [(24, 8), (8, 24)])
def test_crop_pad_and_stretch(tmp_path, size):
    image = Image.new("RGB", size, BLACK)
    image.paste(WHITE, tuple((s - 8) // 2 + o for o in (0, 8) for s in size))  # the square in the middle
    assert one(tmp_path, image, resize="crop").unique().tolist() == [255]
    stretched, padded = one(tmp_path, image, resize="stretch"), one(tmp_path, image, resize="pad")
    if size == (8, 24):
        stretched, padded = stretched.mT, padded.mT
    assert (stretched.min(), stretched.max(), stretched[0, :, 4].min()) == (0, 255, 255)
    assert padded[:, [0, 1, 6, 7]].max() == 0  # margins of an image that became 8x3
    assert padded[:, 3, 4].min() > 250


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_odd_shapes(tmp_path, how, size):
    x = one(tmp_path, Image.new("RGB", size, WHITE), resize=how, size=12)
    assert (x.shape, x.max()) == ((3, 12, 12), 255)


def test_a_large_jpeg_is_shrunk_with_antialiasing(tmp_path):
    checkers = np.kron(np.indices((200, 200)).sum(0) % 2, np.ones((2, 2))).astype(np.uint8) * 255
    x = one(tmp_path, Image.fromarray(checkers), "a.jpg", size=8).int()
    assert (x - 127).abs().max() < 20


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
        "from ganzoo_zoo.data import folder\n"
        "decode = folder.decode\n"
        "folder.decode = lambda *a: time.sleep(0.05) or decode(*a)\n"
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
    assert _cache.default() == Path("/c/ganzoo")
    monkeypatch.setenv("HOME", "/h")
    for unset in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert _cache.default() == Path("/h/.cache/ganzoo")


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


def test_the_cache_of_private_images_is_private(tmp_path):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    greys(root, [f"{k}.png" for k in range(4)])
    large(root, cache=str(cache))
    (kept,) = [each for each in cache.iterdir() if each.is_dir()]
    assert kept.stat().st_mode & 0o777 == 0o700
    kept.chmod(0o755)  # as an earlier version left it
    large(root, cache=str(cache))
    assert kept.stat().st_mode & 0o777 == 0o700
