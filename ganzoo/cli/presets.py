"""``ganzoo presets``: list the named settings."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from ganzoo.cli import _tables
from ganzoo.cli._options import parts_options
from ganzoo.plugins import Catalogue


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: the settings as they are.")
@parts_options()
def command(as_json: bool, catalogue: Catalogue) -> None:
    """List the presets: settings to start from with ganzoo run --preset NAME. Every run starts from default."""
    presets = catalogue.presets()
    if as_json:
        click.echo(json.dumps(presets, indent=2))
        return
    _tables.write(("name", "settings"), [(name, _said(settings)) for name, settings in presets.items()])


def _said(settings: Mapping[str, object]) -> str:
    return "  ".join(f"{k}={' '.join(v) or 'none' if isinstance(v, list) else v}" for k, v in settings.items())
