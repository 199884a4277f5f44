"""``ganzoo runs``: list the runs of a directory, remove runs, archive runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ganzoo import errors
from ganzoo.cli import _tables, say


@click.command()
@click.argument("place", type=click.Path(path_type=Path), default="runs", metavar="[DIR]")
@click.option("--remove", multiple=True, metavar="NAME", help="Remove a run. Several are allowed.")
@click.option("--archive", multiple=True, metavar="NAME", help="Pack a run into NAME.tar.gz. Several are allowed.")
@click.option("--status", "wanted", metavar="STATUS", help="Only runs of this status, such as failed.")
@click.option("--sort", type=click.Choice(["name", "size", "step"]), default="name", show_default=True, help="By what.")
@click.option("--yes", is_flag=True, help="Do not ask before a run is removed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    place: Path,
    remove: tuple[str, ...],
    archive: tuple[str, ...],
    wanted: str | None,
    sort: str,
    yes: bool,
    as_json: bool,
) -> None:
    """List the runs of DIR: status, steps, recipe, best figure, size on disk. No part is loaded.

    A run in training is never removed and never archived.
    """
    from ganzoo.trained import runs

    folders = {folder.name: folder for folder in runs.found(place)}
    for name in (*remove, *archive):
        if name not in folders:
            known = ", ".join(folders) or "none"
            raise errors.RunError(f"{place} has no run {name!r}: there are {known}")
    for name in dict.fromkeys(archive):
        say(runs.archive(folders[name]))
    for name in dict.fromkeys(remove):
        if not yes and not sys.stdin.isatty():
            raise click.UsageError("--remove asks before a run is removed, and there is no terminal: give --yes")
        if yes or click.confirm(f"remove {folders[name]} ({_bytes(runs.size(folders[name]))})?", err=True):
            runs.remove(folders[name])
            say(f"removed {folders[name]}")
    if remove or archive:
        return
    found = [runs.facts(folder) for folder in folders.values()]
    found = [each for each in found if wanted in (None, each.status)]
    if sort != "name":
        found.sort(key=lambda each: getattr(each, sort), reverse=True)
    if as_json:
        click.echo(json.dumps([{**vars(each), "folder": str(each.folder)} for each in found], indent=2))
        return
    _tables.write(
        ("run", "status", "steps", "recipe", "figure", "size", "reason"),
        [
            (
                each.folder.name,
                each.status,
                f"{each.step}/{each.until}" if each.until else str(each.step),
                each.recipe,
                each.figure,
                _bytes(each.size),
                each.reason,
            )
            for each in found
        ],
    )


def _bytes(size: float) -> str:
    """A size for people: ``4.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
