"""``ganzoo run``: train a GAN from named parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from ganzoo import words
from ganzoo.cli import say
from ganzoo.cli._options import PartWords, parts_options, typed
from ganzoo.cli._tables import write
from ganzoo.kinds import KINDS, Kind, Setting
from ganzoo.plugins import Catalogue
from ganzoo.recipe.settings import Settings

METAVARS = {"whole": "N", "number": "X"}
LITERAL = {choice for p in words.parameters(Settings).values() for choice in (*p.choices, str(p.default))}


def setting_options(command: Callable[..., object]) -> Callable[..., object]:
    """An option for every setting, by the setting's name."""
    for parameter in reversed([*words.parameters(Settings).values()]):
        option = f"--{parameter.name.replace('_', '-')}"
        default = "" if parameter.default in (None, ...) else f" [default: {parameter.default_text}]"
        help_ = sentence(parameter.meaning) + default
        if parameter.annotation is bool:
            off = f"/--no-{option.removeprefix('--')}" if parameter.default else ""
            command = click.option(option + off, parameter.name, is_flag=True, default=None, help=help_)(command)
        elif parameter.choices:
            choices = click.Choice([choice for choice in parameter.choices if choice != "none"])
            command = click.option(option, parameter.name, type=choices, help=help_)(command)
        else:
            metavar = METAVARS.get(parameter.type_name.split()[0], "TEXT")
            command = click.option(option, parameter.name, metavar=metavar, help=help_)(command)
    for kind in reversed(KINDS):
        for setting in reversed(kind.settings):
            command = part_option(kind, setting)(command)
    return command


def part_option(kind: Kind, setting: Setting) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """The option of a setting that names parts."""
    return click.option(
        setting.option,
        *setting.flags,
        setting.name,
        type=PartWords(kind.name),
        multiple=setting.many,
        help=sentence(setting.help),
    )


def sentence(text: str) -> str:
    """A help text with a capital; a text that begins with a value that users type keeps that value's spelling."""
    first = re.match(r"\w+", text)
    return text if first and first[0] in LITERAL else text[:1].upper() + text[1:]


class PresetName(click.ParamType):  # type: ignore[type-arg]  # not generic in every click that will do
    """A preset's name, which completes in the shell."""

    name = "preset"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The presets' names."""
        from click.shell_completion import CompletionItem

        from ganzoo.cli._options import catalogue_of

        return [CompletionItem(name) for name in sorted(catalogue_of(ctx).presets()) if name.startswith(incomplete)]


@click.command()
@click.option("--preset", type=PresetName(), metavar="NAME", help="Settings to start from, such as sngan.")
@click.option("--config", type=click.Path(), metavar="FILE", help="A YAML file of settings, such as a run's own.")
@click.option("-o", "overrides", multiple=True, metavar="PART.KEY=VALUE", help="One value, such as r1.gamma=5.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@setting_options
@parts_options()
def command(
    catalogue: Catalogue,
    preset: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a GAN from named parts.

    With no options: a small DCGAN on scikit-learn's handwritten digits, in less than a minute. Who wins: defaults <
    --preset < --config < the options below < -o.
    """
    from ganzoo.recipe.assemble import assemble, train
    from ganzoo.recipe.description import description
    from ganzoo.recipe.resume import begin
    from ganzoo.recipe.settings import resolve

    settings = resolve(catalogue, preset=preset, config=config, given=typed(given), overrides=overrides)
    experiment = assemble(settings, catalogue)
    if dry_run and not experiment.processes.is_main:
        return
    if dry_run:
        write(("what would", "be trained"), description(experiment))
        for warning in experiment.run.warnings:
            click.echo(f"ganzoo: warning: {warning}", err=True)
        return
    run = train(experiment, begin(experiment), quiet=quiet)
    if experiment.processes.is_main:
        finished(run)


def finished(run: Any) -> None:
    """Say where everything is."""
    if run.dir is None:
        return
    pictures = sorted((run.dir / "samples").glob("*-ema.png")) or sorted((run.dir / "samples").glob("*-generator.png"))
    say(f"run      {run.dir}")
    if pictures:
        say(f"picture  {pictures[-1]}")
    say(f"look     ganzoo tensorboard {run.dir.parent}")
