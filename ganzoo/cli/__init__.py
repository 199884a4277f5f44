"""The command line. Each command has a file, which is imported when the command is used."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

import ganzoo
from ganzoo import errors
from ganzoo.launcher import is_main_process
from ganzoo.names import nearest, one_line, printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ganzoo.plugins.discovery import PluginCommand

COMMANDS = {  # name -> the module with the attribute `command`, and the line of `ganzoo --help`
    "run": ("ganzoo.cli.run", "Train a GAN from named parts."),
    "resume": ("ganzoo.cli.resume", "Continue a run where it stopped."),
    "sample": ("ganzoo.cli.sample", "Draw pictures from a trained run."),
    "evaluate": ("ganzoo.cli.evaluate", "Compute metrics on runs, apart from training."),
    "apply": ("ganzoo.cli.apply", "Apply a run to your own pictures: fill, enlarge, translate."),
    "compare": ("ganzoo.cli.compare", "Compare recipes over seeds, or finished runs."),
    "reconstruct": ("ganzoo.cli.reconstruct", "Encode images and generate them again, side by side."),
    "export": ("ganzoo.cli.export", "Write a network to a file for use without ganzoo."),
    "walk": ("ganzoo.cli.walk", "Walk through the latent space: a strip, a GIF or a film."),
    "project": ("ganzoo.cli.project", "Find the latent of an image."),
    "runs": ("ganzoo.cli.runs", "List runs and their sizes; remove or archive runs."),
    "list": ("ganzoo.cli.list", "List the parts that can be named."),
    "show": ("ganzoo.cli.show", "Show a part: what it does, its formula, its parameters."),
    "presets": ("ganzoo.cli.presets", "List the presets: settings to start from."),
    "check": ("ganzoo.cli.check", "Examine a part: does it keep the contract?"),
    "bench": ("ganzoo.cli.bench", "Measure a step: time by phase, memory, operations."),
    "lab": ("ganzoo.cli.lab", "Small experiments with known answers: what converges?"),
    "new": ("ganzoo.cli.new", "Write a plugin package or a recipe to start from."),
    "doctor": ("ganzoo.cli.doctor", "Say what a bug report needs: versions, devices, plugins."),
    "plugins": ("ganzoo.cli.plugins", "List the plugins that bring parts, and their problems."),
    "tensorboard": ("ganzoo.cli.tensorboard", "Look at runs in TensorBoard."),
}

TRAIN = ("run", "resume", "compare")


@contextmanager
def steadfast() -> Iterator[None]:
    """Handle signals until training installs handlers: ignore SIGUSR1 and SIGHUP, end at once on SIGINT and SIGTERM.

    A cluster sends SIGUSR1 to ask for a checkpoint. Before training, no state exists that a checkpoint could hold. The
    files on disk are whole at any moment, as a ``kill -9`` requires, so the process may end at once. A handler that
    raises is no alternative: Python drops an exception in a callback, and an import may replace the exception by
    another.

    Returns:
        A context manager. The end of the context restores the handlers from before.
    """

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number)

    Handler = Callable[..., object] | signal.Handlers
    heard: dict[str, Handler] = {
        "SIGINT": end,
        "SIGTERM": end,
        "SIGUSR1": signal.SIG_IGN,
        "SIGHUP": signal.SIG_IGN,
    }
    main = threading.current_thread() is threading.main_thread()  # only the main thread may set handlers
    numbers = {getattr(signal, name): handler for name, handler in heard.items() if main and hasattr(signal, name)}
    # A signal that the parent process ignores stays ignored: nohup does so with SIGHUP.
    before = {n: signal.signal(n, h) for n, h in numbers.items() if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Commands(click.Group):
    """The commands of ganzoo and of plugins. ``COMMANDS`` is a table, so that `ganzoo --help` imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of the commands.

        Args:
            ctx: the context of click.

        Returns:
            The commands of ganzoo in the order of the table, then the commands of plugins.
        """
        return [*COMMANDS, *_of_plugins(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Args:
            ctx: the context of click.
            cmd_name: the name of the command.

        Returns:
            The command, or None where no command has the name.

        Raises:
            PluginError: the object that a plugin names is no click command.
        """
        if cmd_name in COMMANDS:
            if cmd_name in TRAIN and not ctx.resilient_parsing:
                ctx.with_resource(steadfast())  # before torch is imported, which takes seconds
            command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
            return command
        found = _of_plugins(ctx).get(cmd_name)
        if found is None:
            return None
        loaded = found.load()
        if not isinstance(loaded, click.Command):
            raise errors.PluginError(f"plugin {found.provider}: {found.target} is not a click command")
        return loaded

    def invoke(self, ctx: click.Context) -> object:
        """Run the command.

        Args:
            ctx: the context of click.

        Returns:
            The result of the command.

        Raises:
            PluginError: the command of a plugin raised an unexpected error. The message is one line and names the
                plugin.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, errors.GanzooError, OSError):
            raise
        except BaseException as error:
            name = ctx.invoked_subcommand
            if (name in COMMANDS or name is None) and not isinstance(error, (Exception, KeyboardInterrupt)):
                # No command of ganzoo raises SystemExit: it would end the process as if all were well.
                raise errors.PartError(f"a part or a plugin of this {name} raised {one_line(error)}") from error
            if name in COMMANDS or name is None or isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            provider = _of_plugins(ctx)[name].provider
            raise errors.PluginError(f"plugin {provider}: command {name} failed: {one_line(error)}") from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with.

        Args:
            ctx: the context of click.
            args: the name of the command, and the arguments of the command.

        Returns:
            The name, the command, and the other arguments.

        Raises:
            UsageError: no command has the name. The message suggests the nearest name.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing and args[0] not in _of_plugins(ctx):
            near = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"there is no command {args[0]!r}{near}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of ganzoo and of plugins into the help page.

        Args:
            ctx: the context of click.
            formatter: the formatter to write to.
        """
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])
        if found := _of_plugins(ctx):
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"{each.help} [{each.provider}]".strip()) for name, each in found.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete an option or the name of a command. No command is imported.

        Args:
            ctx: the context of click.
            incomplete: the word before the cursor.

        Returns:
            The options and the names that begin with the word.
        """
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        does = {name: text for name, (_, text) in COMMANDS.items()}
        does |= {name: each.help for name, each in _of_plugins(ctx).items()}
        return options + [CompletionItem(n, help=text) for n, text in does.items() if n.startswith(incomplete)]


def _of_plugins(ctx: click.Context) -> dict[str, PluginCommand]:
    """Find the commands of plugins by name. A command of ganzoo hides a plugin's command of the same name."""
    from ganzoo.plugins import load_catalogue

    given = ctx.find_root().params
    try:
        catalogue = load_catalogue(no_plugins=bool(given.get("no_plugins")), files=tuple(given.get("plugin") or ()))
    except errors.GanzooError:  # such as a missing plugin file: the command that loads the file reports the error
        return {}
    return {name: each for name, each in catalogue.commands.items() if name not in COMMANDS}


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--no-plugins", is_flag=True, help="Only the parts that ship with ganzoo.")
@click.option(
    "--plugin", multiple=True, metavar="FILE", type=click.Path(), help="A Python file with parts of your own."
)
@click.version_option(ganzoo.__version__, "-V", "--version", message="ganzoo %(version)s")
@click.pass_context
def group(ctx: click.Context, no_plugins: bool, plugin: tuple[str, ...]) -> None:
    """Train any GAN from interchangeable parts.

    Parts are named by words such as hinge or r1:gamma=10,every=16; "ganzoo list" says which there are.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def say(line: object, err: bool = False) -> None:
    """Print a line. A closed pipe or a closed terminal is no error.

    Args:
        line: the line, without the end of line. Characters that a terminal would obey are escaped.
        err: print to stderr instead of stdout.

    Example:
        >>> say("step 500")
        step 500
    """
    try:
        click.echo(printable(str(line)), err=err)
    except OSError:  # Python flushes the buffer at the end, which must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2 if err else 1)


def speaks(error: BaseException | None = None) -> bool:
    """Decide whether the process prints messages, so that several processes print a message once.

    Args:
        error: the error to print, or None for other messages. The attribute ``silent`` of an error overrides the rank.

    Returns:
        True in the main process, and for an error that no other process prints.
    """
    return not getattr(error, "silent", not is_main_process())


def main(args: Sequence[str] | None = None) -> int:
    """Run a command, and print a mistake of the user in one line.

    The environment variable GANZOO_TRACEBACK=1 shows the traceback of the mistake.

    Args:
        args: the arguments of the command line. None reads ``sys.argv``.

    Returns:
        The exit status: 0, the status of the command, 130 after Ctrl-C, or the ``exit_code`` of the error.

    Raises:
        OSError: the operating system refused a call, and no message of ganzoo explains the error.
        GanzooError: GANZOO_TRACEBACK is set, and the user made a mistake.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        ganzoo ...
        0
    """
    if "_GANZOO_COMPLETE" in os.environ:
        importlib.import_module("ganzoo.cli._completion")
    if any("\0" in word for word in args or ()):  # the system's own command line cannot hold one
        say("ganzoo: error: a word holds a null byte, which no name and no path can have: leave it out", err=True)
        return 2
    try:
        code = group.main(args, prog_name="ganzoo", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.Abort as abort:
        if isinstance(abort.__cause__, EOFError):  # click expects a closed terminal, but the cause is a damaged file
            raise abort.__cause__ from None
        return getattr(abort.__cause__, "exit_code", 130)  # Ctrl-C
    except KeyboardInterrupt as end:
        return getattr(end, "exit_code", 130)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "ganzoo"
        message = " ".join(error.format_message().split()).rstrip(".")
        if speaks(error):
            say(f"{path}: error: {message} (see {path} --help)", err=True)
        return error.exit_code
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            say(f"ganzoo: error: {str(error.filename)[:60]!r}... is too long for a path", err=True)
            return 2
        if error.errno in (errno.EMFILE, errno.ENFILE):  # even an import may need one more
            say("ganzoo: error: too many files are open: raise the limit (ulimit -n), and try again", err=True)
            return 1
        if error.errno == errno.ENOSPC and error.filename is None:
            say("ganzoo: error: what is printed cannot be written: no space left on device", err=True)
            return 1
        raise
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        say("ganzoo: error: there is no memory for what was asked: ask for less, such as a smaller --count", err=True)
        return 1
    except errors.GanzooError as error:
        if os.environ.get("GANZOO_TRACEBACK", "0") not in ("", "0"):
            raise
        label = "ganzoo: error: " if error.is_error else "ganzoo: "
        notes = "; ".join(getattr(error, "__notes__", ()))  # such as the part that was at work
        if speaks(error):
            say(f"{label}{error} ({notes})" if notes else f"{label}{error}", err=True)
        return error.exit_code


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out. An error of torch comes from a torch that is imported already."""
    if isinstance(error, MemoryError):
        return True
    return "torch" in sys.modules and importlib.import_module("ganzoo.speed.hardware").out_of_memory(error)


def program() -> int:
    """Run a command as a whole process. A late Ctrl-C does not disturb the end of Python.

    The traceback of a bug is printed with the characters escaped that a terminal would obey.

    Returns:
        The exit status of ``main``, or 1 after an error that ``main`` does not explain.
    """
    try:
        code = main()
    except Exception:
        for line in traceback.format_exc().splitlines():
            say(line, err=True)
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code
