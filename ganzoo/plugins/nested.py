"""Parts that are parameters of parts: ``multiscale:of=dcgan,scales=3`` gives ``multiscale`` the part ``dcgan``.

A parameter whose annotation is a contract, such as ``of: ganzoo.Architecture``, takes a part. A key that the outer part
lacks belongs to the inner part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NoReturn

from ganzoo import errors
from ganzoo.names import brief, nearest, without_parentheses

if TYPE_CHECKING:
    from ganzoo.parts import Part
    from ganzoo.plugins.catalogue import Catalogue
    from ganzoo.words import Parameter, PartSpec


@dataclass
class Inner:
    """The values of an outer part, with the inner parts made.

    Args:
        values: the values of the outer part by parameter name. A part stands for the text or mapping of a part.
        specs: the complete specs of the inner parts by parameter name.
        defaults: the complete specs of the defaults of the same parameters.
    """

    values: dict[str, object] = field(default_factory=dict)
    specs: dict[str, PartSpec] = field(default_factory=dict)
    defaults: dict[str, PartSpec] = field(default_factory=dict)


def made(catalogue: Catalogue, cls: type[Part], label: str, given: Mapping[str, object]) -> Inner:
    """Make the parts that are parameters of a part.

    Args:
        catalogue: the source in which the inner parts are looked up.
        cls: the class of the outer part.
        label: the name of the outer part in messages, such as ``"architecture multiscale"``.
        given: the values of the user by parameter name, in the order of the text. A key that the outer part lacks goes
            to the part before the key, or to the only parameter that is a part.

    Returns:
        The values for the outer part, and the specs of the inner parts.

    Raises:
        PartError: a text, a name or a value is wrong.
        PluginError: the module of an inner part cannot be used.
    """
    from ganzoo import words
    from ganzoo.parts import Part

    known = words.parameters(cls)
    kinds = {name: parameter.part_kind for name, parameter in known.items() if parameter.part_kind is not None}
    result = Inner(dict(given))
    if not kinds:
        return result
    result.values, extra = _handed_down(kinds, known, given)
    for name, kind in kinds.items():
        default = known[name].default
        if isinstance(default, Part):
            result.defaults[name] = catalogue.make(kind, catalogue.named(default))[0]
        value = result.values.get(name, default)
        if isinstance(value, str) and value.lower() == "none" and known[name].takes_none:
            value = None
        if value is None or value is ...:
            if extra[name]:  # an inner part that is not given has no parameters
                key = next(iter(extra[name]))
                _refuse(label, key, known, f"{name} is not given, which might have the parameter")
            if name in result.values:
                result.values[name] = None
            continue
        if isinstance(value, Part) and name not in result.values:
            value = catalogue.named(value)
        if isinstance(value, str):
            value = without_parentheses(value)
        try:
            specified = catalogue.specify(kind, value)
        except errors.BadWords as error:
            raise errors.BadParameter(f"{label}: {name}={brief(value)} is not a part: {error}") from error
        result.specs[name], result.values[name] = _inner(catalogue, label, known[name], specified, extra[name], known)
    return result


def _inner(
    catalogue: Catalogue,
    label: str,
    parameter: Parameter,
    specified: PartSpec | Part,
    extra: Mapping[str, object],
    known: Mapping[str, Parameter],
) -> tuple[PartSpec, Part]:
    from ganzoo.parts import Part

    kind = str(parameter.part_kind)
    if extra:
        if isinstance(specified, Part):
            _refuse(label, next(iter(extra)), known, f"{parameter.name} was made in Python, so set the parameter there")
        has = _keys(catalogue, specified)
        for key in extra:
            if key not in has:
                takes = f"has {', '.join(has)}" if has else "takes none"
                near = nearest(key, [*known, *has])
                raise errors.BadParameter(
                    f"{label} has no parameter {key!r}, nor has its {parameter.name}={specified.label}{near}; "
                    f"{label} has {', '.join(known)}; {kind} {specified.label} {takes}"
                )
        specified = specified.with_parameters(**extra)
    return catalogue.make(kind, specified)


def _refuse(label: str, key: str, known: Mapping[str, object], why: str) -> NoReturn:
    near = nearest(key, known)
    raise errors.BadParameter(f"{label} has no parameter {key!r}{near}, and {why}; it has {', '.join(known)}")


def _handed_down(
    kinds: Mapping[str, str], known: Mapping[str, object], given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Divide the values of a user among the outer part and the inner parts."""
    own: dict[str, object] = {}
    extra: dict[str, dict[str, object]] = {name: {} for name in kinds}
    last = next(iter(kinds)) if len(kinds) == 1 else None
    for key, value in given.items():
        if key in kinds:
            last = key
        if key in known or last is None:
            own[key] = value
        else:
            extra[last][key] = value
    return own, extra


def _keys(catalogue: Catalogue, spec: PartSpec) -> list[str]:
    """The parameters that a part takes, with the parameters that the part hands down to inner parts."""
    from ganzoo import words
    from ganzoo.parts import Part

    cls = catalogue.load(catalogue.find(spec.kind, spec.reference))
    found = list(words.parameters(cls))
    for name, parameter in words.parameters(cls).items():
        if parameter.part_kind is None:
            continue
        value = spec.parameters.get(name, parameter.default)
        if isinstance(value, str):
            value = without_parentheses(value)
        if value is None or value is ...:
            continue
        inner = catalogue.named(value) if isinstance(value, Part) else catalogue.specify(parameter.part_kind, value)
        if not isinstance(inner, Part):
            found += [key for key in _keys(catalogue, inner) if key not in found]
    return found


def inner_parts(part: Part) -> dict[str, Part]:
    """Find the parameters of a part that are parts.

    Args:
        part: a part as the user described the part, or a part of a run.

    Returns:
        The inner parts by parameter name.
    """
    from ganzoo import words
    from ganzoo.parts import Part

    part = words.unbound(part)
    return {f.name: value for f in fields(part) if isinstance(value := getattr(part, f.name), Part)}


def default_parts(cls: type[Part]) -> dict[str, Part]:
    """Find the defaults of a part's class that are parts.

    Args:
        cls: the class of the part.

    Returns:
        The default parts by parameter name.
    """
    from ganzoo import words
    from ganzoo.parts import Part

    return {name: p.default for name, p in words.parameters(cls).items() if isinstance(p.default, Part)}
