"""Early signs that a run goes wrong, found in scalars that are recorded anyway."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

ALIKE = 0.1
"""Samples with less than this share of the data's spread count as collapsed."""

FIRST_STEPS = 100
"""Steps in which samples that are alike are no sign: a new generator maps all latents to nearly one image."""

WON = 0.99
"""The discriminator has won where it ranks this share of pairs right and the generator's gradient has vanished."""

VANISHED = 1e-5
"""The norm below which a gradient has vanished."""

UNBOUNDED = 1e4
"""The norm of a gradient, or the gap between scores, that a run with bounded scores does not reach."""


def signs(
    values: Mapping[str, float], *, step: int = FIRST_STEPS, constraints: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Find what looks wrong in the scalars of a step.

    Args:
        values: scalars by tag, as they are recorded; a missing tag is not judged.
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
    """Examples for a message: ``" such as r1, sn"``, or nothing where there are no names.

    Args:
        names: names of parts.
        most: the number of names to give at most.

    Example:
        >>> "a loss" + such_as(["hinge", "wgan"])
        'a loss such as hinge, wgan'
    """
    return f" such as {', '.join(names[:most])}" if names else ""
