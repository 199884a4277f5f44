"""Architectures around another architecture, whose discriminator they change and whose generator they keep."""

from __future__ import annotations

from typing import Any, TypeVar

import ganzoo
from ganzoo.errors import Incompatible

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
    for name, inherited in vars(ganzoo.Architecture).items():
        if not name.startswith("_") and name not in ("build", "kind") and getattr(cls, name) is inherited:
            _delegate(cls, name)
    return cls


class Wrapper(ganzoo.Architecture):
    """Architectures around another architecture, whose networks have one size for the whole run.

    Args:
        of: the architecture. The generator is the architecture's own, unchanged.
    """

    of: ganzoo.Architecture

    @property
    def name(self) -> str:
        """The name of the architecture, for messages."""
        return type(self).__name__.lower()

    def stage(self, spec: ganzoo.Spec, progress: float, images: int) -> ganzoo.Stage | None:
        """No growth: the stages of the inner architecture are for other samples than the inner discriminator sees.

        Args:
            spec: shape and type of samples and latents.
            progress: 0 at the first step of the run, 1 at the last.
            images: real images drawn before the step.
        """
        return None

    def require_one_size(self, spec: ganzoo.Spec) -> None:
        """Refuse an inner architecture that grows.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: the inner architecture grows.
        """
        if self.of.stage(spec, 0.0, 0) is not None:
            raise Incompatible(
                f"{self.name} wraps a discriminator of one size, and {type(self.of).__name__} grows: use another of="
            )


def _delegate(cls: type[ganzoo.Architecture], name: str) -> None:
    """Send a method or a property of the contract to the inner architecture."""

    def call(self: Any, *given: Any, **named: Any) -> Any:
        return getattr(self.of, name)(*given, **named)

    def read(self: Any) -> Any:
        return getattr(self.of, name)

    inherited = getattr(ganzoo.Architecture, name)
    read.__doc__ = call.__doc__ = inherited.__doc__
    setattr(cls, name, property(read) if isinstance(inherited, property) else call)
