"""What the user is told about a step that failed: exhausted memory, and numbers that are not finite."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Iterator, Mapping, Sequence

from ganzoo.data.feed import Feed
from ganzoo.speed import hardware
from ganzoo.step.game import Game
from ganzoo.training import diagnostics
from ganzoo.training.probe import memory
from ganzoo.training.run import Run

PHASES = {
    "reals": "reading data",
    "generate_all": "making fakes",
    "judge": "judging samples",
    "update": "taking gradients",
    "update_both": "taking gradients",
    "gradients": "taking gradients",
    "_move": "moving a player",
    "average_generator": "averaging the generator",
    "discriminator_penalty": "in a penalty",
    "generator_penalty": "in a penalty",
}
"""What each function of the game does, for the message about memory that ran out."""


def too_large(run: Run, game: Game, feed: Feed, error: BaseException, saved: str) -> str:
    """The message about exhausted memory: the phase of the step, and the batch size that would fit.

    Args:
        run: the run.
        game: the game over the state of the run.
        feed: the data of the run.
        error: the error of torch. The traceback gives the phase.
        saved: what is saved, as the end of the message.

    Returns:
        One line for the user.
    """
    settings = run.settings
    batch, pieces = settings.batch_size, game.environment.micro_batches
    doing = next((PHASES[name] for name in _functions(error) if name in PHASES), "between two moves")
    fits = batch // 2
    try:
        fixed, each = memory(run, game, feed)
        fits = min(fits, pieces * int((0.8 * hardware.memory(run.device) - fixed) / max(1, each)))
    except Exception as failure:
        # There is no memory even for two samples, or the networks are odd. Half of the batch is then a guess.
        logging.getLogger("ganzoo").debug("the memory of a step cannot be estimated: %s", failure)
    fits = max(2, pieces, fits - fits % pieces)
    # The share of one process, which the micro-batches must divide.
    own = batch // (pieces // settings.accumulate)
    more = next((k for k in range(1, own + 1) if own % k == 0 and batch // k <= fits), own)
    return (
        f"step {run.step + 1}, {doing}: {run.device} has no room for a batch of {batch}: "
        f"--batch-size {fits} should fit, or --accumulate {settings.accumulate * more} with this one, or a "
        f"smaller --arch; {saved}"
    )


def not_finite(run: Run, step: int, known: Mapping[str, float], saved: str) -> str:
    """The message about a scalar that is not finite.

    Args:
        run: the run.
        step: the number of the step, from 1.
        known: the scalars of the step by tag. Some scalar is not finite.
        saved: what is saved, as a part of the message.

    Returns:
        One line for the user, about the scalar that the step computed first.
    """
    labels = run.parts.labels
    families = ("shared/", "scores/", "loss/", "penalty/", "grad/", "parts/")
    tag = next(t for f in families for t in known if t.startswith(f) and not math.isfinite(known[t]))
    family, _, name = tag.partition("/")
    what = {
        "shared": "the ratio of the players' gradients, by which a shared backward scales,",
        "scores": f"the discriminator's score of {name} samples",
        "loss": f"the {name}'s loss ({labels['loss']})",
        "penalty": f"the penalty {name}",
        "grad": f"the {name}'s gradient (loss {labels['loss']})",
        "parts": f"{name.replace('/', ', its ')},",
    }[family]
    return (
        f"step {step}: {what} is {known[tag]}: the update was not made; {saved}; a smaller learning "
        "rate, or a regularizer that constrains the discriminator"
        f"{diagnostics.such_as(constraints(run))}, may help"
    )


def constraints(run: Run) -> Sequence[str]:
    """The names of regularizers that constrain the discriminator, for advice to the user.

    Args:
        run: the run, whose catalogue is asked.
    """
    return run.parts.catalogue_names("regularizer", "constrains_discriminator")


def _functions(error: BaseException) -> Iterator[str]:
    """The names of the functions in the traceback of an exception, innermost first."""
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return reversed(frames)
