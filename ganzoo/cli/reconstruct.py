"""``ganzoo reconstruct``: show images beside the reconstructions of a run."""

from __future__ import annotations

from pathlib import Path

import click

from ganzoo.cli import say
from ganzoo.cli._options import PartWords, moved_options, parts_options, typed, weights_options
from ganzoo.cli.sample import write
from ganzoo.plugins import Catalogue


class Images(PartWords):
    """The type of ``--images``: ``data``, or the name and parameters of a data part."""

    metavar = "data|NAME:KEY=VALUE,..."

    def __init__(self) -> None:
        super().__init__("data")


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--images",
    type=Images(),
    default="data",
    show_default=True,
    help="data: what the run's data holds out, else what it trained on; or other data, such as folder:path=photos, "
    "which is brought to the run's size and channels.",
)
@click.option("--count", type=click.IntRange(min=1), default=32, show_default=True, help="How many images.")
@weights_options
@click.option("--scale", type=float, default=1.0, show_default=True, help="Of the encoded noise: below 1 is smoother.")
@click.option("--columns", type=click.IntRange(min=1), help="Pairs in a row.")
@click.option("--out", type=click.Path(path_type=Path), help="The PNG to write.")
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    images: str,
    count: int,
    checkpoint: str,
    source: str,
    scale: float,
    columns: int | None,
    out: Path | None,
    device: str | None,
    data: str | None,
) -> None:
    """Encode images by the discriminator of RUN and generate them again: a picture of originals beside what came out.

    For runs whose discriminator is an encoder, such as those of the preset ogan.
    """
    from ganzoo.disk import pictures
    from ganzoo.recipe.real_samples import other, shown
    from ganzoo.recipe.resume import reload

    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    unseen = True
    if images == "data":
        given, unseen = shown(trained, count)
    else:
        given = other(trained, images, catalogue, count)
    assert given.images is not None
    made = trained.reconstruct(given.images, labels=given.labels, source=source, scale=scale)
    if not unseen:
        click.echo(
            "ganzoo: warning: the data holds nothing out, so these are images of the training: data with a hold_out, "
            "or --images, shows new ones",
            err=True,
        )
    out = out or trained.dir / "samples" / "reconstructed.png"
    write(pictures.picture(pictures.beside(given.images, made), columns), out)
    click.echo(out)
