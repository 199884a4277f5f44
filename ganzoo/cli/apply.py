"""``ganzoo apply``: apply a trained run to the pictures of a user."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from ganzoo import errors
from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, range_option, typed, weights_options
from ganzoo.plugins import Catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.disk.photos import Source
    from ganzoo.training.run import Run


@click.command()
@click.argument("run", type=click.Path())
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--mask",
    "masks",
    type=click.Path(path_type=Path),
    help="White where a picture is to be filled: one mask for all, or a folder or .zip with the pictures' names.",
)
@click.option("--out", type=click.Path(path_type=Path), help="A folder. [default: beside each picture]")
@click.option("--compare", is_flag=True, help="Also write a sheet: the picture, the mask, the result.")
@click.option("--tile", type=click.IntRange(min=1), help="Side of a tile. [default: as large as --memory allows]")
@click.option("--overlap", type=click.IntRange(min=0), default=96, show_default=True, help="Pixels that tiles share.")
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="GiB for the maps of a tile.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise.")
@range_option
@weights_options
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    paths: tuple[Path, ...],
    masks: Path | None,
    out: Path | None,
    compare: bool,
    tile: int | None,
    overlap: int,
    memory: float,
    seed: int,
    data_range: tuple[float, float] | None,
    checkpoint: str,
    source: str,
    device: str | None,
    data: str | None,
) -> None:
    """Apply RUN, a run directory, to pictures: fill, enlarge, translate, colorize or segment the pictures.

    PATHS are pictures, folders or zips. A result has the size of its picture (or a multiple, if the run enlarges) and
    is written as PNG: NAME.applied.png beside NAME.jpg, or NAME.png below --out, with the folders of the input. Grey
    results of 16-bit pictures have 16 bits.
    """
    from ganzoo.disk import photos
    from ganzoo.recipe.resume import reload

    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    channels = _channels(trained)
    every = [(path, each) for path in paths for each in photos.sources(path)]
    holes = None if masks is None else _Masks(masks, [each for _, each in every])
    targets = _targets(every, out)
    failed: list[str] = []
    for (_, each), target in zip(every, targets, strict=True):
        try:
            photo = photos.read(each, channels, data_range or trained.data_range)
        except errors.DataError as error:
            if len(every) == 1:
                raise
            failed.append(str(error))
            say(f"skipped: {error}", err=True)
            continue
        for line in photos.remarks(photo, str(each.name), data_range):
            say(f"warning: {line}", err=True)
        hole = None if holes is None else holes.of(each)
        try:
            made = trained.apply(
                photo.pixels, mask=hole, tile=tile, overlap=overlap, memory=memory, seed=seed, source=source
            )
        except errors.DataError as error:
            raise errors.DataError(f"{each.name}: {error}") from error
        photos.write(target, made, photo)
        if compare:
            seen = [photo.pixels, *([hole] if hole is not None else []), made]
            beside = target.with_name(f"{target.name.removesuffix('.png')}.compare.png")
            photos.write(beside, photos.sheet(seen), photos.Photo(photo.pixels))
        say(target)
    if len(failed) == len(every):
        raise errors.DataError(f"none of the {len(every)} pictures can be read, such as {failed[0]}")


def _channels(trained: Run) -> int:
    found = trained.spec.inputs.get("condition")
    if found is None or len(found.shape) != 3 or found.shape[0] not in (1, 3):
        raise errors.Incompatible(
            "this run makes no picture from a picture: draw samples with ganzoo sample, or train on pairs, such as "
            "--data inpaint:of=folder:path=..."
        )
    return int(found.shape[0])


def _targets(every: list[tuple[Path, Source]], out: Path | None) -> list[Path]:
    """The file of each result: the name of the input, with the ending where two inputs differ in the ending alone."""
    places: list[Path] = []
    for path, each in every:
        name = each.name
        if out is not None:
            places.append(out / name.parent / name.stem)
        elif path.is_dir():
            places.append(path / name.parent / f"{name.stem}.applied")
        else:
            places.append(path.parent / PurePosixPath(*name.parts[:-1]) / f"{name.stem}.applied")
    found: list[Path] = []
    for (_, each), place in zip(every, places, strict=True):
        several = places.count(place) > 1
        file = place.with_name(f"{place.name}{each.name.suffix if several else ''}.png")
        if file in found:
            raise errors.SettingsError(f"two pictures would be written to {file}: apply the run to one path at a time")
        found.append(file)
    return found


class _Masks:
    """The mask of each picture.

    Args:
        path: a picture of a mask, or a folder or zip with a mask for each picture.
        pictures: the pictures.

    Raises:
        DataError: a picture has no mask, or a mask cannot be read.
    """

    def __init__(self, path: Path, pictures: list[Source]) -> None:
        from ganzoo.disk import photos

        found = list(photos.sources(path))
        self.one = found[0] if path.is_file() and path.suffix.lower() != ".zip" else None
        self.by_name = {each.name.with_suffix(""): each for each in found}
        missing = [each for each in pictures if each.name.with_suffix("") not in self.by_name]
        if self.one is None and missing:
            raise errors.DataError(
                f"{len(missing)} pictures have no mask in {path}, such as {missing[0].name}: give each mask the name "
                "of its picture"
            )

    def of(self, picture: Source) -> Tensor:
        """The mask of a picture, (1, H, W), above 0 where the picture is to be filled."""
        from ganzoo.disk import photos

        return photos.read(self.one or self.by_name[picture.name.with_suffix("")], 1).pixels
