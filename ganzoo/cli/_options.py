"""The options that commands share: which plugins to load, and parameter types that complete in the shell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, ClassVar

import click

from ganzoo import errors
from ganzoo.cli import say, speaks
from ganzoo.kinds import Kinds
from ganzoo.names import nearest, without_parentheses
from ganzoo.plugins import Catalogue, load_catalogue
from ganzoo.plugins.source_info import PeekedParameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    TextType = click.ParamType[str]  # generic for the type checker, but not in every supported version of click
    RangeType = click.ParamType[tuple[float, float]]
else:
    TextType = RangeType = click.ParamType


def catalogue_of(ctx: click.Context) -> Catalogue:
    """Load the catalogue that the options ask for.

    Args:
        ctx: the context of click. The options may stand before or after the name of the command.

    Returns:
        The catalogue.

    Raises:
        GanzooError: a plugin file is missing or fails.
    """
    given = [c.params for c in (ctx.find_root(), ctx)]
    files = [file for params in given for file in params.get("plugin") or ()]
    no_plugins = any(params.get("no_plugins") for params in given)
    return load_catalogue(no_plugins=no_plugins, files=tuple(dict.fromkeys(files)))


def parts_options(*, report: bool = True) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add the options ``--no-plugins`` and ``--plugin``, and pass the command the argument ``catalogue``.

    Args:
        report: print each problem of a plugin to stderr.

    Returns:
        The decorator.
    """

    def decorate(command: Callable[..., object]) -> Callable[..., object]:
        @click.option("--no-plugins", is_flag=True, help="Only the parts that ship with ganzoo.")
        @click.option(
            "--plugin", multiple=True, metavar="FILE", type=click.Path(), help="A Python file with parts of your own."
        )
        @wraps(command)
        def with_catalogue(*args: object, no_plugins: bool, plugin: tuple[str, ...], **kw: object) -> object:
            found = catalogue_of(click.get_current_context())
            for problem in found.problems if report and speaks() else ():
                say(f"ganzoo: warning: {problem}", err=True)
            return command(*args, catalogue=found, **kw)

        return with_catalogue

    return decorate


def _completions(catalogue: Catalogue, kind: str, incomplete: str) -> list[tuple[str, str]]:
    """Complete the text of a part: the name, a key, a choice, or the text of a part that is a parameter.

    Returns:
        The whole text with each completion, and a note for shells that show notes.
    """
    name, colon, values = incomplete.partition(":")
    if not colon:
        spoken = [(e.address if "/" in name else catalogue.words(e), e) for e in catalogue.entries(kind)]
        return [(word, e.summary) for word, e in spoken if word.startswith(name)]
    parameters = catalogue.find(kind, name).peek.parameters
    kinds = {p.name: inner for p in parameters if (inner := _kind_of(catalogue, p))}
    chunks = open_chunks(values)
    last = chunks[-1]
    before = values[: len(values) - len(last)]
    head = f"{name}:{before}"
    key, equals, value = last.partition("=")
    if equals and key in kinds:
        parenthesis = "(" if value.startswith("(") else ""
        within = _completions(catalogue, kinds[key], value[len(parenthesis) :])
        return [(f"{head}{key}={parenthesis}{text}", note) for text, note in within]
    given = [(key, value) for key, equals, value in (chunk.partition("=") for chunk in chunks[:-1]) if equals]
    taken = {key for key, _ in given}
    found = []
    if equals:
        choices = next((p.choices for p in parameters if p.name == key), ())
        found = [(f"{head}{key}={choice}", "") for choice in choices if choice.startswith(value)]
        if any(p.name == key for p in parameters):
            return found
    else:
        found = [
            (f"{head}{p.name}=", "must be given" if p.default is None else f"default {p.default}")
            for p in parameters
            if p.name.startswith(key) and p.name not in taken
        ]
    # The keys that the part lacks belong to the inner part that was given last.
    for outer, text in reversed(given):
        if outer in kinds:
            start = without_parentheses(text)
            stub = f"{start}{',' if ':' in start else ':'}"
            known = {p.name for p in parameters} | taken
            for completed, note in _completions(catalogue, kinds[outer], f"{stub}{last}"):
                word = completed[len(stub) :]
                if word.partition("=")[0] not in known:
                    found.append((f"{head}{word}", note))
            break
    return found


def _kind_of(catalogue: Catalogue, parameter: PeekedParameter) -> str | None:
    """Find the kind of part that a parameter takes, from the names in the annotation."""
    for kind in catalogue.kinds.values():
        if kind.contract_name.rpartition(".")[2] in parameter.contracts:
            return kind.name
    return None


def open_chunks(values: str) -> list[str]:
    """Split an unfinished list of ``key=value`` at the commas outside parentheses.

    Args:
        values: the text after the name of a part, up to the cursor.

    Returns:
        The chunks. The last chunk is unfinished, and may be empty.

    Example:
        >>> open_chunks("of=(dcgan:width=8,norm=batch),sca")
        ['of=(dcgan:width=8,norm=batch)', 'sca']
    """
    chunks, depth = [""], 0
    for c in values:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if c == "," and depth <= 0:
            chunks.append("")
        else:
            chunks[-1] += c
    return chunks


