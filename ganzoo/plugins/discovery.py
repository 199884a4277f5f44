"""Plugins, found by their metadata (entry points of the group ``ganzoo``) and loaded in isolation.

Each plugin has a pluggy manager of its own, so that an error in a plugin affects no other plugin and is reported with
the plugin's name. No part is imported before the first use: listings read the source text of a part.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pluggy

import ganzoo
from ganzoo import errors, file_modules, hookspecs
from ganzoo.kinds import Kind, Kinds
from ganzoo.names import NAME, kebab, nearest, one_line
from ganzoo.plugins.source_info import Peek, peek

if TYPE_CHECKING:
    from ganzoo.parts import Part

GROUP = "ganzoo"
BUILTIN = "ganzoo"
"""The name of the distribution that brings the built-in plugins."""
PRESETS = "register_presets"
KINDS = "register_kinds"
COMMANDS = "register_commands"
EVENTS = ("run_started", "step_made", "step_recorded", "images_recorded", "checkpoint_saved", "run_finished")
OLDEST_API_VERSION = 1
"""The oldest version of the plugin API that this ganzoo supports."""
API_ATTRIBUTE = "GANZOO_API"
"""The attribute of a plugin module that names the version of the plugin API for which the plugin was written."""
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Problem:
    """An error in a plugin.

    Args:
        plugin: the name of the plugin.
        message: the error in one line.

    Example:
        >>> str(Problem("softmargin", "cannot be imported"))
        'plugin softmargin: cannot be imported'
    """

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message}"


@dataclass(frozen=True)
class Entry:
    """A part that a plugin brings. An entry can be listed without importing the part.

    Args:
        kind: the kind of part.
        name: the name that users type.
        provider: the name of the plugin.
        target: the class, or ``"module:Class"``.
        builtin: whether the part ships with ganzoo.
        distribution: the installed distribution that brings the plugin. Empty for a user's file.
        version: the version of the distribution.
    """

    kind: str
    name: str
    provider: str
    target: str | type[Part]
    builtin: bool
    distribution: str
    version: str

    @property
    def address(self) -> str:
        """The unambiguous name, ``provider/name``."""
        return f"{self.provider}/{self.name}"

    @property
    def where(self) -> str:
        """The place of the class, ``module:Class``."""
        return self.target if isinstance(self.target, str) else f"{self.target.__module__}:{self.target.__qualname__}"

    @cached_property
    def peek(self) -> Peek:
        """Summary, parameters and facts, read from the source without importing the part."""
        return peek(self.where, self.kind)

    @property
    def summary(self) -> str:
        """The first line of the part's docstring."""
        return self.peek.summary

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters that the part takes."""
        return tuple(p.name for p in self.peek.parameters)


@dataclass(frozen=True)
class PluginCommand:
    """A command that a plugin brings.

    Args:
        name: the name on the command line.
        target: the click command as ``module:name``. The module is imported when the command is used.
        help: the help text in one line.
        provider: the name of the plugin.
    """

    name: str
    target: str
    help: str
    provider: str

    def load(self) -> object:
        """Import the module of the command.

        Returns:
            The click command.

        Raises:
            PluginError: the module cannot be imported, or has no such name.
        """
        module, _, path = self.target.partition(":")
        try:
            return operator.attrgetter(path)(importlib.import_module(module))
        except BaseException as error:
            raise_interrupt(error)
            raise errors.PluginError(
                f"plugin {self.provider}: command {self.name} ({self.target}) cannot be imported: {one_line(error)}"
            ) from error


@dataclass
class Plugin:
    """A plugin, with the origin, the parts, presets and commands, and the hooks.

    Args:
        name: the name of the plugin.
        source: the entry point, or the path of the user's file.
        distribution: the installed distribution. Empty for a user's file.
        version: the version of the distribution.
        builtin: whether the plugin ships with ganzoo.
        entries: the parts. Empty where the plugin could not be loaded.
        presets: settings by the name of the preset.
        commands: commands by name.
        manager: the plugin's own pluggy manager. None where the plugin could not be loaded.
    """

    name: str
    source: str
    distribution: str
    version: str
    builtin: bool
    entries: list[Entry] = field(default_factory=list)
    presets: dict[str, Mapping[str, object]] = field(default_factory=dict)
    commands: dict[str, PluginCommand] = field(default_factory=dict)
    manager: pluggy.PluginManager | None = None

    def implements(self, event: str) -> bool:
        """Check whether the plugin implements an event hook.

        Args:
            event: the name of the hook, one of ``EVENTS``.

        Returns:
            Whether the plugin implements the hook.
        """
        return self.manager is not None and bool(getattr(self.manager.hook, event).get_hookimpls())


class Discovery:
    """Find and load the plugins that are installed or named by the user, and collect the problems.

    Args:
        no_plugins: whether to leave out installed plugins. Parts that ship with ganzoo and ``files`` remain.
        files: Python files with parts or hooks of the user's own.

    Raises:
        PluginError: a file cannot be used, or a plugin cannot be used while GANZOO_STRICT_PLUGINS is set.
    """

    def __init__(self, *, no_plugins: bool, files: Sequence[Path]) -> None:
        self.plugins: list[Plugin] = []
        self.problems: list[Problem] = []
        self.kinds = Kinds()
        self._strict = os.environ.get("GANZOO_STRICT_PLUGINS", "0") not in ("", "0")
        imported: list[tuple[Plugin, object]] = []
        for plugin, point in self._discovered(no_plugins):
            self.plugins.append(plugin)
            if isinstance(found := self._imported(plugin, point), errors.PluginError):
                self._report(plugin.name, str(found), found.__cause__)
            else:
                imported.append((plugin, found))
        for plugin, found in imported:  # all kinds come first, since a plugin may bring parts of another plugin's kind
            with self._alone(plugin):
                self._add_kinds(plugin, found)
        for plugin, found in imported:
            with self._alone(plugin):
                self._open(plugin, found)
        for file in files:
            self._add_file(file)

    @contextlib.contextmanager
    def _alone(self, plugin: Plugin) -> Iterator[None]:
        """A context in which a plugin raises what it likes: the other plugins stay usable.

        Even a look at a plugin can run code of the plugin, such as the ``__getattr__`` of its module.
        """
        try:
            yield
        except BaseException as error:
            raise_interrupt(error)
            if isinstance(error, errors.PluginError):
                raise
            self._report(plugin.name, f"dropped, for it raises when it is looked at: {one_line(error)}", error)

    def _report(self, plugin: str, message: str, cause: BaseException | None = None) -> None:
        problem = Problem(plugin, message)
        if self._strict:
            raise errors.PluginError(str(problem)) from cause
        self.problems.append(problem)

    def _discovered(self, no_plugins: bool) -> Iterator[tuple[Plugin, metadata.EntryPoint]]:
        """Select the plugins to load, built-in plugins first. Two plugins of the same name are both refused."""
        found: list[tuple[Plugin, metadata.EntryPoint]] = []
        for point in self._points():
            distribution, version = _told(point, "name"), _told(point, "version")
            builtin = re.sub(r"[-_.]+", "-", distribution).lower() == BUILTIN
            if builtin or not no_plugins:
                found.append((Plugin(point.name, point.value, distribution, version, builtin), point))
        found.sort(key=lambda pair: (not pair[0].builtin, pair[0].name, pair[0].distribution))
        ours = {plugin.name for plugin, _ in found if plugin.builtin}
        if not ours:
            self._report(BUILTIN, "its standard parts are missing, as ganzoo is not installed: pip install it")
        wanted = {name.strip() for name in os.environ.get("GANZOO_PLUGINS", "").split(",")} - {""}
        theirs = {plugin.name for plugin, _ in found} - ours
        for name in sorted(wanted - theirs - ours) if not no_plugins else ():
            there = f"there is {', '.join(sorted(theirs))}" if theirs else "none is installed"
            self._report(name, f"GANZOO_PLUGINS names it, but it is not installed{nearest(name, theirs)}; {there}")
        bearers = Counter(plugin.name for plugin, _ in found if not plugin.builtin)
        for plugin, point in found:
            if not plugin.builtin:
                if wanted and plugin.name not in wanted:
                    continue
                if not NAME.fullmatch(plugin.name):
                    self._report(plugin.name, f"not loaded: {plugin.name!r} is not a name (letters, digits, . _ -)")
                    continue
                if plugin.name in ours or bearers[plugin.name] > 1:
                    others = sorted(p.distribution for p, _ in found if p.name == plugin.name and p is not plugin)
                    self._report(
                        plugin.name,
                        f"not loaded from {plugin.distribution}: "
                        f"{listed(others)} brings a plugin of that name too: uninstall one",
                    )
                    continue
            yield plugin, point

    def _points(self) -> list[metadata.EntryPoint]:
        """Read the entry points of the group, as far as the metadata of distributions can be read."""
        try:
            return list(dict.fromkeys(metadata.entry_points(group=GROUP)))
        except Exception:  # metadata of a distribution are damaged: report the distribution, and read the rest
            found: dict[metadata.EntryPoint, None] = {}
            for distribution in metadata.distributions():
                try:
                    found.update(dict.fromkeys(distribution.entry_points.select(group=GROUP)))
                except Exception as error:
                    self._report(distribution.name, f"its entry_points.txt is damaged: {one_line(error)}", error)
            return list(found)

    def _imported(self, plugin: Plugin, point: metadata.EntryPoint) -> object:
        """Import a plugin. An error is returned with the cause, so that the caller can report the error."""
        if not re.fullmatch(r"[\w.]+\s*(:\s*[\w.]+)?", point.value):
            return errors.PluginError(f"its entry point {point.value!r} is not of the form module or module:object")
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints must not mix with a listing's --json
                return point.load()
        except BaseException as error:
            raise_interrupt(error)
            said = errors.PluginError(f"cannot be imported: {one_line(error)}")
            said.__cause__ = error
            return said

    def _open(self, plugin: Plugin, spoken: object) -> None:
        """Collect the valid parts, presets and commands of a plugin. No part is kept if a register hook raises."""
        if unsupported := _unsupported_version(spoken):
            self._report(plugin.name, unsupported)
            return
        manager = pluggy.PluginManager("ganzoo")
        manager.add_hookspecs(hookspecs)
        manager.add_hookspecs(hookspecs.of_kinds(self.kinds.values()))
        known = (*(kind.hook for kind in self.kinds.values()), PRESETS, KINDS, COMMANDS, *EVENTS)
        try:
            hooks = self._hooks(plugin, spoken, manager, known)
        except BaseException as error:
            raise_interrupt(error)
            self._report(plugin.name, f"its hooks cannot be read: {one_line(error)}", error)
            return
        for name, function in hooks:
            try:  # a namespace for each hook: pluggy verifies each separately, so that a bad hook costs no other
                manager.register(SimpleNamespace(**{name: function}), name=f"{plugin.name}.{name}.{id(function)}")
            except pluggy.PluginValidationError as error:
                spec = getattr(manager.hook, name).spec
                takes = ", ".join(spec.argnames)
                self._report(plugin.name, f"its hook {name} has other arguments than ({takes})", error)
        brought: list[Entry] = []
        registers: dict[str, object] = {
            kind.hook: self._register(plugin, kind, brought) for kind in self.kinds.values()
        }
        registers[PRESETS], registers[COMMANDS] = self._register_preset(plugin), self._register_command(plugin)
        for hook, register in registers.items():
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    getattr(manager.hook, hook)(register=register)
            except BaseException as error:
                raise_interrupt(error)
                if self._strict and isinstance(error, errors.PluginError):
                    raise  # the error of the register function names the cause more exactly
                self._report(plugin.name, f"dropped with all that it brings: {hook} failed: {one_line(error)}", error)
                plugin.commands.clear()
                return
        plugin.entries, plugin.manager = brought, manager

    def _hooks(
        self, plugin: Plugin, spoken: object, manager: pluggy.PluginManager, known: Sequence[str]
    ) -> list[tuple[str, Callable[..., object]]]:
        """List the functions that a plugin marked as hooks, with the hooks' names. Errors in the marks are reported."""
        found: list[tuple[str, Callable[..., object]]] = []
        for attribute in dir(spoken):
            options = manager.parse_hookimpl_opts(spoken, attribute)
            if options is None:
                if attribute in known and callable(getattr(spoken, attribute)):
                    self._report(plugin.name, f"its {attribute} is not marked: write @ganzoo.hookimpl above it")
                continue
            name = options.get("specname") or attribute
            if name not in known:
                self._report(plugin.name, f"there is no hook {name!r}{nearest(name, known)}")
            elif options.get("wrapper") or options.get("hookwrapper"):
                self._report(plugin.name, f"its hook {name} is a wrapper, which ganzoo does not support")
            elif (hook := (name, getattr(spoken, attribute))) not in found:
                found.append(hook)
        if not found and plugin.distribution:
            self._report(plugin.name, f"brings nothing: no hook is implemented in {plugin.source}")
        return found

    def _register(self, plugin: Plugin, kind: Kind, brought: list[Entry]) -> hookspecs.Register:
        def register(name: str, target: str | type[Part]) -> None:
            if not (isinstance(name, str) and NAME.fullmatch(name)):
                wrong = f"{name!r} is not a name (letters, digits, . _ -)"
            elif any((e.kind, e.name) == (kind.name, name) for e in brought):
                wrong = "it is registered twice"
            else:
                wrong = _wrong_target(kind, target)
            if wrong:
                self._report(plugin.name, f"{kind.name} {name} left out: {wrong}")
                return
            brought.append(
                Entry(kind.name, name, plugin.name, target, plugin.builtin, plugin.distribution, plugin.version)
            )

        return register

    def _add_kinds(self, plugin: Plugin, source: object) -> None:
        """Collect the kinds that a plugin brings. An error leaves the kinds of other plugins unchanged."""

        def register(kind: Kind) -> None:
            if not isinstance(kind, Kind) or not NAME.fullmatch(kind.name):
                wrong = "it is not a ganzoo.Kind with a name"
            elif kind.name in self.kinds or kind.hook in [other.hook for other in self.kinds.values()]:
                wrong = "there is a kind of that name"
            elif taken := [setting.name for setting in kind.settings if setting.name in self.kinds.settings]:
                wrong = f"there is a setting {taken[0]}"
            else:
                brought.append(kind)
                return
            self._report(plugin.name, f"kind {getattr(kind, 'name', kind)!r} left out: {wrong}")

        brought: list[Kind] = []
        hook: Any = getattr(source, KINDS, None)
        if not hasattr(hook, "ganzoo_impl") or _unsupported_version(source):
            return  # other errors are reported when the plugin is opened
        try:
            with contextlib.redirect_stdout(sys.stderr):
                hook(register)
        except BaseException as error:
            raise_interrupt(error)
            self._report(plugin.name, f"{KINDS} failed: {one_line(error)}", error)
            return
        self.kinds = Kinds(*self.kinds.values(), *brought)

    def _register_command(self, plugin: Plugin) -> hookspecs.RegisterCommand:
        def register(name: str, target: str, help: str = "") -> None:
            if not (isinstance(name, str) and NAME.fullmatch(name)):
                wrong = "it is not a name (letters, digits, . _ -)"
            elif not (isinstance(target, str) and _TARGET.fullmatch(target)):
                wrong = f"{target!r} is not of the form 'module:command'"
            elif other := next((p.name for p in self.plugins if name in p.commands), ""):
                wrong = f"plugin {other} brings a command of that name"
            else:
                plugin.commands[name] = PluginCommand(name, target, str(help), plugin.name)
                return
            self._report(plugin.name, f"command {name!r} left out: {wrong}")

        return register

    def _register_preset(self, plugin: Plugin) -> hookspecs.RegisterPreset:
        def register(name: str, settings: Mapping[str, object]) -> None:
            if not (isinstance(name, str) and NAME.fullmatch(name) and isinstance(settings, Mapping)):
                self._report(plugin.name, f"preset {name!r} left out: a name and a mapping of settings are expected")
                return
            plugin.presets[name] = dict(settings)

        return register

    def _add_file(self, file: Path) -> None:
        """Load a file that the user named. Every problem is raised as an error, because the user asked for the file."""
        plugin = Plugin(file.stem, str(file), "", "", builtin=False)
        if not file.is_file():
            raise errors.PluginError(f"plugin file {file} is not there, or not a file")
        if not NAME.fullmatch(plugin.name) or file.suffix != ".py":
            raise errors.PluginError(f"plugin file {file} is not named like a part: use letters, digits, . _ - and .py")
        if any(p.name == plugin.name for p in self.plugins):
            raise errors.PluginError(f"plugin file {file}: there is a plugin {plugin.name} already: rename the file")
        strict, self._strict = self._strict, True
        try:
            module = _executed(file)
            self.plugins.append(plugin)
            with self._alone(plugin):
                self._add_kinds(plugin, module)
                hooks = [*(kind.hook for kind in self.kinds.values()), PRESETS, KINDS, COMMANDS, *EVENTS]
                self._open(plugin, module if _is_plugin(module, hooks) else _as_plugin(module, self.kinds))
                brings = plugin.entries or plugin.presets or plugin.commands or hasattr(module, KINDS)
            if not (brings or any(plugin.implements(event) for event in EVENTS)):
                raise errors.PluginError(f"plugin {plugin.name}: neither a part nor a hook is defined in {file}")
        finally:
            self._strict = strict


