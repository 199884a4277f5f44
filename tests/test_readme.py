"""README and docs/: every command runs, every Python block runs and type-checks, every link leads somewhere."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

import ganzoo
from ganzoo.cli import group

ROOT = Path(__file__).parents[1]
LISTS = {"docs/PARTS.md", "docs/FAULTS.md"}
"""Pages without blocks of commands."""

PAGES = ["README.md", *sorted({str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md")} - LISTS)]
LINKED = [*PAGES, *sorted(LISTS), "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"]

SMALL = {  # appended to each command of that name, so that the command ends in a few seconds
    "run": ["--steps=2", "--batch-size=8", "--samples=4", "--device=cpu", "--precision=fp32", "--threads=1"],
    "resume": ["--steps=4"],
    "bench": ["--batch-size=8", "--device=cpu", "--threads=1", "--repeats=1"],
    "lab": ["--steps=10"],
}


NOT_HERE = ("RUN", "FILE", "download=true", "latents.npy", "photo.jpg")
"""Words of a command that needs files which tests do not have: such a command is not carried out."""


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page in these languages, in order: language and text, without those that CI runs."""
    text = re.sub(r"<!-- ci: .*? -->\n```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(language, block) for language, block in found if language in languages]


def commands(block: str) -> Iterator[str]:
    """The commands of a block of shell lines, without comments."""
    for line in block.splitlines():
        if command := re.sub(r"\s+#.*", "", line).strip():
            yield command


def run_ganzoo(words: list[str]) -> None:
    """Run a ganzoo command in this process, with few steps."""
    if words[0] == "tensorboard":
        start_tensorboard(words)
        return
    outcome = CliRunner().invoke(group, [*words, *SMALL.get(words[0], ())])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output


def start_tensorboard(words: list[str]) -> None:
    """Start TensorBoard on a free port, wait for its address, and end it."""
    command = [sys.executable, "-m", "ganzoo", *words, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "http://" in line:
                    return
        finally:
            process.send_signal(signal.SIGTERM)
    raise AssertionError("".join(lines))


def run_shell(command: str) -> None:
    """Run a command that is not ganzoo's: from the environment of this Python, on two processes at most."""
    if command.startswith("git clone") and not (ROOT / ".git").exists():
        return  # the checkout was copied without its history
    # The clone goes into a folder of its own: `python -m ganzoo` would import the folder ganzoo beside it.
    command = command.replace("git clone", "mkdir clone && cd clone && git clone -q")
    command = command.replace("<address of this repository>", shlex.quote(str(ROOT)))
    command = command.replace("torchrun", f"{sys.executable} -m torch.distributed.run --standalone")
    if "ganzoo run" in command:
        command += " " + " ".join(SMALL["run"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop(
        "PYTEST_ADDOPTS", None
    )  # a page's own pytest command takes no options of the run that tests the page
    out = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


def write_example_files(folder: Path) -> None:
    """What a reader has: the named Python blocks of all pages as files, and a folder of photos."""
    for page in PAGES:
        for _, block in blocks(page, "python"):
            if name := re.match(r"# (\w+\.py)\n", block):
                (folder / name[1]).write_text(block)
    (folder / "photos").mkdir()
    Image.new("RGB", (40, 30), (90, 120, 200)).save(folder / "photo.jpg")
    mask = Image.new("L", (40, 30))
    mask.paste(255, (10, 8, 22, 20))  # the hole
    mask.save(folder / "mask.png")
    for number in range(12):
        pixels = torch.randint(256, (70, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
        Image.fromarray(pixels.numpy()).save(folder / "photos" / f"{number}.png")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files of `write_example_files`."""
    write_example_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_every_python_block_runs(page: str, workplace: Path) -> None:
    found = blocks(page, "sh", "python")
    if any("runs/00000-" in block for _, block in found):
        run_ganzoo(["run"])  # README's first command, which CI runs whole
    for language, block in found:
        if language == "python":
            file = workplace / "block.py"
            file.write_text(re.sub(r"\bsteps=\d+", "steps=2, batch_size=8, samples=4", block))
            sys.path.insert(0, str(workplace))
            try:
                runpy.run_path(str(file))
            finally:
                sys.path.remove(str(workplace))
                sys.modules.pop("soft", None)
            continue
        for command in commands(block):
            if command == "cd ganzoo":
                assert not Path("clone").exists() or Path("clone/ganzoo/setup.cfg").exists()
            elif command.startswith("ganzoo ") and "||" not in command:
                run_ganzoo(shlex.split(command)[1:])
            else:
                run_shell(command)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_sentence_is_understood(page: str) -> None:
    """Commands in backticks: presets, parts, keys and options exist. ``RUN`` stands for a run directory."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for command in re.findall(r"`ganzoo ([a-z][^`]*)`", text):
        words = shlex.split(command)
        assert words[0] in group.list_commands(click.Context(group)), command
        if words[0] == "run" and len(words) > 1:
            absent = any(word in command for word in NOT_HERE)
            last = ["--help"] if absent else ["--dry-run"]
            outcome = CliRunner().invoke(group, [*words, *last])
            assert outcome.exit_code == 0, outcome.output


def test_python_blocks_pass_the_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    write_example_files(tmp_path)
    files = [str(tmp_path / file.name) for file in tmp_path.glob("*.py")]
    found = [(page, block) for page in PAGES for _, block in blocks(page, "python")]
    for number, (page, block) in enumerate(found):
        if not re.match(r"# \w+\.py\n", block):
            file = tmp_path / f"{Path(page).stem.lower()}_{number}.py"
            file.write_text(block)
            files.append(str(file))
    search = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), str(tmp_path)])
    checker = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    command = [*checker, "--follow-imports=silent", "--ignore-missing-imports", *files]
    out = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": search})
    assert out.returncode == 0, out.stdout + out.stderr


def test_the_output_that_readme_shows_is_what_a_run_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, shown),) = blocks("README.md", "text")
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(group, ["run", *SMALL["run"]])
    summary = [re.sub(r"^(health +).*", r"\1", line) for line in shown.splitlines()[-4:]]  # health is the run's own
    said = printed.stdout.replace("00000002", "00001500").splitlines()[-4:]
    assert summary == [re.sub(r"^(health +).*", r"\1", line) for line in said]
    shown_first, *shown_steps = shown.splitlines()
    first, *steps = printed.stderr.splitlines()
    words = re.compile(r"[a-zA-Z]+(?:/[a-z]+)?")
    assert words.findall(re.sub(r"dcgan\S+|digits\S*,", "", shown_first)) == words.findall(
        re.sub(r"dcgan\S+|digits\S*,", "", first)
    )
    assert words.findall(shown_steps[0]) == words.findall(steps[-1])


def test_the_table_of_parts_is_what_the_catalogue_says() -> None:
    """To bring the page up to date: .ci/parts."""
    table = CliRunner().invoke(group, ["list", "--markdown", "--no-plugins"]).stdout
    assert (ROOT / "docs/PARTS.md").read_text().endswith("\n\n" + table)


def test_the_tree_has_every_folder_once() -> None:
    """CONTRIBUTING names each folder of the engine and of the project."""
    folders = {file.parent for file in (ROOT / "ganzoo").rglob("*.py")} - {ROOT / "ganzoo" / "data" / "__pycache__"}
    listed = re.findall(r"^(\S+/) +\w", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    expected = {f"{folder.relative_to(ROOT).as_posix()}/" for folder in folders}
    assert sorted(listed) == sorted(expected | {"plugins/ganzoo_zoo/", "tests/", "examples/", "docs/"})


def test_every_part_has_a_picture_or_a_reason() -> None:
    """To draw what is missing: .ci/pictures."""
    folder = ROOT / "docs/pictures/parts"
    without = runpy.run_path(str(ROOT / ".ci/pictures"))["WITHOUT"]
    captions = yaml.safe_load((folder / "captions.yaml").read_text())
    for entry in ganzoo.catalogue(no_plugins=True).entries():
        key = f"{entry.kind}:{entry.name}"
        assert (key in without) != (folder / f"{entry.kind}-{entry.name}.png").exists(), key
        assert (key in without) != (key in captions), key


@pytest.mark.parametrize("page", LINKED)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        if not target.startswith(("https://", "#")):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), target
