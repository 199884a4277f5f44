"""The catalogue: the parts of all plugins, by kind and name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import errors
from ganzoo.names import nearest, one_line, user_path
from ganzoo.plugins import nested
from ganzoo.plugins.discovery import Discovery, Entry, PluginCommand, listed, raise_interrupt
from ganzoo.plugins.events import Events

if TYPE_CHECKING:
    from ganzoo.parts import Part
    from ganzoo.words import PartSpec


class Catalogue:
    """Every part that can be named, by kind and name.

    Args:
        no_plugins: whether to leave out installed plugins. Parts that ship with ganzoo and ``files`` remain.
        files: Python files with parts or hooks of the user's own.

    Raises:
        PluginError: a file cannot be used, or a plugin cannot be used while GANZOO_STRICT_PLUGINS is set.
    """

    def __init__(self, *, no_plugins: bool = False, files: Sequence[str | Path] = ()) -> None:
        self.files = tuple(Path(file).resolve() for file in files)
        found = Discovery(no_plugins=no_plugins, files=self.files)
        self.plugins, self.problems, self.kinds = found.plugins, found.problems, found.kinds
        order = list(self.kinds)
        self._entries = [entry for plugin in self.plugins for entry in plugin.entries]
        self._entries.sort(key=lambda e: (order.index(e.kind), e.name, not e.builtin, e.provider))

    def entries(self, kind: str | None = None) -> list[Entry]:
        """List the parts, ordered by kind, then by name.

        Args:
            kind: the kind of part. None lists all kinds.

        Returns:
            The entries. No part is imported.
        """
        return [entry for entry in self._entries if kind in (None, entry.kind)]

    def find(self, kind: str, name: str) -> Entry:
        """Find a part. A built-in part takes precedence over the parts of installed plugins.

        Args:
            kind: the kind of part.
            name: ``name`` or ``provider/name``.

        Returns:
            The entry of the part.

        Raises:
            UnknownPart: no part of the kind has the name.
            AmbiguousPart: several plugins bring a part of the name.
        """
        provider, _, bare = name.rpartition("/")
        known = self.entries(kind)
        found = [e for e in known if e.name == bare and provider in ("", e.provider)]
        if len(found) > 1 and found[0].builtin and not any(e.distribution == "" for e in found):
            return found[
                0
            ]  # entries are sorted with built-in parts first. With a part of a user's file the name is ambiguous
        if len(found) > 1:
            raise errors.AmbiguousPart(
                f"{kind} {name!r} is brought by {listed([e.provider for e in found])}: "
                f"write {' or '.join(e.address for e in found)}"
            )
        if found:
            return found[0]
        if answer := self.kinds[kind].mistaken.get(bare.lower()):
            raise errors.UnknownPart(f"no {kind} is named {name!r}: {answer}")
        names = sorted({e.name for e in known}) if not provider else [e.address for e in known]
        hint = nearest(name, names) or nearest(bare, [e.address for e in known])
        broken = sorted({p.plugin for p in self.problems})
        note = f" (plugins with problems: {', '.join(broken)}; see ganzoo plugins)" if broken else ""
        there = f"there is {', '.join(names)}" if names else "there is none at all"
        if any(e.peek.facts.get("path_parameter") for e in known):  # an existing path would have been a part
            there = f"there is no such file or folder either; {there}"
        raise errors.UnknownPart(f"no {kind} is named {name!r}{hint}; {there}{note}")

    def words(self, entry: Entry) -> str:
        """Find the shortest unambiguous name of a part.

        Args:
            entry: the entry of the part.

        Returns:
            ``name``, or ``provider/name`` where the bare name means another part or is ambiguous.
        """
        try:
            return entry.name if self.find(entry.kind, entry.name) is entry else entry.address
        except errors.AmbiguousPart:
            return entry.address

    def load(self, entry: Entry) -> type[Part]:
        """Import the module of a part.

        Args:
            entry: the entry of the part.

        Returns:
            The part's class.

        Raises:
            PluginError: the module cannot be imported, has no such class, or the class is of another kind.
        """
        kind = self.kinds[entry.kind]
        contract = kind.load()
        said = f"plugin {entry.provider}: {entry.kind} {entry.name} ({entry.where})"
        found: object = entry.target
        if isinstance(found, str):
            module_name, _, path = found.partition(":")
            try:
                found = module = importlib.import_module(module_name)
            except BaseException as error:
                raise_interrupt(error)
                raise errors.PluginError(f"{said} cannot be imported: {one_line(error)}") from error
            try:
                for step in path.split("."):
                    found = getattr(found, step)
            except AttributeError as error:
                classes = [n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, contract)]
                raise errors.PluginError(f"{said} has no class {path!r}{nearest(path, classes)}") from error
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise errors.PluginError(f"{said} is not a subclass of {kind.contract_name}")
        return found

    def specify(self, kind: str, given: object) -> PartSpec | Part:
        """Parse the value of a setting. Text is parsed once and carried as a ``PartSpec`` from then on.

        Args:
            kind: the kind of part.
            given: text such as ``"r1:gamma=10"``, a mapping with ``name``, a spec, a part that was made in Python, or
                an object that the kind's contract adopts, such as a dataset.

        Returns:
            The spec, or the part that was made in Python. The name is not looked up.

        Raises:
            BadWords: the text does not follow the grammar, or the value is of another type.
        """
        from ganzoo.parts import Part
        from ganzoo.words import PartSpec

        if isinstance(given, Part):
            return given
        if isinstance(given, type):
            raise errors.BadWords(f"{given.__name__} is a class: give an object, {given.__name__}(...)")
        if not isinstance(given, str | Mapping | PartSpec) and (part := self.kinds[kind].load().adopt(given)):
            return part
        return self._of_path(kind, given) or replace(PartSpec.of(given), kind=kind)

    def _of_path(self, kind: str, given: object) -> PartSpec | None:
        """Find the part that reads a path, where the user gives an existing path and no part has the path as a name.

        A part declares the parameter that takes the path by the class fact ``path_parameter``.
        """
        from ganzoo.words import PartSpec

        if not isinstance(given, str) or any(e.name == given for e in self.entries(kind)):
            return None
        readers = [e for e in self.entries(kind) if e.peek.facts.get("path_parameter")]
        try:
            if not readers or not given.strip() or not user_path(given).exists():
                return None
        except (OSError, ValueError):  # the text is no path: too long, or with a null character
            return None
        parameter = str(readers[0].peek.facts["path_parameter"])
        return PartSpec(readers[0].name, {parameter: given}, self._provider(readers[0]), kind)

    def make(self, kind: str, given: object) -> tuple[PartSpec, Part]:
        """Make a validated part.

        Args:
            kind: the kind of part.
            given: a value that ``specify`` takes.

        Returns:
            The part's complete spec (label, origin, every parameter, the defaults) and the part.

        Raises:
            PartError: the text, the name or a value is wrong.
            PluginError: the part's module cannot be used.
        """
        from ganzoo import words
        from ganzoo.parts import Part

        given = self.specify(kind, given)
        if isinstance(given, Part):
            if not isinstance(given, self.kinds[kind].load()):
                raise errors.PartError(f"{type(given).__name__} is a {given.kind}, where a {kind} is expected")
            return self._remade(given)
        entry = self.find(kind, given.reference)
        cls = self.load(entry)
        inner = nested.made(self, cls, f"{kind} {given.reference}", given.parameters)
        part = words.make(cls, f"{kind} {given.reference}", inner.values)
        origin = words.Origin(entry.provider, entry.distribution, entry.version, entry.builtin)
        spec = words.PartSpec(entry.name, {}, self._provider(entry), kind, origin)
        return words.described(spec, part, inner.specs, inner.defaults), part

    def _remade(self, part: Part) -> tuple[PartSpec, Part]:
        """Validate a part that was made in Python, and the parts that are parameters of the part."""
        from ganzoo import words

        name = type(part).__name__
        inner = {key: self._remade(each) for key, each in nested.inner_parts(part).items()}
        copy = words.remade(part, f"{part.kind} {name}", {key: made for key, (_, made) in inner.items()})
        defaults = {key: self._remade(each)[0] for key, each in nested.default_parts(type(part)).items()}
        specs = {key: spec for key, (spec, _) in inner.items()}
        return words.described(words.PartSpec(name, kind=part.kind), copy, specs, defaults), copy

    def named(self, part: Part) -> PartSpec | Part:
        """Find the name of a part that a plugin gives as a default: ``of: Architecture = DCGAN()``.

        Args:
            part: the default.

        Returns:
            A spec with the name and the parameters of the part, or the part itself where no entry names the class.
        """
        from ganzoo import words

        where = f"{type(part).__module__}:{type(part).__qualname__}"
        for entry in self.entries(part.kind):
            if entry.where == where:
                inner = {key: self.named(each) for key, each in nested.inner_parts(part).items()}
                parameters = {**words.plain(part), **inner}
                return words.PartSpec(entry.name, parameters, self._provider(entry), part.kind)
        return part

    def _provider(self, entry: Entry) -> str | None:
        """Find the provider to write before a name. None where the bare name is unambiguous."""
        return entry.provider if self.words(entry) != entry.name else None

    def names_with(self, kind: str, fact: str) -> list[str]:
        """List the parts that have a fact, for the advice in a message.

        Args:
            kind: the kind of part.
            fact: an attribute of the kind's contract, such as ``constrains_discriminator``.

        Returns:
            The names of the parts whose fact is true at their default parameters. A part that cannot be loaded, or that
            has no defaults, is left out.
        """
        names = []
        for entry in self.entries(kind):
            name = self.words(entry)
            try:
                part = self.make(kind, name)[1]
            except errors.GanzooError:
                continue
            if getattr(part, fact, False):
                names.append(name)
        return names

    def presets(self) -> dict[str, Mapping[str, object]]:
        """Collect the presets of all plugins. A plugin cannot replace a preset that ships with ganzoo.

        Returns:
            The settings of each preset, by the preset's name.
        """
        found: dict[str, Mapping[str, object]] = {}
        for plugin in sorted(self.plugins, key=lambda p: not p.builtin):
            if plugin.manager is not None:
                found.update({name: preset for name, preset in plugin.presets.items() if name not in found})
        return found

    def events(self, parts: Mapping[str, Part]) -> Events:
        """Collect the plugins and the parts that receive a run's events.

        Args:
            parts: the run's parts of further kinds, by ``"kind label"``.

        Returns:
            The object that passes events on.
        """
        return Events(self.plugins, parts)

    @property
    def commands(self) -> dict[str, PluginCommand]:
        """The commands that plugins bring, by name."""
        return {name: each for plugin in self.plugins for name, each in plugin.commands.items()}

    @property
    def sources(self) -> list[str]:
        """The entry points and files of the plugins that do not ship with ganzoo."""
        return [plugin.source for plugin in self.plugins if not plugin.builtin]

    @property
    def plugin_files(self) -> dict[str, str]:
        """The absolute paths of the plugin files that the user named, by the name of the plugin."""
        return {p.name: str(Path(p.source).resolve()) for p in self.plugins if not p.builtin and not p.distribution}


def load_catalogue(*, no_plugins: bool = False, files: Sequence[str | Path] = ()) -> Catalogue:
    """Make the catalogue, once for the same arguments, environment, import path and files.

    The metadata of all installed distributions take tens of milliseconds to read, which is too long for each part.

    Args:
        no_plugins: whether to leave out installed plugins.
        files: Python files with parts or hooks of the user's own. A file that was changed is read again.

    Returns:
        The catalogue.

    Raises:
        PluginError: a file cannot be used, or a plugin cannot be used while GANZOO_STRICT_PLUGINS is set.

    Example:
        >>> load_catalogue(no_plugins=True).find("loss", "hinge").address
        'zoo/hinge'
    """
    paths = [user_path(file).resolve() for file in files]
    seen = tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in dict.fromkeys(paths))
    environment = tuple(os.environ.get(name) for name in ("GANZOO_PLUGINS", "GANZOO_STRICT_PLUGINS"))
    return _catalogue(no_plugins, seen, environment, tuple(sys.path))


@cache
def _catalogue(
    no_plugins: bool, files: tuple[tuple[Path, int], ...], environment: tuple[str | None, ...], path: tuple[str, ...]
) -> Catalogue:
    return Catalogue(no_plugins=no_plugins, files=[file for file, _ in files])
