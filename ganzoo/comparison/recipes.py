"""Compare recipes over seeds: make the runs, survive interruptions, and write the table."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ganzoo import errors
from ganzoo.comparison import curves, job, table
from ganzoo.comparison.plan import Plan, Row, check_settings, read, write
from ganzoo.disk import pictures, record
from ganzoo.disk.lock import Lock
from ganzoo.names import one_line
from ganzoo.parts import Engine, Job
from ganzoo.plugins import Catalogue
from ganzoo.recipe.resume import reload
from ganzoo.words import PartSpec

ATTEMPTS = 3
"""How often a run is handed out when its process dies. The run is then counted as failed."""

SHOWN = 8
"""Samples of each recipe on the sheet."""

MOST_ROWS = 40
"""Recipes on the sheet and among the curves."""


def engine(catalogue: Catalogue, text: str) -> Engine:
    """Make the engine that a user named.

    Args:
        catalogue: the source of parts.
        text: ``NAME``, ``NAME:key=value,...``, or ``NAME:TEXT``, where the text is the value of the engine's
            ``text_parameter``.

    Returns:
        The engine.

    Raises:
        GanzooError: the engine or a parameter is unknown.
    """
    name, colon, rest = text.partition(":")
    given: object = text
    if colon and not re.match(r"\s*[A-Za-z_]\w*\s*=", rest):
        main = getattr(catalogue.load(catalogue.find("engine", name.strip())), "text_parameter", None)
        if not isinstance(main, str):
            raise errors.BadWords(
                f"--on {text!r}: engine {name} takes key=value, such as `ganzoo show engine:{name}` says"
            )
        given = PartSpec(name.strip(), {main: rest})
    _, made = catalogue.make("engine", given)
    assert isinstance(made, Engine)
    return made


def compare(
    plan: Plan,
    folder: Path,
    catalogue: Catalogue,
    *,
    on: str = "local",
    jobs: int | None = None,
    say: Callable[[str], object] = print,
) -> table.Table:
    """Make the runs of a plan that have no result, and write the table, the curves and the sheet of samples.

    The call may be killed at any time. The next call goes on, and ends with the same table.

    Args:
        plan: the plan.
        folder: the folder of the comparison, which is made if missing.
        catalogue: the source of parts.
        on: the engine, as for ``--on``.
        jobs: the number of runs at the same time. None leaves the choice to the engine.
        say: shows a line to the user.

    Returns:
        The table.

    Raises:
        GanzooError: the plan, a setting, the folder or the engine cannot be used.
    """
    carrier = engine(catalogue, on)
    check_settings(plan, catalogue)
    folder = folder.resolve()
    write(plan, folder)
    (folder / "logs").mkdir(exist_ok=True)
    lock = _lock(folder)
    try:
        waiting = _waiting(plan, folder)
        total = len(list(plan.runs()))
        for attempt in range(1, ATTEMPTS + 1):
            if not waiting:
                break
            done = total - len(waiting)
            say(f"{len(waiting)} of {total} runs to make on {on}" + (f", {done} have a result" if done else ""))
            carrier.perform(waiting, jobs)
            left = _waiting(plan, folder)
            if not carrier.waits:
                say(f"{len(left)} runs were handed over; make the table with: ganzoo compare {folder}")
                break
            if attempt == ATTEMPTS:
                _give_up(plan, folder, left)
            waiting = left
    finally:
        lock.release()
    return report(plan, folder, catalogue)


def _lock(folder: Path) -> Lock:
    """Let one process manage the comparison."""
    try:
        return Lock(folder, lambda line: None)
    except errors.RunError as error:
        raise errors.RunError(str(error).replace("is being trained by", "is a comparison that is made by")) from error


def _waiting(plan: Plan, folder: Path) -> list[Job]:
    """The runs without a result, as jobs."""
    return [
        Job(
            name=name,
            command=(sys.executable, "-P", "-m", "ganzoo", "compare", str(folder), "--only", name),
            folder=Path.cwd(),
            log=folder / "logs" / f"{name}.log",
            done=partial(job.is_done, folder, name),
        )
        for name, _, _ in plan.runs()
        if not job.is_done(folder, name)
    ]


def _give_up(plan: Plan, folder: Path, left: Sequence[Job]) -> None:
    """Count runs whose processes died again and again as failed."""
    rows = {name: (row.name, seed) for name, row, seed in plan.runs()}
    for each in left:
        row, seed = rows[each.name]
        reason = f"the process died {ATTEMPTS} times: see {each.log.relative_to(folder)}"
        died = {"row": row, "seed": seed, "status": "died", "reason": reason, "figures": {}, "signs": []}
        job.write_result(folder, each.name, died)


def report(plan: Plan, folder: Path, catalogue: Catalogue) -> table.Table:
    """Write table.md, table.csv, table.json, curves.png and samples.png from the results.

    Args:
        plan: the plan.
        folder: the folder of the comparison.
        catalogue: the source of parts.

    Returns:
        The table.

    Raises:
        RunError: the folder cannot be written.
    """
    results = {name: job.read_result(folder, name) for name, _, _ in plan.runs()}
    directions = _directions(plan, catalogue, results)
    made = table.tabulate(plan, results, directions)
    try:
        for name, text in {"table.md": made.markdown(), "table.csv": made.csv(), "table.json": made.json()}.items():
            draft = folder / f".{name}"
            draft.write_text(text, encoding="utf-8")
            draft.replace(folder / name)
        finished = [run for run in plan.runs() if (found := results[run[0]]) and found["status"] == "finished"]
        if finished:
            _draw_curves(folder, finished, list(made.directions))
            _draw_samples(folder, finished, catalogue)
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be written ({error.strerror}): make room or give it back") from error
    return made


def _directions(
    plan: Plan, catalogue: Catalogue, results: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, bool | None]:
    """The figures of the plan's metrics, with the direction of each."""
    from ganzoo.recipe.gather import gather

    found: dict[str, bool | None] = {}
    for row in plan.recipes():
        try:
            parts = gather(plan.settings(row, plan.seeds[0], catalogue), catalogue)
        except errors.GanzooError:
            continue
        for label, metric in parts.metrics.items():
            found |= {f"{label}/{name}": up for name, up in metric.figures.items()}
    for result in results.values():
        found |= {name: None for name in (result or {}).get("figures", {}) if name not in found}
    return found


