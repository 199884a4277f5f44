"""Small image files on disk, and what a folder makes of the files."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from ganzoo import errors
from ganzoo_zoo.data.folder import Folder

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


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
