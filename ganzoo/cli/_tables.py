"""Tables: drawn on a terminal, tab-separated lines where the output is read by a program."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click


def write(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: an interval such as [0, 1] is no markup
    Console().print(table)
