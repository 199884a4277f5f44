"""``ganzoo new``: write a plugin package or a recipe to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ganzoo import errors
from ganzoo.cli import say
from ganzoo.cli._options import parts_options
from ganzoo.plugins import Catalogue


@click.group()
def command() -> None:
    """Write a plugin package or a recipe to start from."""


@command.command("plugin")
@click.argument("name")
@click.option(
    "--parts",
    default="loss",
    show_default=True,
    metavar="KIND,...",
    help="Any of architecture, loss, regularizer, schedule, data, metric, optimizer, tracker, command.",
)
@click.option("--to", "place", type=click.Path(path_type=Path), default=".", help="Where the directory is made.")
def plugin(name: str, parts: str, place: Path) -> None:
    """Write the package ganzoo-NAME: parts with docstrings, tests, README, metadata, a script that trains.

    What is written passes its own tests, ruff and mypy at once.
    """
    from ganzoo.new.plugin import write_plugin

    made = write_plugin(name, [word.strip() for word in parts.split(",") if word.strip()], place)
    for file in made:
        say(file)
    folder = place / f"ganzoo-{name}"
    say(f"next     cd {shlex.quote(str(folder))} && pip install -e '.[test]' && pytest", err=True)


@command.command("recipe")
@click.argument("start", required=False, metavar="[PRESET|RUN]")
@click.option("--out", type=click.Path(path_type=Path), help="The file. Without, the recipe is printed.")
@parts_options()
def recipe(catalogue: Catalogue, start: str | None, out: Path | None) -> None:
    """Write a recipe with a comment on every line, from a PRESET, a RUN, or the defaults."""
    from ganzoo.new.recipe import recipe_text

    text = recipe_text(catalogue, start)
    if out is None:
        click.echo(text, nl=False)
        return
    if out.exists():
        raise errors.RunError(f"{out} exists: give another --out")
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.RunError(f"{out} cannot be written ({error.strerror}): give another --out") from error
    say(out)
    say(f"next     ganzoo run --config {shlex.quote(str(out))}", err=True)
