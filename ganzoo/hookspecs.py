"""Every place where a plugin may speak, on one page. A plugin implements any of these with ``@ganzoo.hookimpl``.

A register hook is handed ``register(name, target)``: the name that users type, and the part: ``"module:Class"``,
imported when the part is used, or the class itself. Event hooks follow a run's life; one that fails is reported and
switched off, and training goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from ganzoo.parts import Part
    from ganzoo.training.run import Run

hookspec = pluggy.HookspecMarker("ganzoo")
hookimpl = pluggy.HookimplMarker("ganzoo")


class Register(Protocol):
    """``register("softmargin", "ganzoo_softmargin.loss:SoftMargin")``."""

    def __call__(self, name: str, target: str | type[Part]) -> None: ...


class RegisterPreset(Protocol):
    """``register("sngan", {"loss": "hinge", "regularizers": ["sn"]})``."""

    def __call__(self, name: str, settings: Mapping[str, Any]) -> None: ...


@hookspec
def register_architectures(register: Register) -> None:
    """Bring architectures: the two networks."""


@hookspec
def register_losses(register: Register) -> None:
    """Bring losses: what each player minimises."""


@hookspec
def register_regularizers(register: Register) -> None:
    """Bring regularizers: penalties, transforms, moved targets."""


@hookspec
def register_schedules(register: Register) -> None:
    """Bring schedules: who moves when."""


@hookspec
def register_data(register: Register) -> None:
    """Bring data: where real samples come from."""


@hookspec
def register_metrics(register: Register) -> None:
    """Bring metrics: figures of merit."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Bring optimizers: how a player moves along its gradient."""


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
