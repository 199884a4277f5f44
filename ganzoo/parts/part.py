"""The base of every part: a frozen dataclass whose annotated fields are the parameters."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, dataclass_transform

if TYPE_CHECKING:
    from torch import nn


Player = Literal["discriminator", "generator"]
PLAYERS: tuple[Player, Player] = ("discriminator", "generator")


class Networks(NamedTuple):
    """The networks of the two players, as plain modules.

    Args:
        generator: makes samples (N, *shape) from latents (N, latent_dim).
        discriminator: makes logits (N, ...), or a mapping with ``logits``, from samples.

    Example:
        >>> import torch
        >>> networks = Networks(generator=torch.nn.Linear(4, 2), discriminator=torch.nn.Linear(2, 1))
        >>> networks.discriminator(networks.generator(torch.zeros(3, 4))).shape
        torch.Size([3, 1])
    """

    generator: nn.Module
    discriminator: nn.Module


class _Frozen:
    """Refuses assignments. It stands apart from Part, since ``dataclass(frozen=True)`` allows no class its own."""

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(_frozen_message(self, name))

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(_frozen_message(self, name))


def _frozen_message(part: object, name: str) -> str:
    instead = "compute what follows from parameters in a property"
    if isinstance(getattr(type(part), "state", None), cached_property):
        instead += ", and keep what changes during the run in self.state"
    elif hasattr(part, "prepare"):
        instead += ", and keep what changes in a buffer of the module that prepare() returns (self.module)"
    return f"{type(part).__name__} is frozen and cannot assign {name!r}: {instead}"


@dataclass_transform(kw_only_default=True, frozen_default=True)
@dataclass(frozen=True, kw_only=True)
class Part(_Frozen):
    """Base of every part: a frozen dataclass whose annotated fields are its parameters.

    A float that is given as ``0.1..0`` or ``cosine(1,0.1)`` follows the run. The part reads the number of the present
    step from the field.

    Attributes:
        kind: the name of the kind of part.
        can_be_scheduled: whether floats may follow the run. A part that reads its floats before the first step alone
            has the value False, and a scheduled number is refused. A single such float is declared by
            ``dataclasses.field(default=0.0, metadata={"read_once": True})``.

    Raises:
        TypeError: a parameter has the name of an attribute of the contract (raised when the class is made).
        FrozenInstanceError: an attribute is assigned.

    Example:
        >>> from dataclasses import replace
        >>> from ganzoo import Loss
        >>> class Margin(Loss):
        ...     margin: float = 1.0
        >>> replace(Margin(), margin=2.0).margin
        2.0
        >>> Margin().margin = 3.0
        Traceback (most recent call last):
        dataclasses.FrozenInstanceError: Margin is frozen and cannot assign 'margin': compute what follows from \
parameters in a property
    """

    kind: ClassVar[str]
    can_be_scheduled: ClassVar[bool] = True

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs: of each group at least one, such as ``(("dataset",),)``."""
        return ()

    @classmethod
    def what_is_missing(cls) -> str:
        """What the class lacks of ``must_define``, with the methods that the class has instead. Empty: nothing.

        Example:
            >>> from ganzoo import Loss
            >>> class Half(Loss):
            ...     def discriminator(self, s): ...
            ...     def genrator(self, s): ...
            >>> Half.what_is_missing()
            'defines no method generator; it defines discriminator, genrator'
        """
        contract = next(base for base in cls.__mro__ if "kind" in vars(base))
        for group in cls.must_define():
            if all(getattr(cls, name, None) is getattr(contract, name, None) for name in group):
                own = [n for b in cls.__mro__[: cls.__mro__.index(contract)] for n, v in vars(b).items() if callable(v)]
                named = ", ".join(dict.fromkeys(name for name in own if not name.startswith("_")))
                wanted = group[0] if len(group) == 1 else f"of its kind ({', '.join(group)})"
                return f"defines no method {wanted}{f'; it defines {named}' if named else ''}"
        return ""

    @classmethod
    def adopt(cls, given: object) -> Part | None:
        """Make a part of an object that a user of Python gives in place of a part, such as a dataset in place of data.

        Args:
            given: neither a part nor text nor a mapping.

        Returns:
            The part. None where the kind takes no such object.
        """
        return None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)
        _assign_as_the_base(cls)
        _check_names(cls)


def _assign_as_the_base(cls: type[Part]) -> None:
    # Each frozen dataclass has a __setattr__ that only says "cannot assign to field": _Frozen's says what to do.
    del cls.__setattr__, cls.__delattr__


_assign_as_the_base(Part)


def _check_names(cls: type[Part]) -> None:
    """Refuse a parameter that hides an attribute of the contract: the engine would read the parameter in its place."""
    inherited = {f.name: f for f in fields(cls.__mro__[1])}
    contracts = [base for base in cls.__mro__[1:] if base is Part or "kind" in vars(base)]
    for declared in fields(cls):
        if inherited.get(declared.name) is declared:
            continue
        if any(declared.name in vars(base) and declared.name not in inherited for base in contracts):
            kind = next((vars(base)["kind"] for base in contracts if "kind" in vars(base)), "part")
            raise TypeError(
                f"parameter {declared.name!r} of {cls.__qualname__} has the name of an attribute that every {kind} "
                f"has: rename the parameter, or give the attribute as a constant (without annotation) or a property"
            )
