"""People's own image files: what is said of them, their depth, their labels, and random flips and crops."""

from __future__ import annotations

import json
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo import errors, image_formats
from ganzoo.data.choose import feed

CPU = torch.device("cpu")


def save(path: Path, grey: int = 100, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 8), grey if mode == "L" else (grey,) * len(mode)).save(path)  # type: ignore[arg-type]
    return path


def images(root: Path, *names: str) -> None:
    for k, name in enumerate(names):
        save(root / name, 10 * k)


def dataset(root: Path, more: str = "", part: str = "folder") -> Any:
    return ganzoo.part("data", f"{part}:path={root},size=8{more}").dataset()


def levels(found: Any) -> list[int]:
    return [int(image.max()) for image in found.tensors[0]]


# -- what is said -----------------------------------------------------------------------------------------------------


def test_files_that_are_not_looked_at_are_counted_by_their_endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_formats, "_load", lambda module: False)
    image_formats.suffixes.cache_clear()
    images(tmp_path, "a.png", "b.png")
    for k in range(3):
        (tmp_path / f"{k}.HEIC").write_bytes(b"x")
    (tmp_path / "raw.cr2").write_bytes(b"x")
    try:
        (note,) = dataset(tmp_path).notes
        for name in ("a.png", "b.png"):
            (tmp_path / name).unlink()
        with pytest.raises(
            errors.DataError, match=r"no images in .*not looked at: 3 .heic, which needs: python -m pip"
        ):
            dataset(tmp_path)
    finally:
        image_formats.suffixes.cache_clear()
    assert "4 of 6 files" in note
    assert note.endswith("3 .heic, which needs: python -m pip install pillow-heif, 1 .cr2")


