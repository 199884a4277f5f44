"""The checks of engines."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ganzoo import parts, words
from ganzoo.testing.harness import asks
from ganzoo.testing.tools import require


@asks("engine")
def _text_names_a_parameter(engine: parts.Engine) -> None:
    """The parameter that plain text sets is a parameter of the engine."""
    name = engine.text_parameter
    require(name is None or name in words.parameters(type(engine)), f"text_parameter {name!r} is no parameter")


@asks("engine")
def _performs_no_jobs(engine: parts.Engine) -> None:
    """An engine without jobs has nothing to do, and reaches for nothing."""
    engine.perform([], 1)


@asks("engine")
def _performs_jobs(engine: parts.Engine) -> None:
    """An engine that waits runs every command once the call returns, in the folder of the job.

    Engines that hand jobs to another system pass.
    """
    if not engine.waits:
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        script = "import pathlib, sys\nfor name in sys.argv[1:]: pathlib.Path(name).write_text(name)"
        jobs = [
            parts.Job(
                name=name,
                command=(sys.executable, "-S", "-c", script, name),
                folder=folder,
                log=folder / "log",
                done=(folder / name).exists,
            )
            for name in ("one", "two")
        ]
        engine.perform(jobs, 2)
        missing = [job.name for job in jobs if not job.done()]
        require(not missing, f"{', '.join(missing)} did not run")
