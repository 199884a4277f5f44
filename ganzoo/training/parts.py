"""The parts of a run: the objects that training uses, and the specs that named the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ganzoo.parts import Architecture, Data, Loss, Metric, Optimizer, Part, Player, Regularizer, Schedule
from ganzoo.words import Bound, PartSpec


def no_names(kind: str, fact: str) -> Sequence[str]:
    """No part of any catalogue: for runs that are made without a catalogue.

    Args:
        kind: the kind of part.
        fact: a fact about parts of the kind.

    Returns:
        An empty sequence.
    """
    return ()


@dataclass
class Parts:
    """The parts of a run, by the label that records and checkpoints know them by.

    Args:
        architecture: the two networks, and how the networks are called.
        loss: both players' losses.
        regularizers: the regularizers by label, in the order of application.
        schedule: the order of rounds and moves.
        data: the source of real samples.
        metrics: the metrics by label.
        optimizers: the optimizer of each player.
        bound: the values that each part reads in the run, by the name of the part: ``loss``, ``regularizer r1``,
            ``d_optimizer``.
        specs: the complete specs of the parts that each setting names: ``{"loss": (hinge,)}``.
        others: parts of further kinds, by kind and label.
        catalogue_names: a function from a kind and a fact to the parts with the fact, for advice.
    """

    architecture: Architecture
    loss: Loss
    regularizers: dict[str, Regularizer]
    schedule: Schedule
    data: Data
    metrics: dict[str, Metric]
    optimizers: dict[Player, Optimizer]
    bound: dict[str, Bound[Part]]
    specs: Mapping[str, tuple[PartSpec, ...]]
    others: Mapping[str, Part] = field(default_factory=dict)
    catalogue_names: Callable[[str, str], Sequence[str]] = no_names

    def spec(self, setting: str) -> PartSpec:
        """The one part that a setting names.

        Args:
            setting: a setting that names exactly one part.
        """
        (found,) = self.specs[setting]
        return found

    @property
    def labels(self) -> dict[str, str]:
        """What each setting names, as text: ``{"loss": "hinge", "regularizers": "sn r1:gamma=5"}``."""
        return {setting: " ".join(map(str, specs)) or "none" for setting, specs in self.specs.items()}

    @property
    def providers(self) -> dict[str, str]:
        """The plugin that brings each part: ``{"loss hinge": "zoo (ganzoo 0.1.0)"}``."""
        return {
            f"{spec.kind} {spec.label}": spec.source
            for specs in self.specs.values()
            for outer in specs
            for spec in outer.family()
        }
