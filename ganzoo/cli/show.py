"""``ganzoo show KIND:NAME``: print the documentation and the parameters of a part."""

from __future__ import annotations

import html
import inspect
import json
import re
import shutil
import tempfile
import textwrap
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ganzoo import errors
from ganzoo.cli._options import Completed, catalogue_of, parts_options
from ganzoo.names import nearest
from ganzoo.plugins import Catalogue, Entry, nested

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#f4f4f4;"
    "padding:.8em;overflow-x:auto}td,th{text-align:left;vertical-align:top;padding:.2em .8em .2em 0}"
)
"""The style of the page of a part."""


class PartName(Completed):
    """The type of an argument that names a part: ``KIND:NAME``, or ``NAME``."""

    name = "part"
    metavar = "KIND:NAME"

    def completions(self, ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
        """The names of parts that begin with the word, in both forms."""
        known = catalogue_of(ctx)
        words = [(f"{e.kind}:{known.words(e)}" if ":" in incomplete else known.words(e), e) for e in known.entries()]
        return [(word, e.summary) for word, e in words if word.startswith(incomplete)]


@click.command("show")
@click.argument("part", type=PartName())
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--web", is_flag=True, help="Write the page of the part as HTML, and open a browser where there is one.")
@parts_options()
def command(part: str, as_json: bool, web: bool, catalogue: Catalogue) -> None:
    """Show a part: what it does, its formula, its parameters, who brings it.

    NAME is enough where only one kind has a part of that name: ganzoo show hinge, ganzoo show loss:hinge.
    """
    entry, _ = entry_of(catalogue, part)
    facts = _facts(catalogue, entry)
    if web:
        from ganzoo.cli.tensorboard import has_screen

        file = write_page(facts)
        if has_screen():
            webbrowser.open(file.as_uri())
        click.echo(file)
        return
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def entry_of(catalogue: Catalogue, part: str) -> tuple[Entry, str]:
    """Find a part by ``KIND:NAME`` or ``NAME``, with or without parameters.

    Args:
        catalogue: the parts of all plugins.
        part: the text of the user, such as ``regularizer:r1:gamma=3``.

    Returns:
        The part, and the text without the kind, such as ``r1:gamma=3``.

    Raises:
        UnknownPart: no part has the name.
        AmbiguousPart: parts of several kinds have the name.

    Example:
        >>> from ganzoo.plugins import load_catalogue
        >>> entry, text = entry_of(load_catalogue(no_plugins=True), "regularizer:r1:gamma=3")
        >>> entry.name, text
        ('r1', 'r1:gamma=3')
    """
    head, colon, words = part.partition(":")
    if colon and (meant := catalogue.kinds.named(head)):
        return catalogue.find(meant.name, words.partition(":")[0].strip()), words
    found = []
    for kind in catalogue.kinds:
        try:
            found.append(catalogue.find(kind, head))
        except errors.UnknownPart:
            continue
    if len(found) == 1:
        return found[0], part  # `part` may be "r1:gamma=10": the name and the parameters
    if found:
        forms = " or ".join(f"{entry.kind}:{head}" for entry in found)
        raise errors.AmbiguousPart(f"{head!r} is the name of a part of {len(found)} kinds: write {forms}")
    names = {catalogue.words(entry) for entry in catalogue.entries()}
    if colon:
        kinds = ", ".join(catalogue.kinds)
        near = nearest(head, catalogue.kinds)
        raise errors.UnknownPart(f"{head!r} is neither a kind{near} nor a part; kinds: {kinds}")
    raise errors.UnknownPart(f"no part is named {head!r}{nearest(head, names)}; see ganzoo list")


def _facts(catalogue: Catalogue, entry: Entry) -> dict[str, Any]:
    from ganzoo import words

    cls = catalogue.load(entry)
    doc = words.documented(cls)
    defaults = {  # the name that users type, where the text of a parameter would be the name of a class
        name: str(catalogue.make(part.kind, catalogue.named(part))[0])
        for name, part in nested.default_parts(cls).items()
    }
    return {
        "kind": entry.kind,
        "name": entry.name,
        "words": catalogue.words(entry),
        "provider": entry.provider,
        "distribution": entry.distribution,
        "version": entry.version,
        "target": entry.where,
        "file": inspect.getsourcefile(cls),
        "summary": doc.summary,
        "parameters": [
            {
                "name": p.name,
                "type": p.type_name,
                "default": defaults.get(p.name, p.default_text),
                "choices": p.choices,
                "meaning": p.meaning,
            }
            for p in words.parameters(cls).values()
        ],
        "sections": dict(doc.sections),
    }


def write_page(facts: Mapping[str, Any]) -> Path:
    """Write the page of a part as a file of HTML that needs no network.

    Args:
        facts: what is known of the part, as ``ganzoo show --json`` prints.

    Returns:
        The file, in the temporary folder of the system.
    """
    text = html.escape
    rows = "".join(
        f"<tr><td><code>{text(p['name'])}</code></td><td>{text(p['type'])}</td>"
        f"<td><code>{text('must be given' if p['default'] is None else p['default'])}</code></td>"
        f"<td>{text(p['meaning'])}</td></tr>"
        for p in facts["parameters"]
    )
    table = f"<h2>Parameters</h2><table><tr><th>name<th>type<th>default<th>meaning</tr>{rows}</table>" if rows else ""
    sections = "".join(
        f"<h2>{text(heading)}</h2><pre>{text(body)}</pre>" if heading else f"<p>{text(body)}</p>"
        for heading, body in facts["sections"].items()
        if heading != "Args"
    )
    title = text(f"{facts['kind']} {facts['words']}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{text(facts['summary'])}</p>{table}{sections}"
        f"<p>brought by {text(facts['provider'])}</p></html>"
    )
    name = re.sub(r"[^\w.-]", "-", f"ganzoo-{facts['kind']}-{facts['words']}.html")
    folder = Path(tempfile.mkdtemp(prefix="ganzoo-"))
    file = folder / name
    file.write_text(page, encoding="utf-8")
    return file


def _text(facts: dict[str, Any]) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    # What must be given first. A part that needs nothing is written with its first parameter.
    needed = [f"{p['name']}={p['name'].upper()}" for p in facts["parameters"] if p["default"] is None]
    first = [f"{p['name']}={p['default']}" for p in facts["parameters"] if p["default"] is not None]
    given = "".join([":", ",".join(needed or first[:1])]) if needed or first else ""
    whose = f"{facts['distribution']} {facts['version']}".strip()
    lines = [
        click.style(f"{facts['kind']} {facts['words']}", bold=True),
        *textwrap.wrap(facts["summary"], width),
        "",
        f"brought by {facts['provider']}" + (f" ({whose})" if whose else "") + f", in {facts['file']}",
        f"written {facts['words']}{given}",
    ]
    if "" in facts["sections"]:
        lines += ["", _filled(facts["sections"][""], width)]
    if facts["parameters"]:
        lines += ["", click.style("Parameters", bold=True)]
    for p in facts["parameters"]:
        default = "must be given" if p["default"] is None else f"default {p['default']}"
        lines += [f"  {p['name']}: {p['type']}, {default}"]
        lines += textwrap.wrap(p["meaning"], width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    for heading, body in facts["sections"].items():
        if heading not in ("", "Args"):
            plain = heading in ("Formula", "Example") or "    " in body or "\n- " in body  # lines of their own
            lines += [
                "",
                click.style(heading, bold=True),
                textwrap.indent(body if plain else _filled(body, width), "  "),
            ]
    return "\n".join(lines)


def _filled(body: str, width: int) -> str:
    """Paragraphs of sentences in lines that fit the terminal. A paragraph with indented lines stays as it is."""
    paragraphs = body.split("\n\n")
    return "\n\n".join(each if "\n " in each else textwrap.fill(each, width - 2) for each in paragraphs)
