"""Write a complete plugin package: parts, tests, README, metadata, a script that trains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from ganzoo import errors
from ganzoo.kinds import Kinds

COMMAND = "command"
"""The word for a command among the parts."""

KINDS = (*Kinds(), COMMAND)
"""What a package can hold."""

OPTIONS: Mapping[str, str] = {
    "architecture": "--arch {name}",
    "loss": "--loss {name}",
    "regularizer": "--regularizer {name}",
    "schedule": "--schedule {name}",
    "data": "--data {name}",
    "metric": "--metric {name}",
    "optimizer": "--optimizer {name}",
    "tracker": "--log {name}",
}
"""The option of ``ganzoo run`` that names a part of each kind. A run has no parts of the other kinds."""

LINE = 120
"""The length of a line that the formatter allows."""

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[tool.ruff]
line-length = 120
target-version = "py311"

[tool.ruff.lint.isort]
known-first-party = ["ganzoo"]
"""

SETUP = """\
[metadata]
name = {distribution}
version = 0.1.0
description = {description}
license = MIT

[options]
python_requires = >=3.11
packages = {package}
install_requires =
    annotated-types
    click
    ganzoo
    torch

[options.extras_require]
test =
    mypy
    pytest
    ruff

[options.package_data]
{package} = py.typed

[options.entry_points]
ganzoo = {name} = {package}

[tool:pytest]
testpaths = tests

[mypy]
strict = True
files = {package}, tests
"""


def write_plugin(name: str, parts: Sequence[str], place: Path) -> list[Path]:
    """Write a package that can be installed at once, and that passes its own tests, ruff and mypy.

    Args:
        name: the name of the plugin and of its parts: small letters, digits and hyphens, such as ``soft-margin``.
        parts: what the package holds: kinds of parts, and ``command``.
        place: the directory in which the directory of the package is made.

    Returns:
        The files.

    Raises:
        SettingsError: the name or a kind is not allowed.
        RunError: the directory exists, or cannot be written.

    Example:
        >>> import tempfile
        >>> made = write_plugin("soft-margin", ["loss"], Path(tempfile.mkdtemp()))
        >>> sorted(file.name for file in made)[:4]
        ['README.md', '__init__.py', 'loss.py', 'py.typed']
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise errors.SettingsError(f"{name!r} is no name of small letters, digits and hyphens, such as soft-margin")
    kinds = Kinds()
    chosen: list[str] = []
    for word in parts:
        kind = COMMAND if word == COMMAND else getattr(kinds.named(word), "name", None)
        if kind is None:
            raise errors.SettingsError(f"--parts {word}: there are {', '.join(KINDS)}")
        if kind not in chosen:
            chosen.append(kind)
    folder, package = place / f"ganzoo-{name}", f"ganzoo_{name.replace('-', '_')}"
    if folder.exists():
        raise errors.RunError(f"{folder} exists: give another name, or another --to")
    texts = _texts(name, package, chosen)
    try:
        for path, text in texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            if path == "train.sh":
                file.chmod(0o755)
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be written ({error.strerror}): give another --to") from error
    return [folder / path for path in texts]


def _texts(name: str, package: str, chosen: Sequence[str]) -> dict[str, str]:
    """The text of each file, by the path in the package's directory."""
    words = "".join(word.capitalize() for word in name.split("-"))
    classes = {kind: f"{words}{kind.capitalize()}" for kind in chosen}
    texts = {
        "pyproject.toml": PYPROJECT,
        "setup.cfg": SETUP.format(
            distribution=f"ganzoo-{name}", description=f"{', '.join(chosen)} for ganzoo", package=package, name=name
        ),
        f"{package}/__init__.py": _register(name, package, chosen, classes),
        f"{package}/py.typed": "",
        f"tests/test_{package}.py": _tests(name, package, chosen, classes),
        "train.sh": _script(name, chosen),
        "README.md": _readme(name, package, chosen),
    }
    for kind in chosen:
        template = files("ganzoo.new").joinpath("templates", f"{kind}.txt").read_text(encoding="utf-8")
        texts[f"{package}/{kind}.py"] = Template(template).safe_substitute(name=name, class_name=classes[kind])
    return texts


