"""What commands share: the options that say which plugins to load, and words that complete in the shell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ganzoo import errors
from ganzoo.cli import speaks
from ganzoo.kinds import Kinds
from ganzoo.names import nearest
from ganzoo.plugins import Catalogue, load_catalogue

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    TextType = click.ParamType[str]  # generic for the type checker, not in every click that will do
else:
    TextType = click.ParamType


def catalogue_of(ctx: click.Context) -> Catalogue:
    """The catalogue that the options ask for, before the command's name or after it."""
    given = [c.params for c in (ctx.find_root(), ctx)]
    files = [file for params in given for file in params.get("plugin") or ()]
    no_plugins = any(params.get("no_plugins") for params in given)
    return load_catalogue(no_plugins=no_plugins, files=tuple(dict.fromkeys(files)))


def parts_options(*, report: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command ``--no-plugins`` and ``--plugin``, and hand it what they make: ``catalogue``.

    Args:
        report: say on stderr what is wrong with plugins, one line each.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--no-plugins", is_flag=True, help="Only the parts that ship with ganzoo.")
        @click.option(
            "--plugin", multiple=True, metavar="FILE", type=click.Path(), help="A Python file with parts of your own."
        )
        @wraps(command)
        def with_catalogue(*args: Any, no_plugins: bool, plugin: tuple[str, ...], **kw: Any) -> Any:
            found = catalogue_of(click.get_current_context())
            for problem in found.problems if report and speaks() else ():
                click.echo(f"ganzoo: warning: {problem}", err=True)
            return command(*args, catalogue=found, **kw)

        return with_catalogue

    return decorate


class PartWords(TextType):
    """Words that name a part of a kind. They complete in the shell: names, then keys, then choices."""

    def __init__(self, kind: str) -> None:
        self.kind = self.name = kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How help writes the value."""
        return "NAME[:KEY=VALUE,...]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What may stand here, read off the parts' sources: nothing is imported, nothing fails."""
        from click.shell_completion import CompletionItem

        name, colon, values = incomplete.partition(":")
        try:
            known = catalogue_of(ctx)
            if not colon:
                spoken = [(known.words(e) if "/" not in name else e.address, e) for e in known.entries(self.kind)]
                return [CompletionItem(word, help=e.summary) for word, e in spoken if word.startswith(name)]
            parameters = known.find(self.kind, name).peek.parameters
        except errors.GanzooError:
            return []
        before, comma, last = values.rpartition(",")
        head = f"{name}:{before}{comma}"
        key, equals, value = last.partition("=")
        if equals:
            choices = next((p.choices for p in parameters if p.name == key), ())
            return [CompletionItem(f"{head}{key}={choice}") for choice in choices if choice.startswith(value)]
        taken = set(re.findall(r"(\w+)=", before))
        return [
            CompletionItem(f"{head}{p.name}=", help="must be given" if p.default is None else f"default {p.default}")
            for p in parameters
            if p.name.startswith(key) and p.name not in taken
        ]


class Kind(TextType):
    """A kind of part: ``loss``, ``losses``, or the beginning of either."""

    name = "kind"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How help writes the value."""
        return "KIND"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The kind in the singular."""
        kinds = catalogue_of(ctx).kinds if ctx is not None else Kinds()
        found = kinds.named(value)
        if found is None:
            near = nearest(value, kinds.plurals)
            self.fail(f"no kind {value!r}{near}; write one of {', '.join(kinds.plurals)}", param, ctx)
        return found.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The kinds, in the plural."""
        from click.shell_completion import CompletionItem

        try:
            kinds = catalogue_of(ctx).kinds
        except errors.GanzooError:
            kinds = Kinds()
        return [CompletionItem(plural) for plural in kinds.plurals if plural.startswith(incomplete)]


def typed(given: Mapping[str, object]) -> dict[str, object]:
    """The settings that the user typed: not the options that were left out."""
    return {name: value for name, value in given.items() if value not in (None, ())}
