"""Every place where a plugin may speak, on one page. A plugin implements any of these with ``@ganzoo.hookimpl``.

A register hook is handed ``register(name, target)``: the name that users type, and the part: ``"module:Class"``,
imported when the part is used, or the class itself. Event hooks follow a run's life; one that fails is reported and
switched off, and training goes on.
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


class Register(Protocol):
    """``register("softmargin", "ganzoo_softmargin.loss:SoftMargin")``."""

    def __call__(self, name: str, target: str | type[Part]) -> None: ...


class RegisterPreset(Protocol):
    """``register("sngan", {"loss": "hinge", "regularizers": ["sn"]})``."""

    def __call__(self, name: str, settings: Mapping[str, object]) -> None: ...


def of_kinds(kinds: Iterable[Kind]) -> ModuleType:
    """The hooks that bring parts, one a kind: ``register_losses(register)``, ``register_data(register)``, and so on.

    Args:
        kinds: the kinds that ship with ganzoo and those of plugins.
    """

    def hook() -> Callable[[Register], None]:
        def register_parts(register: Register) -> None:
            """Call ``register(name, target)`` for each part."""

        return hookspec(register_parts)

    page = ModuleType("ganzoo.hookspecs.of_kinds")
    vars(page).update({kind.hook: hook() for kind in kinds})
    return page


class RegisterKind(Protocol):
    """``register(ganzoo.Kind("alarm", "my_alarms:Alarm", "checks of a run's scalars"))``."""

    def __call__(self, kind: Kind) -> None: ...


class RegisterCommand(Protocol):
    """``register("export", "my_export.command:command", "Write the generator in another format.")``."""

    def __call__(self, name: str, target: str, help: str = "") -> None: ...


@hookspec
def register_kinds(register: RegisterKind) -> None:
    """Bring kinds of parts. Each kind gets a hook, options of ``ganzoo run``, and listings as the kinds of ganzoo."""


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Bring commands of the command line: ``click`` commands, imported when they are used."""


@hookspec
def register_presets(register: RegisterPreset) -> None:
    """Bring presets: settings by name, as a config file holds them."""


@hookspec
def run_started(run: Run) -> None:
    """A run is about to make its first step (or its first step since it was resumed)."""


@hookspec
def step_recorded(run: Run, step: int, values: Mapping[str, float]) -> None:
    """Scalars were written: by tag, their means since the last time."""


@hookspec
def images_recorded(run: Run, step: int, tag: str, images: Tensor) -> None:
    """A grid was written: ``samples/ema``, ``samples/generator`` or ``samples/real``; images (N, *shape) in [-1, 1]."""


@hookspec
def checkpoint_saved(run: Run, step: int, path: Path) -> None:
    """A checkpoint is whole and on disk."""


@hookspec
def run_finished(run: Run, error: BaseException | None) -> None:
    """The run made its last step, or ended early with an error."""
