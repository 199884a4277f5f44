"""``ganzoo sample``: draw pictures from a trained run."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo import errors
from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, typed, weights_options
from ganzoo.plugins import Catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.parts import Batch
    from ganzoo.training.run import Run


@click.command()
@click.argument("run", type=click.Path())
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@weights_options
@click.option(
    "--truncation",
    type=float,
    help="Nearer to the centre: noise from N(0, 1) cut off beyond this absolute value, or psi (-1 to 1) of a net with "
    "styles, w' = mean + psi (w - mean).",
)
@click.option(
    "--standing",
    type=click.IntRange(min=1),
    metavar="BATCHES",
    help="First compute the statistics of batch norm anew, over that many batches of noise (BigGAN: 16).",
)
@click.option(
    "--mix",
    type=click.IntRange(min=1),
    metavar="LAYERS",
    help="A table of mixed styles: the first LAYERS layers have the style of the row, the others of the column.",
)
@click.option("--label", metavar="NUMBER|NAME", help="Only this class, where the nets are given classes.")
@click.option(
    "--mcmc",
    type=click.Choice(["langevin", "mala"]),
    help="Move the noise along the energy of its samples first: unadjusted, or with Metropolis's correction. For runs "
    "whose loss shapes an energy, such as meg.",
)
@click.option("--mcmc-steps", type=click.IntRange(min=1), default=100, show_default=True, help="Steps of each chain.")
@click.option(
    "--step-size",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    help="a: a step is a times the slope of the energy, and noise of variance 2a.",
)
@click.option("--prior", is_flag=True, help="Add |z|^2/2 to the energy, so that the noise stays near N(0, 1).")
@click.option("--single", is_flag=True, help="One PNG a sample, in a folder, instead of one grid.")
@click.option(
    "--projector",
    is_flag=True,
    help="Write the samples and as many real samples for the tab Projector of TensorBoard, in place of a grid.",
)
@click.option("--columns", type=click.IntRange(min=1), help="Images in a row of the grid.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The PNG to write, the folder with --single, or a .npy or .npz for numbers in the units of the data.",
)
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    count: int,
    seed: int,
    checkpoint: str,
    source: str,
    truncation: float | None,
    standing: int | None,
    mix: int | None,
    label: str | None,
    mcmc: str | None,
    mcmc_steps: int,
    step_size: float,
    prior: bool,
    single: bool,
    projector: bool,
    columns: int | None,
    out: Path | None,
    device: str | None,
    data: str | None,
) -> None:
    """Draw samples from RUN, a run directory, as a grid or as single PNGs. The same for a seed, on every machine."""
    from ganzoo.disk import pictures
    from ganzoo.recipe.real_samples import shown
    from ganzoo.recipe.resume import reload
    from ganzoo.trained.mix import mixed_table

    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    if mcmc is not None and truncation is not None:
        raise errors.SettingsError("--mcmc draws the noise by a walk and --truncation by a bound: give one of the two")
    if standing is not None:
        trained.stand(standing, source=source, truncation=truncation)
    if mix is not None:
        if mcmc is not None or single or label is not None or columns is not None:
            raise errors.SettingsError("--mix makes a table: leave out --mcmc, --single, --label and --columns")
        samples, columns = mixed_table(trained, mix, count, seed=seed, source=source, truncation=truncation)
        out = out or trained.dir / "samples" / f"seed{seed}-mix{mix}.png"
        write(pictures.picture(samples, columns), out)
        click.echo(out)
        return
    if projector and (single or columns is not None or out is not None):
        raise errors.SettingsError("--projector writes into the run: leave out --single, --columns and --out")
    given = None
    if trained.spec.inputs:
        given = shown(trained, count)[0]
        assert given.images is not None
        if len(given.images) < count:
            say(f"warning: the data hold {len(given.images)} samples for {count}: so many are made", err=True)
        count = len(given.images)
    inputs = {} if given is None else {name: given[name] for name in trained.spec.inputs}
    batch = trained.latents(count, seed=seed, labels=label, inputs=inputs)
    if mcmc is not None:
        batch, accepted = trained.walk(
            batch, mcmc, steps=mcmc_steps, step_size=step_size, prior=prior, seed=seed, source=source
        )
        click.echo(f"{100 * accepted:.1f} % of the proposals were taken", err=True)
    if projector:
        click.echo(project(trained, batch, source=source, truncation=truncation))
        return
    if columns is not None and (single or (out is not None and out.suffix.lower() in (".npy", ".npz"))):
        raise errors.SettingsError("--columns arranges a grid, and neither --single nor an array is one: leave it out")
    if single:
        if out is not None and out.suffix.lower() in (".npy", ".npz", ".png") and not out.is_dir():
            raise errors.SettingsError(
                f"--single writes a folder of PNGs, and {out} names a file: leave out --single, or name a folder"
            )
        folder = sample_folder(out, trained.dir / "samples" / f"seed{seed}")
        beside = [*inputs.values(), given.images] if given is not None else []
        write_each(trained, batch, folder, source=source, truncation=truncation, beside=beside)
        click.echo(folder)
        return
    columns = columns or (pictures.class_columns(trained.spec.classes, count) if label is None else None)
    samples = trained.generated(batch, source, truncation=truncation)
    if out is not None and out.suffix.lower() in (".npy", ".npz"):
        write_array(trained.in_data_units(samples), batch.labels, out)
        click.echo(out)
        return
    if given is not None:
        samples = pictures.all_beside([*inputs.values(), given.images, samples])
    out = out or trained.dir / "samples" / f"seed{seed}.png"
    by_class = label is None and given is None and columns and columns % max(1, trained.spec.classes) == 0
    write(pictures.picture(samples, columns, names=trained.class_names if by_class else ()), out)
    click.echo(out)


def project(trained: Run, batch: Batch, *, source: str, truncation: float | None) -> Path:
    """Write the samples and as many real samples for TensorBoard's projector.

    Args:
        trained: the run.
        batch: the latents of all samples, with labels and inputs.
        source: as for ``Run.sample``.
        truncation: as for ``Run.sample``.

    Returns:
        The folder of the files.

    Raises:
        RunError: a file cannot be written.
        SettingsError: there are more samples than the projector shows.
    """
    from ganzoo.recipe.real_samples import shown
    from ganzoo.trained.projector import MOST, write_projector

    if batch.size > MOST // 2:
        raise errors.SettingsError(f"--count {batch.size}: the projector shows at most {MOST // 2} samples")
    reals, _ = shown(trained, batch.size)
    assert reals.images is not None

    def named(labels: Tensor | None) -> list[str]:
        if labels is None:
            return []
        numbers: list[int] = labels.tolist()
        return [trained.class_names[i] if i < len(trained.class_names) else str(i) for i in numbers]

    samples = trained.generated(batch, source, truncation=truncation)
    return write_projector(trained.dir, samples, reals.images, named(batch.labels), named(reals.labels))


def sample_folder(out: Path | None, default: Path) -> Path:
    """Choose the folder of single samples. The folder never mixes samples of two calls.

    Args:
        out: the folder that the user named. None takes the default.
        default: the folder of the run, from which the samples of an earlier call are removed.

    Raises:
        RunError: the user's folder holds pictures already, or the default cannot be emptied.
    """
    if out is None:
        try:
            for old in default.glob("*.png"):
                old.unlink()
        except OSError as error:
            raise errors.RunError(f"{default} cannot be emptied ({error}): give another folder with --out") from error
        return default
    if out.is_dir() and next(out.glob("*.png"), None) is not None:
        raise errors.RunError(f"{out} holds pictures already, and samples would mix with them: give another --out")
    return out


def write_each(
    trained: Run, batch: Batch, folder: Path, *, source: str, truncation: float | None, beside: Sequence[Tensor]
) -> None:
    """Write each sample as a PNG, batch by batch, so that the memory does not grow with the number of samples.

    Args:
        trained: the run.
        batch: the latents of all samples, with labels and inputs.
        folder: the folder of the files, which are named by number and class: ``00003-cat.png``.
        source: the average or the generator, as for ``Run.sample``.
        truncation: as for ``Run.sample``.
        beside: (N, C, H, W) images each, to put at the left of the samples.

    Raises:
        RunError: a file cannot be written.
    """
    from ganzoo.disk import pictures
    from ganzoo.training.run import SAMPLE_BATCH

    count = batch.size
    names = [re.sub(r"[^\w.-]+", "_", name)[:40] for name in trained.class_names]
    classes = batch.labels.tolist() if batch.labels is not None and trained.spec.classes else None
    with click.progressbar(length=count, label="samples", file=sys.stderr) as bar:
        for start in range(0, count, SAMPLE_BATCH):
            rows = slice(start, min(start + SAMPLE_BATCH, count))
            samples = trained.generated(batch.rows(rows), source, truncation=truncation)
            if beside:
                samples = pictures.all_beside([*(each[rows].cpu() for each in beside), samples])
            for i, sample in enumerate(samples, start):
                of = "" if classes is None else f"-{names[classes[i]] if names else classes[i]}"
                write(pictures.single(sample), folder / f"{i:05d}{of}.png")
            bar.update(len(samples))


def write(picture: Tensor, out: Path) -> None:
    """Write a picture as PNG. A missing folder is made.

    Args:
        picture: (3, H, W), uint8.
        out: the path of the file.

    Raises:
        RunError: the file cannot be written.
        SettingsError: the file has another ending.
    """
    from ganzoo.disk import pictures

    if out.suffix.lower() != ".png":
        raise errors.SettingsError(f"--out {out}: pictures are written as PNG, so end the name in .png")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(picture, out)
    except OSError as error:
        raise errors.RunError(f"{out} cannot be written ({error}): give another --out") from error


def write_array(samples: Tensor, labels: Tensor | None, out: Path) -> None:
    """Write samples as an array of numbers. A missing folder is made.

    Args:
        samples: (N, *shape), in the units of the data.
        labels: (N,) class numbers, which a .npz file holds beside the samples, or None.
        out: the path of the file, which ends in .npy or .npz.

    Raises:
        RunError: the file cannot be written.
    """
    import numpy as np

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("wb") as file:  # given a path, numpy would add an ending to o.NPY
            if out.suffix.lower() == ".npy":
                np.save(file, samples.cpu().numpy())
            elif labels is None:
                np.savez(file, samples=samples.cpu().numpy())
            else:
                np.savez(file, samples=samples.cpu().numpy(), labels=labels.cpu().numpy())
    except OSError as error:
        raise errors.RunError(f"{out} cannot be written ({error}): give another --out") from error