def test_a_package_that_reads_more_formats_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for pillow-jxl-plugin, which registers a format and an ending when it is imported."""
    from PIL import BmpImagePlugin

    class Stand(BmpImagePlugin.BmpImageFile):
        format = "JXL"

    monkeypatch.setitem(Image.OPEN, "JXL", (Stand, BmpImagePlugin._accept))
    monkeypatch.setattr(Image, "ID", [*Image.ID, "JXL"])
    monkeypatch.setattr(image_formats, "_load", lambda module: module == "pillow_jxl")
    for cached in (image_formats.suffixes, image_formats.formats):
        cached.cache_clear()
    for k in range(2):
        Image.new("L", (8, 8), 50 * k).save(tmp_path / f"{k}.jxl", format="BMP")
    try:
        assert levels(dataset(tmp_path)) == [0, 50]
    finally:
        monkeypatch.undo()
        for cached in (image_formats.suffixes, image_formats.formats):
            cached.cache_clear()


@pytest.mark.parametrize("ending", ["tga", "jp2"])
def test_tga_and_jpeg_2000(tmp_path: Path, ending: str) -> None:
    images(tmp_path, f"1.{ending}", f"2.{ending}")
    assert levels(dataset(tmp_path)) == [0, 10]


def test_a_text_that_ends_like_a_png_is_no_tga(tmp_path: Path) -> None:
    images(tmp_path, *(f"{k}.png" for k in range(30)))
    (tmp_path / "x.png").write_bytes(bytes([0, 0, 2, *[0] * 9, 8, 0, 8, 0, 24, 0]) + b"x" * 192)  # a whole TGA
    assert len(dataset(tmp_path)) == 30


def test_folders_that_look_like_splits(tmp_path: Path) -> None:
    images(tmp_path, "train/1.png", "test/1.png", "train/2.png")
    found = dataset(tmp_path)
    assert found.classes == ["test", "train"]
    assert (
        f"look like splits of a set, and count as classes: give one of them, such as path={tmp_path}/train"
        in found.notes[0]
    )
    assert dataset(tmp_path, ",labels=none").labels is not None  # folders stay classes
    images(tmp_path / "more", "train/1.png", "val/1.png", "val/2.png")
    assert f"give one of them, such as path={tmp_path}/more/train" in dataset(tmp_path / "more").notes[0]
    single = dataset(tmp_path / "train")
    assert (single.labels, single.notes) == (None, [])


def test_an_empty_class_folder_is_said(tmp_path: Path) -> None:
    images(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "bird").mkdir()
    assert dataset(tmp_path).notes == ["folder: no image in the folder bird"]


def test_class_names_of_one_text_are_one_class(tmp_path: Path) -> None:
    """MacOS writes an accent as a character of its own."""
    names = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    images(tmp_path, f"{names[0]}/1.png", f"{names[1]}/2.png", "dog/1.png")
    found = dataset(tmp_path)
    assert found.classes == ["caf\u00e9", "dog"]
    assert sorted(found.labels.tolist()) == [0, 0, 1]


def test_two_files_of_one_stem_in_pairs(tmp_path: Path) -> None:
    images(tmp_path, "images/1.png", "images/1.jpg", "masks/1.png")
    with pytest.raises(errors.DataError, match=r"images/1.png .* have one name up to the ending: remove or rename"):
        dataset(tmp_path, part="pairs")


def test_masks_that_are_empty(tmp_path: Path) -> None:
    images(tmp_path, *(f"images/{k}.png" for k in range(3)))
    for k in range(3):
        save(tmp_path / f"masks/{k}.png", 200 * (k == 2))
    found = dataset(tmp_path, ",hold_out=0", part="pairs")
    assert found.notes == [f"pairs: 2 of 3 masks in {tmp_path} are empty: no pixel is above threshold=0"]


# -- depth, range, opacity --------------------------------------------------------------------------------------------


def deep(root: Path, *tops: int) -> None:
    root.mkdir(exist_ok=True)
    for k, top in enumerate(tops):
        Image.fromarray(np.linspace(0, top, 64).round().astype(np.uint16).reshape(8, 8)).save(root / f"{k}.png")


def test_12_bits_in_16_are_looked_at_and_said(tmp_path: Path) -> None:
    deep(tmp_path, 4095, 3000)
    found = dataset(tmp_path, ",channels=1")
    assert levels(found) == [255, 187]
    assert found.notes == [
        "folder: 16-bit images have values up to 4095, as of 12 bits: 0 to 4095 become black to white, and "
        "range=0,65535 would take all 16 bits"
    ]
    whole = dataset(tmp_path, ",channels=1,range=0..65535")
    assert (levels(whole), whole.notes) == ([16, 12], [])
    with pytest.raises(errors.DataError, match=r"integers from 0 to 4095, beyond 0 to 4000: give range=LOW,HIGH"):
        dataset(tmp_path, ",range=0,4000")


@pytest.mark.parametrize("memory", ["2", "0"])
def test_16_bits_and_floats_stay_what_they_are_when_asked(tmp_path: Path, memory: str) -> None:
    deep(tmp_path, 65535, 65534)
    more = f",channels=1,dtype=float32,memory={memory},cache={tmp_path / 'cache'}"
    first = dataset(tmp_path, more).tensors[0]
    assert first.dtype == torch.float32
    assert len(first[0].unique()) == 64
    wanted = np.linspace(0, 65535, 64).round().reshape(8, 8) / 32767.5 - 1
    assert torch.allclose(first[0, 0].double(), torch.from_numpy(wanted), atol=1e-6)
    floats = tmp_path / "floats"
    floats.mkdir()
    for k in range(2):
        Image.fromarray(np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)).save(floats / f"{k}.tif")
    with pytest.raises(
        errors.DataError, match=r"floating-point values from -3 to 5, beyond 0 to 1: give range=LOW,HIGH"
    ):
        dataset(floats)
    kept = dataset(floats, ",channels=3,dtype=float32,range=-3,5").tensors[0]
    assert torch.allclose(kept[0, 2].flatten(), torch.linspace(-1, 1, 64), atol=1e-6)
    eight = dataset(floats, ",channels=1,range=-3,5").tensors[0]
    assert eight.flatten()[[0, -1, 63]].tolist() == [0, 255, 255]


def test_exported_numbers_are_in_the_units_of_the_files(tmp_path: Path) -> None:
    """Where files have more than 8 bits: 12 bits that were looked at, all 16 bits, numbers that the user gave."""
    deep(tmp_path / "twelve", 4095, 3000)
    deep(tmp_path / "sixteen", 65535, 65535)
    for k in range(2):
        save(tmp_path / "eight" / f"{k}.png")
    assert dataset(tmp_path / "twelve").data_range == (0.0, 4095.0)
    assert dataset(tmp_path / "twelve", f",memory=0,cache={tmp_path / 'c'}").data_range == (0.0, 4095.0)
    assert dataset(tmp_path / "twelve", ",memory=0,cache=none").data_range == (0.0, 4095.0)
    assert dataset(tmp_path / "sixteen").data_range == (0.0, 65535.0)
    assert dataset(tmp_path / "sixteen", ",range=0,65536").data_range == (0.0, 65536.0)
    assert dataset(tmp_path / "eight").data_range is None
    bytes_alone = dataset(tmp_path / "eight", ",range=0,4095")
    assert bytes_alone.data_range is None
    assert bytes_alone.notes == [
        "folder: range=0,4095 changes nothing: no image of more than 8 bits was found, and bytes go from 0 to 255"
    ]


def png_of_16_bits_in_colour() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + b"\x12\x34" * 24 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_bits_that_pillow_drops_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of_16_bits_in_colour())
    (tmp_path / "b.ppm").write_bytes(b"P6 8 8 65535\n" + b"\x12\x34" * 192)
    said = (
        "a.png has 16 bits a channel in colour, of which Pillow reads 8: to train on all bits, save each image as .npy"
    )
    assert dataset(tmp_path).notes[0].startswith(f"folder: {said}")
    (tmp_path / "a.png").unlink()
    images(tmp_path, "c.png", "d.tif")
    assert [note.split(" has")[0] for note in dataset(tmp_path).notes] == ["folder: b.ppm"]
    (tmp_path / "b.ppm").unlink()
    assert dataset(tmp_path).notes == []


# -- label files ------------------------------------------------------------------------------------------------------


def test_a_label_file_of_the_current_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "set", "a.png", "b.png")
    (tmp_path / "own.csv").write_text("file_name,label\na.png,cat\nb.png,dog\n")
    monkeypatch.chdir(tmp_path)
    assert dataset(tmp_path / "set", ",labels=own.csv").notes == []
    (tmp_path / "set" / "own.csv").write_text("file_name,label\na.png,1\nb.png,0\n")
    found = dataset(tmp_path / "set", ",labels=own.csv")
    assert found.classes == ["cat", "dog"]
    assert found.notes[0] == (
        f"folder: the labels are those of {tmp_path / 'own.csv'}, and not of own.csv beside the images"
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_a_label_file_in_the_single_outer_folder(tmp_path: Path, zipped: bool) -> None:
    images(tmp_path / "all", "set/x/1.png", "set/y/1.png")
    (tmp_path / "all" / "set" / "labels.csv").write_text("file_name,label\nx/1.png,cat\ny/1.png,dog\n")
    place = tmp_path / "all"
    if zipped:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for file in sorted(place.rglob("*.*")):
                archive.write(file, file.relative_to(place).as_posix())
        place = tmp_path / "all.zip"
    found = dataset(place)
    assert (found.classes, found.labels.tolist()) == (["cat", "dog"], [0, 1])
    assert len(found.notes) == 1


def test_names_that_fit_several_images_are_named(tmp_path: Path) -> None:
    images(tmp_path, "x/1.png", "y/1.png", "y/2.png", "y/3.png")
    (tmp_path / "own.csv").write_text("file_name,label\n1.png,cat\n")
    with pytest.raises(
        errors.DataError, match=r"names 1\.png, which fits 2 images, such as x/1\.png and y/1\.png: name"
    ):
        dataset(tmp_path, f",labels={tmp_path / 'own.csv'}")
    (tmp_path / "own.csv").write_text("file_name,label\n1.png,cat\n2.png,cat\n3.png,dog\n")
    assert (
        dataset(tmp_path, ",labels=own.csv")
        .notes[-1]
        .startswith("folder: 1 lines of own.csv fit several images, such as 1.png (x/1.png, y/1.png), and are not used")
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_in_a_zip_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images(tmp_path, "a.png", "b.png", "c.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a.png", "b.png", "c.png", "a.png"):
            archive.write(tmp_path / name, name)
    assert len(dataset(tmp_path / "all.zip", ",max_skipped=1")) == 3
    assert "a.png (twice in the zip: the last is used)" in caplog.text


LABEL_ARRAYS: dict[str, tuple[dict[str, Any], list[str], list[int]]] = {
    "numbers": ({"labels": np.array([0, 1, 2])}, [], [0, 1, 2]),
    "a column": ({"labels": np.array([[0], [1], [2]])}, [], [0, 1, 2]),
    "whole floats": ({"y": np.array([0.0, 1.0, 2.0])}, [], [0, 1, 2]),
    "booleans": ({"target": np.array([False, True, True])}, [], [0, 1, 1]),
    "one-hot": ({"targets": np.eye(3)[[2, 0, 1]]}, [], [2, 0, 1]),
    "names": ({"labels": np.array(["cat", "dog", "cat"])}, ["cat", "dog"], [0, 1, 0]),
    "negative numbers": ({"labels": np.array([-1, 1, -1])}, ["-1", "1"], [0, 1, 0]),
}


@pytest.mark.parametrize("kind", LABEL_ARRAYS)
def test_labels_of_every_kind_beside_the_samples_of_an_npz(kind: str, tmp_path: Path) -> None:
    arrays, classes, numbers = LABEL_ARRAYS[kind]
    np.savez(tmp_path / "x.npz", samples=np.zeros((3, 2, 4, 4), np.float32), **arrays)
    found = ganzoo.part("data", f"folder:path={tmp_path / 'x.npz'}").dataset()
    assert (found.classes, found.labels.tolist()) == (classes, numbers)


def test_an_npz_with_two_arrays_without_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.zeros((3, 2, 4, 4), np.float32), np.array([2, 0, 1]))
    assert ganzoo.part("data", f"folder:path={tmp_path / 'x.npz'}").dataset().labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0.5, 0.1, 0.2]), r"labels gives row 0 the label 0\.5: give a whole number or the name of a class"),
        (np.array([0, 1]), r"labels of shape \(2,\) and type int64: expected a label for each of 3 rows"),
        (np.zeros(3, np.complex64), r"labels of shape \(3,\) and type complex64: expected a label for each of 3 rows"),
    ],
)
def test_labels_of_an_npz_that_are_no_classes(labels: Any, said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", samples=np.zeros((3, 2, 4, 4), np.float32), labels=labels)
    with pytest.raises(errors.DataError, match=said):
        ganzoo.part("data", f"folder:path={tmp_path / 'x.npz'}").dataset()


def test_floats_of_8_bit_colour(tmp_path: Path) -> None:
    for k in range(2):
        save(tmp_path / f"{k}.png", 51, "RGB")
    values = dataset(tmp_path, ",dtype=float32").tensors[0]
    assert values.shape == (2, 3, 8, 8)
    assert torch.allclose(values, torch.tensor(-0.6))


def test_opacity_is_a_fourth_channel_on_request(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "1.png")
    Image.new("RGB", (8, 8), (0, 255, 0)).save(tmp_path / "2.png")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "3.png", transparency=1)
    found = dataset(tmp_path, ",channels=4")
    assert found.tensors[0][:, :, 0, 0].tolist() == [[255, 0, 0, 128], [0, 255, 0, 255], [0, 0, 255, 0]]
    assert dataset(tmp_path).tensors[0][0, :, 0, 0].tolist() == [255, 127, 127]


# -- labels in a file -------------------------------------------------------------------------------------------------

NAMES = ("a.png", "b.png", "c.png")


@pytest.mark.parametrize(
    ("file", "content", "labels", "classes"),
    [
        ("labels.csv", "file_name,label\na.png,dog\nb.png,cat\nc.png,dog\n", [1, 0, 1], ["cat", "dog"]),
        ("labels.csv", "a.png,1\nb.png,0\nc.png,1\n", [1, 0, 1], []),
        ("labels.csv", "a.png,dog\rb.png,cat\rc.png,dog\r", [1, 0, 1], ["cat", "dog"]),
        ("labels.csv", "a,cat\nb,cat/persian\nc,cat\n", [0, 1, 0], ["cat", "cat/persian"]),
        ("metadata.csv", "id;x;class\na;9;2.0\nb;9;0\nc;8;2\n", [2, 0, 2], []),
        ("labels.csv", "\ufeffimage,label\n./a.png,-1\nb.png,1\nc.png,1\n", [0, 1, 1], ["-1", "1"]),
        ("dataset.json", {"labels": [["a.png", 3], ["b.png", 0], ["c.png", 3]]}, [3, 0, 3], []),
        ("labels.json", {"a.png": "b10", "b.png": "b9", "c.png": "b10"}, [1, 0, 1], ["b9", "b10"]),
        ("labels.json", {"a.png": [0, 1], "b.png": [1, 0], "c.png": [0, 1]}, [1, 0, 1], []),
        ("metadata.json", [{"file_name": n, "label": k % 2} for k, n in enumerate(NAMES)], [0, 1, 0], []),
        ("labels.json", {"a.png": True, "b.png": False, "c.png": True}, [1, 0, 1], []),
    ],
)
@pytest.mark.parametrize("where", ["folder", "zip"])
def test_labels_from_a_file_beside_the_images(
    tmp_path: Path, file: str, content: Any, labels: list[int], classes: list[str], where: str
) -> None:
    root = tmp_path / "set"
    images(root, *NAMES)
    (root / file).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    if where == "zip":
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for each in root.iterdir():
                archive.write(each, f"outer/{each.name}")
        root = tmp_path / "set.zip"
    found = dataset(root)
    assert found.labels.tolist() == labels
    assert found.classes == classes
    assert found.notes == [f"folder: the labels are those of {file} (labels=none takes folders as classes)"]
    assert levels(found) == [0, 10, 20]
    assert dataset(root, ",labels=none").labels is None


def test_a_label_file_elsewhere_and_images_without_a_label(tmp_path: Path) -> None:
    images(tmp_path / "set", "x/a.png", "y/b.png", "y/c.png")
    file = tmp_path / "my labels, 2.csv"
    file.write_text("name,label\nb.png,cat\nc.png,dog\nz.png,dog\n")
    found = dataset(tmp_path / "set", f",labels={file}")
    assert (found.labels.tolist(), found.classes, levels(found)) == ([0, 1], ["cat", "dog"], [10, 20])
    assert found.notes == [
        "folder: 1 of 3 images have no label in my labels, 2.csv and are left out: x/a.png, ...",
        "folder: 1 lines of my labels, 2.csv name no image of the folder: z.png, ...",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("name,label\na.png,0.37\nb.png,1\nc.png,0\n", r"gives a.png the label 0.37: give a whole number or the name"),
        ("who,what,where\na.png,1,2\n", r"has the columns who, what, where: call one of them file_name"),
        ("a.png\nb.png\n", r"has no two columns"),
        ("name,label\nq.png,1\n", r"names none of the images, such as a.png: its first is q.png"),
        ("", r"has no two columns"),
        ("a.png,dog\na.png,cat\nb.png,cat\n", r"gives a.png two labels, dog and cat: leave one out"),
        (
            "x/a.png,dog\ny/a.png,cat\nb.png,cat\n",
            r"has two lines that fit a.png, with the labels dog and cat: name the",
        ),
        (
            'name,label\na.png,"dog\nb.png,' + "cat\nc.png," * 20000,
            r"is no CSV \(.*look for a quote that is not closed",
        ),
    ],
)
def test_a_label_file_that_cannot_be_used(tmp_path: Path, content: str, why: str) -> None:
    images(tmp_path, *NAMES)
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(errors.DataError, match=f"folder: labels=labels.csv {why}"):
        dataset(tmp_path, ",labels=labels.csv")
    assert any(note.startswith("folder: labels.csv is not used for labels: it ") for note in dataset(tmp_path).notes)


@pytest.mark.parametrize(
    "content", ["[1, 2]", "{", '{"a.png": [0.5, 0.5]}', '{"a.png": {}}', '{"a.png": 1e300}', "null"]
)
def test_json_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    images(tmp_path, *NAMES)
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(errors.DataError, match=r"folder: labels=own.json (has|is|gives) "):
        dataset(tmp_path, ",labels=own.json")
    with pytest.raises(errors.DataError, match=r"labels=gone.csv does not exist: name a CSV or JSON file"):
        dataset(tmp_path, ",labels=gone.csv")


# -- flips and crops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["2", "0"])
@pytest.mark.parametrize("data", ["folder", "digits"])
def test_flips_and_crops_of_image_data(tmp_path: Path, data: str, memory: str) -> None:
    for k in range(12):
        pixels = np.add.outer(10 * np.arange(8), np.arange(8)).astype(np.uint8) + k
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    words = (
        f"folder:path={tmp_path},size=8,channels=1,cache=none,memory={memory}" if data == "folder" else "digits:size=8"
    )
    part = ganzoo.part("data", f"{words},flip=true,crop=6x5")
    source = feed(part.dataset(), "own", 4, 0, CPU, torch.float32, part)
    assert source.shape == (1, 6, 5)
    epochs = [torch.cat([source.reals(e * source.batches + k).images for k in range(3)]) for e in range(2)]
    assert epochs[0].shape == (12, 1, 6, 5)
    again = feed(part.dataset(), "own", 4, 0, CPU, torch.float32, part)
    assert torch.equal(again.reals(source.batches + 1).images, epochs[1][4:8])
    if data == "folder":
        steps = torch.stack([x[0, :, 1] - x[0, :, 0] for x in torch.cat(epochs)]).mul(127.5).round()
        assert set(steps.flatten().tolist()) == {-1.0, 1.0}
        corners = {tuple(x[0, ::5, 0].mul(127.5).round().tolist()) for x in torch.cat(epochs)}
        assert len(corners) > 12  # many places, of 3 x 4 x 2
    middle = source.look(3).images
    assert torch.equal(middle, again.look(3).images)


def test_a_crop_larger_than_the_image_is_one_line(tmp_path: Path) -> None:
    part = ganzoo.part("data", "digits:size=16,crop=20")
    with pytest.raises(errors.DataError, match=r"crop=20 of an image of 16x16: give a smaller crop"):
        feed(part.dataset(), "digits", 4, 0, CPU, torch.float32, part)
    np.save(tmp_path / "x.npy", np.zeros((4, 17), np.float32))
    part = ganzoo.part("data", f"folder:path={tmp_path / 'x.npy'},axes=1,flip=true")
    with pytest.raises(errors.DataError, match=r"flip and crop are for images, and a sample has shape \(1, 17\)"):
        feed(part.dataset(), "x", 4, 0, CPU, torch.float32, part)


def test_tasks_use_the_flips_of_their_images(tmp_path: Path) -> None:
    for k in range(12):
        Image.fromarray(np.tile(np.arange(8, dtype=np.uint8) + k, (8, 1))).convert("RGB").save(tmp_path / f"{k}.png")
    part = ganzoo.part("data", f"colorize:of=(folder:path={tmp_path},size=8,flip=true),hold_out=0.2")
    pairs: Any = part.dataset()
    ways = {bool(pairs[0]["image"][0, 0, 0] < pairs[0]["image"][0, 0, 7]) for _ in range(20)}
    assert ways == {True, False}
    held: Any = part.held_out()
    assert all(bool(held[0]["image"][0, 0, 0] < held[0]["image"][0, 0, 7]) for _ in range(5))


def test_masks_and_photos_are_moved_alike() -> None:
    part = ganzoo.part("data", "digits-masks:size=16,flip=true,crop=12")
    whole: Any = ganzoo.part("data", "digits-masks:size=16").dataset()
    moved: Any = part.dataset()
    assert len(moved) == len(whole)
    item = moved[0]
    assert (item["image"].shape, item["condition"].shape) == ((1, 12, 12), (3, 12, 12))
    both = torch.cat([whole[0]["image"], whole[0]["condition"]])
    places = [(t, k) for t in range(5) for k in range(5)]
    pieces = [x[:, t : t + 12, k : k + 12] for x in (both, both.flip(-1)) for t, k in places]
    assert any(torch.equal(torch.cat([item["image"], item["condition"]]), piece) for piece in pieces)
    held: Any = part.held_out()
    assert torch.equal(held[0]["image"], held[0]["image"])
    assert held[0]["image"].shape == (1, 12, 12)
    with pytest.raises(errors.BadParameter, match="crop=20 is larger than size=16"):
        ganzoo.part("data", "digits-masks:size=16,crop=20")


def test_every_part_with_images_has_flips_and_crops() -> None:
    catalogue = ganzoo.catalogue()
    of_points = {"grid", "ring"}
    for entry in catalogue.entries("data"):
        if entry.name in of_points:
            continue
        named = {parameter.name for parameter in entry.peek.parameters}
        assert "flip" in named, entry.name
        assert named & {"crop", "load"}, entry.name
