"""``ganzoo sample``: draw pictures from a trained run."""

from __future__ import annotations

from pathlib import Path

import click

from ganzoo import errors
from ganzoo.cli._options import parts_options
from ganzoo.plugins import Catalogue


@click.command()
@click.argument("run", type=click.Path())
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@click.option(
    "--source", type=click.Choice(["auto", "ema", "generator"]), default="auto", show_default=True,
    help="Which weights: the average, or the generator as it was trained last; auto takes the average if there is one.",
)  # fmt: skip
@click.option("--truncation", type=float, help="Draw the noise from N(0, 1) cut off beyond this absolute value.")
@click.option("--label", type=click.IntRange(min=0), help="Only this class, where the nets are given classes.")
@click.option("--single", is_flag=True, help="One PNG a sample, in a folder, instead of one grid.")
@click.option("--columns", type=click.IntRange(min=1), help="Images in a row of the grid.")
@click.option("--out", type=click.Path(path_type=Path), help="The PNG (or, with --single, the folder) to write.")
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    count: int,
    seed: int,
    source: str,
    truncation: float | None,
    label: int | None,
    single: bool,
    columns: int | None,
    out: Path | None,
) -> None:
    """Draw samples from RUN, a run directory, as a grid or as single PNGs. The same for a seed, on every machine."""
    import torch

    from ganzoo import pictures, recipe

    trained = recipe.reload(run, catalogue)
    labels = None
    if label is not None:
        if label >= trained.spec.classes:
            has = f"classes 0 to {trained.spec.classes - 1}" if trained.spec.classes else "no classes"
            raise errors.SettingsError(f"--label {label}: this run has {has}")
        labels = torch.full((count,), label)
    samples = trained.sample(count, seed=seed, source=source, truncation=truncation, labels=labels)
    assert trained.dir is not None
    out = out or trained.dir / "samples" / (f"seed{seed}" if single else f"seed{seed}.png")
    try:
        if single:
            out.mkdir(parents=True, exist_ok=True)
            for i, sample in enumerate(samples):
                pictures.save(pictures.single(sample), out / f"{i:05d}.png")
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            pictures.save(pictures.picture(samples, columns), out)
    except (OSError, ValueError) as error:  # Pillow says an unknown ending by ValueError
        raise errors.RunError(f"{out} cannot be written ({error}): give another --out, ending in .png") from error
    click.echo(out)
