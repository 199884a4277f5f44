"""A run directory from elsewhere: pipes, links, and JSON that is none. No wait without end, no traceback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Server, words

FILES = ("config.yaml", "environment.json", "command.txt", "status.json", "lock", "metrics.jsonl", "events")
"""What a run directory holds. ``events`` stands for the event file of TensorBoard."""

Call = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def base(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    small = {"arch": "mlp:width=4,depth=1", "data": "ring", "checkpoint_every": 2, "sample_every": 2}
    process = server.start(folder / "out", "run", *words(steps=4, logdir=folder, name="a", **small), "-q")
    assert process.wait() == 0, process.said
    return folder / "a"


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "runs" / "a"))


@pytest.fixture
def call(server: Server, run: Path, tmp_path: Path) -> Call:
    """Call a command on the run."""
    arguments = {
        "resume": [str(run), "--steps=6", "-q"],
        "sample": [str(run), "--count=4", f"--out={tmp_path / 'out.png'}"],
        "runs": [str(run.parent)],
    }

    def start(command: str, seam: str = "", **environment: str) -> tuple[int, str]:
        process = server.start(tmp_path / "out", command, *arguments[command], seam=seam, **environment)
        return process.wait(), process.said

    return start


def put(run: Path, name: str) -> Path:
    """Make room for something else in the place of a file."""
    path = next(run.glob("events*")) if name == "events" else run / name
    path.unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("command", ["resume", "sample", "runs"])
@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(run: Path, call: Call, command: str, name: str) -> None:
    os.mkfifo(put(run, name))
    code, said = call(command)  # a test that hangs here fails by its job's limit
    assert code in (0, 2), said
    assert "Traceback" not in said
    assert code == 0 or (said.count("\n") == 1 and name in said), said


@pytest.mark.parametrize("command", ["resume", "sample", "runs"])
@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b"[]", b"\xff\xfe", b'{"launch": 5, "plugin_files": [1]}'], ids=range(4)
)
@pytest.mark.parametrize("name", ["environment.json", "status.json"])
def test_json_that_makes_no_sense_counts_as_missing(
    run: Path, call: Call, command: str, name: str, text: bytes
) -> None:
    put(run, name).write_bytes(text)
    code, said = call(command)
    assert code == 0, said


@pytest.mark.parametrize("command", ["resume", "sample"])
def test_no_thread_is_left(run: Path, call: Call, command: str) -> None:
    code, said = call(command, seam="seams:no_threads")
    assert code == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["resume", "sample"])
@pytest.mark.parametrize("files", [4, 5, 6, 7, 8, 10])
def test_too_few_files_may_be_opened(run: Path, call: Call, command: str, files: int) -> None:
    """One line, or all is well: the checkpoints are neither damaged nor renamed."""
    code, said = call(command, seam="seams:few_files", FILES=str(files))
    assert "Traceback" not in said
    assert code == 0 or said.lower().count("too many") == said.count("\n") == 1, said
    assert {"00000002", "00000004"} <= {each.name for each in (run / "checkpoints").iterdir()}


def test_pictures_are_not_written_through_a_linked_folder(run: Path, call: Call, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(run / "samples")
    (run / "samples").symlink_to(outside)
    code, said = call("resume")
    assert code == 0, said
    assert "samples in" in said
    assert "it is a link, which is not followed" in said
    assert list(outside.iterdir()) == []


def test_a_command_that_a_message_prints_is_quoted(run: Path, call: Call) -> None:
    """The name of a distribution comes from the run directory, and a user pastes what a message prints."""
    config = (run / "config.yaml").read_text()
    assert "name: hinge" in config
    (run / "config.yaml").write_text(config.replace("name: hinge", "name: nowhere/odd"))
    origin = '{"origins": {"loss nowhere/odd": {"distribution": "a; touch b", "version": "1"}}}'
    (run / "environment.json").write_text(origin)
    code, said = call("resume")
    assert code == 2
    assert "python -m pip install 'a; touch b==1'" in said