def _register(name: str, package: str, chosen: Sequence[str], classes: Mapping[str, str]) -> str:
    """The module of the entry point. The module imports no torch, so that listings stay fast."""
    parts = [kind for kind in chosen if kind != COMMAND]
    imported = [*(["Register"] if parts else []), *(["RegisterCommand"] if COMMAND in chosen else [])]
    imported.sort()
    lines = [
        f'"""The plugin {name} of ganzoo."""',
        "",
        "import ganzoo",
        f"from ganzoo.hookspecs import {', '.join(imported)}",
        "",
        "GANZOO_API = 1  # the version of the plugin API for which the plugin was written",
    ]
    for kind in parts:
        hook = Kinds()[kind].hook
        lines += ["", "", "@ganzoo.hookimpl", f"def {hook}(register: Register) -> None:"]
        lines += [f'    """Register the {kind}."""', f'    register("{name}", "{package}.{kind}:{classes[kind]}")']
    if COMMAND in chosen:
        lines += ["", "", "@ganzoo.hookimpl", "def register_commands(register: RegisterCommand) -> None:"]
        lines += ['    """Register the command."""']
        lines += [f'    register("{name}", "{package}.command:command", "Print the mean brightness of samples.")']
    return "\n".join(lines) + "\n"


def _tests(name: str, package: str, chosen: Sequence[str], classes: Mapping[str, str]) -> str:
    """The tests: the exam of each part, a training with all parts, and the command."""
    parts = [kind for kind in chosen if kind != COMMAND]
    standard = {"arch": '"mlp:width=8"', "data": '"ring"', "regularizers": "None"}
    settings = {"architecture": "arch", "regularizer": "regularizers", "metric": "metrics", "tracker": "log"}
    used = [kind for kind in parts if kind in OPTIONS]
    for kind in used:
        setting = settings.get(kind, kind)
        standard[setting] = f'["{name}"]' if setting in ("regularizers", "metrics", "log") else f'"{name}"'
    lines = ['"""The tests of the package."""', "", "from pathlib import Path", ""]
    lines += ["from ganzoo.cli import main"] if COMMAND in chosen else []
    lines += ["from ganzoo.testing import Check, parametrize_with_checks"] if parts else []
    lines += [f"from {package}.{kind} import {classes[kind]}" for kind in sorted(parts)]
    lines = [*lines[:4], "import ganzoo", *lines[4:]]
    if parts:
        line = f"@parametrize_with_checks([{', '.join(classes[kind] for kind in parts)}])"
        if len(line) > LINE:
            inner = "".join(f"        {classes[kind]},\n" for kind in parts)
            line = f"@parametrize_with_checks(\n    [\n{inner}    ]\n)"
        lines += ["", "", line]
        lines += ["def test_the_part_keeps_its_contract(part: ganzoo.Part, check: Check) -> None:", "    check(part)"]
    lines += ["", "", "def train(logdir: Path) -> ganzoo.Run:", '    """Two steps with the parts of the package."""']
    lines += [
        "    return ganzoo.run(",
        *(f"        {key}={value}," for key, value in standard.items()),
        "        steps=2,",
        "        batch_size=8,",
        "        latent_dim=4,",
        "        samples=4,",
        '        device="cpu",',
        "        quiet=True,",
        "        logdir=logdir,",
        "    )",
    ]
    lines += ["", "", "def test_a_run_uses_the_parts(tmp_path: Path) -> None:", "    run = train(tmp_path)"]
    lines += ["    assert run.step == 2"]
    if used:
        lines += [f'    assert "{name}" in " ".join(run.parts.labels.values())']
    if COMMAND in chosen:
        lines += ["", "", "def test_the_command_runs(tmp_path: Path) -> None:"]
        lines += [f'    assert main(["{name}", str(train(tmp_path).dir)]) == 0']
    return "\n".join(lines) + "\n"


def _script(name: str, chosen: Sequence[str]) -> str:
    """A script that trains with the parts of the package."""
    options = " ".join(OPTIONS[kind].format(name=name) for kind in chosen if kind in OPTIONS)
    if "data" in chosen and "architecture" not in chosen:
        options += " --arch mlp"
    return f'#!/bin/sh\n# Train with the parts of this package.\nset -eu\nganzoo run {options} --steps 500 "$@"\n'


def _readme(name: str, package: str, chosen: Sequence[str]) -> str:
    """How to install, test and change the package."""
    options = " ".join(OPTIONS[kind].format(name=name) for kind in chosen if kind in OPTIONS)
    rows = "\n".join(f"| `{package}/{kind}.py` | the {kind} |" for kind in chosen)
    checks = "\n".join(f"ganzoo check {kind}:{name}" for kind in chosen if kind != COMMAND)
    return f"""\
# ganzoo-{name}

A plugin of ganzoo.

```sh
pip install -e '.[test]'
pytest
ruff check . && ruff format --check . && mypy
ganzoo run {options} --steps 500
{checks}
```

| file | content |
| --- | --- |
| `{package}/__init__.py` | the names that users type; the file imports no torch, so that listings stay fast |
{rows}
| `tests/` | the checks that every part passes, and a short training |
| `train.sh` | a training with the parts of this package |

`ganzoo plugins` says what is wrong where a part does not show up.
"""
