"""What TensorBoard knows of a run as a whole: a row of the hparams table, the settings, the command, the versions."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from ganzoo import words
from ganzoo.training.run import Run

PARTS_SHOWN = ("arch", "data", "loss", "regularizers", "schedule")
"""The first columns of the hparams table. TensorBoard sorts the columns by name and shows the first five."""

SETTINGS_SHOWN = ("batch_size", "d_arch", "d_optimizer", "ema", "g_optimizer", "latent_dim", "precision", "seed")
"""The settings that are columns. The columns begin with ``settings/``, a later letter than the names of the kinds."""

NO_RECIPE = ("seed", "logdir", "name", "device", "threads", "log_every", "sample_every", "checkpoint_every", "keep")
"""Settings that two runs of one recipe may differ in."""


def columns(run: Run) -> dict[str, Any]:
    """The row of a run in the hparams table: the parts, every parameter of every part, and the main settings.

    TensorBoard gives a table the columns of all runs. A run without a parameter has an empty cell there.

    Args:
        run: the run.

    Returns:
        The values by column, such as ``{"loss": "hinge", "regularizers r1.gamma": 10.0}``.
    """
    settings = {**words.plain(run.settings), **run.parts.labels}
    row: dict[str, Any] = {key: run.parts.labels[key] for key in PARTS_SHOWN}
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


def best_so_far(run: Run, values: Mapping[str, float], best: dict[str, float]) -> dict[str, float]:
    """Compare the figures of metrics with the best figures so far.

    Args:
        run: the run, whose metrics say which way is better.
        values: scalars by tag.
        best: the best figures so far by tag. Better figures are written here.

    Returns:
        The best figures of the metrics that ``values`` holds, by tags such as ``best/fid/value``.
    """
    found = {}
    for name, metric in run.parts.metrics.items():
        for key, up in metric.figures.items():
            value, tag = values.get(f"metrics/{name}/{key}"), f"best/{name}/{key}"
            if up is None or value is None or not math.isfinite(value):
                continue
            old = best.get(tag, value)
            found[tag] = best[tag] = max(old, value) if up else min(old, value)
    return found


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
    environment = _read(run, "environment.json")
    try:
        facts: Mapping[str, Any] = json.loads(environment)
    except ValueError:
        facts = {}
    command = _read(run, "command.txt").strip()
    said = ["**command**", "", f"    {command or shlex.join(['ganzoo', 'run'])}", ""]
    said += [f"- {key}: {facts[key]}" for key in ("ganzoo", "torch", "python", "device", "threads") if key in facts]
    said += [f"- processes: {facts['processes']}"] if facts.get("processes", 1) != 1 else []
    said += ["", "**warnings**", "", *(f"- {line}" for line in run.warnings)] if run.warnings else []
    said += ["", "**decided by ganzoo**", "", *(f"- {line}" for line in run.choices)] if run.choices else []
    return {"settings": "\n".join(lines), "run": "\n".join(said)}


def _plain(value: object) -> object:
    if value is None:
        return "none"
    return value if isinstance(value, bool | int | float | str) else str(value)


def _read(run: Run, name: str) -> str:
    try:
        return (run.dir / name).read_text(encoding="utf-8")
    except OSError:
        return ""
