"""All hooks of the plugin API on one page. A plugin implements any hook with ``@ganzoo.hookimpl``.

A register hook receives a function ``register(name, target)``. The name is the name that users type. The target is the
part: the class, or ``"module:Class"``, which is imported when the part is used. ganzoo calls event hooks during a run.
An event hook that raises is reported and switched off, and training goes on.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

    from ganzoo.kinds import Kind
    from ganzoo.parts import Part
    from ganzoo.training.run import Run

hookspec = pluggy.HookspecMarker("ganzoo")
hookimpl = pluggy.HookimplMarker("ganzoo")
"""Marks a function of a plugin as the implementation of the hook of the same name.

Example:
    >>> import ganzoo
    >>> @ganzoo.hookimpl
    ... def register_losses(register):
    ...     register("softmargin", "ganzoo_softmargin.loss:SoftMargin")
"""


class Register(Protocol):
    """Register a part: ``register("softmargin", "ganzoo_softmargin.loss:SoftMargin")``."""

    def __call__(self, name: str, target: str | type[Part]) -> None:
        """Register a part.

        Args:
            name: the name that users type: letters, digits, ``.``, ``_`` and ``-``.
            target: the class, or ``"module:Class"``.
        """


class RegisterPreset(Protocol):
    """Register a preset: ``register("sngan", {"loss": "hinge", "regularizers": ["sn"]})``."""

    def __call__(self, name: str, settings: Mapping[str, object]) -> None:
        """Register a preset.

        Args:
            name: the name of the preset.
            settings: the settings by name, as in a config file.
        """


def of_kinds(kinds: Iterable[Kind]) -> ModuleType:
    """Make the hooks that bring parts, a hook for each kind: ``register_losses``, ``register_data``, and so on.

    Args:
        kinds: the kinds that ship with ganzoo, and the kinds of plugins.

    Returns:
        A module of hook specifications for pluggy.

    Example:
        >>> from ganzoo.kinds import Kinds
        >>> of_kinds(Kinds().values()).register_losses.__name__
        'register_parts'
    """

    def hook() -> Callable[[Register], None]:
        def register_parts(register: Register) -> None:
            """Call ``register(name, target)`` for each part."""

        return hookspec(register_parts)

    page = ModuleType("ganzoo.hookspecs.of_kinds")
    vars(page).update({kind.hook: hook() for kind in kinds})
    return page


class RegisterKind(Protocol):
    """Register a kind: ``register(ganzoo.Kind("alarm", "my_alarms:Alarm", "checks of a run's scalars"))``."""

    def __call__(self, kind: Kind) -> None:
        """Register a kind of part.

        Args:
            kind: the declaration of the kind.
        """


class RegisterCommand(Protocol):
    """Register a command: ``register("export", "my_export.command:command", "Write the generator to a file.")``."""

    def __call__(self, name: str, target: str, help: str = "") -> None:
        """Register a command of the command line.

        Args:
            name: the name on the command line.
            target: the click command as ``"module:name"``.
            help: the help text in one line.
        """


@hookspec
def register_kinds(register: RegisterKind) -> None:
    """Bring kinds of parts. Each kind gets a hook, options of ``ganzoo run``, and listings.

    Args:
        register: the function to call for each kind.
    """


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Bring click commands of the command line. Each command is imported when the command is used.

    Args:
        register: the function to call for each command.
    """


@hookspec
def register_presets(register: RegisterPreset) -> None:
    """Bring presets: named sets of settings, written as in a config file.

    Args:
        register: the function to call for each preset.
    """


@hookspec
def run_started(run: Run) -> None:
    """Receive a run before the first step, or before the first step after the run was resumed.

    Args:
        run: the run.
    """


@hookspec
def step_made(run: Run, step: int) -> None:
    """Receive a run after every step. The scalars of the step are still on the device.

    Args:
        run: the run.
        step: the number of steps made, from 1.
    """


@hookspec
def step_recorded(run: Run, step: int, values: Mapping[str, float]) -> None:
    """Receive the scalars of a record.

    Args:
        run: the run.
        step: the step.
        values: means since the last record, by tag.
    """


@hookspec
def images_recorded(run: Run, step: int, tag: str, images: Tensor) -> None:
    """Receive a grid of images after the grid was written.

    Args:
        run: the run.
        step: the step.
        tag: ``samples/ema``, ``samples/generator`` or ``samples/real``.
        images: the images, (N, *shape), in [-1, 1].
    """


@hookspec
def checkpoint_saved(run: Run, step: int, path: Path) -> None:
    """Receive the path of a checkpoint that is complete on disk.

    Args:
        run: the run.
        step: the step of the checkpoint.
        path: the directory of the checkpoint.
    """


@hookspec
def run_finished(run: Run, error: BaseException | None) -> None:
    """Receive a run after the last step, or after an error.

    Args:
        run: the run.
        error: the exception that ended the run, or None after the last step.
    """
