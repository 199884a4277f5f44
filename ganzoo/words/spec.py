"""The name and the parameters of a part as one value: ``"r1:gamma=10,every=16"`` is parsed once into a ``PartSpec``.

text      = [provider "/"] name [":" key "=" value {"," key "=" value}]
value     = characters up to the next ``,key=``: ``betas=0.0,0.9`` is a single value, and a path may hold commas
part      = a value that is a part: name, name:key=value, or (name:key=value,key=value)
quoted    = a value between ' or ", needed where the value contains ``,key=`` or begins or ends with a space. The quote
            itself is written twice inside
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ganzoo import errors
from ganzoo.names import NAME, brief, without_parentheses
from ganzoo.words.scheduled import read_scheduled

_KEY = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=")


@dataclass(frozen=True)
class Origin:
    """The plugin that brings a part.

    Args:
        provider: the plugin's name.
        distribution: the installed package. The text is empty for a file that the user named.
        version: the version of the package.
        builtin: whether the part ships with ganzoo.
    """

    provider: str
    distribution: str = ""
    version: str = ""
    builtin: bool = False

    def __str__(self) -> str:
        return f"{self.provider} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class PartSpec:
    """A part's provider, name and parameters.

    Args:
        name: the part's name, or the class name of a part that was made in Python.
        parameters: values by parameter name. Before validation: text from the command line, or data from a config
            file. After validation: every parameter of the part as plain data, or a spec where the parameter is a part.
        provider: the plugin that is meant, or None where the name suffices.
        kind: the kind of part, "" before the part is looked up.
        origin: the plugin that brings the part. None before the part is looked up, and for a part made in Python.
        defaults: the part's default values, which ``str`` leaves out.
        number: 1, or 2, 3, ... for a part that the settings of a run name again with other parameters.

    Example:
        >>> spec = PartSpec.parse("r1:gamma=10,every=16")
        >>> spec.name, spec.parameters
        ('r1', {'gamma': '10', 'every': '16'})
        >>> str(spec.with_parameters(every=4))
        'r1:gamma=10,every=4'
    """

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    provider: str | None = None
    kind: str = ""
    origin: Origin | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    number: int = 1

    @classmethod
    def parse(cls, text: str) -> PartSpec:
        """Parse ``"provider/name:key=value,key=value"``.

        Args:
            text: as typed on the command line.

        Returns:
            The spec. Every value is text.

        Raises:
            BadWords: the text does not follow the grammar.
        """
        head, colon, tail = text.strip().partition(":")
        provider, slash, name = head.strip().rpartition("/")
        if not NAME.fullmatch(name) or (slash and not NAME.fullmatch(provider)):
            raise errors.BadWords(f"{text!r} does not name a part: write name, or name:key=value,key=value")
        values: dict[str, str] = {}
        key = None
        for chunk in _split_at_commas(tail) if colon else []:
            if match := _KEY.match(chunk):
                key = match[1]
                if key in values:
                    raise errors.BadWords(f"{text!r} gives {key} twice: give it once")
                values[key] = chunk[match.end() :]
            elif key is not None:  # "0.9" of "betas=0.0,0.9" continues the value of betas
                values[key] += "," + chunk
            else:
                raise errors.BadWords(
                    f"{text!r} has {chunk.strip()!r} where key=value is expected: write {name}:key=value"
                )
        return cls(name, {key: _unquoted(value.strip()) for key, value in values.items()}, provider or None)

    @classmethod
    def of(cls, value: object) -> PartSpec:
        """Make the spec from the value of a setting.

        Args:
            value: text, a mapping with ``name`` and parameters, or a spec.

        Returns:
            The spec. A spec is returned unchanged.

        Raises:
            BadWords: the text does not follow the grammar, or the value is of another type.

        Example:
            >>> str(PartSpec.of({"name": "r1", "gamma": 10}))
            'r1:gamma=10'
        """
        if isinstance(value, PartSpec):
            return value
        if isinstance(value, str):
            return cls.parse(without_parentheses(value))
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            spec = cls.parse(value["name"])
            return spec.with_parameters(**{str(key): each for key, each in value.items() if key != "name"})
        raise errors.BadWords(f"{brief(value)} does not name a part: write name:key=value, or a mapping with a name")

    @property
    def reference(self) -> str:
        """The name to look up: ``name``, or ``provider/name`` where ``provider`` is set."""
        return f"{self.provider}/{self.name}" if self.provider else self.name

    @property
    def label(self) -> str:
        """The key of records and checkpoints: the reference, and ``reference-2`` where the part is named again."""
        return self.reference if self.number == 1 else f"{self.reference}-{self.number}"

    @property
    def address(self) -> str:
        """The name in config.yaml: ``provider/name``, or the reference of a part that ships with ganzoo."""
        if self.origin is None or self.origin.builtin:
            return self.reference
        return f"{self.origin.provider}/{self.name}"

    @property
    def source(self) -> str:
        """The plugin that brings the part: ``zoo (ganzoo 0.1.0)``, or ``python object``."""
        return "python object" if self.origin is None else str(self.origin)

    def with_parameters(self, **values: object) -> PartSpec:
        """Change the values of some parameters.

        Args:
            values: the new values by parameter name.

        Returns:
            A new spec with the same name.
        """
        return replace(self, parameters={**self.parameters, **values})

    def with_inner(self, path: Sequence[str], value: object) -> PartSpec | None:
        """Change a parameter of an inner part: the path ``of, width`` is the parameter ``width`` of the part ``of``.

        Args:
            path: the parameters that lead to the value, the outermost first.
            value: the new value.

        Returns:
            A new spec, or None where a parameter of the path is not given as a part.

        Example:
            >>> str(PartSpec.parse("multiscale:of=dcgan:width=8,scales=2").with_inner(["of", "width"], 4))
            'multiscale:of=(dcgan:width=4),scales=2'
        """
        name, *rest = path
        if not rest:
            return self.with_parameters(**{name: value})
        try:
            inner = PartSpec.of(self.parameters.get(name)).with_inner(rest, value)
        except errors.BadWords:
            return None
        return None if inner is None else self.with_parameters(**{name: inner})

    def plain(self) -> dict[str, object]:
        """Make the mapping for config.yaml.

        Returns:
            The address under ``name``, and each parameter.

        Example:
            >>> PartSpec.parse("r1:gamma=10").plain()
            {'name': 'r1', 'gamma': '10'}
        """
        values = {key: each.plain() if isinstance(each, PartSpec) else each for key, each in self.parameters.items()}
        return {"name": self.address, **values}

    def inner(self) -> Mapping[str, PartSpec]:
        """Find the parameters that are parts, by name. Only a validated spec knows the parameters that are parts."""
        return {key: each for key, each in self.parameters.items() if isinstance(each, PartSpec)}

    def family(self) -> Iterator[PartSpec]:
        """List the spec, the specs of the parameters that are parts, the specs of the parts in these, and so on.

        Yields:
            The specs, an outer spec before the inner specs.
        """
        yield self
        for each in self.inner().values():
            yield from each.family()

    def __str__(self) -> str:
        changed = {
            key: value
            for key, value in self.parameters.items()
            if key not in self.defaults or value != self.defaults[key]
        }
        values = ",".join(f"{key}={spelled(value)}" for key, value in changed.items())
        return f"{self.reference}:{values}" if values else self.reference


def numbered(specs: Sequence[PartSpec]) -> list[PartSpec]:
    """Number the specs of parts that are named several times, so that every label is there once.

    Args:
        specs: the specs in the order of the settings.

    Returns:
        The specs in the same order.

    Example:
        >>> [spec.label for spec in numbered([PartSpec("l1"), PartSpec("tv"), PartSpec("l1")])]
        ['l1', 'tv', 'l1-2']
    """
    references = {spec.reference for spec in specs}
    labels: set[str] = set()
    found = []
    for spec in specs:
        number = 1
        while (label := replace(spec, number=number).label) in labels or (number > 1 and label in references):
            number += 1
        labels.add(label)
        found.append(replace(spec, number=number))
    return found


def labels_of(values: Sequence[Mapping[str, object]]) -> list[str]:
    """List the labels of parts that a config file names in one setting.

    Args:
        values: mappings with ``name``, in the order of the file.

    Returns:
        A label for each part. A part that is named again has a number.

    Example:
        >>> labels_of([{"name": "l1", "where": "hole"}, {"name": "l1", "where": "known"}])
        ['l1', 'l1-2']
    """
    return [spec.label for spec in numbered([PartSpec(str(each["name"])) for each in values])]


def spelled(value: object) -> str:
    """Write a value as text of the grammar: ``none``, ``true``, ``0.0,0.9``, or quoted text.

    Args:
        value: plain data.

    Returns:
        The text. Quotes enclose text with commas, brackets, quotes, equals signs or spaces at an end.

    Example:
        >>> spelled((0.0, 0.9)), spelled(None), spelled("a,b")
        ('0.0,0.9', 'none', "'a,b'")
    """
    if isinstance(value, PartSpec):  # parentheses keep the inner part's keys from the outer part
        return f"({value})" if ":" in str(value) else str(value)
    if isinstance(value, (list, tuple)):
        return ",".join(spelled(each) for each in value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str) and re.search(r"[,='\"()\[\]]|^\s|\s$", value) and read_scheduled(value) is None:
        quote = '"' if "'" in value else "'"
        return quote + value.replace(quote, 2 * quote) + quote
    return str(value)


def _split_at_commas(text: str) -> list[str]:
    """Split a text at the commas outside brackets and quotes. A quote that is written twice inside quotes is text."""
    chunks, depth, quote, start, skip = [], 0, "", 0, False
    for i, c in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = c == quote == text[i + 1 : i + 2]
            quote = "" if c == quote and not skip else quote
        elif c in "'\"" and text[:i].rstrip()[-1:] in ("=", ","):  # not in a value: a path may be /it's/mine
            quote = c
        elif c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "," and depth <= 0:
            chunks.append(text[start:i])
            start = i + 1
    if quote:
        raise errors.BadWords(f"{text!r} opens a quote {quote} that is never closed: close it")
    return [*chunks, text[start:]]


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "'\"":
        return value
    return value[1:-1].replace(2 * value[0], value[0])
