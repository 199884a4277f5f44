"""The contracts: the classes that a loss, a regularizer, an architecture, ... derives from.

A part is a class whose annotated fields are the parameters. The base class turns the class into a frozen, keyword-only
dataclass, so that ``class Hinge(Loss): margin: float = 1.0`` is a complete declaration. No part calls ``backward``,
``step`` or ``zero_grad``: the game owns gradients and optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganzoo import kinds
from ganzoo.parts.architecture import Architecture, Learning
from ganzoo.parts.batch import DRAWN, Batch, Spec, Stage, TensorSpec
from ganzoo.parts.data import Data
from ganzoo.parts.engine import Engine, Job
from ganzoo.parts.loss import Loss
from ganzoo.parts.metric import Metric
from ganzoo.parts.optimizer import Optimizer
from ganzoo.parts.part import PLAYERS, Networks, Part, Player
from ganzoo.parts.regularizer import Regularizer
from ganzoo.parts.samples import Samples
from ganzoo.parts.schedule import Game, Schedule, Snapshot
from ganzoo.parts.scores import Scores
from ganzoo.parts.tracker import Tracker

__all__ = [
    "DRAWN",
    "KINDS",
    "PLAYERS",
    "Architecture",
    "Batch",
    "Data",
    "Engine",
    "Game",
    "Job",
    "Learning",
    "Loss",
    "Metric",
    "Networks",
    "Optimizer",
    "Part",
    "Player",
    "Regularizer",
    "Samples",
    "Schedule",
    "Scores",
    "Snapshot",
    "Spec",
    "Stage",
    "TensorSpec",
    "Tracker",
]

_CONTRACTS = {cls.kind: cls for cls in Part.__subclasses__()}

KINDS: Mapping[str, type[Part]] = {kind.name: _CONTRACTS[kind.name] for kind in kinds.KINDS}
"""The contracts above, by kind; ``ganzoo.kinds`` declares what a run does with each."""
