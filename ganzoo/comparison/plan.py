"""The plan of a comparison: the recipes, the seeds, and the settings that all recipes share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ganzoo import errors, words
from ganzoo.names import brief, nearest
from ganzoo.recipe.settings import PartSource, Settings, read_config, resolve

FILE = "plan.yaml"
"""The name of the file of the plan in the folder of a comparison."""

KEYS = ("base", "overrides", "vary", "rows", "seeds", "baseline", "interval", "plugins")
"""The keys of a plan file."""

OWN = ("seed", "name", "logdir")
"""The settings of a run that a comparison sets by itself."""

STEADY: Mapping[str, object] = {"precision": "fp32", "threads": 1}
"""Settings that ``auto`` would choose by measuring, and that would then differ from run to run."""


@dataclass(frozen=True)
class Row:
    """A recipe of a comparison.

    Args:
        name: the name in the table, such as ``loss=hinge schedule=onestep``.
        settings: the settings by name, beyond those that all recipes share.
        overrides: values such as ``optimizer.lr=1e-4``.
    """

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The plan of a comparison.

    Args:
        base: the settings that all recipes share, as in a config file, with ``preset`` if wanted.
        overrides: single values for all recipes, as for ``-o``.
        vary: the values to combine, by setting or by ``part.key``.
        rows: recipes by name beside the combinations: a mapping with ``name``, settings and ``part.key`` values.
        seeds: the seeds, each of which trains every recipe.
        baseline: the name of the recipe that all others are compared with. None: the first.
        interval: ``t`` or ``bootstrap``: the 95 % interval of a mean.
        plugins: Python files with parts.
    """

    base: Mapping[str, object]
    overrides: Sequence[str] = ()
    vary: Mapping[str, Sequence[object]] = field(default_factory=dict)
    rows: Sequence[Mapping[str, object]] = ()
    seeds: Sequence[int] = (0, 1, 2)
    baseline: str | None = None
    interval: str = "t"
    plugins: Sequence[str] = ()

    def recipes(self) -> list[Row]:
        """The recipes in the order of the table: the combinations of ``vary``, then ``rows``."""
        grid = [[(key, value) for value in values] for key, values in self.vary.items()]
        found = [_row(dict(each)) for each in itertools.product(*grid)] if grid else []
        for row in self.rows:
            values = {key: value for key, value in row.items() if key != "name"}
            made = _row(values)
            found.append(Row(str(row.get("name") or made.name), made.settings, made.overrides))
        return found

    def runs(self) -> Iterator[tuple[str, Row, int]]:
        """The runs: the name of the run, the recipe and the seed. All recipes of one seed come before the next seed."""
        for seed in self.seeds:
            for k, row in enumerate(self.recipes()):
                slug = re.sub(r"[^A-Za-z0-9._=-]+", "-", row.name).replace("=", "-").strip("-.")[:80]
                yield f"{k:03d}-{slug}-seed{seed}", row, seed

    def settings(self, row: Row, seed: int, catalogue: PartSource, **own: object) -> Settings:
        """The settings of a run.

        Args:
            row: the recipe.
            seed: the seed.
            catalogue: the source of parts and presets.
            own: ``name`` and ``logdir``.

        Returns:
            The settings, resolved.

        Raises:
            GanzooError: a setting is unknown or does not fit.
        """
        base: dict[str, Any] = {**STEADY, **self.base, **row.settings}
        preset = base.pop("preset", None)
        given = {**own, "seed": seed}
        return resolve(catalogue, preset=preset, config=base, given=given, overrides=(*self.overrides, *row.overrides))

    def plain(self) -> dict[str, object]:
        """The plan as plain data, for a YAML file."""
        plain = {
            "base": dict(self.base),
            "overrides": list(self.overrides),
            "vary": {key: list(values) for key, values in self.vary.items()},
            "rows": [dict(row) for row in self.rows],
            "seeds": list(self.seeds),
            "baseline": self.baseline,
            "interval": self.interval,
            "plugins": list(self.plugins),
        }
        return {key: value for key, value in plain.items() if value not in ([], {}, None)}


