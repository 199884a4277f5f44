"""``ganzoo plugins``: list the plugins that bring parts, and the problems of each plugin."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ganzoo.cli import _tables
from ganzoo.cli._options import parts_options
from ganzoo.plugins import EVENTS, Catalogue


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@parts_options(report=False)
def command(as_json: bool, catalogue: Catalogue) -> None:
    """List the plugins that bring parts, and their problems.

    GANZOO_PLUGINS=a,b loads only these installed plugins beside ganzoo's own; GANZOO_STRICT_PLUGINS=1 makes any
    problem an error. Where the output is not a terminal, lines are tab-separated.
    """
    if as_json:
        facts = [
            {
                "provider": p.name,
                "source": p.source,
                "distribution": p.distribution,
                "version": p.version,
                "builtin": p.builtin,
                "parts": [f"{e.kind}:{e.name}" for e in p.entries],
                "events": [event for event in EVENTS if p.implements(event)],
            }
            for p in catalogue.plugins
        ]
        problems = [asdict(problem) for problem in catalogue.problems]
        click.echo(json.dumps({"plugins": facts, "problems": problems}, indent=2))
        return
    said: dict[str, list[str]] = {p.name: [] for p in catalogue.plugins}
    for problem in catalogue.problems:
        said.setdefault(problem.plugin, []).append(problem.message)
    of = {p.name: (p.distribution or p.source, p.version, str(len(p.entries))) for p in catalogue.plugins}
    _tables.write(
        ("provider", "distribution", "version", "parts", "problems"),
        [(name, *of.get(name, ("", "", "0")), "; ".join(problems)) for name, problems in said.items()],
    )
