"""Plugins, found by their metadata (entry points of the group ``ganzoo``) and loaded in isolation.

Each has a pluggy manager of its own, so whatever is wrong with one stays with it, and is reported by its name. No part
is imported before it is used: what listings say of a part is read off its source.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
BUILTIN = "ganzoo"  # the distribution whose entry points are built in
PRESETS = "register_presets"
KINDS = "register_kinds"
COMMANDS = "register_commands"
EVENTS = ("run_started", "step_recorded", "images_recorded", "checkpoint_saved", "run_finished")
OLDEST_API_VERSION = 1
"""The oldest version of the plugin API that this ganzoo supports."""
API_ATTRIBUTE = "GANZOO_API"
"""The attribute of a plugin module that names the version of the plugin API for which the plugin was written."""
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a plugin, in one line."""

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message}"


@dataclass(frozen=True)
class Entry:
    """A part that a plugin brings. ``target`` is ``"module:Class"`` or the class; nothing is imported to list it."""

    kind: str
    name: str
    provider: str
    target: str | type[Part]
    builtin: bool
    distribution: str
    version: str

    @property
    def address(self) -> str:
        """``provider/name``, which is never ambiguous."""
        return f"{self.provider}/{self.name}"

    @property
    def where(self) -> str:
        """``module:Class``."""
        return self.target if isinstance(self.target, str) else f"{self.target.__module__}:{self.target.__qualname__}"

    @cached_property
    def peek(self) -> Peek:
        """What the part's source says of it, without importing it."""
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
    """A command that a plugin brings: ``target`` is ``module:name`` of a click command, imported when it is used."""

    name: str
    target: str
    help: str
    provider: str

    def load(self) -> object:
        """The click command.

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
    """A plugin: who brings it, what it brings (nothing, when it could not be loaded) and the hooks it implements."""

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
        """Whether the plugin implements that event hook."""
        return self.manager is not None and bool(getattr(self.manager.hook, event).get_hookimpls())


class Discovery:
    """The plugins that are installed or named, loaded, and their problems.

    Args:
        no_plugins: only the parts that ship with ganzoo (and those of ``files``).
        files: Python files with parts or hooks of the user's own.

    Raises:
        PluginError: a file cannot be used; or any plugin cannot, when GANZOO_STRICT_PLUGINS is set.
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
        for plugin, found in imported:  # first all kinds: a plugin may bring parts of another plugin's kind
            self._add_kinds(plugin, found)
        for plugin, found in imported:
            self._open(plugin, found)
        for file in files:
            self._add_file(file)

    def _report(self, plugin: str, message: str, cause: BaseException | None = None) -> None:
        problem = Problem(plugin, message)
        if self._strict:
            raise errors.PluginError(str(problem)) from cause
        self.problems.append(problem)

    def _discovered(self, no_plugins: bool) -> Iterator[tuple[Plugin, metadata.EntryPoint]]:
        """The plugins to load, built-in ones first, each under a name that is its alone."""
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
        """The entry points of the group, as far as metadata can be read."""
        try:
            return list(dict.fromkeys(metadata.entry_points(group=GROUP)))
        except Exception:  # one distribution's metadata is damaged: find out whose, and read the others'
            found: dict[metadata.EntryPoint, None] = {}
            for distribution in metadata.distributions():
                try:
                    found.update(dict.fromkeys(distribution.entry_points.select(group=GROUP)))
                except Exception as error:
                    self._report(distribution.name, f"its entry_points.txt is damaged: {one_line(error)}", error)
            return list(found)

    def _imported(self, plugin: Plugin, point: metadata.EntryPoint) -> object:
        """The plugin itself, or the error (with its cause) that it could not be imported for."""
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
        """Take what a plugin brings: all that is right of it, or nothing where a register hook fails midway."""
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
            try:  # a namespace for each hook: pluggy verifies each alone, so that one bad hook costs only itself
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
                    raise  # the register's own, which says more
                self._report(plugin.name, f"dropped with all that it brings: {hook} failed: {one_line(error)}", error)
                plugin.commands.clear()
                return
        plugin.entries, plugin.manager = brought, manager

    def _hooks(
        self, plugin: Plugin, spoken: object, manager: pluggy.PluginManager, known: Sequence[str]
    ) -> list[tuple[str, Any]]:
        """The functions that a plugin marked as hooks, under the hooks' names, with what is wrong of them reported."""
        found: list[tuple[str, Any]] = []
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
        """Take the kinds that a plugin brings; the others' stay as they are whatever fails here."""

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
            return  # what is wrong otherwise is reported when the plugin is opened
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
        """Load a file that the user named; since it was asked for, whatever is wrong with it is an error."""
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
    except Exception:  # a half-removed distribution has entry points, and no METADATA
        return "unknown"


def _unsupported_version(plugin: object) -> str:
    """Why this ganzoo cannot load a plugin that asks for a version of the plugin API, or ""."""
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
    """Raise a Ctrl-C again. Whatever else a plugin raises (SystemExit, CancelledError, pytest.skip) stays with it."""
    if isinstance(error, KeyboardInterrupt):
        raise error


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _wrong_target(kind: Kind, target: object) -> str:
    """The fault of a part's target in one line, or an empty text."""
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
    """Whether a file implements hooks, rightly or wrongly; otherwise its parts are taken as they are."""
    return any(name in hooks or hasattr(value, "ganzoo_impl") for name, value in vars(module).items())


def _as_plugin(module: ModuleType, kinds: Kinds) -> SimpleNamespace:
    """The parts that a file defines, under their class names in kebab-case."""
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
