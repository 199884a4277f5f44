"""``ganzoo export``: write a network of a run to a file for use without ganzoo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganzoo.cli import say
from ganzoo.cli._options import moved_options, parts_options, typed, weights_options
from ganzoo.plugins import Catalogue

if TYPE_CHECKING:
    from ganzoo.trained.export import Format, Network


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--to",
    "formats",
    multiple=True,
    default=["torch"],
    show_default=True,
    type=click.Choice(["safetensors", "torch", "onnx", "state-dict"]),
    help="torch: a program of torch.export. onnx: a model of ONNX. safetensors, state-dict: the weights, and the "
    "network as a Python file. Several are allowed.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    default=["generator"],
    show_default=True,
    type=click.Choice(["generator", "discriminator", "encoder"]),
    help="Which network. Several are allowed.",
)
@weights_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file, for one format and one network. [default: RUN/exports]"
)
@moved_options
@parts_options()
def command(
    catalogue: Catalogue,
    run: str,
    formats: tuple[Format, ...],
    networks: tuple[Network, ...],
    checkpoint: str,
    source: str,
    out: Path | None,
    device: str | None,
    data: str | None,
) -> None:
    """Export a network of RUN for use without ganzoo, and print a program of ten lines that reads the file.

    The file describes the inputs and the output. ganzoo reads the file again and compares the result with its own.
    """
    from ganzoo.recipe.resume import reload
    from ganzoo.trained.export import export

    formats, networks = tuple(dict.fromkeys(formats)), tuple(dict.fromkeys(networks))
    if out is not None and len(formats) * len(networks) > 1:
        raise click.UsageError(f"--out names one file, and {len(formats) * len(networks)} are exported")
    trained = reload(run, catalogue, typed({"data": data}), which=checkpoint, device=device)
    for line in trained.warnings:
        say(f"warning: {line}", err=True)
    for to in formats:
        for network in networks:
            made = export(trained, to, network=network, source=source, out=out)
            for file in made.files:
                say(file)
            if made.difference is None:
                checked = "not compared, since the network draws noise of its own"
            else:
                checked = f"the same as ganzoo's, up to {made.difference:.1e}"
            say(f"result   {checked}", err=True)
            if made.description["inputs"][0]["shape"][0] != "N":
                say(
                    f"batch    always {made.description['inputs'][0]['shape'][0]}: the network allows no other",
                    err=True,
                )
            for line in ("", f"# read {made.path.name} in its folder, without ganzoo:", *made.loader.splitlines()):
                say(line, err=True)
