"""``ganzoo evaluate``: compute metrics on runs, apart from training."""

from __future__ import annotations

import json

import click

from ganzoo.cli import say, speaks
from ganzoo.cli._options import PartWords, moved_options, parts_options, typed
from ganzoo.cli._tables import write
from ganzoo.plugins import Catalogue


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=PartWords("metric"),
    help="A figure of merit; any number. [default: the metrics of the run]",
)
@click.option(
    "--checkpoint", default="newest", show_default=True, metavar="newest|best|all|STEP", help="Which weights."
)
@click.option(
    "--source",
    type=click.Choice(["auto", "ema", "generator", "both"]),
    default="auto",
    show_default=True,
    help="The average, or the generator as it was trained last; auto takes the average if there is one.",
)
@click.option("--samples", type=click.IntRange(min=1), help="Samples to generate, instead of the metric's own number.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the noise. [default: the seed that training uses]")
@click.option("--no-record", is_flag=True, help="Print the figures, and write nothing into the run.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one line of JSON a metric and checkpoint.")
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    runs: tuple[str, ...],
    metrics: tuple[str, ...],
    checkpoint: str,
    source: str,
    samples: int | None,
    seed: int | None,
    no_record: bool,
    as_json: bool,
    device: str | None,
    data: str | None,
) -> None:
    """Compute metrics on RUNS, run directories that are finished or still trained.

    A figure equals the figure that training would have recorded at the same step with --metric. Figures are appended to
    the run's evaluations.jsonl and to TensorBoard. `torchrun -m ganzoo evaluate` shares the features of large metrics.
    """
    from ganzoo.recipe.evaluate import evaluate

    rows = []
    for run in runs:
        for found in evaluate(
            run,
            catalogue,
            metrics=metrics,
            which=checkpoint,
            source=source,
            samples=samples,
            seed=seed,
            device=device,
            parts=typed({"data": data}),
            record=not no_record,
        ):
            if not speaks():
                continue
            if as_json:
                say(json.dumps(found.plain()))
            for name, value in found.figures.items() if not as_json else ():
                facts = [str(found.step), found.source, str(found.samples), str(found.seed)]
                rows.append([str(found.run), *facts, f"{found.label}/{name}", f"{value:.6g}"])
    if rows:
        write(("run", "step", "weights", "samples", "seed", "figure", "value"), rows)
