import csv
from pathlib import Path

import click

import ganzoo


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def command(file):
    """Print the last value of each scalar in FILE, which --logger csv wrote."""
    try:
        with file.open(newline="") as opened:
            last = {row["tag"]: row["value"] for row in csv.DictReader(opened)}
    except OSError as error:
        raise ganzoo.errors.RunError(f"{file} cannot be read: {error.strerror}") from error
    for tag, value in last.items():
        click.echo(f"{tag}\t{value}")
