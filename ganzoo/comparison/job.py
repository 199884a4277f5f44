"""Make one run of a comparison, or go on with the run, and write the result."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from ganzoo import errors
from ganzoo.comparison.plan import Plan, Row
from ganzoo.disk import record, status
from ganzoo.disk.regular import read_json
from ganzoo.names import one_line
from ganzoo.plugins import Catalogue
from ganzoo.recipe.assemble import Experiment, assemble, train
from ganzoo.recipe.resume import begin, reopen
from ganzoo.training.diagnostics import signs
from ganzoo.training.signals import Interrupted

PATIENCE = 20.0
"""Seconds to wait for another process that trains the run: a process that was killed lets go of the run at once."""

_log = logging.getLogger("ganzoo")


def result_file(folder: Path, name: str) -> Path:
    """The file of a result.

    Args:
        folder: the folder of the comparison.
        name: the name of the run.
    """
    return folder / "results" / f"{name}.json"


def read_result(folder: Path, name: str) -> dict[str, Any] | None:
    """Read the result of a run.

    Args:
        folder: the folder of the comparison.
        name: the name of the run.

    Returns:
        The result as ``perform`` wrote it, or None where there is none.
    """
    try:
        loaded = read_json(result_file(folder, name))
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) and "status" in loaded else None


def is_done(folder: Path, name: str) -> bool:
    """Whether a run has a result.

    Args:
        folder: the folder of the comparison.
        name: the name of the run.
    """
    return read_result(folder, name) is not None


def write_result(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Write the result of a run. The file appears complete or not at all.

    Args:
        folder: the folder of the comparison.
        name: the name of the run.
        result: plain data.
    """
    file = result_file(folder, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(file)


def perform(folder: Path, plan: Plan, name: str, catalogue: Catalogue) -> None:
    """Make a run, or go on with the run from the newest checkpoint, and write the result.

    Args:
        folder: the folder of the comparison.
        plan: the plan.
        name: the name of the run.
        catalogue: the source of parts.

    Raises:
        RunError: the run cannot be written, or another process trains the run.
        Interrupted: a signal asked to stop. The next call goes on.
    """
    if is_done(folder, name):
        return
    row, seed = next((row, seed) for each, row, seed in plan.runs() if each == name)
    result = _made(folder, plan, name, row, seed, catalogue)
    write_result(folder, name, {"row": row.name, "seed": seed, **result})


def _made(folder: Path, plan: Plan, name: str, row: Row, seed: int, catalogue: Catalogue) -> dict[str, Any]:
    place = folder / "runs" / name
    outcome = "refused"
    try:
        if place.is_dir():
            if _stopped(place):
                return {**_figures(place), "status": "finished", "reason": ""}
            experiment, total = _reopened(place, catalogue)
        else:
            settings = plan.settings(row, seed, catalogue, name=name, logdir=str(folder / "runs"))
            experiment = assemble(settings, catalogue)
            total = begin(experiment)
        outcome = "error"
        train(experiment, total, quiet=True)
        outcome = "finished"
    except (Interrupted, errors.RunError):
        raise
    except errors.NonFinite as error:
        return {**_figures(place), "status": "not finite", "reason": _short(error)}
    except errors.OutOfMemory as error:
        return {**_figures(place), "status": "out of memory", "reason": _short(error)}
    except errors.GanzooError as error:
        return {"figures": {}, "status": outcome, "reason": str(error)}
    except Exception as error:  # an error of a part is a row of the table, and the other runs go on
        _log.exception("run %s failed", name)
        return {**_figures(place), "status": "error", "reason": one_line(error)}
    return {**_figures(place), "status": outcome, "reason": ""}


def _stopped(place: Path) -> bool:
    """Whether a tracker ended the run early. Such a run is finished, and a run that a signal stopped goes on."""
    said = status.read(place)
    return said is not None and said.status == "stopped" and not said.reason.startswith(("SIG", "KeyboardInterrupt"))


def _reopened(place: Path, catalogue: Catalogue) -> tuple[Experiment, int]:
    """Open a run that was begun. A process that was killed may hold the run for a moment."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return reopen(place, catalogue)
        except errors.CheckpointError:
            raise
        except errors.RunError as error:
            if "is being trained by" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.2)


def _figures(place: Path) -> dict[str, Any]:
    """The last figures of a run, with the signs of trouble at the end."""
    lines = record.outline(place / "metrics.jsonl")
    newest: dict[str, float] = {}
    for line in lines:
        newest.update({tag: math.nan if value is None else value for tag, value in line.items()})
    step = int(newest.get("step", 0))
    kept = {tag: value for tag, value in newest.items() if tag.startswith("metrics/")}
    return {
        "figures": {tag.removeprefix("metrics/"): v if math.isfinite(v) else None for tag, v in kept.items()},
        "step": step,
        "images": int(newest.get("images", 0)),
        "signs": sorted(sign for sign, _ in signs(newest, step=step)),
    }


def _short(error: BaseException) -> str:
    """The fault without the advice, which differs between a run and the same run after an interruption."""
    return str(error).partition(":")[0] + ":" + str(error).partition(":")[2].partition(";")[0].partition(":")[0]


def end_with_parent() -> None:
    """End this process when the process that started it has gone, so that no orphan trains on.

    The environment variable GANZOO_PARENT holds the number of the parent.
    """
    parent = os.environ.get("GANZOO_PARENT", "")
    if not parent.isdecimal():
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.2)
        os._exit(130)

    threading.Thread(target=watch, name="ganzoo-parent", daemon=True).start()
