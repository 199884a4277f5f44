"""Tables: columns on a terminal, tab-separated lines where a program reads the output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click

from ganzoo.names import printable


def write(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout.

    Args:
        headers: the headers of the columns, which tab-separated lines leave out.
        rows: the cells of each row.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(printable(" ".join(map(str.strip, cell.splitlines()))) for cell in row))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # fold: a long name is continued on the next line, so that nothing is cut off
    columns = [Column(header, overflow="fold") for header in headers]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(
            *(Text("\n".join(map(printable, cell.splitlines()))) for cell in row)
        )  # Text: an interval such as [0, 1] is no markup
    Console().print(table)
