"""The kinds of parts. Each kind is declared once. Options, settings, hooks, listings and messages are derived.

A kind is a contract (a subclass of ``ganzoo.Part``) and its declaration, a ``Kind``. Declarations stand apart from the
contracts so that listings, help texts and completion read them without importing torch. A plugin brings a kind of its
own with the hook ``register_kinds``.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganzoo.parts import Part


@dataclass(frozen=True)
class Setting:
    """A setting of a run that names parts of one kind.

    Args:
        name: the setting's name in config files and Python, and with dashes on the command line.
        help: the setting's meaning, for help texts.
        many: whether a run has any number of parts of the setting, or no part. Otherwise a run has exactly one part.
        default: the setting that is used instead if the setting is not given. Empty: the setting must be given.
        resume_may_change: whether the parts may differ when a run is resumed. The weights must not depend on the parts.
        flags: further names of the command line option, such as ``-r``.

    Example:
        >>> Setting("alarms", "checks of a run's scalars", many=True).option
        '--alarms'
    """

    name: str
    help: str
    many: bool = False
    default: str = ""
    resume_may_change: bool = False
    flags: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The command line option: ``--d-optimizer``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def optional(self) -> bool:
        """Whether the setting may be left out or given as ``none``."""
        return self.many or bool(self.default)


@dataclass(frozen=True)
class Kind:
    """The declaration of a kind of part.

    Args:
        name: the kind's name in the singular: ``loss``.
        contract: the class that parts of the kind derive from, as ``module:Class`` or the class itself.
        help: one line for listings.
        settings: the settings of a run that name parts of the kind. Empty where runs do not use the kind.
        many: the name in the plural, where it is not the singular with an ``s``.
        mistaken: names that users expect although the names belong to another kind, with the answer to each name.

    Example:
        >>> alarm = Kind("alarm", "my_alarms:Alarm", "checks of a run's scalars")
        >>> alarm.plural, alarm.hook
        ('alarms', 'register_alarms')
    """

    name: str
    contract: str | type[Part]
    help: str
    settings: tuple[Setting, ...] = ()
    many: str = ""
    mistaken: Mapping[str, str] = field(default_factory=dict)

    @property
    def plural(self) -> str:
        """The name in the plural: ``losses``."""
        return self.many or f"{self.name}s"

    @property
    def hook(self) -> str:
        """The hook that brings parts of the kind: ``register_losses``."""
        return f"register_{self.plural.replace('-', '_')}"

    @property
    def contract_name(self) -> str:
        """The name of the contract in messages: ``ganzoo.Loss``."""
        if isinstance(self.contract, type):
            return f"{self.contract.__module__}.{self.contract.__qualname__}"
        module, _, name = self.contract.partition(":")
        return f"ganzoo.{name}" if module == "ganzoo.parts" else f"{module}.{name}"

    def load(self) -> type[Part]:
        """Import the module of the contract.

        Returns:
            The class that parts of the kind derive from.

        Raises:
            ImportError: the module cannot be imported.
            AttributeError: the module has no class of the name.
        """
        if isinstance(self.contract, type):
            return self.contract
        module, _, path = self.contract.partition(":")
        found: type[Part] = operator.attrgetter(path)(importlib.import_module(module))
        return found


LEARNING_RATE_SCHEDULES = (
    *("constant", "cosine", "cyclic", "decay", "exponential", "lambda", "linear"),
    *("multistep", "onecycle", "plateau", "poly", "step", "warmup"),
)
"""Names of learning-rate schedules in other libraries. A user may look for the names among ganzoo's schedules."""

LEARNING_RATE = (
    "a schedule says which player moves when; a learning rate is scheduled where it is set, for example: "
    "-o 'optimizer.lr=cosine(2e-4,0)'"
)

