"""Tables: columns on a terminal, tab-separated lines where a program reads the output."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

from ganzoo.names import printable

LEAST = 10
"""Characters of a line that a wrapped column has at least, as far as there is room."""


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

    console = Console()
    texts = [["\n".join(map(printable, cell.splitlines())) for cell in row] for row in rows]
    # a terminal shows no column that says nothing
    kept = [i for i in range(len(headers)) if not texts or any(row[i] for row in texts)]
    whole = _whole([(headers[i], *(row[i] for row in texts)) for i in kept], console.width)
    if whole is None:
        name = next((i for i in kept if len({row[i] for row in texts}) == len(texts)), kept[0])
        order = [name, *(i for i in kept if i != name)]
        for row in texts:
            click.echo(_block([(headers[i], row[i]) for i in order], console.width))
        return
    # fold: a long name is continued on the next line, so that nothing is cut off
    columns = [Column(headers[i], overflow="fold", no_wrap=i in {kept[k] for k in whole}) for i in kept]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for row in texts:
        table.add_row(*(Text(row[i]) for i in kept))  # Text: an interval such as [0, 1] is no markup
    console.print(table)


def _whole(columns: Sequence[Sequence[str]], width: int) -> set[int] | None:
    """The columns of short words, which stay whole while other columns wrap.

    Args:
        columns: the cells of each column, with the header.
        width: of the terminal.

    Returns:
        The numbers of the columns, or None where there is no room for the words and for the other columns.
    """
    longest = [max(len(line) for cell in column for line in (cell.splitlines() or [""])) for column in columns]
    words = {i for i, column in enumerate(columns) if all(len(cell.split()) <= 1 for cell in column)}
    words |= {i for i, size in enumerate(longest) if size <= LEAST}
    needed = sum(longest[i] if i in words else min(LEAST, longest[i]) for i in range(len(columns)))
    return words if needed + 2 * len(columns) <= width else None


def _block(cells: Sequence[tuple[str, str]], width: int) -> str:
    """A row for a narrow terminal: the first cell, and a line for each other cell that is not empty."""
    (_, first), *rest = cells
    wide = max((len(header) for header, _ in rest), default=0)
    lines = [click.style(first, bold=True)]
    for header, cell in rest:
        if cell:
            lead = f"  {header:{wide}}  "
            lines += textwrap.wrap(
                " ".join(cell.split()), width, initial_indent=lead, subsequent_indent=" " * len(lead)
            )
    return "\n".join(lines)
