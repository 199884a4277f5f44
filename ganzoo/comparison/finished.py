"""Compare finished runs: the settings that differ, and the figures at equal images and at equal time."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganzoo import errors
from ganzoo.comparison import curves
from ganzoo.disk import checkpoint, pictures, record
from ganzoo.plugins import Catalogue
from ganzoo.recipe.evaluate import evaluations
from ganzoo.recipe.resume import reload
from ganzoo.recipe.settings import RESUME_MAY_CHANGE, read_config
from ganzoo.words import labels_of

SHOWN = 8
"""Samples of each run on the sheet."""


@dataclass(frozen=True)
class Compared:
    """A comparison of finished runs.

    Attributes:
        runs: the run directories.
        settings: by setting, the value of each run. Only settings that differ.
        images: the number of images up to which all runs were trained.
        seconds: the seconds of training up to which all runs were trained.
        at_images: by figure, the value of each run at the last record up to ``images``, or None.
        at_seconds: by figure, the value of each run at the last record up to ``seconds``, or None.
        notes: remarks, such as data that differ.
    """

    runs: list[str]
    settings: dict[str, list[str]]
    images: int
    seconds: float
    at_images: dict[str, list[float | None]]
    at_seconds: dict[str, list[float | None]]
    notes: list[str]

    def markdown(self) -> str:
        """The comparison as Markdown."""
        text = [_row(["", *self.runs]), _row(["---"] * (len(self.runs) + 1))]
        text += [_row([f"`{key}`", *values]) for key, values in self.settings.items()]
        for what, table in (
            (f"at {self.images:,} images", self.at_images),
            (f"at {self.seconds:.3g} s of training", self.at_seconds),
        ):
            text += [
                _row([f"{figure} {what}", *("none" if value is None else f"{value:.5g}" for value in values)])
                for figure, values in table.items()
            ]
        return "\n".join([*text, *(f"\n{note}" for note in self.notes)]) + "\n"

    def csv(self) -> str:
        """The comparison as CSV: a line for each run and figure."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["run", *self.settings, "figure", "at_images", "at_seconds"])
        for k, run in enumerate(self.runs):
            for figure in self.at_images:
                values = (self.at_images[figure][k], self.at_seconds[figure][k])
                settings = [each[k] for each in self.settings.values()]
                writer.writerow([run, *settings, figure, *("" if v is None else repr(v) for v in values)])
        return out.getvalue()

    def json(self) -> str:
        """The comparison as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def compare(
    runs: Sequence[str | Path], catalogue: Catalogue, folder: Path | None, *, different_data: bool = False
) -> Compared:
    """Compare finished runs.

    Args:
        runs: run directories, at least two.
        catalogue: the source of parts.
        folder: where to write table.md, table.csv, table.json, curves.png and samples.png. None writes nothing.
        different_data: whether runs of different data may stand in one table.

    Returns:
        The comparison.

    Raises:
        RunError: a directory is no run directory.
        SettingsError: a single run is given, or the runs were trained on different data.
    """
    places = [Path(run) for run in runs]
    if len(places) < 2:
        raise errors.SettingsError("a comparison takes two runs or more: give further run directories, or --vary")
    configs = []
    for place in places:
        if not (place / "config.yaml").is_file():
            raise errors.RunError(f"{place} is no run directory: it has no config.yaml; give one of `ganzoo run`")
        configs.append(_flat(read_config(place / "config.yaml")))
    notes = _notes(places, different_data)
    settings = {
        key: [str(config.get(key, "-")) for config in configs]
        for key in dict.fromkeys(key for config in configs for key in config)
        if len({str(config.get(key, "-")) for config in configs}) > 1 and key.split(".")[0] not in RESUME_MAY_CHANGE
    }
    records = [_records(place) for place in places]
    if empty := [str(place) for place, lines in zip(places, records, strict=True) if not lines]:
        raise errors.RunError(f"{empty[0]} has no records: give runs that were trained")
    images = min(lines[-1]["images"] for lines in records)
    seconds = min(lines[-1]["seconds"] for lines in records)
    figures = sorted({tag for lines in records for line in lines for tag in line if tag.startswith("metrics/")})
    found = Compared(
        runs=[str(place) for place in places],
        settings=settings,
        images=int(images),
        seconds=seconds,
        at_images=_at(records, figures, "images", images),
        at_seconds=_at(records, figures, "seconds", seconds),
        notes=notes,
    )
    if folder is not None:
        _write(found, records, figures, folder, places, catalogue)
    return found


def _notes(places: Sequence[Path], different_data: bool) -> list[str]:
    """A remark where the runs were trained on different data.

    Raises:
        SettingsError: the data differ, and the user did not allow the comparison.
    """
    known = {}
    for place in places:
        data = checkpoint.newest(place / "checkpoints").numbers.get("data", {})
        known[str(place)] = {key: data.get(key) for key in ("size", "shape", "classes", "content")}
    first, *others = known
    other = next((place for place in others if known[place] != known[first]), None)
    if other is None:
        return []
    key = next(key for key in known[first] if known[first][key] != known[other][key])
    values = f" ({key} {known[first][key]} and {known[other][key]})" if key != "content" else ""
    said = f"{first} and {other} were trained on different data{values}"
    if not different_data:
        raise errors.SettingsError(f"{said}: figures do not compare; give --different-data all the same")
    return [f"Note: {said}: figures of different data do not compare."]


def _records(place: Path) -> list[dict[str, Any]]:
    """The figures of a run in order, with the seconds of training, and the figures of evaluations in their place."""
    late: dict[int, dict[str, float]] = {}
    for each in evaluations(place):
        late.setdefault(each["step"], {}).update(each["tags"])
    found, seconds, before = [], 0.0, 0
    last: dict[str, Any] = {}
    for line in record.lines(place / "metrics.jsonl"):
        speed = line.get("speed/images_per_second")
        if speed:
            seconds += (line["images"] - before) / speed
            before = line["images"]
        figures = {tag: value for tag, value in line.items() if tag.startswith("metrics/")}
        figures |= late.pop(line["step"], {})
        last = {"step": line["step"], "images": line.get("images", before), "seconds": seconds, **figures}
        if figures:
            found.append(last)
    return found if not last or found[-1:] == [last] else [*found, last]


def _at(
    records: Sequence[Sequence[Mapping[str, Any]]], figures: Sequence[str], axis: str, end: float
) -> dict[str, list[float | None]]:
    """By figure, the last value of each run up to a place of an axis."""
    table: dict[str, list[float | None]] = {}
    for figure in figures:
        row = []
        for lines in records:
            values = [line[figure] for line in lines if figure in line and line[axis] <= end]
            row.append(values[-1] if values else None)
        table[figure.removeprefix("metrics/")] = row
    return table


def _write(
    found: Compared,
    records: Sequence[Sequence[Mapping[str, Any]]],
    figures: Sequence[str],
    folder: Path,
    places: Sequence[Path],
    catalogue: Catalogue,
) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"table.md": found.markdown(), "table.csv": found.csv(), "table.json": found.json()}.items():
            (folder / name).write_text(text, encoding="utf-8")
        panels = {
            figure.removeprefix("metrics/"): {
                str(place): [
                    [
                        (line["images"], math.nan if line[figure] is None else line[figure])
                        for line in lines
                        if figure in line
                    ]
                ]
                for place, lines in zip(places, records, strict=True)
            }
            for figure in figures
        }
        if panels:
            curves.draw(panels).save(folder / "curves.png")
        shown = {}
        for place in places:
            run = reload(place, catalogue)
            if not run.spec.inputs:
                points = run.spec.shape == (2,)
                shown[str(place)] = pictures.picture(run.sample(pictures.POINTS if points else SHOWN), SHOWN)
        if shown:
            pictures.save(pictures.titled(shown), folder / "samples.png")
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be written ({error.strerror}): give another --out") from error


def _flat(value: object, key: str = "") -> dict[str, object]:
    """Nested settings, one level deep: ``{"loss.name": "hinge", "regularizers.r1.gamma": 10}``."""
    found: dict[str, object] = {}
    if isinstance(value, Mapping):
        for name, each in value.items():
            found |= _flat(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value):
        for label, each in zip(labels_of(value), value, strict=True):
            found |= _flat({k: v for k, v in each.items() if k != "name"} or "yes", f"{key}.{label}")
    else:
        found[key] = value
    return found


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
