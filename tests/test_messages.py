"""What is shown of files, names and texts from outside: one line, which a terminal does not obey."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo import cli, errors, plugins
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.names import message, printable
from ganzoo.recipe.gather import gather
from ganzoo.recipe.settings import resolve
from ganzoo.training.display import Display
from ganzoo.words import sections

EVIL = "a\x1b[31mred\x1b]0;title\x07\nganzoo: error: forged\r\x9b2J\u202eback\u2028new\udc80"


def harmless(text: str) -> bool:
    return all(c.isprintable() for c in text)


def test_a_terminal_obeys_no_character_of_a_message() -> None:
    assert harmless(printable(EVIL))
    assert printable("\x1b[31m\n") == r"\x1b[31m\n"
    assert printable("schön 图 👩\u200d🚀") == "schön 图 👩\u200d🚀"
    assert harmless(str(errors.SettingsError(EVIL)))


def test_a_long_message_keeps_its_beginning_and_its_advice() -> None:
    shown = message("the cause " + "x" * 100_000 + " the advice")
    assert len(shown) == 2000
    assert shown.startswith("the cause x")
    assert shown.endswith("x the advice")


def test_values_of_a_config(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for written in (
        f"loss: {json.dumps(EVIL)}",
        f"{json.dumps(EVIL)}: 1",
        f"loss: {{name: hinge, margin: {json.dumps(EVIL)}}}",
    ):
        file.write_text(written)
        catalogue = plugins.load_catalogue(no_plugins=True)
        with pytest.raises(errors.GanzooError) as caught:
            gather(resolve(catalogue, config=file), catalogue)
        assert harmless(str(caught.value))


def test_the_holder_of_a_lock(tmp_path: Path) -> None:
    held = Lock(tmp_path, print)
    (tmp_path / "lock").write_text(EVIL, errors="surrogatepass")
    other = tmp_path / "other"
    other.symlink_to(tmp_path)
    with pytest.raises(errors.RunError) as caught:
        Lock(other, print)
    held.release()
    assert harmless(str(caught.value))


def test_names_of_files_and_tensors_in_a_checkpoint(tmp_path: Path) -> None:
    place = tmp_path / "00000001"
    place.mkdir()
    seal = {
        "format": 1,
        "step": 1,
        "sha256": {EVIL: "0" * 64, "state.json": "0" * 64},
        "bytes": {EVIL: 1, "state.json": 1},
    }
    (place / "manifest.json").write_text(json.dumps(seal))
    with pytest.raises(errors.CheckpointError) as caught:
        checkpoint.read(place)
    assert harmless(str(caught.value))


def test_docstrings_of_plugins() -> None:
    """A docstring keeps its lines, and the lines are harmless."""
    doc = sections("Summary \x1b[31m.\n\nFormula:\n    a\x1b[2J\n    b\n\nArgs:\n    gamma: \x07 weight\n")
    assert harmless(doc.summary)
    assert doc.sections["Formula"] == "a\\x1b[2J\nb"
    assert harmless(doc.meanings["gamma"])


def test_what_is_printed_and_logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    cli.say(EVIL, err=True)
    Display(0, 1).warn(EVIL)
    logging.getLogger("ganzoo").warning("read %s", EVIL)
    lines = capsys.readouterr().err.splitlines()
    assert all(map(harmless, lines))
    assert len(lines) == 2
    assert harmless(caplog.messages[-1])


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Words that click refuses, and words that ganzoo refuses."""
    for words in (["run", f"--{EVIL}"], ["run", "--loss", EVIL], ["resume", EVIL], ["show", EVIL], [EVIL]):
        assert cli.main(words) == 2
        said = capsys.readouterr().err
        assert said.endswith("\n")
        assert harmless(said[:-1]), said


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--config", "a\x00b"],
        ["run", "--data", "folder:path=a\x00b"],
        ["resume", "a\x00b"],
        ["resume", "~nosuchuser/a"],
        ["sample", "\udcff"],
        ["--plugin", "a\x00b", "list"],
        ["run", "--seed", "9" * 5000],
        ["run", "--steps", "9" * 30],  # more than a checkpoint can count
        ["run", "--threads", "2147483648"],
    ],
    ids=ascii,
)
def test_odd_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert harmless(lines[0])


def test_null_bytes_from_python_and_from_a_config(tmp_path: Path) -> None:
    catalogue = plugins.load_catalogue(no_plugins=True)
    with pytest.raises(errors.RunError, match=r"a.x00b is no run directory"):
        ganzoo.load("a\x00b")
    (tmp_path / "config.yaml").write_text('logdir: "a\\0b"')
    with pytest.raises(errors.SettingsError, match=r"logdir=a.x00b holds a null byte"):
        resolve(catalogue, config=tmp_path / "config.yaml")
    with pytest.raises(errors.BadParameter, match=r"path=a.x00b holds a null byte"):
        catalogue.make("data", "folder:path=a\x00b")


def test_the_traceback_of_a_bug_is_escaped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The text of an exception may come from outside. A debugger still gets the exception from `cli.main`."""

    class Bug(Exception):
        pass

    def main(*args: object, **options: object) -> None:
        raise Bug(EVIL)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli.group, "main", main)
    assert cli.program() == 1
    signal.signal(signal.SIGINT, before)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert any("red" in line for line in lines[1:])
    assert all(map(harmless, lines))
    with pytest.raises(Bug):
        cli.main([])


def test_a_folder_of_nobody_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    catalogue = plugins.load_catalogue(no_plugins=True)
    with pytest.raises(errors.SettingsError, match=r"logdir=~nosuchuser/x: there is no user nosuchuser"):
        resolve(catalogue, given={"logdir": "~nosuchuser/x"})
    data: Any = catalogue.make("data", "folder:path=~nosuchuser/x")[1]
    with pytest.raises(errors.DataError, match="does not exist"):
        data.dataset()
    assert list(tmp_path.iterdir()) == []


def test_memory_that_nobody_has_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(*args: object, **options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 32000000000000 bytes.")

    monkeypatch.setattr(cli.group, "main", main)
    assert cli.main(["sample", "run", "--count", "1000000000000"]) == 1
    assert capsys.readouterr().err == (
        "ganzoo: error: there is no memory for what was asked: ask for less, such as a smaller --count\n"
    )
