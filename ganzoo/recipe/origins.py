"""Where the parts of a run came from, so that a message can say what is missing later and how to give a part."""

from __future__ import annotations

import hashlib
import inspect
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import errors
from ganzoo.disk.regular import MOST_BYTES, read_bytes, read_json
from ganzoo.names import shell_command
from ganzoo.words import PartSpec

if TYPE_CHECKING:
    from ganzoo.recipe.settings import PartSource, Settings
    from ganzoo.training.parts import Parts


class Missing:
    """Stands for a part that is not installed now, where a run is only sampled. Every use raises the reason.

    Args:
        reason: what is missing, and how to give the missing part.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise errors.RunError(self._reason)


def origins(parts: Parts, files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Collect where the parts of a run came from.

    Args:
        parts: the parts of the run.
        files: the paths of the plugin files by the name of the plugin.

    Returns:
        By "setting address": the ``file`` and its ``sha256``, or the ``distribution`` and its ``version``, or for a
        part that was made in Python the ``class`` and its ``file``. Parts that ship with ganzoo are left out.
    """
    found: dict[str, dict[str, str]] = {}
    for setting, specs in parts.specs.items():
        for spec in specs:
            key = f"{setting} {spec.address}"
            if spec.origin is None:
                found[key] = {"class": spec.name, **_class_file(parts, setting, spec)}
            elif spec.origin.provider in files and not spec.origin.distribution:
                path = files[spec.origin.provider]
                found[key] = {"file": path, "sha256": digest(path)}
            elif not spec.origin.builtin:
                found[key] = {"distribution": spec.origin.distribution, "version": spec.origin.version}
    return found


def _class_file(parts: Parts, setting: str, spec: PartSpec) -> dict[str, str]:
    """The file that defines the class of a part that was made in Python, where there is one."""
    key = setting if setting in parts.bound else f"{spec.kind} {spec.label}"
    if key not in parts.bound:
        return {}
    cls = next((c for c in type(parts.bound[key].part).__mro__ if c.__name__ == spec.name), None)
    try:
        file = inspect.getsourcefile(cls) if cls is not None else None
    except (TypeError, OSError):  # a class of a notebook has no file
        return {}
    return {"file": str(Path(file).resolve())} if file is not None and Path(file).is_file() else {}


def digest(path: str | Path) -> str:
    """Compute the SHA-256 of a file.

    Args:
        path: the file.

    Returns:
        The hexadecimal digest. The text is empty where the file cannot be read.
    """
    try:
        return hashlib.sha256(read_bytes(Path(path), MOST_BYTES)).hexdigest()
    except (OSError, ValueError):  # a null byte in the path is a ValueError
        return ""


def recorded(folder: Path) -> dict[str, Any]:
    """Read the environment of a run.

    Args:
        folder: the run directory.

    Returns:
        The content of ``environment.json``. Empty where the file is missing or damaged.
    """
    try:
        found = read_json(folder / "environment.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def command(verb: str, folder: Path) -> str:
    """Write a command on a run that works as printed, with the plugin files that the run was trained with.

    Args:
        verb: what precedes the run directory: ``"resume"``, ``"run --init-from"``.
        folder: the run directory.

    Returns:
        The command, quoted for a shell.
    """
    told = recorded(folder).get("plugin_files", {})
    files = [file for file in told.values() if isinstance(file, str)] if isinstance(told, dict) else []
    made = recorded(folder).get("origins", {})
    objects = [key.split(" ")[0] for key, origin in made.items() if "class" in origin] if isinstance(made, dict) else []
    return shell_command(verb, folder, files, objects)


def advice(folder: Path, setting: str, reference: str) -> str:
    """Say how to give a part of a run that is missing now.

    Args:
        folder: the run directory.
        setting: the setting that names the part.
        reference: the part's name, with the provider where the config has the provider.

    Returns:
        A clause for a message. Empty where the run does not tell where the part came from.
    """
    told = recorded(folder).get("origins", {})
    origin = told.get(f"{setting} {reference}") if isinstance(told, dict) else None
    if not isinstance(origin, dict):
        return ""
    origin = {key: str(value) for key, value in origin.items()}
    file, sha = origin.get("file", ""), origin.get("sha256", "")
    if "class" in origin:
        where = f" of {file}" if file else ""
        give = f"give {setting}=... to ganzoo.resume, ganzoo.load or ganzoo.evaluate"
        return f"it was an object of the class {origin['class']}{where}: {give}"
    if "distribution" in origin:
        name, version = origin["distribution"], origin.get("version", "")
        return f"it came from {name} {version}: python -m pip install {shlex.quote(f'{name}=={version}')}"
    now = digest(file)
    state = "" if now == sha else ", which has changed since" if now else ", which is not there now"
    give = shlex.quote(file) if now else f"FILE, a file of the same name ({Path(file).name})"
    return f"it came from {file} (sha256 {sha[:12]}{state}): give --plugin {give}"


def absent(folder: Path, settings: Settings, catalogue: PartSource) -> dict[tuple[str, str], str]:
    """Find the parts of a run that are not there now.

    Args:
        folder: the run directory.
        settings: the settings of the run.
        catalogue: the source in which the parts are looked up.

    Returns:
        By setting and label, what is missing and how to give the missing part.
    """
    found: dict[tuple[str, str], str] = {}
    for setting, given in settings.parts.items():
        for spec in given:
            if not isinstance(spec, PartSpec):
                continue
            try:
                catalogue.make(catalogue.kinds.of_setting[setting], spec)
            except (errors.UnknownPart, errors.AmbiguousPart, errors.PluginError) as error:
                how = advice(folder, setting, spec.reference)
                # Where the run tells the origin, the list of the parts that there are is no help.
                what = f"{catalogue.kinds.of_setting[setting]} {spec.reference} is not there" if how else str(error)
                if isinstance(error, errors.PluginError):
                    what = str(error)
                found[setting, spec.label] = f"{what}; {how}" if how else what
    return found
