"""``ganzoo lab dirac``: test which compositions of parts converge on the Dirac-GAN, the smallest GAN."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo import errors
from ganzoo.cli import _tables
from ganzoo.cli._options import PartWords, parts_options
from ganzoo.plugins import Catalogue

if TYPE_CHECKING:
    from ganzoo.lab import Dirac

HEADERS = ("loss", "regularizers", "schedule", "verdict", "radius", "modulus", "eigenvalues", "theory", "notes")


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Small experiments with known answers, run by the code that trains pictures."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command()
@click.option("--loss", type=PartWords("loss"), multiple=True, help="What each player minimises [default: sgan].")
@click.option(
    "--regularizers",
    "-r",
    "--regularizer",
    type=PartWords("regularizer"),
    multiple=True,
    help="Penalties, transforms; any number. With --grid a column each; 'none' is one, 'a + b' are two in one.",
)
@click.option("--schedule", type=PartWords("schedule"), multiple=True, help="Who moves when [default: onestep].")
@click.option("--optimizer", type=PartWords("optimizer"), default="sgd", show_default=True, help="How both move.")
@click.option("--lr", type=click.FloatRange(min=0), default=0.1, show_default=True, help="Learning rate of both.")
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Steps of the schedule.")
@click.option("--start", type=(float, float), default=(1.0, 1.0), show_default=True, help="Theta and psi at first.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    default=1024,
    show_default=True,
    help="Samples in a batch; it matters for parts that draw random numbers.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--grid", is_flag=True, help="Every loss with every regularizer and schedule: those given, or a table.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the table as CSV.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw the trajectories as PNG.")
@click.option("--json", "as_json", is_flag=True, help="For programs, with the trajectories.")
@parts_options()
def dirac(
    catalogue: Catalogue,
    loss: tuple[str, ...],
    regularizers: tuple[str, ...],
    schedule: tuple[str, ...],
    grid: bool,
    csv_file: Path | None,
    picture: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Train the Dirac-GAN: data at 0, G(z) = theta, D(x) = psi x, with any parts.

    It says where the players end: converged (over the last tenth never farther from theta = psi = 0 than 5 % of the
    first distance), diverges (1.5 times farther than ever in the first half, or out of sight), or orbits. Beside it
    stand the eigenvalues of one step at the equilibrium, measured on the training code under plain gradient descent,
    their largest modulus (below 1 is stable), and what theory says they are, where there is a closed form.
    """
    from ganzoo import lab

    if grid:
        found = []
        for result in lab.table(loss, regularizers, schedule, catalogue=catalogue, **how):
            found.append(result)
            if not as_json:
                click.echo(f"{len(found)} {_name(result)}: {result.verdict}", err=True)
    else:
        if len(loss) > 1 or len(schedule) > 1:
            raise errors.SettingsError("one loss and one schedule at a time, unless with --grid")
        how |= {"loss": loss[0] if loss else "sgan", "schedule": schedule[0] if schedule else "onestep"}
        found = [lab.dirac(regularizers=regularizers, catalogue=catalogue, **how)]
    if as_json:
        facts = [{**result.plain(), "theta": result.theta, "psi": result.psi} for result in found]
        click.echo(json.dumps(_finite(facts if grid else facts[0]), indent=1))
    elif grid:
        _tables.write(HEADERS[:-1], [_row(result)[:-1] for result in found])
    else:
        for header, cell in zip(HEADERS, _row(found[0]), strict=True):
            if cell:
                click.echo(f"{header:13}{cell}")
    try:
        if csv_file is not None:
            csv_file.parent.mkdir(parents=True, exist_ok=True)
            csv_file.write_text(_csv(found), encoding="utf-8")
        if picture is not None:
            from ganzoo.disk import pictures

            picture.parent.mkdir(parents=True, exist_ok=True)
            pictures.trajectories(_panels(found)).save(picture)
    except (OSError, ValueError) as error:  # Pillow raises ValueError for an unknown ending
        raise errors.RunError(f"{csv_file or picture} cannot be written ({error}): give another file") from error


def _name(result: Dirac) -> str:
    return f"{result.loss}, {result.regularizers}, {result.schedule}"


def _complex(found: tuple[complex, complex] | None) -> str:
    """Write two eigenvalues as ``0.95+-0.0866i`` or ``0.96 0.9375``, and None as a dash."""
    if found is None:
        return "-"
    one, two = found
    if one.imag:
        return f"{one.real:.4g}+-{abs(one.imag):.4g}i"
    return f"{one.real:.4g} {two.real:.4g}"


def _row(result: Dirac) -> tuple[str, ...]:
    facts = result.plain()
    modulus = "-" if facts["modulus"] is None else f"{facts['modulus']:.4f}"
    radius = "-" if facts["radius"] is None else f"{facts['radius']:.4f}"
    period = f" ({result.period} steps)" if result.period > 1 else ""
    return (
        result.loss,
        result.regularizers,
        result.schedule,
        result.verdict,
        radius,
        modulus,
        _complex(result.eigenvalues) + period,
        _complex(result.theory),
        "; ".join(result.notes),
    )


def _csv(found: list[Dirac]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("optimizer", "lr", "steps", *HEADERS))
    for result in found:
        writer.writerow((result.optimizer, result.lr, result.steps, *_row(result)))
    return text.getvalue()


def _panels(found: list[Dirac]) -> list[tuple[str, str, str, list[tuple[float, float]]]]:
    """Make the panels of the picture: row (loss and schedule), column (regularizers), verdict and trajectory."""
    return [
        (
            f"{r.loss}\n{r.schedule}",
            r.regularizers.replace(" ", "\n").replace(":", ":\n"),
            r.verdict,
            [*zip(r.theta, r.psi, strict=True)],
        )
        for r in found
    ]


def _finite(value: object) -> object:
    """Replace infinities by None, because JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
