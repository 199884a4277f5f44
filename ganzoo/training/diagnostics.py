"""Early signs that a run goes wrong, read off quantities that are recorded anyway."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

ALIKE = 0.1
"""Below this share of the data's spread, samples are called alike."""

WON = 0.99
"""From this share of pairs ranked right on, the discriminator is called the winner, if the generator stands still."""

STILL = 1e-5
"""A gradient's norm below which a player stands still."""

WILD = 1e4
"""A gradient's norm, or a gap between scores, from which on a run is called wild."""


def signs(values: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """What looks bad in the scalars of a moment: a short name each, for saying it once, and a line.

    Args:
        values: by tag, as they are recorded; whatever is missing is not judged.
    """

    def value(tag: str) -> float:
        return values.get(tag, math.nan)

    if value("samples/diversity") < ALIKE:
        line = (
            f"the samples are nearly all alike (their spread is {value('samples/diversity'):.0%} of the data's): the "
            "generator may have collapsed; a penalty such as r1, a smaller learning rate or a larger batch may help"
        )
        yield "collapse", line
    if value("scores/accuracy") >= WON and value("grad/generator") < STILL:
        line = (
            f"the discriminator tells {value('scores/accuracy'):.1%} of pairs apart, and the generator's gradient has "
            f"vanished (norm {value('grad/generator'):.1e}): constrain the discriminator, as sn, r1 or a smaller "
            "learning rate of its own do"
        )
        yield "won", line
    if abs(value("scores/real") - value("scores/fake")) >= WILD:
        line = (
            f"the scores of real and fake samples are {abs(value('scores/real') - value('scores/fake')):.1e} apart: "
            "the discriminator grows without bound; constrain it, as sn, r1 or wgan-gp do"
        )
        yield "gap", line
    for player in ("discriminator", "generator"):
        if value(f"grad/{player}") >= WILD:
            line = (
                f"the {player}'s gradient has the norm {value(f'grad/{player}'):.1e}: a smaller learning rate, or a "
                "penalty such as r1, may help"
            )
            yield f"wild-{player}", line
