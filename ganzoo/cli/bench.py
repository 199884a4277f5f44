"""``ganzoo bench``: measure the cost of a step of a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ganzoo.cli import run, say
from ganzoo.cli._options import parts_options, typed
from ganzoo.plugins import Catalogue
from ganzoo.recipe.settings import resolve

if TYPE_CHECKING:
    from ganzoo.bench import Report, Spread

OF_RUN = ("dry_run", "quiet", "plugin", "no_plugins")
"""Options of ``ganzoo run`` that are not of the recipe, or that ``parts_options`` brings."""


@click.command(params=[option for option in run.command.params if option.name not in OF_RUN])
@click.option("--against", type=click.Choice(["plain"]), help="Compare with a plain loop of the same networks.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=11, show_default=True, metavar="N", help="How often to measure."
)
@click.option(
    "--steps-each",
    type=click.IntRange(min=1),
    metavar="N",
    help="Steps timed together [default: whole cycles of lazy penalties, 0.2 s or more].",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@parts_options()
def command(
    catalogue: Catalogue,
    preset: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    against: str | None,
    repeats: int,
    steps_each: int | None,
    as_json: bool,
    **given: object,
) -> None:
    """Measure a step of a recipe: time by phase, memory, operations.

    The recipe is named as for `ganzoo run`; nothing is written to disk. The time of a step is measured without timers
    inside it. That of a step without the penalties is shared out as timers in other steps see it; the penalties' is
    what a step with them takes longer. Other work on the machine disturbs all of this: the comparison with itself
    (control) says how much.
    """
    from ganzoo import bench

    settings = resolve(catalogue, preset=preset, config=config, given=typed(given), overrides=overrides)
    report = bench.measure(settings, catalogue, against=against, repeats=repeats, steps_each=steps_each)
    if as_json:
        click.echo(json.dumps(report.plain(), indent=1))
        return
    for line in report.said:
        say(f"ganzoo: {line}", err=True)
    for header, line in lines(report):
        say(f"{header:24}{line}".rstrip())


def lines(report: Report) -> Iterator[tuple[str, str]]:
    """Write a report for a terminal.

    Args:
        report: the measurements of a recipe.

    Returns:
        Pairs of a header and a line.
    """
    step = report.milliseconds
    yield from report.recipe.items()
    threads = f", {report.threads} thread{'s' * (report.threads > 1)}" if report.device == "cpu" else ""
    yield "runs on", f"{report.device}, {report.precision}{threads}, batch {report.batch_size}"
    yield "step", f"{_ms(step)}; {report.repeats} times {report.steps} steps"
    yield "images/s", f"{report.images_per_second:,.0f}"
    if report.written is not None:
        yield "as written", f"{_ms(report.written)}, of which:"
    for phase, milliseconds in report.phases.items():
        yield f"  {phase}", f"{milliseconds:8.3f} ms {milliseconds / (report.written or step).median:7.1%}"
    parts = f"weights, optimizers, average {_mib(report.state)}, a step {_mib(report.memory - report.state)}"
    yield "memory", f"{_mib(report.memory)} at most: {parts}"
    rate, peak = report.flops / step.median / 1e6, report.peak / 1e9
    reached = f"{rate:,.0f} GFLOP/s, {report.fraction:.0%} of the {peak:,.0f} of a large matrix product here"
    yield "operations", f"{report.flops / 1e9:,.2f} GFLOP a step, {reached}"
    if (other := report.against) is not None:
        yield "control", f"the same again takes {_times(other.control)} as long"
        yield "plain loop", f"{_ms(other.milliseconds)}; it takes {_times(other.ratio)} as long"
        if other.left_out:
            yield "", f"without {', '.join(other.left_out)}, for which a plain loop has no place"


def _ms(spread: Spread) -> str:
    return f"{spread.median:.3f} ms (quartiles {spread.low:.3f} to {spread.high:.3f})"


def _times(spread: Spread) -> str:
    return f"{spread.median:.3f} times (quartiles {spread.low:.3f} to {spread.high:.3f})"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
