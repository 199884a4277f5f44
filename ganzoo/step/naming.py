"""Error messages that name the part in which an exception was raised."""

from __future__ import annotations

from torch import Tensor

from ganzoo import errors
from ganzoo.names import nearest, one_line
from ganzoo.parts import PLAYERS, Player


class named:  # reads as a word; contextlib's generator form would cost a microsecond a part and step
    """A context that notes a part's kind and name on exceptions that pass. Type and traceback stay.

    Args:
        kind: kind of the part, such as ``"loss"``.
        name: name of the part, or an object that prints as the name. The text is made for an error alone.

    Example:
        >>> try:
        ...     with named("loss", "hinge"):
        ...         raise ValueError("no scores")
        ... except ValueError as error:
        ...     print(error.__notes__)
        ['in loss hinge']
    """

    __slots__ = ("kind", "name")

    def __init__(self, kind: str, name: object) -> None:
        self.kind, self.name = kind, name

    def __enter__(self) -> None:
        """Enter: all work is on the way out."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Add the note. KeyboardInterrupt is no fault of a part, and passes without.

        Raises:
            PartError: the part raised SystemExit or the like, which would end the process as if all were well.
        """
        if isinstance(error, errors.DataError):
            return  # the message names the data, and no part that asked for the data is to blame
        if isinstance(error, Exception):
            error.add_note(f"in {self.kind} {self.name}")
        elif error is not None and not isinstance(error, KeyboardInterrupt):
            raise errors.PartError(f"{self.kind} {self.name} raised {one_line(error)}") from error


def require_players(players: tuple[Player, ...]) -> tuple[Player, ...]:
    """The players that a schedule names, both where the schedule names none.

    Args:
        players: as ``game.round`` is given.

    Raises:
        PartError: a name is no player's.
    """
    for player in players:
        if player not in PLAYERS:
            raise errors.PartError(
                f"{player!r} is no player{nearest(str(player), PLAYERS)}: name {' or '.join(PLAYERS)}"
            )
    return players or PLAYERS


def require_scalar(value: object, kind: str, name: str) -> Tensor:
    """Refuse a loss or a penalty that is no scalar tensor, where the part returns the value.

    Args:
        value: what the part returned.
        kind: kind of the part, such as ``"loss"``.
        name: name of the part.

    Returns:
        The value.

    Raises:
        PartError: the value is no tensor, or has dimensions.

    Example:
        >>> import torch
        >>> require_scalar(torch.zeros(4), "loss", "mine")
        Traceback (most recent call last):
        ganzoo.errors.PartError: loss mine returned a tensor of shape (4,): return a scalar, such as the mean
    """
    if not isinstance(value, Tensor):
        raise errors.PartError(
            f"{kind} {name} returned a {type(value).__name__}: return a scalar tensor, such as the mean"
        )
    if value.dim():
        shape = tuple(value.shape)
        raise errors.PartError(f"{kind} {name} returned a tensor of shape {shape}: return a scalar, such as the mean")
    return value
