"""The game that an environment asks for."""

from __future__ import annotations

from ganzoo.step.accumulate import AccumulatingGame
from ganzoo.step.environment import GameParts, StepEnvironment
from ganzoo.step.game import Game


def build_game(parts: GameParts, environment: StepEnvironment) -> Game:
    """Make a game over a run's state.

    Several games may share one state, as long as at most a single game is in the middle of a step.

    Args:
        parts: the parts and the state of the run, such as ``game.parts`` of another game.
        environment: the surroundings of the step, such as ``dataclasses.replace(game.environment, ...)``.

    Returns:
        A game that takes each batch whole, or an ``AccumulatingGame`` where the environment asks for micro-batches.
    """
    kind = AccumulatingGame if environment.accumulate > 1 else Game
    return kind(parts, environment)
