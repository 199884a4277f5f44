"""``ganzoo resume``: continue a run from the newest checkpoint."""

from __future__ import annotations

import click

from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, typed
from ganzoo.cli.run import finished
from ganzoo.plugins import Catalogue


@click.command()
@click.argument("run", type=click.Path())
@click.option("--steps", type=click.IntRange(min=1), help="Train up to this step, not the one the run was told.")
@click.option(
    "--keep-courses",
    is_flag=True,
    help="With --steps: numbers such as lr=0.002..0 keep their way, and their last values from its end on. Otherwise "
    "the way stretches over the new length.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    steps: int | None,
    keep_courses: bool,
    quiet: bool,
    device: str | None,
    data: str | None,
) -> None:
    """Continue RUN, a run directory, in its own directory from its newest whole checkpoint."""
    from ganzoo.recipe.assemble import train
    from ganzoo.recipe.resume import reopen

    experiment, total = reopen(
        run, catalogue, steps=steps, keep_courses=keep_courses, parts=typed({"data": data}), device=device
    )
    step = experiment.run.step
    run_ = train(experiment, total, quiet=quiet)
    if experiment.processes.is_main:
        if step >= total:
            say(f"ganzoo: {run} is at step {step} already, nothing was left to do; --steps {step + 1} or more goes on")
        finished(run_)
