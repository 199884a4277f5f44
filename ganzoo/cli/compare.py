"""``ganzoo compare``: compare recipes over seeds, or finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo import errors
from ganzoo.cli import run, say
from ganzoo.cli._options import parts_options, typed
from ganzoo.plugins import Catalogue, load_catalogue

if TYPE_CHECKING:
    from ganzoo.comparison.plan import Plan

OF_RUN = ("dry_run", "quiet", "plugin", "no_plugins", "seed", "name", "logdir", "config")
"""Options of ``ganzoo run`` that a comparison sets by itself, or that ``parts_options`` brings."""


@click.command(cls=run.RunCommand, params=[option for option in run.command.params if option.name not in OF_RUN])
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUE,VALUE",
    help="Values to compare, such as loss=hinge,sgan or optimizer.lr=1e-4,2e-4. Several --vary are combined. + joins "
    "several regularizers, and | separates values that hold commas.",
)
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE", help="A YAML file with the plan.")
@click.option("--seeds", metavar="N|A,B,...", help="A number of seeds, or the seeds themselves. [default: 3]")
@click.option("--baseline", metavar="ROW", help="The recipe to compare the others with, as the table names it.")
@click.option("--interval", type=click.Choice(["t", "bootstrap"]), help="The 95 % interval of a mean. [default: t]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The folder of the comparison.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Runs at the same time.")
@click.option("--on", default="local", show_default=True, metavar="ENGINE", help="See `ganzoo list engines`.")
@click.option("--different-data", is_flag=True, help="Let runs of different data stand in one table.")
@click.option("--format", "form", type=click.Choice(["markdown", "csv", "json"]), default="markdown", show_default=True)
@click.option("--only", is_flag=True, help="Make only the runs named after DIR, and no table: what engines call.")
@parts_options()
def command(
    catalogue: Catalogue,
    runs: tuple[Path, ...],
    vary: tuple[str, ...],
    plan: Path | None,
    seeds: str | None,
    baseline: str | None,
    interval: str | None,
    out: Path | None,
    jobs: int | None,
    on: str,
    different_data: bool,
    form: str,
    only: bool,
    preset: str | None,
    overrides: tuple[str, ...],
    **given: object,
) -> None:
    """Compare recipes over seeds, or finished runs.

    `--vary` or `--plan` trains every combination with every seed in the folder --out and writes a table of means and
    spreads. The call may be killed at any time: `ganzoo compare DIR` goes on. `ganzoo compare RUN RUN...` compares
    finished runs. Beside the options here, all options of `ganzoo run` say what the recipes share.
    """
    from ganzoo.comparison import finished, recipes
    from ganzoo.comparison import plan as plans

    settings = typed(given)
    if only:
        _only(runs)
        return
    began = len(runs) == 1 and (runs[0] / plans.FILE).is_file()
    if not vary and plan is None and not began:
        if settings or preset or overrides:
            raise errors.SettingsError("there is nothing to compare: give --vary, such as --vary loss=hinge,sgan")
        found = finished.compare(runs, catalogue, out, different_data=different_data)
        _print({"markdown": found.markdown, "csv": found.csv, "json": found.json}[form]())
        return
    if began:
        if vary or plan or settings or overrides:
            raise errors.SettingsError(f"{runs[0]} holds its plan: give no settings, or another --out")
        chosen, folder = plans.read(runs[0]), runs[0]
        catalogue = load_catalogue(files=tuple(dict.fromkeys([*chosen.plugins, *map(str, catalogue.files)])))
    elif runs:
        raise errors.SettingsError(f"{runs[0]}: run directories are compared without --vary and --plan")
    else:
        chosen = _plan(vary, plan, seeds, baseline, interval, preset, overrides, settings, catalogue)
        if chosen.plugins:
            catalogue = load_catalogue(files=tuple(chosen.plugins))
        folder = out or Path("comparisons") / (plan.stem if plan is not None else "latest")
    table = recipes.compare(chosen, folder, catalogue, on=on, jobs=jobs, say=lambda line: say(line, err=True))
    _print({"markdown": table.markdown, "csv": table.csv, "json": table.json}[form]())
    say(f"table    {folder / 'table.md'}", err=True)


def _print(text: str) -> None:
    for line in text.splitlines():
        say(line)


def _plan(
    vary: tuple[str, ...],
    file: Path | None,
    seeds: str | None,
    baseline: str | None,
    interval: str | None,
    preset: str | None,
    overrides: tuple[str, ...],
    settings: dict[str, object],
    catalogue: Catalogue,
) -> Plan:
    """The plan of the command line. Options are added to the plan of a file, and win."""
    from dataclasses import replace

    from ganzoo.comparison import plan as plans

    found = plans.read(file) if file is not None else plans.Plan(base={})
    many = [name for name, setting in catalogue.kinds.settings.items() if setting.many]
    values = dict(plans.varied(text, many) for text in vary)
    if len(values) < len(vary):
        raise errors.SettingsError("--vary names a key twice: give all its values at once")
    base = {**found.base, **({"preset": preset} if preset else {})}
    for key, value in settings.items():
        base[key] = list(value) if isinstance(value, tuple) else value
    if "steps" in settings or "images" in settings:
        base.pop("images" if "steps" in settings else "steps", None)
    runs = found.seeds
    if seeds is not None:
        numbers = seeds.split(",")
        if not all(number.strip().isdecimal() for number in numbers):
            raise errors.SettingsError(f"--seeds {seeds!r} is neither a number of seeds nor seeds such as 0,1,2")
        runs = plans.seeds_of(int(seeds) if len(numbers) == 1 else [int(number) for number in numbers])
    made = replace(
        found,
        base=base,
        overrides=[*found.overrides, *overrides],
        vary={**found.vary, **values},
        seeds=runs,
        baseline=found.baseline if baseline is None else baseline,
        interval=found.interval if interval is None else interval,
        plugins=list(dict.fromkeys([*found.plugins, *map(str, catalogue.files)])),
    )
    return plans.checked(made)


def _only(runs: tuple[Path, ...]) -> None:
    """Make runs of a comparison, without a table."""
    from ganzoo.comparison import job
    from ganzoo.comparison import plan as plans

    job.end_with_parent()
    if len(runs) < 2:
        raise errors.SettingsError("--only takes the folder of a comparison and the names of runs")
    folder, *names = runs
    chosen = plans.read(folder)
    known = {name for name, _, _ in chosen.runs()}
    for name in map(str, names):
        if name not in known:
            raise errors.SettingsError(f"{folder} has no run {name}")
        job.perform(folder.resolve(), chosen, name, load_catalogue(files=tuple(chosen.plugins)))
