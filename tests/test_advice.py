"""Commands that messages advise: every command and option exists, and every complete command works as printed."""

from __future__ import annotations

import ast
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import ganzoo
from ganzoo import cli

ENGINE = Path(ganzoo.__file__).parent
SOURCES = sorted([*ENGINE.rglob("*.py"), *(ENGINE.parent / "plugins").rglob("*.py")])

OTHERS = {
    "--nproc-per-node",  # torchrun's
    "--samples_per_plugin",
    "--host",
    "--shm-size",  # docker's
    "--port",
}
"""Options of other programs."""

ON_A_RUN = ("resume", "sample", "reconstruct", "evaluate", "export", "walk", "project", "apply")


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file that may be printed: not those of docstrings. A value that is filled in is ``{}``."""
    tree = ast.parse(file.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)


TEXTS = [(file, line, text) for file in SOURCES for line, text in texts(file)]


def options(command: click.Command | None) -> set[str]:
    """The options of a command, and of the commands of a group."""
    assert command is not None
    ctx = click.Context(command)
    found = {o for p in command.get_params(ctx) if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)}
    if isinstance(command, click.Group):
        found |= {o for name in command.list_commands(ctx) for o in options(command.get_command(ctx, name))}
    return found | {"--help"}


@pytest.fixture(scope="module")
def commands() -> dict[str, set[str]]:
    with click.Context(cli.group) as ctx:
        named = {name: cli.group.get_command(ctx, name) for name in cli.group.list_commands(ctx)}
    return {name: options(command) for name, command in named.items() if command is not None}


def test_every_command_that_a_text_names_exists_and_has_the_options(commands: dict[str, set[str]]) -> None:
    seen = 0
    for file, line, text in TEXTS:
        for match in re.finditer(r"(?:[`:;] ?|^|&& )ganzoo ([a-z]+)((?: [^`;,]*)?)", text):
            name, rest = match[1], match[2]
            if name == "new" and rest.split()[:1] in (["plugin"], ["recipe"]):
                continue
            assert name in commands, f"{file}:{line}: ganzoo {name}"
            for option in re.findall(r"(?<!\S)(--[a-z][a-z-]+)", rest):
                assert option in commands[name], f"{file}:{line}: ganzoo {name} {option}"
            seen += 1
    assert seen > 10


def test_every_option_that_a_text_names_is_an_option_of_some_command(commands: dict[str, set[str]]) -> None:
    known = set().union(*commands.values()) | OTHERS | {"--list", "--version", "--plugin", "--no-plugins"}
    known |= {"--to", "--parts"}  # of ganzoo new plugin
    unknown = [
        f"{file.name}:{line}: {option}"
        for file, line, text in TEXTS
        if file.name not in ("tensorboard.py", "doctor.py", "command.py", "engine.py")
        if "ruff" not in text
        for option in re.findall(r"(?<![\w-])(--[a-z][a-z_-]+[a-z])", text)
        if option not in known
    ]
    assert not unknown


@pytest.mark.parametrize("name", ON_A_RUN)
def test_a_run_of_another_machine_can_be_moved_in_every_command_that_reads_it(
    name: str, commands: dict[str, set[str]]
) -> None:
    """``use --device cpu``, and a path that does not exist any more, are said wherever a run is read."""
    assert {"--device", "--data", "--plugin"} <= commands[name]


PLUGIN = """
import ganzoo
class Soft(ganzoo.Loss):
    '''A softer hinge.

    Args:
        margin: of both.
    '''
    margin: float = 1.0
    def discriminator(self, s): return ((self.margin - s.real).relu() + (self.margin + s.fake).relu()).mean()
    def generator(self, s): return -s.fake.mean()
