"""Write a recipe: a commented YAML file of settings, from a preset or from a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import errors, words
from ganzoo.recipe.settings import Settings, resolve

if TYPE_CHECKING:
    from ganzoo.plugins import Catalogue

WIDTH = 40
"""The column at which comments begin."""


def recipe_text(catalogue: Catalogue, start: str | None) -> str:
    """Write a recipe.

    Args:
        catalogue: the parts and presets.
        start: the name of a preset, the directory of a run, or a config file. None takes the defaults.

    Returns:
        YAML, in which every parameter of every part and every setting has a comment.

    Raises:
        SettingsError: neither a preset nor a run has the name.

    Example:
        >>> from ganzoo.plugins import load_catalogue
        >>> print(recipe_text(load_catalogue(no_plugins=True), None).splitlines()[0])
        # A recipe of ganzoo. Train with: ganzoo run --config FILE
    """
    preset: str | None = None
    config: Path | None = None
    if start is not None and Path(start).exists():
        config = Path(start) / "config.yaml" if Path(start).is_dir() else Path(start)
        if not config.is_file():
            raise errors.SettingsError(f"{start} is no run directory: it has no config.yaml")
    elif start is not None:
        if start not in catalogue.presets():
            from ganzoo.names import nearest

            near = nearest(start, catalogue.presets())
            raise errors.SettingsError(f"{start!r} is neither a preset{near} nor a run directory: see ganzoo presets")
        preset = start
    settings = resolve(catalogue, preset=preset, config=config)
    lines = [
        "# A recipe of ganzoo. Train with: ganzoo run --config FILE",
        "# Later wins: this file < options < -o.",
        "",
    ]
    for name, setting in catalogue.kinds.settings.items():
        given = settings.parts.get(name, ())
        lines.append(f"# {setting.help}")
        if not given:
            lines += [f"{name}: null" if not setting.many else f"{name}: []", ""]
            continue
        lines.append(f"{name}:")
        for each in given:
            spec, part = catalogue.make(catalogue.kinds.of_setting[name], each)
            summary = words.documented(type(part)).summary
            described = words.parameters(type(part))
            first, rest = ("- ", "  ") if setting.many else ("  ", "  ")
            lines.append(f"{first}name: {spec.name}".ljust(WIDTH) + f"  # {summary}")
            for key, value in spec.plain().items():
                if key != "name":
                    meaning = described[key].meaning if key in described else ""
                    lines.append(_line(f"{rest}{key}", value, meaning))
        lines.append("")
    lines.append("# the other settings")
    for key, parameter in words.parameters(Settings).items():
        if key not in ("name", "logdir"):
            lines.append(_line(key, words.plain(settings)[key], parameter.meaning))
    return "\n".join(lines) + "\n"


def _line(key: str, value: object, meaning: str) -> str:
    """A line of YAML with a comment."""
    import yaml

    if isinstance(value, Mapping | list):
        text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    else:
        text = yaml.safe_dump(value, width=1000).strip().removesuffix("...").strip()
    return f"{key}: {text}".ljust(WIDTH) + f"  # {meaning}"
