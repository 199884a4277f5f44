"""The events of a run, passed on to the plugins that implement event hooks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.names import one_line
from ganzoo.parts import Tracker
from ganzoo.plugins.discovery import EVENTS, Plugin, raise_interrupt
from ganzoo.training import events

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.parts import Part
    from ganzoo.training.run import Run

_log = logging.getLogger("ganzoo")


class Events(events.Events):
    """Pass the events of a run on to plugins with event hooks and to parts with methods of the same names.

    A hook or method that raises is reported once and not called again. Training goes on.

    Args:
        plugins: all plugins.
        parts: the run's parts of further kinds, by ``"kind label"``.
    """

    def __init__(self, plugins: Sequence[Plugin], parts: Mapping[str, Part]) -> None:
        self._intervals: dict[str, int] = {}
        self._listeners: dict[str, dict[str, Callable[..., object]]] = {event: {} for event in EVENTS}
        for event, listeners in self._listeners.items():
            for plugin in plugins:
                if plugin.manager is not None and plugin.implements(event):
                    listeners[f"plugin {plugin.name}: hook {event}"] = getattr(plugin.manager.hook, event)
            for label, part in parts.items():
                method = getattr(part, event, None)
                if callable(method) and not (isinstance(part, Tracker) and not part.defines(event)):
                    listeners[f"{label}: {event}"] = method
                    if isinstance(part, Tracker):
                        self._intervals[f"{label}: {event}"] = part.interval

    def run_started(self, run: Run) -> None:
        """Announce that the first step of a run, or of a resumed run, comes next."""
        self._emit("run_started", run=run)

    def step_made(self, run: Run, step: int) -> None:
        """Announce that a step was made. A tracker hears of every ``interval``-th step."""
        if self._listeners["step_made"]:
            due = [name for name in self._listeners["step_made"] if step % self._intervals.get(name, 1) == 0]
            self._emit("step_made", due, run=run, step=step)

    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Announce that scalars were written."""
        self._emit("step_recorded", run=run, step=step, values=values)

    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None:
        """Announce that a grid of images was written."""
        self._emit("images_recorded", run=run, step=step, tag=tag, images=images)

    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None:
        """Announce that a checkpoint is complete on disk."""
        self._emit("checkpoint_saved", run=run, step=step, path=path)

    def run_finished(self, run: Run, error: BaseException | None) -> None:
        """Announce that the run ended."""
        self._emit("run_finished", run=run, error=error)

    def _emit(self, event: str, due: Sequence[str] | None = None, **facts: object) -> None:
        for name in list(self._listeners[event]) if due is None else due:
            try:
                self._listeners[event][name](**facts)
            except BaseException as error:
                raise_interrupt(error)
                del self._listeners[event][name]
                _log.warning("%s failed, and is switched off: %s", name, one_line(error))
