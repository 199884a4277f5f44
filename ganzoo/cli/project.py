"""``ganzoo project``: find the latent of an image."""

from __future__ import annotations

from pathlib import Path

import click

from ganzoo import errors
from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, range_option, typed, weights_options
from ganzoo.cli.sample import write
from ganzoo.plugins import Catalogue


@click.command()
@click.argument("run", type=click.Path())
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(min=0), default=300, show_default=True, help="0 keeps the start.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=0.05, show_default=True, help="Learning rate."
)
@click.option(
    "--prior",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="Weight of the term that keeps the point near the points of draws.",
)
@click.option("--label", help="The number or the name of the class; without, every class is tried.")
@click.option(
    "--encoder/--no-encoder",
    default=None,
    help="Start from the discriminator's encoding. [default: where the loss trains an encoder]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws to start from.")
@range_option
@weights_options
@click.option("--out", type=click.Path(path_type=Path), help="The picture. [default: RUN/samples/projected-IMAGE.png]")
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    image: Path,
    steps: int,
    rate: float,
    prior: float,
    label: str | None,
    encoder: bool | None,
    seed: int,
    data_range: tuple[float, float] | None,
    checkpoint: str,
    source: str,
    out: Path | None,
    device: str | None,
    data: str | None,
) -> None:
    """Find the point of the latent space (of the style space, where RUN has one) from which RUN makes a
    sample nearest to IMAGE, and draw both side by side.

    The point is written beside the picture, as .safetensors. ganzoo walk --through takes such files.
    """
    import torch
    from safetensors.torch import save_file

    from ganzoo.disk import pictures
    from ganzoo.disk.photos import remarks
    from ganzoo.recipe.resume import reload
    from ganzoo.trained.project import project, read_image

    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    wanted = read_image(image, trained.spec.shape, data_range or trained.data_range)
    for line in remarks(wanted, image.name, data_range):
        say(f"warning: {line}", err=True)
    found = project(
        trained,
        wanted.pixels,
        steps=steps,
        rate=rate,
        prior=prior,
        label=label,
        seed=seed,
        source=source,
        encoder=encoder,
    )
    out = out or trained.dir / "samples" / f"projected-{image.stem}.png"
    write(pictures.picture(torch.stack([found.image, found.sample]), 2), out)
    facts = {"run": trained.dir.name, "step": str(trained.step), "image": image.name, "error": f"{found.error:.6f}"}
    if found.label is not None:
        facts["label"] = str(found.label)
    kept = out.with_suffix(".safetensors")
    try:
        save_file({"styles": found.styles.contiguous()}, kept, facts)
    except OSError as error:
        raise errors.RunError(f"{kept} cannot be written ({error}): give another --out") from error
    say(out)
    say(kept)
    named = ""
    if found.label is not None:
        name = trained.class_names[found.label] if trained.class_names else ""
        named = f", class {found.label}" + (f" ({name})" if name and name != str(found.label) else "")
    say(f"error    {found.error:.4f} (nearest draw: {found.start_error:.4f}){named}", err=True)
