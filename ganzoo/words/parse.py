"""The parameters of a part: annotated fields declare the parameters, and pydantic validates text and plain data."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import Literal, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ganzoo import errors
from ganzoo.names import brief, nearest
from ganzoo.parts import Part, Regularizer
from ganzoo.words.bound import unbound
from ganzoo.words.docstrings import documented
from ganzoo.words.scheduled import ScheduledNumber, read_scheduled
from ganzoo.words.spec import PartSpec, spelled

PartT = TypeVar("PartT", bound=Part)

NOT_A_PARAMETER: Mapping[str, bool] = {"parameter": False}
"""Metadata of a dataclass field that users cannot give."""

READ_ONCE: Mapping[str, bool] = {"read_once": True}
"""Metadata of a float that the part reads before the first step alone. A scheduled number is then refused."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a part.

    Args:
        name: the name of the field.
        annotation: the annotation of the field.
        default: the default value, ``...`` where users must give the parameter.
        meaning: the text of the docstring's ``Args``, "" where the docstring lacks the parameter.
        choices: the values of a ``Literal`` as text, () for other annotations. "none" is the last where None is
            allowed.
        read_once: whether the part reads the parameter before the first step alone, so that a schedule cannot act.
    """

    name: str
    annotation: object
    default: object
    meaning: str
    choices: tuple[str, ...]
    read_once: bool = False

    @property
    def type_name(self) -> str:
        """The type in help texts and messages: ``number``, ``whole number >= 1``, ``batch | none``."""
        if self.choices:
            return " | ".join(self.choices)
        return _spoken(self.annotation)

    @property
    def default_text(self) -> str | None:
        """The default as text of the grammar, or None where users must give the parameter."""
        return None if self.default is ... else spelled(_plain(self.default))

    @property
    def can_follow(self) -> bool:
        """Whether the value may be a scheduled number, which the annotation ``float`` allows."""
        return self.is_float and not self.read_once

    @property
    def is_float(self) -> bool:
        """Whether the annotation is ``float``, or a union with ``float``."""
        bare = _bare(self.annotation)
        return float in ([_bare(option) for option in typing.get_args(bare)] if _is_union(bare) else [bare])

    @property
    def takes_none(self) -> bool:
        """Whether the annotation allows None."""
        bare = _bare(self.annotation)
        return _is_union(bare) and type(None) in typing.get_args(bare)

    @property
    def part_kind(self) -> str | None:
        """The kind of part that the value must be, where the annotation is a contract. None for other values."""
        contracts = self.part_classes
        return contracts[0].kind if contracts else None

    @property
    def part_classes(self) -> tuple[type[Part], ...]:
        """The classes of parts that the annotation allows."""
        bare = _bare(self.annotation)
        options = [_bare(option) for option in (typing.get_args(bare) if _is_union(bare) else (bare,))]
        return tuple(option for option in options if isinstance(option, type) and issubclass(option, Part))


_parameters: dict[type[Part], Mapping[str, Parameter]] = {}


def parameters(cls: type[Part]) -> Mapping[str, Parameter]:
    """Read the parameters from the fields of a part's class.

    Args:
        cls: the class of the part.

    Returns:
        The parameters by name, in the order of declaration. ``every`` comes last.

    Raises:
        PluginError: an annotation names a class that is not imported when the module runs.

    Example:
        >>> from ganzoo import Regularizer
        >>> class Noise(Regularizer):
        ...     sigma: float = 0.1
        >>> parameters(Noise)["sigma"].type_name, parameters(Noise)["sigma"].default_text
        ('number', '0.1')
    """
    if cls not in _parameters:
        _parameters[cls] = _declared(cls)
    return _parameters[cls]


def _declared(cls: type[Part]) -> Mapping[str, Parameter]:
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise errors.PluginError(
            f"the annotations of {cls.__module__}:{cls.__qualname__} cannot be read, {error}: "
            "import it where the module runs, not under TYPE_CHECKING"
        ) from error
    meanings = documented(cls).meanings
    found = {}
    for field in sorted(fields(cls), key=lambda f: f.name == "every"):  # an inherited `every` comes last
        if NOT_A_PARAMETER.items() <= field.metadata.items():
            continue
        if field.name == "every" and not _is_penalty(cls):
            continue  # `every` is for penalties: a transform that is skipped now and then is another method
        default = field.default
        if default is MISSING:
            default = field.default_factory() if field.default_factory is not MISSING else ...
        meaning = meanings.get(field.name, "")
        if field.name == "every" and not meaning:
            meaning = "apply the penalty each so many updates, times as much"
        hint = hints[field.name]
        once = not cls.can_be_scheduled or READ_ONCE.items() <= field.metadata.items()
        found[field.name] = Parameter(field.name, hint, default, meaning, _choices(hint), once)
    return found


def _is_penalty(cls: type[Part]) -> bool:
    if not issubclass(cls, Regularizer):
        return "every" in cls.__annotations__
    return cls.has_penalty()


def make(cls: type[PartT], label: str, values: Mapping[str, object]) -> PartT:
    """Make a part from the values of a user.

    Args:
        cls: the class of the part.
        label: the name of the part in messages, such as ``"loss hinge"``.
        values: text from the command line, or plain data from a config file, by parameter name. Text is read as the
            annotation requires.

    Returns:
        The part, with the defaults where ``values`` lacks a parameter.

    Raises:
        BadParameter: unknown key, missing parameter, wrong type, or value out of range.

    Example:
        >>> from ganzoo import Regularizer
        >>> class Noise(Regularizer):
        ...     sigma: float = 0.1
        >>> make(Noise, "regularizer noise", {"sigma": "0.5"}).sigma
        0.5
    """
    known = parameters(cls)
    checked: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it takes none"
            raise errors.BadParameter(f"{label} has no parameter {key!r}{nearest(key, known)}; {has}")
        checked[key] = _validated(known[key], label, value)
    missing = [p.name for p in known.values() if p.default is ... and p.name not in checked]
    if missing:
        name = label.rpartition(" ")[2]
        raise errors.BadParameter(f"{label} needs {' and '.join(missing)}: write {name}:{missing[0]}=...")
    try:
        return cls(**checked)
    except ValueError as error:  # the part's __post_init__ refuses the values together
        raise errors.BadParameter(f"{label}: {error}") from error


def remade(part: PartT, label: str, inner: Mapping[str, Part] | None = None) -> PartT:
    """Make a validated copy of a part that was made in Python.

    Args:
        part: the part, or the part of a run.
        label: the name of the part in messages, such as ``"loss hinge"``.
        inner: the validated copies of the parts that are parameters of the part, by parameter name.

    Returns:
        The copy, as the user described the part.

    Raises:
        BadParameter: wrong type, or value out of range.
    """
    part = unbound(part)
    given = {f.name: getattr(part, f.name) for f in fields(part) if f.name in parameters(type(part))}
    return make(type(part), label, {**given, **(inner or {})})


def plain(part: Part) -> dict[str, object]:
    """Write the parameters of a part as plain data for a config file.

    Args:
        part: a part as the user described the part, or a part of a run.

    Returns:
        Numbers, text, booleans, None, and lists of the same, by parameter name. A scheduled number is text. A
        parameter that is a part is a mapping with the name of the class under ``name``, and the parameters of the part.

    Example:
        >>> from ganzoo import Regularizer
        >>> class Noise(Regularizer):
        ...     sigma: float = 0.1
        >>> plain(Noise(sigma=ScheduledNumber("linear", 1.0, 0.0)))
        {'sigma': '1.0..0.0'}
    """
    part = unbound(part)
    return {name: _plain(getattr(part, name)) for name in parameters(type(part))}


def described(
    spec: PartSpec,
    part: Part,
    inner: Mapping[str, PartSpec] | None = None,
    inner_defaults: Mapping[str, PartSpec] | None = None,
) -> PartSpec:
    """Complete the spec of a part after the part was made.

    Args:
        spec: the spec that named the part.
        part: the part.
        inner: the complete specs of the parts that are parameters of the part, by parameter name.
        inner_defaults: the complete specs of the defaults of the same parameters.

    Returns:
        A spec with every parameter as plain data, and the defaults of the part. A parameter that is a part is a spec.
    """
    defaults = {name: _plain(parameter.default) for name, parameter in parameters(type(unbound(part))).items()}
    return replace(spec, parameters={**plain(part), **(inner or {})}, defaults={**defaults, **(inner_defaults or {})})


def _plain(value: object) -> object:
    if isinstance(value, Part):
        return {"name": type(unbound(value)).__name__, **plain(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    simple = isinstance(value, (bool, int, float, str, type(None))) and not isinstance(value, ScheduledNumber)
    return value if simple else str(value)


def _validated(parameter: Parameter, label: str, value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise errors.BadParameter(f"{label}: {parameter.name}={brief(value)} holds a null byte: leave it out")
    if isinstance(value, str):
        if parameter.is_float and (found := read_scheduled(value)) is not None:
            return _checked_schedule(parameter, label, found)
        value = _read(parameter, value)
    elif isinstance(value, ScheduledNumber):
        return _validated(parameter, label, str(value))
    if parameter.part_classes:  # pydantic would read the fields of a part, which are validated already
        if isinstance(value, parameter.part_classes):
            return unbound(value)
        if value is None and parameter.takes_none:
            return None
        raise errors.BadParameter(f"{label}: {parameter.name}={brief(value)} is not {_article(parameter.type_name)}")
    try:
        if isinstance(value, bool) and "true" not in parameter.type_name:
            value = str(value).lower()  # pydantic would accept True as the number 1
        return _adapter(parameter).validate_python(value)
    except ValidationError as error:
        said = brief(value)
        expected = parameter.type_name
        if parameter.choices:
            hint = nearest(str(value), parameter.choices)
        elif parameter.default is ... or parameter.default is None:
            hint = f": {error.errors()[0]['msg'].lower()}" if ">" not in expected and "<" not in expected else ""
        else:
            hint = f", such as {spelled(_plain(parameter.default))}"
        raise errors.BadParameter(f"{label}: {parameter.name}={said} is not {_article(expected)}{hint}") from error


def _checked_schedule(parameter: Parameter, label: str, number: ScheduledNumber) -> ScheduledNumber:
    """Refuse a scheduled number that cannot act, or that leaves the bounds of the parameter during the run.

    Both shapes are monotonic, so that a number between two valid ends is valid. A warm-up adds a third end, which is 0.
    """
    written = f"{label}: {parameter.name}={number}"
    if parameter.read_once:
        raise errors.BadParameter(
            f"{written} follows the run, and {parameter.name} is read once, before the first step: give a plain number"
        )
    for end in (number.start, number.end):
        _validated(parameter, label, end)
    if number.warmup:
        try:
            _validated(parameter, label, 0.0)
        except errors.BadParameter as error:
            raise errors.BadParameter(
                f"{written} begins at 0, which is not {_article(parameter.type_name)}: write a range without a "
                f"warm-up, such as {number.start / 100:g}..{number.start:g}"
            ) from error
    return number


def _article(expected: str) -> str:
    if "|" in expected:
        return f"one of {expected}"
    return f"an {expected}" if expected[0] in "aeio" else f"a {expected}"


def _read(parameter: Parameter, text: str) -> object:
    """Read the text that pydantic does not read: ``none``, choices that are numbers, and lists with commas."""
    bare = _bare(parameter.annotation)
    options = typing.get_args(bare) if _is_union(bare) else (bare,)
    spelled_so = any("none" in _choices(option) for option in options)  # Literal["none", ...] means the text
    if type(None) in options and text.lower() == "none" and not spelled_so:
        return None
    for option in options:
        if typing.get_origin(_bare(option)) is Literal:
            for choice in typing.get_args(_bare(option)):
                if str(choice) == text:  # "1" for Literal[1, 3]
                    return choice
        if (typing.get_origin(_bare(option)) or _bare(option)) in (tuple, list, frozenset, set):
            return [item.strip() for item in text.strip("()[]").split(",") if item.strip()]
    return text


_LAX = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)


@cache
def _adapter(parameter: Parameter) -> TypeAdapter[object]:
    bare = _bare(parameter.annotation)
    config = None if isinstance(bare, type) and hasattr(bare, "__pydantic_config__") else _LAX
    adapter: TypeAdapter[object] = TypeAdapter(cast(type[object], parameter.annotation), config=config)
    return adapter


def _bare(annotation: object) -> object:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _choices(annotation: object) -> tuple[str, ...]:
    bare = _bare(annotation)
    if typing.get_origin(bare) is Literal:
        return tuple(str(choice) for choice in typing.get_args(bare))
    if _is_union(bare):
        parts = [a for a in typing.get_args(bare) if a is not type(None)]
        if len(parts) == 1 and (found := _choices(parts[0])):
            return (*found, "none")
    return ()


_SPOKEN = {float: "number", int: "whole number", bool: "true | false", str: "text"}

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _spoken(annotation: object) -> str:
    bare = _bare(annotation)
    bounds: list[str] = []
    for extra in typing.get_args(annotation)[1:] if bare is not annotation else ():
        for each in extra if isinstance(extra, Iterable) else (extra,):
            bounds += [f"{sign} {getattr(each, b):g}" for b, sign in _BOUNDS.items() if hasattr(each, b)]
    spoken = [said for extra in typing.get_args(annotation)[1:] if (said := getattr(extra, "documentation", None))]
    if spoken and bare is not annotation:  # annotated_types.doc names a form of text
        said = str(spoken[0])
    elif typing.get_origin(bare) is Literal:
        said = "|".join(map(str, typing.get_args(bare)))
    elif _is_union(bare):
        said = " or ".join("none" if a is type(None) else _spoken(a) for a in typing.get_args(bare))
    elif (typing.get_origin(bare) or bare) in (tuple, list):
        items = [a for a in typing.get_args(bare) if a is not ...]
        said = f"list of {_spoken(items[0])}s" if items else "list"
        if typing.get_origin(bare) is tuple and ... not in typing.get_args(bare):
            said = f"list of {len(items)} {_spoken(items[0])}s"
    elif isinstance(bare, type) and issubclass(bare, Part):
        said = str(bare.kind)
    else:
        said = _SPOKEN.get(cast(type, bare), getattr(bare, "__name__", str(bare)))
    return " ".join([said, " and ".join(bounds)]).strip()