def _told(point: metadata.EntryPoint, fact: str) -> str:
    try:
        return str(getattr(point.dist, fact) or "unknown")
    except Exception:  # a distribution that was removed in part has entry points but no METADATA
        return "unknown"


def _unsupported_version(plugin: object) -> str:
    """Check the version of the plugin API that a plugin asks for.

    Returns:
        The reason to refuse the plugin, or an empty text.
    """
    version = getattr(plugin, API_ATTRIBUTE, ganzoo.API_VERSION)
    if not isinstance(version, int):
        return f"not loaded: its {API_ATTRIBUTE} is {version!r}, not a whole number such as {ganzoo.API_VERSION}"
    asked = f"not loaded: it asks for version {version} of the plugin API"
    if version > ganzoo.API_VERSION:
        return f"{asked}, and this ganzoo has version {ganzoo.API_VERSION}: upgrade ganzoo"
    if version < OLDEST_API_VERSION:
        return f"{asked}, and this ganzoo supports {OLDEST_API_VERSION} and later: upgrade the plugin"
    return ""


def raise_interrupt(error: BaseException) -> None:
    """Raise a KeyboardInterrupt again. Any other exception of a plugin, even SystemExit, is left to the caller.

    Args:
        error: the exception that was caught.

    Raises:
        KeyboardInterrupt: the exception is a KeyboardInterrupt.
    """
    if isinstance(error, KeyboardInterrupt):
        raise error


