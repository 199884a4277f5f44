"""Early signs that a run goes wrong, found in scalars that are recorded anyway."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

ALIKE = 0.1
"""The share of the data's spread below which samples count as collapsed."""

FIRST_STEPS = 100
"""Steps in which samples that are alike are no sign: a new generator maps all latents to nearly one image."""

WON = 0.99
"""The share of rightly ranked pairs from which on the discriminator has won, if the generator's gradient vanished."""

VANISHED = 1e-5
"""The norm below which a gradient has vanished."""

UNBOUNDED = 1e4
"""A norm of a gradient, or a gap between scores, beyond the range of a run with bounded scores."""


def signs(
    values: Mapping[str, float], *, step: int = FIRST_STEPS, constraints: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Find signs of trouble in the scalars of a step.

    Args:
        values: recorded scalars by tag. A missing tag is not judged.
        step: the number of steps made.
        constraints: names of regularizers that constrain the discriminator, for the advice.

    Yields:
        A short name of the sign, by which a caller reports each sign once, and a line for the user.

    Example:
        >>> [name for name, line in signs({"grad/generator": 1e6})]
        ['wild-generator']
    """

    def value(tag: str) -> float:
        return values.get(tag, math.nan)

    constrain = "a regularizer that constrains the discriminator" + such_as(constraints)
    if value("samples/diversity") < ALIKE and step >= FIRST_STEPS:
        line = (
            f"the samples are nearly all alike (their spread is {value('samples/diversity'):.0%} of the data's): the "
            f"generator may have collapsed; {constrain}, a smaller learning rate or a larger batch may help"
        )
        yield "collapse", line
    if value("scores/accuracy") >= WON and value("grad/generator") < VANISHED:
        line = (
            f"the discriminator ranks {value('scores/accuracy'):.1%} of pairs right, and the generator's gradient has "
            f"vanished (norm {value('grad/generator'):.1e}): {constrain}, or a smaller learning rate of the "
            "discriminator may help"
        )
        yield "won", line
    if abs(value("scores/real") - value("scores/fake")) >= UNBOUNDED:
        line = (
            f"the scores of real and fake samples are {abs(value('scores/real') - value('scores/fake')):.1e} apart: "
            f"the discriminator grows without bound; {constrain} may help"
        )
        yield "gap", line
    for player in ("discriminator", "generator"):
        if value(f"grad/{player}") >= UNBOUNDED:
            line = (
                f"the {player}'s gradient has the norm {value(f'grad/{player}'):.1e}: a smaller learning rate, or "
                f"{constrain}, may help"
            )
            yield f"wild-{player}", line


def such_as(names: Sequence[str], most: int = 4) -> str:
    """Examples for a message: ``" such as r1, sn"``, or ``""`` without names.

    Args:
        names: names of parts.
        most: the number of names to give at most.

    Example:
        >>> "a loss" + such_as(["hinge", "wgan"])
        'a loss such as hinge, wgan'
    """
    return f" such as {', '.join(names[:most])}" if names else ""
