"""A part in a run: the part never changes, and the numbers of the present step are kept beside the part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from ganzoo.parts import Part, Regularizer, Schedule
from ganzoo.words.scheduled import ScheduledNumber

PartT = TypeVar("PartT", bound=Part)
BoundT_co = TypeVar("BoundT_co", bound=Part, covariant=True)


def scheduled(part: Part) -> Mapping[str, ScheduledNumber]:
    """Find the parameters of a part that follow the run, and those of the parts that are parameters of the part.

    Args:
        part: a part as the user described the part, or a part of a run.

    Returns:
        The scheduled numbers by parameter name. The name is ``of.sigma`` for the parameter ``sigma`` of the part that
        is the parameter ``of``.

    Example:
        >>> from ganzoo import Regularizer
        >>> class Noise(Regularizer):
        ...     sigma: float = 0.1
        >>> scheduled(Noise(sigma=ScheduledNumber("linear", 1.0, 0.0)))
        {'sigma': 1.0..0.0}
    """
    part = unbound(part)
    found: dict[str, ScheduledNumber] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, ScheduledNumber):
            found[field.name] = value
        elif isinstance(value, Part):
            found.update({f"{field.name}.{name}": number for name, number in scheduled(value).items()})
    return found


@dataclass(frozen=True)
class Bound(Generic[BoundT_co]):
    """A part in a run. The part never changes: ``values`` keeps the numbers and tensors that change in a run.

    Attributes:
        frozen: the part as the user described the part, with a ScheduledNumber where a parameter follows the run.
        part: the part that the engine calls. The part has the same class, reads each scheduled parameter and ``module``
            from ``values``, and is ``frozen`` where neither exists. A parameter that is a part reads from ``values`` in
            the same way.
        values: the number of the present step for each scheduled parameter, and ``module``, the module that ``prepare``
            returned. A captured step puts tensors in place of the numbers.
        scheduled: the parameters that follow the run.
        course: the course of the run, from 0 to 1, that numbers such as ``course(1,0.1)`` share. None is a straight
            line.

    Example:
        >>> from ganzoo import Regularizer
        >>> class Noise(Regularizer):
        ...     sigma: float = 0.1
        >>> bound = bind(Noise(sigma=ScheduledNumber("linear", 1.0, 0.0)))
        >>> bound.set_progress(0.25)
        >>> bound.part.sigma, bound.frozen.sigma
        (0.75, 1.0..0.0)
    """

    frozen: BoundT_co
    part: BoundT_co
    values: dict[str, Any]
    scheduled: Mapping[str, ScheduledNumber]
    course: float | None = None

    def set_progress(self, progress: float) -> None:
        """Set each scheduled parameter to the number at a progress.

        Args:
            progress: from 0 (first step) to 1 (last step).
        """
        for name, number in self.scheduled.items():
            self.values[name] = number.at(progress, self.course)


def bind(part: PartT, course: float | None = None) -> Bound[PartT]:
    """Make the part of one run. Scheduled parameters are at the start, and ``module`` is None.

    Args:
        part: a part as the user described the part, or a part of another run.
        course: the course of the run, from 0 to 1, that numbers such as ``course(1,0.1)`` share. None is a straight
            line.

    Returns:
        The part of the run. The numbers of the other run are not carried over.
    """
    frozen = unbound(part)
    numbers = scheduled(frozen)
    values: dict[str, object] = {name: number.start for name, number in numbers.items()}
    if isinstance(frozen, (Regularizer, Schedule)):
        values["module"] = None
    return Bound(frozen, _running(frozen, values, ()), values, numbers, course)


def unbound(part: PartT) -> PartT:
    """Find the part as the user described the part.

    Args:
        part: a part as the user described the part, or a part of a run.

    Returns:
        The part with a ScheduledNumber where a parameter follows the run.
    """
    frozen: PartT = vars(part).get("_frozen", part)
    return frozen


def _running(frozen: PartT, values: dict[str, object], path: tuple[str, ...]) -> PartT:
    """Make the part that reads from the values of the run.

    Args:
        frozen: the part as the user described the part.
        values: the values of the outermost part.
        path: the parameters that lead from the outermost part to this part.
    """
    own = [f.name for f in fields(frozen) if isinstance(getattr(frozen, f.name), ScheduledNumber)]
    if isinstance(frozen, (Regularizer, Schedule)):
        own.append("module")
    inner = {
        f.name: _running(value, values, (*path, f.name))
        for f in fields(frozen)
        if isinstance(value := getattr(frozen, f.name), Part)
    }
    if not own and all(running is getattr(frozen, name) for name, running in inner.items()):
        return frozen  # no parameter changes in the run, so the part itself serves
    cls: type = type(frozen)
    part: PartT = object.__new__(_running_class(cls, tuple(own)))
    # An instance is filled as pickle fills one: __init__ would validate and store the numbers, which the properties of
    # the class read from `values` instead.
    vars(part).update({name: value for name, value in vars(frozen).items() if name not in own})
    vars(part).update(inner, _frozen=frozen, _values=values, _path=path)
    return part


class _Running(Protocol):
    """What a part that reads from the values of the run has beside the fields of its class."""

    _frozen: Part
    _values: dict[str, object]
    _path: tuple[str, ...]


def _read(part: _Running, name: str) -> object:
    """Read the present value of a parameter, or ``module``.

    The module of an inner part is the child of the outer part's module that has the name of the parameter.
    """
    if name != "module":
        return part._values[".".join((*part._path, name))]
    module = part._values.get("module")
    for step in part._path:
        module = getattr(module, step, None)
    return module


@cache
def _running_class(cls: type, names: tuple[str, ...]) -> type:
    """Make a subclass of a part's class that reads some parameters from the values of the run."""

    def reader(name: str) -> property:
        return property(lambda part: _read(part, name))

    def __reduce__(part: _Running) -> tuple[object, ...]:  # pickle looks up a class in a module, which lacks this class
        return _rebound, (part._frozen, part._values, part._path)

    def __new__(_: type, **parameters: object) -> object:  # dataclasses.replace makes a copy of the class proper
        return cls(**parameters)

    own: dict[str, object] = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    own.update(__new__=__new__, __reduce__=__reduce__)
    return type(cls.__name__, (cls,), {**own, **{name: reader(name) for name in names}})


def _rebound(frozen: PartT, values: Mapping[str, object], path: tuple[str, ...]) -> PartT:
    return _running(frozen, dict(values), path)