def listed(names: Sequence[str]) -> str:
    """Join names to a list in words.

    Args:
        names: at least one name.

    Returns:
        The text.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _wrong_target(kind: Kind, target: object) -> str:
    """Describe the error in a part's target in one line. The text is empty for a valid target."""
    if isinstance(target, str):
        return "" if _TARGET.fullmatch(target) else f"{target!r} is not of the form 'module:Class'"
    if isinstance(target, type) and issubclass(target, kind.load()):
        return ""
    return f"{target!r} is neither 'module:Class' nor a subclass of {kind.contract_name}"


def _executed(file: Path) -> ModuleType:
    try:
        return file_modules.import_file(file)
    except BaseException as error:
        raise_interrupt(error)
        raise errors.PluginError(f"plugin file {file} cannot be loaded: {one_line(error)}") from error


def _is_plugin(module: ModuleType, hooks: Sequence[str]) -> bool:
    """Check whether a file tries to implement hooks. A file without hooks is searched for classes of parts."""
    return any(name in hooks or hasattr(value, "ganzoo_impl") for name, value in vars(module).items())


def _as_plugin(module: ModuleType, kinds: Kinds) -> SimpleNamespace:
    """Make a plugin from the parts that a file defines. Each part is named after the class, in kebab-case."""
    hooks = {}
    for kind in kinds.values():
        contract = kind.load()
        parts = [
            value
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, contract)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ]

        def bring(register: hookspecs.Register, parts: list[type[Part]] = parts) -> None:
            for part in parts:
                register(kebab(part.__name__), part)

        hooks[kind.hook] = hookspecs.hookimpl(bring)
    version = {API_ATTRIBUTE: getattr(module, API_ATTRIBUTE)} if hasattr(module, API_ATTRIBUTE) else {}
    return SimpleNamespace(**hooks, **version)
