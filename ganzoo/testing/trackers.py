"""The checks of trackers, on a run that lasts two steps."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from ganzoo import parts
from ganzoo.parts.tracker import EVENTS
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import require


@asks("tracker")
def _follows_an_event(part: parts.Tracker) -> None:
    """The class defines at least one event, and ``interval`` is a whole number from 1 on."""
    require(any(part.defines(event) for event in EVENTS), f"the class defines none of the events {', '.join(EVENTS)}")
    require(isinstance(part.interval, int) and part.interval >= 1, f"interval is {part.interval!r}, no number >= 1")


@asks("tracker")
def _changes_no_scalars(part: parts.Tracker) -> None:
    """The values of a record and the images are the same after the event, where the events need no outside service.

    A tracker that talks to a service is examined by tests of its own: an event that raises is no failure here.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = cast(Any, _Run(Path(folder)))
        values, images = {"loss/generator": 1.0}, torch.zeros(2, 1, 4, 4)
        try:
            part.run_started(run)
            part.step_made(run, part.interval)
            part.step_recorded(run, 1, values)
            part.images_recorded(run, 1, "samples/ema", images)
            part.run_finished(run, None)
        except Exception:  # a service that is not there, or a fact that this small run lacks
            return
        require(values == {"loss/generator": 1.0}, "step_recorded changes the values of the record")
        require(not images.any(), "images_recorded changes the images")


class _Run(SimpleNamespace):
    """What trackers read of a run most often."""

    def __init__(self, folder: Path) -> None:
        super().__init__(dir=folder, step=0, metrics={}, warnings=[], choices=[], class_names=[])
        self.state = SimpleNamespace(counters=SimpleNamespace(step=0, images=0))
        self.settings = SimpleNamespace(seed=0, steps=2, batch_size=2, name="run")
        self.parts = SimpleNamespace(labels={"loss": "hinge"}, specs={})

    def request_stop(self, reason: str = "") -> None:
        """Take no notice."""

    def request_save(self) -> None:
        """Take no notice."""

    def request_sample(self) -> None:
        """Take no notice."""