def _row(values: Mapping[str, object]) -> Row:
    """A recipe of varied values, named after the values."""
    name = " ".join(f"{key}={_written(value)}" for key, value in values.items())
    settings = {key: value for key, value in values.items() if "." not in key}
    return Row(name, settings, tuple(f"{key}={value}" for key, value in values.items() if "." in key))


def _written(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "+".join(_written(each) for each in value) or "none"
    if isinstance(value, Mapping) and "name" in value:
        rest = ",".join(f"{key}={each}" for key, each in value.items() if key != "name")
        return f"{value['name']}:{rest}" if rest else str(value["name"])
    return "none" if value is None else str(value)


def varied(text: str, many: Sequence[str] = ()) -> tuple[str, list[object]]:
    """Parse ``key=value,value``, as for ``--vary``.

    Values are separated by commas. A text after a comma that begins with ``key=`` belongs to the value before. ``|``
    separates values where commas are ambiguous, and ``+`` joins several parts.

    Args:
        text: as typed.
        many: the settings that take several parts.

    Returns:
        The key and the values.

    Raises:
        SettingsError: the text has another form.

    Example:
        >>> varied("loss=hinge,rpgan:form=zero-sum,sgan")
        ('loss', ['hinge', 'rpgan:form=zero-sum', 'sgan'])
        >>> varied("regularizers=none,sn+r1:gamma=1,every=4", ["regularizers"])
        ('regularizers', [[], ['sn', 'r1:gamma=1,every=4']])
    """
    key, equals, values = text.partition("=")
    key = key.strip()
    if not equals or not key or not values.strip():
        raise errors.SettingsError(f"--vary {text!r} is not key=value,value, such as --vary loss=hinge,sgan")
    if "|" in values:
        found = values.split("|")
    else:
        found = []
        for chunk in values.split(","):
            if found and re.match(r"\s*[A-Za-z_]\w*\s*=", chunk) and ":" in found[-1]:
                found[-1] += f",{chunk}"
            else:
                found.append(chunk)
    found = [value.strip() for value in found]
    if "" in found or len(set(found)) < len(found):
        raise errors.SettingsError(f"--vary {text!r} has an empty value, or a value twice: name each value once")
    if key in many:
        return key, [[] if value == "none" else value.split("+") for value in found]
    return key, list(found)


def read(path: str | Path) -> Plan:
    """Read a plan file.

    Args:
        path: a YAML file with the keys of ``Plan``, or the folder of a comparison.

    Returns:
        The plan.

    Raises:
        SettingsError: the file is missing, is no YAML, has an unknown key, or a value of another type.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    loaded = read_config(file)
    for key in loaded:
        if key not in KEYS:
            raise errors.SettingsError(
                f"plan {file}: there is no key {key!r}{nearest(key, KEYS)}; there are {', '.join(KEYS)}"
            )

    def of(key: str, type_: type, said: str) -> Any:
        value = loaded.get(key)
        if value is not None and not isinstance(value, type_):
            raise errors.SettingsError(f"plan {file}: {key} is {brief(value)}, which is no {said}")
        return value

    seeds = loaded.get("seeds", 3)
    vary, rows = of("vary", dict, "mapping of settings to lists") or {}, of("rows", list, "list of mappings") or []
    for key, values in vary.items():
        if not isinstance(values, list) or not values:
            raise errors.SettingsError(f"plan {file}: vary.{key} is {brief(values)}, which is no list of values")
    for row in rows:
        if not isinstance(row, dict):
            raise errors.SettingsError(f"plan {file}: the row {brief(row)} is no mapping of settings")
    return checked(
        Plan(
            base=of("base", dict, "mapping of settings") or {},
            overrides=of("overrides", list, "list of part.key=value") or [],
            vary=vary,
            rows=rows,
            seeds=seeds_of(seeds, f"plan {file}: "),
            baseline=of("baseline", str, "name of a row"),
            interval=of("interval", str, "name of an interval") or "t",
            plugins=of("plugins", list, "list of files") or [],
        ),
        f"plan {file}: ",
    )


def seeds_of(value: object, where: str = "") -> list[int]:
    """The seeds from a number of seeds, or from a list.

    Args:
        value: a number, or a list of seeds.
        where: the beginning of an error message.

    Returns:
        The seeds.

    Raises:
        SettingsError: the value is neither.

    Example:
        >>> seeds_of(3), seeds_of([7, 11])
        ([0, 1, 2], [7, 11])
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return list(range(value))
    whole = isinstance(value, list) and value and all(isinstance(each, int) and each >= 0 for each in value)
    if whole and isinstance(value, list) and len(set(value)) == len(value):
        return list(value)
    raise errors.SettingsError(
        f"{where}seeds is {brief(value)}, which is neither a number of seeds nor a list of seeds"
    )


def checked(plan: Plan, where: str = "") -> Plan:
    """Refuse a plan without recipes, with recipes of one name, or with an unknown baseline, setting or interval.

    Args:
        plan: the plan.
        where: the beginning of an error message.

    Returns:
        The plan.

    Raises:
        SettingsError: see above.
    """
    names = [row.name for row in plan.recipes()]
    if not names:
        raise errors.SettingsError(f"{where}there is nothing to compare: give vary, such as --vary loss=hinge,sgan")
    if len(set(names)) < len(names):
        raise errors.SettingsError(f"{where}two rows have the name {next(n for n in names if names.count(n) > 1)!r}")
    if plan.baseline is not None and plan.baseline not in names:
        raise errors.SettingsError(
            f"{where}baseline {plan.baseline!r} is no row{nearest(plan.baseline, names)}; there are {'; '.join(names)}"
        )
    if plan.interval not in ("t", "bootstrap"):
        raise errors.SettingsError(f"{where}interval {plan.interval!r} is not one of t, bootstrap")
    own = [key for row in (plan.base, plan.vary, *plan.rows) for key in row if key in OWN and key != "name"]
    if own:
        raise errors.SettingsError(f"{where}{own[0]} is set by the comparison: leave it out, and give seeds or --out")
    return plan


def check_settings(plan: Plan, catalogue: PartSource) -> None:
    """Find unknown settings, parts and values of every recipe before the first run starts.

    Args:
        plan: the plan.
        catalogue: the source of parts and presets.

    Raises:
        GanzooError: a name is unknown, or a value does not fit.
    """
    from ganzoo.recipe.assemble import total_steps
    from ganzoo.recipe.gather import gather

    known = [*catalogue.kinds.settings, *words.parameters(Settings), "preset"]
    for key in plan.vary:
        if "." not in key and key not in known:
            raise errors.SettingsError(f"vary: there is no setting {key!r}{nearest(key, known)}")
    for row in plan.recipes():
        settings = plan.settings(row, plan.seeds[0], catalogue)
        total_steps(settings)
        try:
            gather(settings, catalogue)
        except errors.Incompatible:  # a row of the table
            continue


def write(plan: Plan, folder: Path) -> None:
    """Write the plan into the folder of a comparison.

    Args:
        plan: the plan.
        folder: the folder, which is made if missing.

    Raises:
        RunError: the folder holds another plan, or cannot be written.
    """
    file = folder / FILE
    if file.is_file():
        if read(folder).plain() != plan.plain():
            raise errors.RunError(
                f"{folder} holds a comparison of another plan: give another --out, or go on with: ganzoo "
                f"compare {folder}"
            )
        return
    try:
        text = yaml.safe_dump(plan.plain(), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise errors.SettingsError(
            f"the plan holds a Python object ({' '.join(str(error).split())[:100]}): give parts as text, such as "
            "'r1:gamma=5', so that other processes can make the parts"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{FILE}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be written ({error.strerror}): give another --out") from error
