"""``ganzoo walk``: walk through the latent space of a run, as a strip, a GIF or an MP4."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo import errors
from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, typed, weights_options
from ganzoo.cli.sample import write
from ganzoo.plugins import Catalogue

if TYPE_CHECKING:
    from torch import Tensor


def numbers(text: str, option: str) -> list[int]:
    """Read whole numbers that are separated by commas.

    Args:
        text: the text of the user.
        option: the option, for the message.

    Returns:
        The numbers.

    Raises:
        UsageError: the text holds something else.

    Example:
        >>> numbers("0,5,7", "--seeds")
        [0, 5, 7]
    """
    try:
        found = [int(each) for each in text.split(",")]
    except ValueError:
        found = [-1]
    if min(found) < 0:
        raise click.UsageError(f"{option} {text!r}: give whole numbers >= 0 with commas between, such as 0,1,2")
    return found


@click.command()
@click.argument("run", type=click.Path())
@click.option("--seeds", default="0,1,2,3", show_default=True, metavar="N,N,...", help="The points: a seed each.")
@click.option("--through", multiple=True, metavar="FILE", help="Points from ganzoo project instead of seeds; several.")
@click.option(
    "--classes",
    metavar="NAME,...|all",
    help="The class at each point; with one seed, the walk goes through the classes. A name with a comma is written in "
    "quotes inside of the shell's.",
)
@click.option(
    "--frames", type=click.IntRange(min=1), default=8, show_default=True, help="Samples from one point to the next."
)
@click.option("--rows", type=click.IntRange(min=1), default=4, show_default=True, help="Walks side by side.")
@click.option("--loop", is_flag=True, help="Return to the first point.")
@click.option(
    "--space",
    type=click.Choice(["auto", "z"]),
    default="auto",
    show_default=True,
    help="auto: straight lines in the style space (w) where the architecture has one, else great circles in z.",
)
@click.option("--truncation", type=float, help="As for ganzoo sample: nearer to the middle, better and less varied.")
@weights_options
@click.option("--fps", type=click.FloatRange(min=0.5, max=50), default=12, show_default=True, help="Of a film.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file: .png for a strip, .gif or .mp4 for a film. [default: RUN/samples/walk.png]",
)
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    seeds: str,
    through: tuple[str, ...],
    classes: str | None,
    frames: int,
    rows: int,
    loop: bool,
    space: str,
    truncation: float | None,
    checkpoint: str,
    source: str,
    fps: float,
    out: Path | None,
    device: str | None,
    data: str | None,
) -> None:
    """Walk through the latent space of RUN: on great circles between the noise of seeds, or from class to class."""
    from ganzoo.recipe.real_samples import shown
    from ganzoo.recipe.resume import reload
    from ganzoo.trained import walk

    endings = (".png", ".gif", ".mp4")
    if out is not None and out.suffix.lower() not in endings:
        raise click.UsageError(f"--out {out}: give a name that ends in {', '.join(endings)}")
    points = numbers(seeds, "--seeds")
    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    chosen: list[str] | None = None
    if classes is not None:
        every = map(str, range(trained.spec.classes))
        named = next(csv.reader([classes], skipinitialspace=True), [])  # "cat, striped",dog
        chosen = list(every if classes == "all" else named) or ["all"]
        # one point for a walk through classes, unless the user asked for more
        seeded = click.get_current_context().get_parameter_source("seeds")
        if seeded is click.core.ParameterSource.DEFAULT and len(chosen) != 1:
            points = points[:1]
    inputs = {}
    if trained.spec.inputs:
        given = shown(trained, rows)[0]
        rows = given.size
        inputs = {name: given[name] for name in trained.spec.inputs}
    if through:
        read = [read_point(Path(file)) for file in through]
        places = [point[None] for point, _ in read]
        due = tuple(trained.styles(trained.latents(1, inputs={k: v[:1] for k, v in inputs.items()})).shape)
        for file, place in zip(through, places, strict=True):
            if tuple(place.shape) != due:
                shape, wanted = ("x".join(map(str, each[1:])) for each in (place.shape, due))
                raise errors.RunError(f"{file} holds a point of {shape} numbers, and this run wants {wanted}")
        if classes is None and trained.spec.classes:
            chosen = [str(label or 0) for _, label in read]
        space = "styles"
    else:
        places = walk.seeded_points(trained, points, rows)
    made = walk.walk(
        trained,
        places,
        frames=frames,
        classes=chosen,
        loop=loop,
        space=space,
        truncation=truncation,
        source=source,
        inputs=inputs,
    )
    out = out or trained.dir / "samples" / "walk.png"
    if out.suffix.lower() == ".png":
        write(walk.strip(made), out)
    else:
        walk.save_film(walk.film(made), out, fps)
    say(out)


def read_point(file: Path) -> tuple[Tensor, int | None]:
    """Read a point that ``ganzoo project`` wrote.

    Args:
        file: the safetensors file.

    Returns:
        The point of the style space, and the class or None.

    Raises:
        RunError: the file is missing, damaged, or holds no point.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            point = opened.get_tensor("styles")
            label = (opened.metadata() or {}).get("label")
    except (OSError, SafetensorError) as error:
        raise errors.RunError(f"{file} holds no point ({error}): give a file that ganzoo project wrote") from error
    return point, None if label is None else int(label)
