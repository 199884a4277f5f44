"""``ganzoo run``: train a GAN from named parts."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from ganzoo import errors, words
from ganzoo.cli import say
from ganzoo.cli._options import Completed, PartWords, catalogue_of, parts_options, typed
from ganzoo.cli._tables import write
from ganzoo.kinds import KINDS, Kind
from ganzoo.plugins import Catalogue, load_catalogue
from ganzoo.recipe.settings import Settings

if TYPE_CHECKING:
    from ganzoo.training.run import Run

METAVARS = {"whole": "N", "number": "X"}
LITERAL = {choice for p in words.parameters(Settings).values() for choice in (*p.choices, str(p.default))}

GROUPS: Mapping[str, Sequence[str]] = {
    "Training": ("batch_size", "accumulate", "batch_norm", "latent_dim", "noise", "seed", "init_from"),
    "Length and course": ("steps", "images", "course"),
    "Average": ("ema", "ema_half_life", "ema_rampup", "ema_start", "ema_form"),
    "Records": ("logdir", "name", "log_every", "sample_every", "samples", "checkpoint_every", "keep", "best"),
    "Machine": ("device", "precision", "threads", "capture", "compile", "deterministic", "on_nonfinite"),
}
"""The headings under which help lists the settings that name no parts."""


def setting_options() -> Iterator[click.Option]:
    """Make an option for every setting.

    Returns:
        The options: the parts by kind, then the other settings.
    """
    for kind in KINDS:
        yield from part_options(kind)
    for parameter in words.parameters(Settings).values():
        option = f"--{parameter.name.replace('_', '-')}"
        default = "" if parameter.default in (None, ...) else f" [default: {parameter.default_text}]"
        text = sentence(parameter.meaning) + default
        if parameter.annotation is bool:
            off = f"/--no-{option.removeprefix('--')}" if parameter.default else ""
            yield click.Option([option + off, parameter.name], is_flag=True, default=None, help=text)
        elif parameter.choices:
            choices = click.Choice([choice for choice in parameter.choices if choice != "none"])
            yield click.Option([option, parameter.name], type=choices, help=text)
        else:
            metavar = METAVARS.get(parameter.type_name.split()[0], "TEXT")
            yield click.Option([option, parameter.name], metavar=metavar, help=text)


def part_options(kind: Kind) -> Iterator[click.Option]:
    """Make the options of the settings that name parts of a kind.

    Args:
        kind: the kind of part.

    Returns:
        An option for each setting of the kind.
    """
    for setting in kind.settings:
        names = [setting.option, *setting.flags, setting.name]
        yield click.Option(names, type=PartWords(kind.name), multiple=setting.many, help=sentence(setting.help))


def sentence(text: str) -> str:
    """Begin a help text with a capital, except where the text begins with a value of a setting.

    Args:
        text: the meaning of a setting.

    Returns:
        The help text.

    Example:
        >>> sentence("samples in a batch")
        'Samples in a batch'
    """
    first = re.match(r"\w+", text)
    return text if first and first[0] in LITERAL else text[:1].upper() + text[1:]


class RunCommand(click.Command):
    """A command with an option for each setting of a run, also for the settings of the kinds that plugins bring."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Load the plugin files that the arguments name, then parse. The options depend on the kinds of the plugins.

        Args:
            ctx: the context of click.
            args: the arguments of the command.

        Returns:
            The arguments that click did not parse.

        Raises:
            GanzooError: a plugin file is missing or fails, and the arguments do not ask for help.
        """
        given = click.Context(self, parent=ctx.parent)
        given.params = {"plugin": _values(args, "--plugin"), "no_plugins": "--no-plugins" in args}
        try:
            ctx.meta[__name__] = catalogue_of(given)
        except errors.GanzooError:
            if not ctx.resilient_parsing and not set(args) & set(ctx.help_option_names):
                raise
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the options.

        Args:
            ctx: the context of click, after ``parse_args``.

        Returns:
            The options of ganzoo, then an option for each setting of the kinds that plugins bring.
        """
        found = ctx.meta.get(__name__)
        more = [kind for kind in found.kinds.values() if kind not in KINDS] if isinstance(found, Catalogue) else []
        options = [option for kind in more for option in part_options(kind)]
        return [*super().get_params(ctx), *options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help page, under headings, with the default of each part.

        Args:
            ctx: the context of click.
            formatter: the formatter to write to.
        """
        found = ctx.meta.get(__name__)
        catalogue = found if isinstance(found, Catalogue) else load_catalogue(no_plugins=True)
        defaults = catalogue.presets().get("default", {})
        heading_of = {name: heading for heading, names in GROUPS.items() for name in names}
        heading_of |= dict.fromkeys(catalogue.kinds.settings, "Parts")
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in ("Parts", *GROUPS, "Options")}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                default = defaults.get(option.name or "") if option.name in catalogue.kinds.settings else None
                shown = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
                text = f"{record[1]} [default: {shown}]" if shown else record[1]
                rows[heading_of.get(option.name or "", "Options")].append((record[0], text))
        for heading, lines in rows.items():
            with formatter.section(heading):
                formatter.write_dl(lines)


def _values(args: Sequence[str], option: str) -> tuple[str, ...]:
    """Find the values of an option in arguments that click has not parsed."""
    after = [value for given, value in pairwise(args) if given == option]
    return (*after, *(arg.partition("=")[2] for arg in args if arg.startswith(f"{option}=")))


class PresetName(Completed):
    """The type of ``--preset``. The shell completes the name of a preset."""

    name = "preset"

    def completions(self, ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
        """The presets that begin with the word."""
        return [(name, "") for name in sorted(catalogue_of(ctx).presets()) if name.startswith(incomplete)]


@click.command(cls=RunCommand)
@click.option("--preset", type=PresetName(), metavar="NAME", help="Settings to start from, such as sngan.")
@click.option("--config", type=click.Path(), metavar="FILE", help="A YAML file of settings, such as a run's own.")
@click.option("-o", "overrides", multiple=True, metavar="PART.KEY=VALUE", help="One value, such as r1.gamma=5.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@parts_options()
def command(
    catalogue: Catalogue,
    preset: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    **given: object,
) -> None:
    """Train a GAN from named parts.

    With no options: a small DCGAN on scikit-learn's handwritten digits, in less than a minute. Later wins: defaults <
    --preset < --config < the options below < -o.
    """
    from ganzoo.recipe.assemble import assemble, train
    from ganzoo.recipe.description import description
    from ganzoo.recipe.resume import begin
    from ganzoo.recipe.settings import resolve

    settings = resolve(catalogue, preset=preset, config=config, given=typed(given), overrides=overrides)
    experiment = assemble(settings, catalogue, dry=dry_run)
    if dry_run and not experiment.processes.is_main:
        return
    if dry_run:
        write(("what would", "be trained"), description(experiment))
        for warning in experiment.run.warnings:
            say(f"ganzoo: warning: {warning}", err=True)
        return
    run = train(experiment, begin(experiment), quiet=quiet)
    if experiment.processes.is_main:
        finished(run)


command.params[5:5] = setting_options()


def finished(run: Run) -> None:
    """Print the paths of the run and of the newest picture, the health of the run, and the command for the records.

    Args:
        run: the run after training.
    """
    from ganzoo.disk import record
    from ganzoo.training.health import summary
    from ganzoo.training.hparams import directions

    pictures = sorted((run.dir / "samples").glob("*-ema.png")) or sorted((run.dir / "samples").glob("*-generator.png"))
    say(f"run      {run.dir}")
    if pictures:
        say(f"picture  {pictures[-1]}")
    with contextlib.suppress(errors.RunError):  # the logger has said so where the records cannot be read
        say(f"health   {summary(record.outline(run.dir / 'metrics.jsonl'), directions(run))}")
    say(f"look     ganzoo tensorboard {shlex.quote(str(run.dir.parent))}")
