"""Pictures from elsewhere, wherever pictures are read: no program is started, no more is unpacked than stated."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from ganzoo import errors, plugins
from ganzoo.disk import photos
from ganzoo.trained.project import read_image
from ganzoo_zoo.data import _arrays
from ganzoo_zoo.data._decode import Unreadable
from ganzoo_zoo.data.folder import Folder
from ganzoo_zoo.data.pairs import Pairs

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
"""A program of PostScript. Pillow starts Ghostscript with it."""


@pytest.fixture
def ghostscript(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of Ghostscript."""
    calls: list[str] = []

    def called(*arguments: object, **options: object) -> Image.core.ImagingCore:
        calls.append("called")
        return Image.new("RGB", (8, 8)).im

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", called)
    return calls


def test_the_test_would_notice(tmp_path: Path, ghostscript: list[str]) -> None:
    (tmp_path / "a.png").write_bytes(EPS)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
    assert ghostscript


def test_no_picture_starts_another_program(tmp_path: Path, ghostscript: list[str]) -> None:
    for name in ("photos/1.png", "photos/2.png", "masks/1.png", "masks/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(EPS)
    with pytest.raises(errors.DataError, match="not an image"):
        Folder(path=str(tmp_path / "photos"), size=8).dataset()
    with pytest.raises(errors.DataError, match=r"masks/1\.png or its mask cannot be read|1\.png .*cannot be read"):
        Pairs(path=str(tmp_path), folders=("photos", "masks"), size=8).dataset()
    catalogue = plugins.load_catalogue(no_plugins=True)
    with pytest.raises(errors.DataError, match=r"mask 1\.png cannot be read \(not an image\)"):
        _ = catalogue.make("data", f"inpaint:of=digits,masks={tmp_path / 'masks'}")[1]._files  # type: ignore[attr-defined]
    with pytest.raises(errors.DataError, match=r"1\.png cannot be read"):
        read_image(tmp_path / "photos" / "1.png", (3, 8, 8))
    source = next(photos.sources(tmp_path / "photos"))
    with pytest.raises(errors.DataError, match=r"1\.png cannot be read"):
        photos.read(source, 3)
    assert ghostscript == []


def test_a_members_false_size_is_believed_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.png", bytes(2**24))
    content = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the size in the local and in the central header
        place = content.rfind(sign) + at
        content[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    (source,) = photos.sources(path)
    with pytest.raises(errors.DataError, match=r"1\.png cannot be read"):
        photos.read(source, 3)


def test_arrays_that_are_damaged_in_any_place_are_unreadable() -> None:
    """zipfile, zlib, Python's parser and numpy each raise exceptions of their own."""
    whole = io.BytesIO()
    np.savez_compressed(whole, samples=np.zeros((4, 8), np.float32), labels=np.arange(4))
    single = io.BytesIO()
    np.save(single, np.zeros((4, 8), np.float32))
    generator = np.random.default_rng(0)
    for name, content in (("a.npz", whole.getvalue()), ("a.npy", single.getvalue())):
        for _ in range(400):
            damaged = bytearray(content)
            for at in generator.integers(0, len(damaged), generator.integers(1, 6)):
                damaged[at] = generator.integers(0, 256)
            try:
                _arrays.read(io.BytesIO(bytes(damaged[: generator.integers(1, len(damaged) + 1)])), name)
            except Unreadable as error:
                assert "\n" not in str(error)
