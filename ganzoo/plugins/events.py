"""A run's events, passed on to the plugins that implement their hooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.names import one_line
from ganzoo.plugins.discovery import EVENTS, Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.training.run import Run

_log = logging.getLogger("ganzoo")


class Events:
    """A run's life, told to every plugin that listens. A hook that fails is reported once, and not called again."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._listeners = {event: [p for p in plugins if p.hears(event)] for event in EVENTS}

    def run_started(self, run: Run) -> None:
        """A run is about to make its first step."""
        self._tell("run_started", run=run)

    def step_recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Scalars were written."""
        self._tell("step_recorded", run=run, step=step, values=values)

    def images_recorded(self, run: Run, step: int, tag: str, images: Tensor) -> None:
        """A grid was written."""
        self._tell("images_recorded", run=run, step=step, tag=tag, images=images)

    def checkpoint_saved(self, run: Run, step: int, path: Path) -> None:
        """A checkpoint is whole and on disk."""
        self._tell("checkpoint_saved", run=run, step=step, path=path)

    def run_finished(self, run: Run, error: BaseException | None) -> None:
        """The run ended."""
        self._tell("run_finished", run=run, error=error)

    def _tell(self, event: str, **facts: Any) -> None:
        for plugin in list(self._listeners[event]):
            assert plugin.manager is not None
            try:
                getattr(plugin.manager.hook, event)(**facts)
            except (Exception, SystemExit) as error:
                self._listeners[event].remove(plugin)
                _log.warning("plugin %s: hook %s failed, and is switched off: %s", plugin.name, event, one_line(error))
