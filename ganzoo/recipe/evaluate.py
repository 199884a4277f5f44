"""Compute metrics on a run after training, or while another process trains the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo import errors
from ganzoo.data import choose
from ganzoo.data.feed import Feed
from ganzoo.disk import checkpoint
from ganzoo.names import user_path
from ganzoo.recipe.real_samples import held_out
from ganzoo.recipe.resume import reload
from ganzoo.recipe.settings import PartSource
from ganzoo.speed import hardware
from ganzoo.training.distributed import SINGLE_PROCESS, Processes, join, leave
from ganzoo.training.run import Run
from ganzoo.training.scoring import metric_seed, require_samples, sample_count, score
from ganzoo.training.steps import conditions

EVALUATIONS = "evaluations.jsonl"
"""The file of a run directory with the figures that were computed apart from training."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one metric at one checkpoint.

    Attributes:
        run: the run directory.
        step: the step of the checkpoint.
        images: the number of real images that training had seen.
        metric: the metric with every parameter that differs from the default.
        label: the name of the metric in records.
        source: ``ema`` or ``generator``.
        seed: the seed of the generated samples.
        samples: the number of generated samples.
        figures: the figures by name. A figure that is not finite is NaN.
        tags: the figures by tag, as training records the same figures. A tag names the source, the seed and the number
            of samples where they differ from those of training.
    """

    run: Path
    step: int
    images: int
    metric: str
    label: str
    source: str
    seed: int
    samples: int
    figures: Mapping[str, float]
    tags: Mapping[str, float]

    def plain(self) -> dict[str, object]:
        """Convert the evaluation to JSON data."""
        return {**vars(self), "run": str(self.run), "figures": dict(self.figures), "tags": dict(self.tags)}


def evaluate(
    run_dir: str | Path,
    catalogue: PartSource,
    *,
    metrics: object = None,
    which: str | int = "newest",
    source: str = "auto",
    samples: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    parts: Mapping[str, object] | None = None,
    record: bool = True,
) -> Iterator[Evaluation]:
    """Compute metrics at checkpoints of a run, and append the figures to the run's records.

    Args:
        run_dir: the run directory. Another process may train the run at the same time.
        catalogue: the source in which parts are looked up.
        metrics: the metrics, as for the setting ``metrics``. None takes the metrics of the run.
        which: the checkpoint: ``newest``, ``best``, ``all`` or a step.
        source: ``ema``, ``generator``, ``auto`` (the average if the run keeps one) or ``both``.
        samples: the number of samples instead of the metric's own.
        seed: the seed of the generated samples. None takes the seed that training uses.
        device: the device to compute on. None takes the device of the run's settings.
        parts: the parts that were given as Python objects, by setting.
        record: whether to append the figures to ``evaluations.jsonl`` and to TensorBoard.

    Yields:
        The figures of each metric at each checkpoint.

    Raises:
        RunError: the directory is no run directory, or a checkpoint is missing.
        CheckpointError: the data are not the data that the run was trained on.
        Incompatible: the run has no metric, or a metric does not suit the run.
    """
    given = dict(parts or {}) | ({"metrics": metrics} if metrics else {})
    steps: list[str | int] = [which]
    if which == "all":
        steps = [checkpoint.step_of(place) for place in checkpoint.found(user_path(run_dir) / "checkpoints")]
        if not steps:
            raise errors.CheckpointError(f"there is no checkpoint in {user_path(run_dir) / 'checkpoints'}")
    try:
        reals: Feed | None = None
        for step in steps:
            run = reload(run_dir, catalogue, given, which=step, device=device)
            processes = join(run.device)
            with processes.relay_errors(), hardware.room("there is no memory for the metrics: give fewer --samples"):
                chosen = run.parts.metrics
                if not chosen:
                    raise errors.Incompatible(
                        f"{run.dir} was trained without a metric: name one with --metric, in Python metrics="
                    )
                reals = _reals(run, any(metric.held_out for metric in chosen.values())) if reals is None else reals
                _require_same_data(run, reals)
                for label, metric in chosen.items():
                    require_samples(run, label, metric, reals)
                for found in _at(run, reals, processes, source, samples, seed):
                    if record and processes.is_main:
                        append(found)
                    yield found
    finally:
        leave()


def _at(
    run: Run,
    reals: Feed,
    processes: Processes,
    source: str,
    samples: int | None,
    seed: int | None,
) -> Iterator[Evaluation]:
    """The figures at the checkpoint that a run was read from."""
    own = "ema" if run.ema is not None else "generator"
    sources = ["ema", "generator"] if source == "both" and run.ema is not None else [source]
    number = metric_seed(run) if seed is None else seed
    names = {spec.label: str(spec) for spec in run.parts.specs["metrics"]}
    for label, metric in run.parts.metrics.items():
        for weights in sources:
            used = own if weights in ("auto", "both") else weights
            team = processes if metric.streams() else SINGLE_PROCESS
            found: dict[str, float] = {}
            if processes.is_main or metric.streams():
                with conditions(run):
                    found = score(run, label, metric, reals, seed=number, source=used, count=samples, processes=team)
            found = processes.broadcast_object(found)
            count = metric.samples if samples is None else samples
            suffix = "".join(
                [
                    f"/{used}" if used != own else "",
                    f"/seed{number}" if number != metric_seed(run) else "",
                    f"/samples{count}" if count != metric.samples else "",
                ]
            )
            yield Evaluation(
                run=run.dir,
                step=run.step,
                images=run.state.counters.images,
                metric=names[label],
                label=label,
                source=used,
                seed=number,
                samples=sample_count(run, metric, reals, samples),
                figures={tag.removeprefix(f"metrics/{label}/"): value for tag, value in found.items()},
                tags={tag + suffix: value for tag, value in found.items()},
            )


def _reals(run: Run, with_held_out: bool) -> Feed:
    """The samples that training sees."""
    with hardware.random_state_kept(run.device):
        data = run.parts.data
        made = choose.feed(data.dataset(), run.parts.labels["data"], 1, run.settings.seed, run.device, run.dtype, data)
        made.keep_inputs(run.spec.inputs)
        if with_held_out or made.inputs:
            made.held_out = held_out(run)
    return made


def _require_same_data(run: Run, reals: Feed) -> None:
    """Refuse other data than the run was trained on: the figures would compare with strangers.

    Raises:
        CheckpointError: the data differ.
    """
    was, now = run.identity.get("data", {}), reals.fingerprint()
    keys = [key for key in ("size", "shape", "classes", "digest", "content") if key in was and key in now]
    changed = next((key for key in keys if was[key] != now[key]), None)
    if changed is not None:
        differs = (
            "its samples are not the same"
            if changed in ("digest", "content")
            else (f"{changed} was {was[changed]} and is {now[changed]}")
        )
        raise errors.CheckpointError(
            f"{run.dir} was trained on other data: {differs}; give the data it was trained on, as its config.yaml names"
        )


def append(found: Evaluation) -> None:
    """Append figures to ``evaluations.jsonl`` and to TensorBoard, at the step of the checkpoint.

    Args:
        found: the figures.

    Raises:
        RunError: the run directory cannot be written.
    """
    from ganzoo.disk.record import append_line, board_scalars

    line = {key: value for key, value in found.plain().items() if key != "run"}
    append_line(found.run / EVALUATIONS, line)
    board_scalars(found.run, found.step, found.tags)


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """Read the figures that were computed apart from training.

    Args:
        folder: the run directory.

    Returns:
        A mapping for each evaluation, the oldest first: the fields of ``Evaluation`` without ``run``. A repeated
        evaluation stands in the list once.
    """
    from ganzoo.disk.record import read

    found: dict[str, dict[str, Any]] = {}
    for line in read(folder / EVALUATIONS):
        if isinstance(line.get("tags"), dict):
            key = json.dumps([line.get(name) for name in ("step", "metric", "source", "seed", "samples")])
            found.pop(key, None)
            found[key] = line
    return list(found.values())
