"""The table of a comparison, as Markdown, CSV and JSON. The same results give the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ganzoo.comparison.plan import Plan
from ganzoo.comparison.statistics import Estimate, estimate, verdict
from ganzoo.disk import record

FAILED = ("not finite", "out of memory", "error", "died")
"""The outcomes of a run that are failures. A collapse is counted beside."""


@dataclass
class Line:
    """A recipe in the table.

    Attributes:
        name: the name of the recipe.
        runs: the number of seeds.
        finished: the number of runs that made all steps.
        failures: the number of runs by kind of failure: ``not finite``, ``collapsed``, and so on.
        refused: the reason why the parts do not go together. Empty where they do.
        figures: the mean over the finished seeds by figure.
        differences: the paired differences to the baseline by figure, over the seeds that finished in both.
        verdicts: the difference in a word, by figure.
        images: the largest number of real images that a finished run saw. Schedules differ in the images of a step.
    """

    name: str
    runs: int
    finished: int
    failures: dict[str, int]
    refused: str
    figures: dict[str, Estimate] = field(default_factory=dict)
    differences: dict[str, Estimate] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    images: int = 0


@dataclass
class Table:
    """The table of a comparison.

    Attributes:
        title: what every run shares, in a line.
        baseline: the name of the baseline.
        interval: ``t`` or ``bootstrap``.
        directions: by figure, whether higher is better.
        lines: the recipes.
        missing: the runs without a result.
    """

    title: str
    baseline: str
    interval: str
    directions: Mapping[str, bool | None]
    lines: list[Line]
    missing: list[str]

    def markdown(self) -> str:
        """The table as Markdown."""
        shown = list(self.directions)
        arrows = {True: " (higher is better)", False: " (lower is better)", None: ""}
        heads = ["recipe", "runs", "failures", *(f"{name}{arrows[self.directions[name]]}" for name in shown)]
        uneven = len({line.images for line in self.lines if line.finished}) > 1
        heads += ["images"] * uneven
        rows = []
        for line in self.lines:
            if line.refused:
                rows.append([line.name, f"0/{line.runs}", f"refused: {line.refused}", *[""] * (len(shown) + uneven)])
                continue
            failures = ", ".join(f"{count} {kind}" for kind, count in line.failures.items()) or "none"
            cells = [_cell(line.figures.get(name), line.verdicts.get(name, "")) for name in shown]
            rows.append([line.name, f"{line.finished}/{line.runs}", failures, *cells, *[f"{line.images:,}"] * uneven])
        text = [self.title, "", _row(heads), _row(["---"] * len(heads)), *map(_row, rows), ""]
        kind = "Student's t" if self.interval == "t" else "bootstrap"
        text.append(
            f"Each cell: mean ± standard deviation over seeds [95 % interval of the mean, {kind}], and the paired "
            f"comparison with `{self.baseline}` over the same seeds. Failed runs are counted, and no mean holds them."
        )
        if self.missing:
            text.append(f"\n{len(self.missing)} runs have no result yet.")
        return "\n".join(text) + "\n"

    def csv(self) -> str:
        """The table as CSV: a line for each recipe and figure."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        keys = ("count", "mean", "sd", "low", "high")
        writer.writerow(
            ["recipe", "runs", "finished", "failures", "refused", "figure", *keys]
            + [f"difference_{key}" for key in keys]
            + ["verdict"]
        )
        for line in self.lines:
            failures = "; ".join(f"{count} {kind}" for kind, count in line.failures.items())
            head = [line.name, line.runs, line.finished, failures, line.refused]
            for name in line.figures or [""]:
                found, other = line.figures.get(name), line.differences.get(name)
                numbers = [_number(getattr(each, key)) if each else "" for each in (found, other) for key in keys]
                writer.writerow([*head, name, *numbers, line.verdicts.get(name, "")])
        return out.getvalue()

    def json(self) -> str:
        """The table as JSON."""
        return json.dumps(record.finite(asdict(self)), indent=1) + "\n"


def tabulate(
    plan: Plan, results: Mapping[str, Mapping[str, Any] | None], directions: Mapping[str, bool | None]
) -> Table:
    """Make the table.

    Args:
        plan: the plan.
        results: the result of each run by name, or None where there is none yet.
        directions: by figure, whether higher is better.

    Returns:
        The table.
    """
    rows = plan.recipes()
    of_row: dict[str, dict[int, Mapping[str, Any]]] = {row.name: {} for row in rows}
    for name, row, seed in plan.runs():
        if (result := results.get(name)) is not None:
            of_row[row.name][seed] = result
    baseline = plan.baseline or rows[0].name
    lines = [
        _line(row.name, plan, of_row[row.name], of_row[baseline], directions, row.name == baseline) for row in rows
    ]
    shown = {name: up for name, up in directions.items() if any(name in line.figures for line in lines)}
    return Table(
        title=_title(plan, of_row),
        baseline=baseline,
        interval=plan.interval,
        directions=shown,
        lines=lines,
        missing=[name for name, _, _ in plan.runs() if results.get(name) is None],
    )


def _line(
    name: str,
    plan: Plan,
    own: Mapping[int, Mapping[str, Any]],
    baseline: Mapping[int, Mapping[str, Any]],
    directions: Mapping[str, bool | None],
    is_baseline: bool,
) -> Line:
    finished = {seed: result for seed, result in own.items() if result["status"] == "finished"}
    failures: dict[str, int] = {}
    for result in own.values():
        kinds = [result["status"]] if result["status"] in FAILED else []
        kinds += ["collapsed"] if result["status"] == "finished" and "collapse" in result.get("signs", ()) else []
        for kind in kinds:
            failures[kind] = failures.get(kind, 0) + 1
    reasons = [result["reason"] for result in own.values() if result["status"] == "refused"]
    line = Line(name, len(plan.seeds), len(finished), failures, reasons[0] if reasons else "")
    line.images = max((result.get("images", 0) for result in finished.values()), default=0)

    def values(results: Mapping[int, Mapping[str, Any]], figure: str) -> dict[int, float]:
        return {
            seed: result["figures"][figure]
            for seed, result in sorted(results.items())
            if result["status"] == "finished" and result["figures"].get(figure) is not None
        }

    for figure, up in directions.items():
        mine, theirs = values(own, figure), values(baseline, figure)
        if not mine:
            continue
        line.figures[figure] = estimate(list(mine.values()), plan.interval)
        if not is_baseline and theirs:
            pairs = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
            line.differences[figure] = estimate(pairs, plan.interval)
            line.verdicts[figure] = verdict(line.differences[figure], up)
    return line


def _title(plan: Plan, of_row: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """What the runs share: seeds, and the budget."""
    images = sorted({r["images"] for each in of_row.values() for r in each.values() if r["status"] == "finished"})
    budget = f"{images[0]:,} real images a run" if len(images) == 1 else "runs of different lengths"
    if len(images) > 1:
        budget += f", {images[0]:,} to {images[-1]:,} real images"
    return f"{len(plan.recipes())} recipes, {len(plan.seeds)} seeds, {budget if images else 'no finished run'}."


def _cell(found: Estimate | None, word: str) -> str:
    if found is None:
        return "none"
    text = f"{found.mean:.4g}"
    if found.count > 1:
        text += f" ± {found.sd:.2g} [{found.low:.4g}, {found.high:.4g}]"
    return f"{text} {word}".rstrip()


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _number(value: float) -> str:
    return repr(value) if isinstance(value, int) or math.isfinite(value) else ""
