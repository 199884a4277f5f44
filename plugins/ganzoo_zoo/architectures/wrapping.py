"""Architectures around another architecture, whose discriminator they change and whose generator they keep."""

from __future__ import annotations

from typing import Any, TypeVar

import ganzoo

WrapperT = TypeVar("WrapperT", bound=ganzoo.Architecture)


def delegates(cls: type[WrapperT]) -> type[WrapperT]:
    """Give a class all that it does not define of the architecture contract from its parameter ``of``.

    The names come from the contract itself, so that a method which the contract gains later is the inner
    architecture's too.

    Args:
        cls: an architecture with a parameter ``of`` that is an architecture.

    Returns:
        The same class.
    """
    for name in vars(ganzoo.Architecture):
        if not name.startswith("_") and name not in ("build", "kind", *vars(cls)):
            _delegate(cls, name)
    return cls


def _delegate(cls: type[ganzoo.Architecture], name: str) -> None:
    """Send a method or a property of the contract to the inner architecture."""

    def call(self: Any, *given: Any, **named: Any) -> Any:
        return getattr(self.of, name)(*given, **named)

    def read(self: Any) -> Any:
        return getattr(self.of, name)

    inherited = getattr(ganzoo.Architecture, name)
    read.__doc__ = call.__doc__ = inherited.__doc__
    setattr(cls, name, property(read) if isinstance(inherited, property) else call)