KINDS = (
    Kind(
        "architecture",
        "ganzoo.parts:Architecture",
        "the two networks",
        settings=(
            Setting("arch", "architecture: the two networks.", flags=("--architecture",)),
            Setting("d_arch", "the discriminator's architecture, if another than the generator's.", default="arch"),
        ),
    ),
    Kind(
        "loss",
        "ganzoo.parts:Loss",
        "what each player minimizes",
        settings=(Setting("loss", "the loss that each player minimizes."),),
        many="losses",
    ),
    Kind(
        "regularizer",
        "ganzoo.parts:Regularizer",
        "penalties, transforms of images or weights, changes of targets",
        settings=(
            Setting(
                "regularizers",
                "penalties, transforms of images or weights, changes of targets; any number.",
                many=True,
                flags=("-r", "--regularizer"),
            ),
        ),
    ),
    Kind(
        "schedule",
        "ganzoo.parts:Schedule",
        "which player moves when",
        settings=(Setting("schedule", "which player moves when."),),
        mistaken=dict.fromkeys(LEARNING_RATE_SCHEDULES, LEARNING_RATE),
    ),
    Kind(
        "data",
        "ganzoo.parts:Data",
        "where real samples come from",
        settings=(
            Setting(
                "data",
                "where real samples come from: a data part, or the path of a folder or archive of images.",
                resume_may_change=True,  # the samples themselves are compared by their fingerprint
            ),
        ),
        many="data",
    ),
    Kind(
        "metric",
        "ganzoo.parts:Metric",
        "figures of merit of generated samples",
        settings=(
            Setting(
                "metrics",
                "figures of merit, computed each time samples are drawn; any number.",
                many=True,
                resume_may_change=True,
                flags=("--metric",),
            ),
        ),
    ),
    Kind(
        "optimizer",
        "ganzoo.parts:Optimizer",
        "how a player moves along its gradient",
        settings=(
            Setting("optimizer", "how both players move along their gradients."),
            Setting("d_optimizer", "the discriminator's own optimizer, for two time-scales.", default="optimizer"),
            Setting("g_optimizer", "the generator's own optimizer, for two time-scales.", default="optimizer"),
        ),
    ),
    Kind(
        "tracker",
        "ganzoo.parts:Tracker",
        "observers of a run, such as logs and early stops",
        settings=(
            Setting("log", "observers of the run, such as csv; any number.", many=True, resume_may_change=True),
            Setting(
                "stop_when",
                "trackers that end the run early, such as early-stop, trouble and budget; any number.",
                many=True,
                resume_may_change=True,
            ),
        ),
    ),
    Kind("engine", "ganzoo.parts:Engine", "where the runs of a comparison are made"),
)
"""The kinds that ship with ganzoo, in the order of listings and of config files."""


class Kinds(Mapping[str, Kind]):
    """The kinds by name: first the kinds that ship with ganzoo, then the kinds of plugins.

    Args:
        more: the kinds of plugins.

    Example:
        >>> kinds = Kinds()
        >>> kinds.named("losses").name, kinds.named("arch").name, kinds.named("banana")
        ('loss', 'architecture', None)
    """

    def __init__(self, *more: Kind) -> None:
        self._kinds = {kind.name: kind for kind in (*KINDS, *more)}

    def __getitem__(self, name: str) -> Kind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """The settings of a run that name parts."""
        return {setting.name: setting for kind in self.values() for setting in kind.settings}

    @cached_property
    def of_setting(self) -> Mapping[str, str]:
        """The kind that each setting names: ``{"d_optimizer": "optimizer"}``."""
        return {setting.name: kind.name for kind in self.values() for setting in kind.settings}

    @property
    def plurals(self) -> list[str]:
        """The names in the plural, for listings."""
        return [kind.plural for kind in self.values()]

    def named(self, word: str) -> Kind | None:
        """Find the kind that a user means.

        Args:
            word: a name of a kind, or the beginning of a singular or plural.

        Returns:
            The kind, or None where no kind or several kinds match.
        """
        if word in self._kinds:
            return self._kinds[word]
        found = [
            kind for kind in self.values() if word and (kind.name.startswith(word) or kind.plural.startswith(word))
        ]
        return found[0] if len(found) == 1 else None
