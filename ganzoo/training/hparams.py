"""What TensorBoard knows of a run as a whole: a row of the hparams table, the settings, the command, the versions."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections import deque
from collections.abc import Mapping

from ganzoo import words
from ganzoo.disk.regular import parse_json, read_text
from ganzoo.disk.status import Status
from ganzoo.disk.tags import About
from ganzoo.errors import RunError
from ganzoo.training import diagnostics, health
from ganzoo.training.run import Run

PARTS_SHOWN = {
    "1 arch": "arch",
    "2 data": "data",
    "3 loss": "loss",
    "4 regularizers": "regularizers",
    "6 schedule": "schedule",
}
"""The first columns of the hparams table, beside ``board.STATUS_COLUMN``. TensorBoard sorts the columns by name and
shows the first five. The parallel coordinates leave out a run that lacks one of them. So the first columns are columns
of every run."""

SETTINGS_SHOWN = ("batch_size", "d_arch", "d_optimizer", "ema", "g_optimizer", "latent_dim", "precision", "seed")
"""The settings that are columns. The columns begin with ``settings/``, a later letter than the names of the kinds."""

BAND_OF = 5
"""The number of last values of a figure whose range is the band in the custom scalars."""

NO_RECIPE = ("seed", "logdir", "name", "device", "threads", "log_every", "sample_every", "checkpoint_every", "keep")
"""Settings that two runs of one recipe may differ in."""


def columns(run: Run) -> dict[str, object]:
    """The row of a run in the hparams table: the parts, every parameter of every part, and the main settings.

    TensorBoard gives a table the columns of all runs. A run without a parameter has an empty cell there.

    Args:
        run: the run.

    Returns:
        The values by column, such as ``{"3 loss": "hinge", "regularizers r1.gamma": 10.0}``.
    """
    settings = {**words.plain(run.settings), **run.parts.labels}
    row: dict[str, object] = {column: run.parts.labels[key] for column, key in PARTS_SHOWN.items()}
    same = {"d_arch": "arch", "g_optimizer": "d_optimizer", "optimizer": "d_optimizer"}
    for setting, specs in run.parts.specs.items():
        if setting in same and run.parts.labels[setting] == run.parts.labels[same[setting]]:
            continue  # the two settings name one part: one column is enough
        for spec in specs:
            for key, value in spec.plain().items():
                if key != "name":
                    row[f"{setting} {spec.label}.{key}"] = _plain(value)
    row.update({f"settings/{key}": _plain(settings[key]) for key in SETTINGS_SHOWN if key in settings})
    return row


class Figures:
    """The best figures of a run so far, and the range of the last figures.

    Args:
        run: the run, whose metrics say which way is better.
    """

    def __init__(self, run: Run) -> None:
        self.directions = directions(run)
        self.best: dict[str, float] = {}
        self.last: dict[str, deque[float]] = {tag: deque(maxlen=BAND_OF) for tag in self.directions}

    def update(self, values: Mapping[str, float]) -> dict[str, float]:
        """Take figures of a step.

        Args:
            values: scalars by tag.

        Returns:
            For each figure among the values: the best value so far, by tags such as ``best/fid/value``, and the lowest
            and the highest of the last ``BAND_OF`` values, by tags such as ``spread/fid/value/lowest``.
        """
        found = {}
        for tag, up in self.directions.items():
            value = values.get(tag)
            if value is None or not math.isfinite(value):
                continue
            last = self.last[tag]
            last.append(value)
            name = tag.removeprefix("metrics/")
            found[f"spread/{name}/lowest"], found[f"spread/{name}/highest"] = min(last), max(last)
            if up is not None:
                old = self.best.get(name, value)
                found[f"best/{name}"] = self.best[name] = max(old, value) if up else min(old, value)
        return found


def directions(run: Run) -> dict[str, bool | None]:
    """The figures of a run's metrics by tag, and whether higher is better.

    Args:
        run: the run.
    """
    return {
        f"metrics/{name}/{key}": up for name, metric in run.parts.metrics.items() for key, up in metric.figures.items()
    }


def about(run: Run) -> About:
    """What TensorBoard is told of a run as a whole.

    Args:
        run: the run.
    """
    found = directions(run)
    described = {}
    for name, metric in run.parts.metrics.items():
        summary = words.documented(type(metric)).summary
        for key in metric.figures:
            way = {True: " Higher is better.", False: " Lower is better.", None: ""}[found[f"metrics/{name}/{key}"]]
            described[f"metrics/{name}/{key}"] = (
                f"The figure {key} of {name}. {summary}{way} Bad: a figure that gets worse for long."
            )
    return About(columns(run), texts(run), group(run), [tag for tag, up in found.items() if up is not None], described)


def group(run: Run) -> str:
    """The name that all runs of one recipe share, whatever the seed. The hparams table groups such runs.

    Args:
        run: the run.

    Returns:
        The names of the parts and a short digest of all settings.
    """
    settings = {key: value for key, value in words.plain(run.settings).items() if key not in NO_RECIPE}
    text = json.dumps([settings, run.parts.labels], sort_keys=True, default=str)
    return f"{run.parts.labels['arch']} {run.parts.labels['loss']} {hashlib.sha256(text.encode()).hexdigest()[:6]}"


def texts(run: Run) -> dict[str, str]:
    """The texts of a run in Markdown: the settings, and the command with versions and warnings.

    Args:
        run: the run.

    Returns:
        The texts by tag.
    """
    settings = {**words.plain(run.settings), **run.parts.labels}
    lines = ["| setting | value |", "| --- | --- |"]
    lines += [f"| {key} | `{value}` |" for key, value in settings.items()]
    try:
        found = parse_json(_read(run, "environment.json"))
    except ValueError:
        found = {}
    facts: Mapping[str, object] = found if isinstance(found, dict) else {}
    command = _read(run, "command.txt").strip()
    said = ["**command**", "", f"    {command or shlex.join(['ganzoo', 'run'])}", ""]
    said += [f"- {key}: {facts[key]}" for key in ("ganzoo", "torch", "python", "device", "threads") if key in facts]
    said += [f"- processes: {facts['processes']}"] if facts.get("processes", 1) != 1 else []
    said += ["", "**warnings**", "", *(f"- {line}" for line in run.warnings)] if run.warnings else []
    said += ["", "**decided by ganzoo**", "", *(f"- {line}" for line in run.choices)] if run.choices else []
    return {"settings": "\n".join(lines), "run": "\n".join(said)}


def outcome(run: Run, ending: Status) -> str:
    """Describe the end of a run in Markdown.

    Args:
        run: the run, whose records are read.
        ending: what became of the training.

    Returns:
        The status, the reason, the health in words, signs of trouble, and the last and the best figures.
    """
    from ganzoo.disk import record  # imports TensorBoard, which is slow, so not at the top

    lines = [f"**{ending.status}** after step {ending.step} of {ending.until}", "", ending.reason, ""]
    figures = Figures(run)
    try:
        records = record.outline(run.dir / "metrics.jsonl")
    except RunError:
        records = []
    for line in records:
        figures.update({k: v for k, v in line.items() if isinstance(v, float)})
    lines += [f"**health**: {health.summary(records, figures.directions)}", ""]
    lines += [f"- {line}" for _, line in diagnostics.signs(run.metrics, step=ending.step)]
    for tag in figures.directions:
        if tag in run.metrics:
            name = tag.removeprefix("metrics/")
            best = f", best {figures.best[name]:.5g}" if name in figures.best else ""
            lines.append(f"- {name.replace('/', ' ')}: {run.metrics[tag]:.5g}{best}")
    return "\n".join(lines)


def _plain(value: object) -> object:
    if value is None:
        return "none"
    return value if isinstance(value, bool | int | float | str) else str(value)


def _read(run: Run, name: str) -> str:
    try:
        return read_text(run.dir / name)
    except (OSError, ValueError):
        return ""