@ganzoo.hookimpl
def register_losses(register): register("soft", Soft)
"""


def printed(text: str) -> list[list[str]]:
    """The complete commands in what was printed, as words."""
    form = re.compile(r"(?:^\w+ +|: |; |`)ganzoo ((?:'[^']*'|\"[^\"]*\"|[^'\";`])+)")
    return [shlex.split(match[1].rstrip(" .")) for line in text.splitlines() for match in form.finditer(line)]


def test_commands_that_are_printed_work_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run directory and the plugin file lie in folders with spaces. Each command is run as it is printed."""
    home = tmp_path / "my it's runs"
    home.mkdir()
    (home / "own_parts.py").write_text(PLUGIN)
    monkeypatch.chdir(home)
    small = ["--arch", "mlp:width=8,depth=1", "--batch-size", "4", "--steps", "2", "--samples", "4", "-q"]
    plugin = ["--plugin", "own_parts.py"]
    done: set[str] = set()
    begun: Any = []

    def call(words: list[str], code: int = 0) -> str:
        result = cli.main(words)
        out, err = capsys.readouterr()
        assert result == code, (words, out, err)
        return out + err

    def follow(text: str, verb: str, more: list[str] | None = None) -> str:
        words = next(words for words in printed(text) if words[: len(verb.split())] == verb.split())
        done.add(verb)
        return call([*words, *(more or [])])

    finished = call(["run", "--data", "ring", "--loss", "soft", "--name", "r", *small, *plugin])
    assert [words[0] for words in printed(finished)] == ["tensorboard"]
    run = "runs/r"

    taken = call(["run", "--data", "ring", "--loss", "soft", "--name", "r", *small, *plugin], 2)
    begun.append(follow(taken, "resume", ["-q"]))
    assert "nothing was left to do; --steps 3 or more goes on" in begun[-1]
    assert call(["resume", run, "--steps", "3", "-q", *plugin])

    config = home / run / "config.yaml"
    whole = config.read_text()
    config.write_text(whole.replace("batch_size: 4", "batch_size: 2"))
    follow(call(["resume", run, *plugin], 2), "run --init-from", ["--steps", "1", "-q", "--name", "b"])
    config.write_text(whole)

    other = call(["run", "--init-from", run, "--arch", "mlp:width=4,depth=1", "-q", "--name", "c", *plugin], 2)
    advised = re.search(r"give (--init-from) (.*) to take what fits", other)
    assert advised is not None
    partial = shlex.split(advised[2])[0] if "'" in advised[2] else advised[2]
    call(["run", "--init-from", partial, "--arch", "mlp:width=4,depth=1", "-q", "--name", "d", "--steps", "1", *plugin])

    missing = call(["resume", run], 2)
    advised = re.search(r"give (--plugin '?[^;]*own_parts.py'?)", missing)
    assert advised is not None
    call(["resume", run, "-q", *shlex.split(advised[1])])

    made = call(["new", "recipe", "default", "--out", "my recipe.yaml"])
    follow(made, "run --config", ["--steps", "1", "-q", "--arch", "mlp:width=8,depth=1", "--data", "ring"])
    assert done == {"resume", "run --init-from", "run --config"}


def test_a_stopped_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "a b"
    home.mkdir()
    (home / "stop_it.py").write_text(
        PLUGIN
        + "\nimport os, signal\n@ganzoo.hookimpl\ndef step_made(run, step):\n"
        + "    if step == 2 and not os.path.exists('stopped'):\n"
        + "        open('stopped', 'w').close()\n        os.kill(os.getpid(), signal.SIGINT)\n"
    )
    monkeypatch.chdir(home)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        words = ["run", "--data", "ring", "--loss", "soft", "--arch", "mlp:width=8,depth=1", "--batch-size", "4"]
        code = cli.main([*words, "--steps", "4", "--samples", "4", "-q", "--name", "r", "--plugin", "stop_it.py"])
        said = "".join(capsys.readouterr())
        assert code == 130, said
        (resume,) = [each for each in printed(said) if each[0] == "resume"]
        assert cli.main([*resume, "-q"]) == 0, capsys.readouterr()
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("stopped").exists()
    assert ganzoo.load("runs/r", plugins=["stop_it.py"]).step == 4
