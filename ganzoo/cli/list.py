"""``ganzoo list [KIND]``: list the parts that users can name."""

from __future__ import annotations

import json

import click

from ganzoo.cli import _tables
from ganzoo.cli._options import Kind, parts_options
from ganzoo.names import printable
from ganzoo.plugins import Catalogue


@click.command("list")
@click.argument("kind", type=Kind(), required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs: everything known without importing a part.")
@click.option("--markdown", is_flag=True, help="For pages: a table.")
@parts_options()
def command(kind: str | None, as_json: bool, markdown: bool, catalogue: Catalogue) -> None:
    """List the parts that can be named, of one KIND or of all.

    Kinds: architectures, losses, regularizers, schedules, data, metrics, optimizers. Where the output is not a
    terminal, lines are tab-separated: kind, name, provider, summary.
    """
    entries = catalogue.entries(kind)
    if markdown:
        click.echo("| kind | name | what it is |\n| --- | --- | --- |")
        for e in entries:
            summary = printable(e.summary).replace("|", "\\|")
            click.echo(f"| {e.kind} | `{catalogue.words(e)}` | {summary} |")
        return
    if not as_json:
        _tables.write(
            ("kind", "name", "provider", "what it is"),
            [(e.kind, catalogue.words(e), e.provider, e.summary) for e in entries],
        )
        return
    facts = [
        {
            "kind": e.kind,
            "name": e.name,
            "words": catalogue.words(e),
            "provider": e.provider,
            "builtin": e.builtin,
            "distribution": e.distribution,
            "version": e.version,
            "target": e.where,
            "summary": e.summary,
            "parameters": [{"name": p.name, "default": p.default, "choices": p.choices} for p in e.peek.parameters],
        }
        for e in entries
    ]
    click.echo(json.dumps(facts, indent=2))
