"""People's own data through the public door: the example of six forms, and situations that people bring."""

from __future__ import annotations

import collections
import importlib.util
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import ganzoo
from ganzoo import errors
from ganzoo.cli import group
from ganzoo.data import streamed

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_data" / "own_data.py"

SMALL: dict[str, Any] = {
    "arch": "mlp:width=8,depth=1,conditional=auto",
    "batch_size": 4,
    "latent_dim": 4,
    "samples": 4,
    "steps": 1,
    "precision": "fp32",
    "quiet": True,
}

pytestmark = pytest.mark.filterwarnings("ignore:.*IterableDataset has __len__.*")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_data", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_data"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("form", ["folder", "zip", "npz", "csv", "notebook", "plugin"])
def test_the_example_walks(form: str, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = example.walk(tmp_path, form)
    said = capsys.readouterr().out
    assert run.step == 3
    classes = {"npz": [], "csv": ["healthy", "ill"], "notebook": ["dark", "bright"], "plugin": ["across", "down"]}
    assert run.class_names == classes.get(form, ["day", "night"])
    shapes = {"npz": (5, 8, 8), "zip": (1, 8, 8), "csv": (1, 8, 8), "plugin": (1, 8, 8)}
    assert run.spec.shape == shapes.get(form, (3, 8, 8))
    words = {"folder": "1 .txt", "csv": "as of 12 bits", "notebook": "read in its own order"}
    assert words.get(form, "") in said


class Listed(Dataset[Any]):
    """Given items. A function is called when the item is read."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        return item() if callable(item) else item


class Stream(IterableDataset[Any]):
    """Items in their own order, with a length that torch warns of."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def pixels(k: int) -> Any:
    return np.random.default_rng(k).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def photo(k: int) -> Image.Image:
    return Image.fromarray(pixels(k))


def eight(make: Callable[[int], Any], **attributes: Any) -> Listed:
    return Listed([make(k) for k in range(8)], **attributes)


Pair = collections.namedtuple("Pair", "image label")  # as people write it


def raises() -> Any:
    raise KeyError("row")


class Own(ganzoo.Data):
    """Data that a test gives."""

    def dataset(self) -> Any:
        return GIVEN[-1]


GIVEN: list[Any] = []


def train(dataset: Any, tmp_path: Path, **more: Any) -> ganzoo.Run:
    GIVEN[:] = [dataset]
    return ganzoo.run(data=Own(), **{**SMALL, **more}, logdir=tmp_path)


TAKEN: list[tuple[str, Any, tuple[int, ...], int]] = [
    ("mapping of PIL, numpy label", eight(lambda k: {"image": photo(k), "label": np.int64(k % 2)}), (3, 8, 8), 2),
    ("label as a 0-d array", eight(lambda k: (pixels(k), np.array(k % 2))), (3, 8, 8), 2),
    ("label in a list", eight(lambda k: (pixels(k), [k % 2])), (3, 8, 8), 2),
    ("label 1.0", eight(lambda k: (pixels(k), float(k % 2))), (3, 8, 8), 2),
    ("label as a digit in a text", eight(lambda k: (pixels(k), str(k % 3))), (3, 8, 8), 3),
    ("one-hot label", eight(lambda k: (pixels(k), np.eye(3)[k % 3])), (3, 8, 8), 3),
    ("named tuple", eight(lambda k: Pair(pixels(k), k % 2)), (3, 8, 8), 2),
    ("palette with transparency", eight(lambda k: photo(k).convert("RGBA").convert("P")), (3, 8, 8), 0),
    ("CMYK", eight(lambda k: photo(k).convert("CMYK")), (3, 8, 8), 0),
    ("32-bit integers of 16 bits", eight(lambda k: Image.fromarray(pixels(k)[:, :, 0] * np.int32(200))), (1, 8, 8), 0),
    ("floating PIL", eight(lambda k: Image.fromarray(pixels(k)[:, :, 0] / np.float32(127.5) - 1)), (1, 8, 8), 0),
    ("mask of booleans", eight(lambda k: pixels(k)[:, :, 0] > 100), (1, 8, 8), 0),
    ("half precision", eight(lambda k: (pixels(k) / 127.5 - 1).astype(np.float16)), (3, 8, 8), 0),
    ("array turned upside down", eight(lambda k: pixels(k)[::-1]), (3, 8, 8), 0),
    ("five channels", eight(lambda k: np.random.default_rng(k).uniform(-1, 1, (5, 8, 8))), (5, 8, 8), 0),
    ("a tensor with a gradient", eight(lambda k: torch.full((3,), k / 9, requires_grad=True)), (3,), 0),
    ("a signal of 17 points", eight(lambda k: torch.linspace(-1, 1, 17).roll(k)), (17,), 0),
    ("a point as a list", eight(lambda k: [k / 9, -k / 9]), (2,), 0),
    ("a number", eight(lambda k: k / 9), (1,), 0),
    ("a list of tensors", [torch.full((3,), k / 9) for k in range(8)], (3,), 0),
    ("a matrix", np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3), (3,), 0),
    ("attributes", eight(lambda k: (pixels(k), np.array([0.0, 1, k % 2]))), (3, 8, 8), 0),
    ("a measured label", eight(lambda k: (pixels(k), 0.5 + k)), (3, 8, 8), 0),
    ("bytes with the channels last", eight(lambda k: torch.from_numpy(pixels(k))), (3, 8, 8), 0),
    ("maps of 4x4", eight(lambda k: np.random.default_rng(k).uniform(-1, 1, (16, 4, 4))), (16, 4, 4), 0),
    (
        "a tensor of bytes with the channels last",
        TensorDataset(torch.from_numpy(np.stack([pixels(k) for k in range(8)]))),
        (3, 8, 8),
        0,
    ),
    ("grey bytes without channels", eight(lambda k: torch.from_numpy(pixels(k)[:, :, 0])), (1, 8, 8), 0),
    (
        "a tensor of grey bytes",
        TensorDataset(torch.from_numpy(np.stack([pixels(k)[:, :, 0] for k in range(8)]))),
        (1, 8, 8),
        0,
    ),
    ("bright bytes", eight(lambda k: pixels(k) // 4 + 190), (3, 8, 8), 0),
    (
        "numbers of another byte order",
        eight(lambda k: (pixels(k)[:, :, 0] / 127.5 - 1).astype(">f4")[None]),
        (1, 8, 8),
        0,
    ),
    ("labels that differ from targets", eight(lambda k: (pixels(k), k % 2), targets=list(range(8))), (3, 8, 8), 2),
    ("CIELAB", eight(lambda k: photo(k).convert("LAB")), (3, 8, 8), 0),
    (
        "a name of a class that is no text",
        eight(lambda k: (pixels(k), k % 2), classes=["cl\udcff", "a\0b"]),
        (3, 8, 8),
        2,
    ),
    ("a stream of mappings", Stream([{"image": photo(k), "label": k % 2} for k in range(9)]), (3, 8, 8), 2),
    (
        "a piece of joined sets",
        Subset(ConcatDataset([eight(lambda k: (pixels(k), k % 2), targets=[0, 1] * 4)] * 2), range(3, 12)),
        (3, 8, 8),
        2,
    ),
]


@pytest.mark.parametrize(("dataset", "shape", "classes"), [t[1:] for t in TAKEN], ids=[t[0] for t in TAKEN])
def test_what_people_give_is_taken(dataset: Any, shape: tuple[int, ...], classes: int, tmp_path: Path) -> None:
    run = train(dataset, tmp_path)
    assert (run.spec.shape, run.spec.classes) == (shape, classes)
    ganzoo.load(run.dir)  # what was written can be read
    assert tuple(run.sample(2).shape) == (2, *shape)


REFUSED: list[tuple[str, Any, str]] = [
    ("no samples", Listed([]), "data Own has 0 samples, and a GAN needs many"),
    ("one sample", Listed([torch.zeros(3)]), "data Own has 1 samples, and a GAN needs many"),
    ("an exception", eight(lambda k: raises if k == 7 else torch.zeros(3)), "item 7 cannot be read: KeyError: 'row'"),
    ("negative", eight(lambda k: (pixels(k), k % 2 - 1)), "labels from -1 to 0: give whole numbers from 0"),
    ("huge", eight(lambda k: (pixels(k), 10**12)), "number the classes from 0 without gaps"),
    ("a name", eight(lambda k: (pixels(k), "cat")), "item 0 has the label 'cat': give the number of the class"),
    ("sometimes none", eight(lambda k: (pixels(k), None if k == 3 else 1)), "item 3 has no label, and item 0 has"),
    ("three entries", eight(lambda k: (pixels(k), 1, "path")), "item 0 is a tuple of 3 entries: give a tensor"),
    ("another key", eight(lambda k: {"pixel_values": pixels(k)}), "a mapping with pixel_values and no 'image'"),
    ("a path", eight(lambda k: f"{k}.png"), "item 0 has image of type str: give a tensor"),
    ("bytes", eight(lambda k: b"png"), "item 0 has image of type bytes: give a tensor"),
    ("none", eight(lambda k: None), "item 0 has image of type NoneType: give a tensor"),
    ("no number", eight(lambda k: torch.zeros(0)), r"an image of shape \(0,\), without a number"),
    ("complex", eight(lambda k: pixels(k).astype(complex)), "an array of complex128"),
    ("objects", eight(lambda k: np.array([None])), "an array of object"),
    ("in [0, 1]", eight(lambda k: pixels(k) / 255), r"as if in \[0, 1\]"),
    ("integers", eight(lambda k: pixels(k).astype(int)), "give uint8, or floating values"),
    ("one grey", eight(lambda k: photo(k) if k else photo(k).convert("L")), "give one shape"),
    ("a generator", (torch.zeros(3) for _ in range(9)), "is a generator, which can be read once: give an Iterable"),
    ("a loader", DataLoader(TensorDataset(torch.zeros(9, 3))), "is a DataLoader: give its dataset"),
    ("a class", Listed, r"is the class Listed: give an object, Listed\(...\)"),
    ("nothing", None, "the NoneType tells no length"),
    ("a short stream", Stream([torch.zeros(3)] * 2), "gives 2 items, fewer than a batch of 4"),
    ("labels of a stream", Stream([(torch.zeros(3), k // 1500) for k in range(1600)]), "item 1500 has the label 1"),
]


@pytest.mark.parametrize(("dataset", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_taken_is_one_line(dataset: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match=why) as caught:
        train(dataset, tmp_path, steps=400 if "stream" in why or "1500" in why else 1, sample_every=1000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("schedule", ["onestep", "alternating"])
def test_steps_before_an_item_that_cannot_be_read_are_saved(
    schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on, when the disk is back, ends as one that nothing disturbed."""
    monkeypatch.setattr(streamed, "WORTH_WORKERS", 1e9)
    reads = {"left": 10**9}

    def item(k: int) -> Callable[[], Any]:
        def read() -> Any:
            reads["left"] -= 1
            if reads["left"] < 0:
                raise OSError("the disk is gone")
            return pixels(k)

        return read

    settings = {"arch": "dcgan:width=2", "steps": 12, "schedule": schedule, "ema": 0.9}
    whole = train(eight(item), tmp_path, **settings, name="whole")
    reads["left"] = (10**9 - reads["left"]) * 2 // 3
    with pytest.raises(errors.DataError, match=r"the disk is gone; the last checkpoint, of step [1-9]\d*, is intact$"):
        train(eight(item), tmp_path, **settings, name="cut")
    reads["left"] = 10**9
    again = ganzoo.resume(tmp_path / "cut", data=Own(), quiet=True)
    assert again.step == 12
    for one, other in zip(again.state.networks, whole.state.networks, strict=True):
        assert all(a.equal(b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_data_part_that_fails_is_named(tmp_path: Path) -> None:
    class Database(ganzoo.Data):
        def dataset(self) -> Any:
            raise FileNotFoundError("no such database")

    with pytest.raises(errors.DataError, match=r"data Database cannot be made: FileNotFoundError: no such database"):
        ganzoo.run(data=Database(), **SMALL, logdir=tmp_path)


@pytest.mark.parametrize("names", [{"classes": {"b": 1, "a": 0}}, {"class_to_idx": {"a": 0, "b": 1}}])
def test_names_of_classes_by_number(names: dict[str, Any], tmp_path: Path) -> None:
    assert train(eight(lambda k: (pixels(k), k % 2), **names), tmp_path).class_names == ["a", "b"]


def test_labels_that_the_networks_do_not_take_are_left_out_everywhere(tmp_path: Path) -> None:
    run = train(eight(lambda k: (pixels(k), np.array([0.5, k]))), tmp_path, metrics="swd", samples=8)
    assert "labels that are no class numbers, and the networks are given none" in " ".join(run.warnings)
    again = ganzoo.resume(run.dir, steps=2, data=Own(), quiet=True)
    assert again.step == 2
    assert [found.step for found in ganzoo.evaluate(run.dir, metrics="swd", data=Own())] == [2]


def files(root: Path) -> dict[str, Callable[[], None]]:
    def still(name: str, **how: Any) -> None:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(0).save(file, **how)

    def animated() -> None:
        photo(0).save(root / "a.gif", save_all=True, append_images=[photo(1), photo(2)])

    def linked() -> None:
        still("elsewhere/1.png")
        (root / "set").mkdir()
        (root / "set" / "cat").symlink_to(root / "elsewhere")
        (root / "set" / "dog").symlink_to(root / "elsewhere")

    def nested() -> None:
        with zipfile.ZipFile(root / "inner.zip", "w") as archive:
            archive.writestr("1.png", b"x")

    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "one image": lambda: still("a.png"),
        "animated": animated,
        "rotated by EXIF": lambda: still("a.jpg", exif=exif),
        "symlinked classes": linked,
        "a zip in a folder": nested,
        "hidden": lambda: still(".hidden/a.png"),
    }


@pytest.mark.parametrize(
    ("situation", "found"),
    [
        ("one image", "only one image in .*, and a GAN needs many"),
        ("animated", "only one image"),
        ("rotated by EXIF", "only one image"),
        ("symlinked classes", ["cat", "dog"]),
        ("a zip in a folder", "no images in .*: expected files that end in .*; not looked at: 1 .zip"),
        ("hidden", "no images in "),
    ],
)
def test_folders_of_people(situation: str, found: Any, tmp_path: Path) -> None:
    files(tmp_path)[situation]()
    path = tmp_path / "set" if situation == "symlinked classes" else tmp_path
    part = ganzoo.part("data", f"folder:path={path},size=8,cache=none")
    if isinstance(found, list):
        dataset: Any = part.dataset()
        assert dataset.classes == found
        return
    with pytest.raises(errors.DataError, match=found):
        part.dataset()


def test_several_arrays_in_a_file_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((4, 3)), b=np.zeros((4, 3)))
    with pytest.raises(errors.DataError, match=r"several arrays \(a, b\) and none called samples"):
        ganzoo.part("data", f"folder:path={tmp_path / 'x.npz'}").dataset()


def test_the_classes_are_said_with_their_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ganzoo import cli

    for k in range(6):
        file = tmp_path / "set" / ("cat" if k < 4 else "dog") / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(k).save(file)
    words = ["run", "--data", f"folder:path={tmp_path / 'set'},size=8", "--arch", "mlp:width=8,depth=1", "--steps", "1"]
    words += ["--batch-size", "2", "--samples", "2", "--logdir", str(tmp_path / "runs")]
    assert cli.main([*words, "-n"]) == 0
    assert "classes\tcat (4), dog (2)\n" in capsys.readouterr().out
    assert cli.main(words) == 0
    assert "classes: cat (4), dog (2)\n" in capsys.readouterr().err


def test_a_dataset_is_data(tmp_path: Path) -> None:
    """A dataset, a tensor, an array and a list stand where a data part stands: to train, resume, load, measure."""
    labelled = eight(lambda k: (pixels(k), k % 2), classes=["cat", "dog"])
    run = ganzoo.run(data=labelled, **SMALL, logdir=tmp_path)
    assert (run.spec.shape, run.class_names, run.parts.labels["data"]) == ((3, 8, 8), ["cat", "dog"], "Listed")
    with pytest.raises(errors.RunError, match=r"object of the class Listed.*: give data=\.\.\. to ganzoo\.resume"):
        ganzoo.resume(run.dir, steps=2, quiet=True)
    assert ganzoo.resume(run.dir, steps=2, data=labelled, quiet=True).step == 2
    assert ganzoo.load(run.dir).sample(2).shape == (2, 3, 8, 8)
    assert ganzoo.evaluate(run.dir, data=labelled, metrics=["swd"], samples=8)
    for given, shape in (
        (torch.linspace(-1, 1, 24).reshape(8, 3), (3,)),
        (np.stack([pixels(k) for k in range(8)]), (3, 8, 8)),
        ([photo(k) for k in range(8)], (3, 8, 8)),
        (Stream([photo(k) for k in range(8)]), (3, 8, 8)),
    ):
        assert ganzoo.run(data=given, **SMALL, logdir=tmp_path).spec.shape == shape
    inner = ganzoo.run(data={"name": "inpaint", "of": labelled}, **{**SMALL, "arch": "gated:width=2"}, logdir=tmp_path)
    assert inner.spec.inputs["condition"].shape == (3, 8, 8)


@pytest.mark.parametrize("given", [5, ["ring"], Listed, object()])
def test_what_is_no_data_is_refused(given: Any, tmp_path: Path) -> None:
    why = r"Listed is a class: give an object, Listed\(\.\.\.\)" if given is Listed else "does not name a part"
    with pytest.raises(errors.GanzooError, match=why):
        ganzoo.run(data=given, **SMALL, logdir=tmp_path)


def test_exported_numbers_of_an_own_dataset(tmp_path: Path) -> None:
    data = eight(lambda k: np.full(3, k / 8), data_range=(0.0, 80.0))
    run = ganzoo.run(data=data, **SMALL, logdir=tmp_path)
    loaded = ganzoo.load(run.dir)
    assert loaded.data_range == (0.0, 80.0)
    assert torch.allclose(loaded.in_data_units(loaded.sample(4)), (loaded.sample(4) + 1) * 40)
    CliRunner().invoke(group, ["sample", str(run.dir), "--count", "4", "--out", str(tmp_path / "x.npy")])
    assert np.allclose(np.load(tmp_path / "x.npy"), loaded.in_data_units(loaded.sample(4)).numpy(), atol=1e-4)
    with pytest.raises(errors.DataError, match=r"data_range=5: give the two numbers that became -1 and 1"):
        train(eight(lambda k: np.full(3, k / 8), data_range=5), tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (eight(lambda k: torch.rand(28, 28) * 2 - 1), "first, as (1, 28, 28)"),
        (eight(lambda k: torch.rand(32, 32, 5) * 2 - 1), "bring them first, as (5, 32, 32)"),
    ],
)
def test_shapes_that_may_be_meant_otherwise_are_said(given: Any, said: str, tmp_path: Path) -> None:
    (warning,) = train(given, tmp_path).warnings
    assert said in warning


def test_a_signal_of_many_channels_is_not_remarked(tmp_path: Path) -> None:
    assert train(eight(lambda k: torch.rand(12, 100) * 2 - 1), tmp_path).warnings == []


def test_channels_last_are_named_where_a_network_refuses(tmp_path: Path) -> None:
    with pytest.raises(errors.Incompatible, match=r"channels come first.*64x64x5: give samples of shape \(5, 64, 64\)"):
        train(eight(lambda k: torch.rand(64, 64, 5) * 2 - 1), tmp_path, arch="dcgan:width=2")


def test_joined_sets_with_other_classes_are_said(tmp_path: Path) -> None:
    first, second = (eight(lambda k: (pixels(k), k % 2), classes=names) for names in (["cat", "dog"], ["car", "bus"]))
    run = train(ConcatDataset([first, second]), tmp_path)
    assert run.class_names == []
    assert run.warnings == [
        "data Own joins datasets with different classes (cat, dog; car, bus): equal numbers count as one class"
    ]
    assert train(ConcatDataset([first, first]), tmp_path).class_names == ["cat", "dog"]


def test_classes_as_a_mapping_of_numbers(tmp_path: Path) -> None:
    data = eight(lambda k: (pixels(k), k % 2), classes={0: "cat", 1: "dog"})
    assert train(data, tmp_path).class_names == ["cat", "dog"]


@pytest.mark.parametrize("form", ["PIL", "array"])
def test_tasks_take_items_of_any_kind(form: str, tmp_path: Path) -> None:
    class Mine(ganzoo.Data):
        def dataset(self) -> Any:
            return eight(photo if form == "PIL" else pixels)

    run = ganzoo.run(
        data={"name": "superres", "of": Mine(), "factor": 2}, **{**SMALL, "arch": "srresnet:width=2"}, logdir=tmp_path
    )
    assert run.spec.shape == (3, 8, 8)


def test_a_resumed_run_keeps_the_names_and_the_range_of_its_data(tmp_path: Path) -> None:
    values = [torch.full((3,), k / 8) for k in range(8)]

    def data(**facts: Any) -> Listed:
        return Listed([(value, k % 2) for k, value in enumerate(values)], **facts)

    run = ganzoo.run(data=data(classes=["a", "b"], data_range=(0, 4095)), **SMALL, logdir=tmp_path)
    for other in ({"classes": ["b", "a"]}, {"data_range": (0, 255)}):
        with pytest.raises(errors.CheckpointError, match=r"was trained on data with .* and the data have .* now"):
            ganzoo.resume(run.dir, data=data(**other), steps=2, quiet=True)
    assert ganzoo.resume(run.dir, data=data(), steps=2, quiet=True).step == 2
    loaded = ganzoo.load(run.dir)
    assert (loaded.class_names, loaded.data_range) == (["a", "b"], (0.0, 4095.0))


@pytest.mark.parametrize("wrap", [lambda x: x, TensorDataset])
def test_tensors_of_any_type_are_data(wrap: Any, tmp_path: Path) -> None:
    floats = torch.linspace(-1, 1, 8 * 192).reshape(8, 3, 8, 8)
    for tensor, shape in (
        (floats.bfloat16(), (3, 8, 8)),
        (floats.clone().requires_grad_(), (3, 8, 8)),
        (floats[:, 0] > 0, (1, 8, 8)),
    ):
        run = ganzoo.run(data=wrap(tensor), **SMALL, logdir=tmp_path)
        assert run.spec.shape == shape
    with pytest.raises(errors.DataError, match=r"a tensor of shape \(8, 0\).*: give a dense tensor of real numbers"):
        ganzoo.run(data=wrap(torch.zeros(8, 0)), **SMALL, logdir=tmp_path)
    (note,) = ganzoo.run(data=wrap(torch.randint(0, 100_000, (8, 5))), **SMALL, logdir=tmp_path).warnings
    assert "from 0: networks learn best" in note


def test_a_pair_of_arrays_is_samples_and_labels(tmp_path: Path) -> None:
    images, labels = np.stack([pixels(k) for k in range(8)]), np.arange(8) % 2
    for given in ((images, labels), (torch.from_numpy(images), torch.from_numpy(labels)), [images, labels]):
        run = ganzoo.run(data=given, **SMALL, logdir=tmp_path)
        assert (run.spec.shape, run.spec.classes) == ((3, 8, 8), 2)


def test_images_of_12_bits_in_16_are_said_to_be_dark(tmp_path: Path) -> None:
    deep = eight(lambda k: Image.fromarray(pixels(k)[:, :, 0].astype(np.uint16) * 16))
    (note,) = train(deep, tmp_path).warnings
    assert "is dark: its values go up to -0.8" in note


def test_odd_attributes_of_a_dataset(tmp_path: Path) -> None:
    assert train(eight(pixels, notes="one text"), tmp_path).warnings == ["one text"]
    assert train(eight(pixels, notes=5), tmp_path).warnings == []

    class Raises(Listed):
        @property
        def data_range(self) -> Any:
            raise ValueError("no file")

    with pytest.raises(errors.DataError, match="the dataset's data_range cannot be read: ValueError: no file"):
        train(Raises([pixels(k) for k in range(8)]), tmp_path)
    joined = ConcatDataset([eight(pixels, data_range=(0, k)) for k in (10, 20)])
    assert "joins datasets with different data_range ((0.0, 10.0), (0.0, 20.0))" in train(joined, tmp_path).warnings[0]
    named = train(eight(lambda k: (pixels(k), k % 3), classes=["x", "y"]), tmp_path)
    assert named.class_names == []
    assert "has 3 classes and the names x, y: the names are not used" in named.warnings[0]


def test_one_label_under_the_name_of_many(tmp_path: Path) -> None:
    run = train(eight(lambda k: {"image": pixels(k), "labels": k % 3}), tmp_path)
    assert run.spec.classes == 3


def test_advice_for_runs_on_objects_is_in_python(tmp_path: Path) -> None:
    data = eight(pixels)
    run = ganzoo.run(data=data, **SMALL, logdir=tmp_path, name="a")
    assert run.command("resume") == f"ganzoo.resume({str(run.dir)!r}, data=...)"
    with pytest.raises(errors.RunError, match=r"go on with: ganzoo\.resume\('.*a', data=\.\.\.\)"):
        ganzoo.run(data=data, **SMALL, logdir=tmp_path, name="a")
    with pytest.raises(errors.CheckpointError, match=r"ganzoo\.run\(init_from='.*a', data=\.\.\.\)$"):
        ganzoo.resume(run.dir, data=eight(lambda k: pixels(k + 1)), steps=2, quiet=True)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_run_trains_where_the_caller_switched_gradients_off(mode: Any, tmp_path: Path) -> None:
    with mode():
        run = ganzoo.run(data="ring", **{**SMALL, "arch": "mlp:width=4"}, logdir=tmp_path)
        assert ganzoo.resume(run.dir, steps=2, quiet=True).step == 2
        assert not torch.is_grad_enabled()


def test_two_runs_at_once_are_said_not_to_be_repeatable(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Starts(ganzoo.Tracker):
        """Starts another run in another thread, at the first step."""

        def step_made(self, run: Any, step: int) -> None:
            if step == 1:
                other = threading.Thread(target=lambda: ganzoo.run(data="ring", **small, logdir=tmp_path))
                other.start()
                other.join()

    small = {**SMALL, "arch": "mlp:width=4"}
    ganzoo.run(data="ring", **small, logdir=tmp_path)
    assert "another thread" not in capfd.readouterr().err
    ganzoo.run(data="ring", log=[Starts()], **small, logdir=tmp_path)
    assert "another thread of this process trains a run" in capfd.readouterr().err