def _draw_curves(folder: Path, finished: Sequence[tuple[str, Row, int]], figures: Sequence[str]) -> None:
    panels: dict[str, dict[str, list[curves.Curve]]] = {figure: {} for figure in figures}
    for name, row, _ in finished:
        lines = record.outline(folder / "runs" / name / "metrics.jsonl")
        for figure in figures:
            tag = f"metrics/{figure}"
            points = [(line["images"], math.nan if line[tag] is None else line[tag]) for line in lines if tag in line]
            if points:
                panels[figure].setdefault(row.name, []).append(points)
    drawn = {
        figure: {name: [curves.mean_curve(runs)] for name, runs in list(of.items())[:MOST_ROWS]}
        for figure, of in panels.items()
        if of
    }
    if drawn:
        curves.draw(drawn).save(folder / "curves.png")


def _draw_samples(folder: Path, finished: Sequence[tuple[str, Row, int]], catalogue: Catalogue) -> None:
    """A row of samples for each recipe, from the same noise, of the first seed that finished."""
    first: dict[str, str] = {}
    for name, row, _ in finished:
        first.setdefault(row.name, name)
    shown = {}
    for title, name in list(first.items())[:MOST_ROWS]:
        try:
            run = reload(folder / "runs" / name, catalogue)
            if run.spec.inputs:
                continue
            points = run.spec.shape == (2,)
            shown[title] = pictures.picture(run.sample(pictures.POINTS if points else SHOWN), SHOWN)
        except errors.GanzooError as error:
            print(f"warning: {name} is not on the sheet of samples: {one_line(error)}", file=sys.stderr)
    if shown:
        pictures.save(pictures.titled(shown), folder / "samples.png")


def open_folder(folder: Path) -> Plan:
    """Read the plan of a comparison that was begun.

    Args:
        folder: the folder of the comparison.

    Returns:
        The plan.

    Raises:
        SettingsError: the folder holds no plan.
    """
    return read(folder)
