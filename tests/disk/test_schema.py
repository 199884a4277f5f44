"""A checkpoint that is sealed rightly and makes no sense: one line, and no part of a state in silence."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Bench
from safetensors.torch import load_file, save_file

from ganzoo import errors
from ganzoo.disk import checkpoint
from ganzoo.recipe.assemble import Experiment, assemble
from ganzoo.recipe.resume import _go_on, _settings_of
from ganzoo.training.plain import read_spec

SENSELESS: list[Any] = [None, True, -1, 1e308, 2**70, "x", "", [], [[]], {}, {"x": 1}, [1, "a"], 0.5]


class Sealed:
    """A run of three steps whose checkpoint is changed and sealed again."""

    def __init__(self, folder: Path) -> None:
        bench = Bench(folder, arch="mlp:width=4,depth=1", data="ring", regularizers="r1", steps=4)
        self.run = bench.stopped(3)
        (self.place,) = checkpoint.found(self.run / "checkpoints")
        self.content = {file.name: file.read_bytes() for file in self.place.iterdir()}
        _, settings = _settings_of(self.run, bench.catalogue, {})
        self.experiment: Experiment = assemble(settings, bench.catalogue, fresh=False)

    def write(self, changed: dict[str, bytes | None]) -> None:
        """Write the checkpoint with other files. None leaves a file out, of the seal too."""
        files = {name: text for name, text in {**self.content, **changed}.items() if text is not None}
        del files["manifest.json"]
        for file in self.place.iterdir():
            file.unlink()
        for name, text in files.items():
            (self.place / name).write_bytes(text)
        seal = {
            "format": 1,
            "step": 3,
            "sha256": {name: hashlib.sha256(text).hexdigest() for name, text in files.items()},
            "bytes": {name: len(text) for name, text in files.items()},
        }
        (self.place / "manifest.json").write_text(json.dumps(seal))

    def use(self) -> None:
        """Use the checkpoint as resume and sample do."""
        try:
            _go_on(self.experiment, self.run)
            read_spec(checkpoint.newest(self.run / "checkpoints").fact("spec"))
        finally:
            if self.experiment.lock is not None:
                self.experiment.lock.release()
            for aside in self.place.parent.glob("*.damaged*"):
                aside.rename(self.place)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return Sealed(tmp_path_factory.mktemp("sealed"))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in plain data."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Plain data with another value at a path."""
    if not path:
        return new
    found = copy.copy(value)
    found[path[0]] = changed(value[path[0]], path[1:], new)
    return found


def test_what_was_saved_is_used(sealed: Sealed) -> None:
    sealed.write({})
    sealed.use()


def test_every_value_of_the_state_may_be_senseless(sealed: Sealed) -> None:
    """Each value is replaced by values of other types. The checkpoint is used or refused, and nothing else happens."""
    numbers = json.loads(sealed.content["state.json"])
    refused = 0
    for path in places(numbers):
        for new in SENSELESS if path[:1] != ("settings",) else SENSELESS[::4]:
            sealed.write({"state.json": json.dumps(changed(numbers, path, new)).encode()})
            try:
                sealed.use()
            except errors.GanzooError as error:
                refused += 1
                assert "\n" not in str(error)
            except Exception as error:
                raise AssertionError(f"{path} = {new!r}") from error
    assert refused > 100


def test_every_value_of_the_state_may_be_missing(sealed: Sealed) -> None:
    numbers = json.loads(sealed.content["state.json"])
    for key in numbers:
        sealed.write({"state.json": json.dumps({k: v for k, v in numbers.items() if k != key}).encode()})
        if key in ("best", "sums", "settings", "data", "versions", "format", "stopped", "course_steps"):
            sealed.use()
        else:
            with pytest.raises(errors.CheckpointError):
                sealed.use()


@pytest.mark.parametrize(
    "group", ["generator", "discriminator", "ema", "optimizer-generator", "optimizer-discriminator"]
)
def test_a_group_of_tensors_that_is_missing_or_odd(sealed: Sealed, group: str) -> None:
    """An optimizer whose file is missing from the seal does not begin anew in silence."""
    name = f"{group}.safetensors"
    sealed.write({name: None})
    with pytest.raises(errors.CheckpointError, match=group.rpartition("-")[2]):
        sealed.use()
    sealed.write({})
    tensors = load_file(sealed.place / name)
    first = next(iter(tensors))
    for odd in (
        {**tensors, "odd": torch.zeros(2)},
        {**tensors, "99.odd": torch.zeros(2)},
        {**tensors, first: torch.zeros(1, 2, 3)},
        {**tensors, first: torch.zeros(tensors[first].shape, dtype=torch.int64)},
        {key: value for key, value in tensors.items() if key != first},
    ):
        save_file(odd, sealed.place / "odd")
        content = (sealed.place / "odd").read_bytes()
        sealed.write({name: content})
        try:
            sealed.use()
        except errors.GanzooError as error:
            assert "\n" not in str(error)
