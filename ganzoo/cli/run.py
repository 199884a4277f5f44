"""``ganzoo run``: train a GAN from named parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ganzoo import words
from ganzoo.cli import say
from ganzoo.cli._options import PartWords, parts_options
from ganzoo.cli._tables import write
from ganzoo.plugins import Catalogue
from ganzoo.recipe.settings import MANY, PART_SETTINGS, Settings

METAVARS = {"whole": "N", "number": "X"}
SHORT = {"regularizers": ("-r", "--regularizer"), "metrics": ("--metric",), "arch": ("--architecture",)}


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for every setting, by the setting's name."""
    for parameter in reversed([*words.parameters(Settings).values()]):
        flag = "--" + parameter.name.replace("_", "-")
        kind = PART_SETTINGS.get(parameter.name)
        said = "" if parameter.default in (None, (), ...) else f" [default: {parameter.default}]"
        settings: dict[str, Any] = {"help": parameter.meaning[:1].upper() + parameter.meaning[1:] + said}
        if kind is not None:
            settings |= {"type": PartWords(kind), "multiple": parameter.name in MANY}
        elif parameter.choices:
            settings["type"] = click.Choice([c for c in parameter.choices if c != "none"])
        elif parameter.annotation is bool:
            settings |= {"is_flag": True, "default": None}
            flag += f"/--no-{flag.removeprefix('--')}" if parameter.default else ""
        else:
            settings["metavar"] = METAVARS.get(parameter.type_name.split()[0], "TEXT")
        command = click.option(flag, *SHORT.get(parameter.name, ()), parameter.name, **settings)(command)
    return command


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

    said = {name: list(value) if name in MANY else value for name, value in given.items() if value not in (None, ())}
    settings = resolve(catalogue.presets(), preset=preset, config=config, given=said, overrides=overrides)
    experiment = assemble(settings, catalogue)
    if dry_run and not experiment.ranks.lead:
        return
    if dry_run:
        write(("what would", "be trained"), description(experiment))
        for warning in experiment.run.warnings:
            click.echo(f"ganzoo: warning: {warning}", err=True)
        return
    run = train(experiment, begin(experiment), quiet=quiet)
    if experiment.ranks.lead:
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