class Completed(TextType):
    """The type of a text that the shell completes.

    A subclass says the completions. The shell shows none where the plugins or the part cannot be read.
    """

    metavar: ClassVar[str | None] = None  # how help texts write the value

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Write the value for help texts.

        Args:
            param: the option or argument.
            ctx: the context of click.

        Returns:
            The text. None where the option says the text.
        """
        return self.metavar

    def completions(self, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Complete a word. The sources of parts are read, and no part is imported.

        Args:
            ctx: the context of click.
            incomplete: the word before the cursor.

        Returns:
            Each completion, with a note or an empty text.

        Raises:
            GanzooError: the plugins or the part cannot be read.
        """
        raise NotImplementedError

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete a word for the shell.

        Args:
            ctx: the context of click.
            param: the option or argument.
            incomplete: the word before the cursor.

        Returns:
            The completions. The list is empty where the plugins or the part cannot be read.
        """
        from click.shell_completion import CompletionItem

        try:
            found = self.completions(ctx, incomplete)
        except errors.GanzooError:
            return []
        return [CompletionItem(text, help=note or None) for text, note in found]


class PartWords(Completed):
    """The type of an option that names a part. The shell completes names, then keys, then choices.

    Args:
        kind: the kind of part, in the singular.
    """

    metavar = "NAME[:KEY=VALUE,...]"

    def __init__(self, kind: str) -> None:
        self.kind = self.name = kind

    def completions(self, ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
        """The name, a key, or a choice."""
        return _completions(catalogue_of(ctx), self.kind, incomplete)


class Kind(Completed):
    """The type of an option that names a kind of part: ``loss``, ``losses``, or an unambiguous beginning."""

    name = "kind"
    metavar = "KIND"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Find the kind.

        Args:
            value: the text of the user.
            param: the option or argument.
            ctx: the context of click. Without a context, the kinds of plugins are unknown.

        Returns:
            The kind in the singular.

        Raises:
            BadParameter: no kind has the name.
        """
        kinds = catalogue_of(ctx).kinds if ctx is not None else Kinds()
        found = kinds.named(value)
        if found is None:
            near = nearest(value, kinds.plurals)
            self.fail(f"no kind {value!r}{near}; write one of {', '.join(kinds.plurals)}", param, ctx)
        return found.name

    def completions(self, ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
        """The kinds in the plural that begin with the word."""
        try:
            kinds = catalogue_of(ctx).kinds
        except errors.GanzooError:
            kinds = Kinds()
        return [(plural, "") for plural in kinds.plurals if plural.startswith(incomplete)]


def moved_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options ``--device`` and ``--data`` to a command on a run, for another machine or data in another place.

    Args:
        command: the function of the command, with the arguments ``device`` and ``data``.

    Returns:
        The function with the options.
    """
    device = click.option("--device", metavar="NAME", help="Where to compute, in place of the run's own device.")
    data = click.option(
        "--data", type=PartWords("data"), help="The run's data in another place, such as folder:path=DIR or DIR."
    )
    return device(data(command))


class RangeWords(RangeType):
    """Two numbers, the first below the second, as ``LOW,HIGH`` or ``LOW..HIGH``."""

    name = "range"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Read the two numbers.

        Args:
            value: the text.
            param: the option.
            ctx: click's context.
        """
        try:
            low, high = map(float, str(value).replace("..", ",").split(","))
        except ValueError:
            low = high = math.nan
        if not (low < high and math.isfinite(high - low)):  # NaN too
            self.fail(f"{value!r}: give two numbers, the first below the second, such as 0,4095", param, ctx)
        return low, high


def range_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add the option ``--range`` to a command that reads pictures for a run.

    Args:
        command: the function of the command, with the argument ``data_range``.

    Returns:
        The function with the option.
    """
    return click.option(
        "--range",
        "data_range",
        type=RangeWords(),
        metavar="LOW,HIGH",
        help="Black and white of pictures of more than 8 bits. [default: as the run's data; else 0,65535, and 0,1 of "
        "floating-point numbers]",
    )(command)


def weights_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options ``--checkpoint`` and ``--source`` to a command on a run, for the weights to make samples with.

    Args:
        command: the function of the command, with the arguments ``checkpoint`` and ``source``.

    Returns:
        The function with the options.
    """
    checkpoint = click.option(
        "--checkpoint", default="newest", show_default=True, metavar="newest|best|STEP", help="Which weights."
    )
    source = click.option(
        "--source",
        type=click.Choice(["auto", "ema", "generator"]),
        default="auto",
        show_default=True,
        help="The average, or the generator as it was trained last; auto takes the average if there is one.",
    )
    return checkpoint(source(command))


def typed(given: Mapping[str, object]) -> dict[str, object]:
    """Select the settings that the user gave.

    Args:
        given: the values of all options by name.

    Returns:
        The values of the options that the user gave.

    Example:
        >>> typed({"steps": 500, "seed": None, "regularizers": ()})
        {'steps': 500}
    """
    return {name: value for name, value in given.items() if value not in (None, ())}
