"""Your own data in six forms: a folder, a zip, an npz file, a CSV with labels, a class in a notebook, a plugin file.

``python examples/own_data/own_data.py DIR`` makes small data of each form in DIR, trains two steps on each, samples
one class, continues the run, and prints what ganzoo said of the data. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset

import ganzoo

PLUGIN = Path(__file__).with_name("own_plugin.py")

SMALL: dict[str, Any] = {
    "arch": "mlp:width=16,depth=1,conditional=auto",
    "batch_size": 4,
    "latent_dim": 8,
    "samples": 4,
    "precision": "fp32",
    "quiet": True,
}
"""Settings of a run of a second. Leave these out for a real run."""


def photos(root: Path) -> None:
    """Write two folders of pictures: the folders are the classes."""
    random = np.random.default_rng(0)
    for name, brightness in (("day", 200), ("night", 40)):
        (root / name).mkdir(parents=True)
        for k in range(6):
            pixels = (brightness + random.integers(0, 40, (10, 12, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")
    (root / "day" / "notes.txt").write_text("is counted, and not looked at")


def folder(home: Path) -> dict[str, Any]:
    """A folder with a folder for each class, mirrored at random."""
    photos(home / "my photos")
    return {"data": f"folder:path='{home}/my photos',size=8,flip=true"}


def zipped(home: Path) -> dict[str, Any]:
    """The same in a zip, which is never unpacked, in grey and cut at random."""
    photos(home / "photos")
    with zipfile.ZipFile(home / "photos.zip", "w") as archive:
        for file in sorted((home / "photos").rglob("*.png")):
            archive.write(file, file.relative_to(home))
    return {"data": f"folder:path={home / 'photos.zip'},size=10,crop=8,channels=1"}


def arrays(home: Path) -> dict[str, Any]:
    """An npz file with ``samples`` of five channels in units of one's own, and ``labels``."""
    random = np.random.default_rng(0)
    samples = random.uniform(270, 300, (12, 5, 8, 8)).astype(np.float32)
    np.savez(home / "temperatures.npz", samples=samples, labels=np.arange(12) % 3)
    return {"data": f"folder:path={home / 'temperatures.npz'},range=250,320"}


def table(home: Path) -> dict[str, Any]:
    """A flat folder of 16-bit pictures that use 12 bits, with a CSV file of labels beside the pictures."""
    (home / "scans").mkdir()
    random = np.random.default_rng(0)
    lines = ["file_name,label"]
    for k in range(8):
        pixels = random.integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(pixels).save(home / "scans" / f"{k}.png")
        lines.append(f"{k}.png,{'healthy' if k % 2 else 'ill'}")
    (home / "scans" / "labels.csv").write_text("\n".join(lines))
    return {"data": f"folder:path={home / 'scans'},size=8,channels=1,dtype=float32"}


class Notebook(ganzoo.Data):
    """Images of a class that is defined here, as in a notebook: an endless stream of numpy arrays with labels."""

    def dataset(self) -> IterableDataset[Any]:
        """A stream, which ganzoo reads in its own order."""

        class Stream(IterableDataset[Any]):
            classes = ("dark", "bright")

            def __iter__(self) -> Iterator[Any]:
                k = 0
                while True:
                    yield (np.random.randint(0, 128, (8, 8, 3)) + 127 * (k % 2)).astype(np.uint8), np.int64(k % 2)
                    k += 1

        return Stream()


def notebook(home: Path) -> dict[str, Any]:  # every form takes the folder
    """An object instead of words."""
    return {"data": Notebook()}


def plugin(home: Path) -> dict[str, Any]:
    """A name that a plugin file registers. On the command line: ``--plugin own_plugin.py --data waves``."""
    return {"data": "waves:count=32", "plugins": [PLUGIN]}


FORMS = {
    "folder": folder,
    "zip": zipped,
    "npz": arrays,
    "csv": table,
    "notebook": notebook,
    "plugin": plugin,
}


def walk(home: Path, name: str) -> ganzoo.Run:
    """Train on one form of data, sample a class by its name, and continue the run.

    Args:
        home: the folder for the data and the runs.
        name: the form, a key of ``FORMS``.

    Returns:
        The run after its last step.
    """
    place = home / name
    place.mkdir(parents=True)
    words = FORMS[name](place)
    run = ganzoo.run(**SMALL, **words, steps=2, logdir=home / "runs", name=name)
    plugins = words.get("plugins", ())
    objects = {key: value for key, value in words.items() if not isinstance(value, str) and key != "plugins"}
    loaded = ganzoo.load(run.dir, plugins=plugins)  # needs the architecture and the weights, and not the data
    label = loaded.class_names[-1] if loaded.class_names else 1
    samples = loaded.sample(3, labels=label)
    again = ganzoo.resume(run.dir, steps=3, plugins=plugins, quiet=True, **objects)
    print(f"{name}: {tuple(samples.shape)} of class {label!r}, step {again.step}")
    print(f"    values from {float(samples.min()):.2f} to {float(samples.max()):.2f} in [-1, 1]")
    for warning in run.warnings:
        print(f"    {warning}")
    assert torch.equal(ganzoo.load(again.dir, plugins=plugins).sample(2), again.sample(2))
    return again


def main() -> None:
    """Walk all forms."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dir", nargs="?", help="where data and runs are written; without it a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in FORMS:
            walk(Path(given.dir or temporary), name)


if __name__ == "__main__":
    main()
