"""Make a run directory: the name, and the files that are written before training starts."""

from __future__ import annotations

import errno
import json
import platform
import re
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import torch

from ganzoo import errors, words
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.kinds import Kinds
from ganzoo.launcher import launch_id
from ganzoo.names import NAME, brief
from ganzoo.recipe import origins
from ganzoo.training.display import Display
from ganzoo.training.parts import Parts
from ganzoo.training.run import Run

if TYPE_CHECKING:
    from ganzoo.recipe.assemble import Experiment

LONGEST_NAME = 200
"""The largest number of characters in the name of a run directory."""

ABANDONED = 3600.0
"""Seconds after which a draft of a run directory is removed, because the process that made the draft was killed."""


NAMED_AFTER = ("arch", "d_arch", "loss", "regularizers", "schedule", "data")
"""The settings that give a run directory a name: the names of the parts are joined in the order of the settings."""


def open_directory(experiment: Experiment) -> None:
    """Make the run directory with config, command and environment, and lock the directory.

    No file is overwritten. The directory is written as a draft and renamed, so that a directory with a run's name is
    complete and can be resumed.

    Args:
        experiment: the experiment. The run's directory and the lock are set.

    Raises:
        RunError: the name is taken, leaves the log directory, or the place cannot be written.
    """
    run = experiment.run
    settings, logdir = run.settings, Path(run.settings.logdir)
    try:
        logdir.mkdir(parents=True, exist_ok=True)
        if settings.name is not None:
            if not NAME.fullmatch(settings.name) or len(settings.name) > LONGEST_NAME:
                raise errors.RunError(
                    f"--name {brief(settings.name)!r} is not a name of letters, digits, '.', '_' and '-', "
                    f"{LONGEST_NAME} at most"
                )
            if (logdir / settings.name).exists():
                raise _exists(logdir / settings.name)
        _sweep(logdir)
        draft = logdir / f".{uuid4().hex}"  # renamed when complete, so that a killed process leaves no half run
        try:
            draft.mkdir()
            (draft / "config.yaml").write_text(as_yaml(run, experiment.catalogue.kinds), encoding="utf-8")
            (draft / "command.txt").write_text(" ".join(map(shlex.quote, sys.argv)) + "\n", encoding="utf-8")
            (draft / "environment.json").write_text(json.dumps(environment(experiment), indent=1) + "\n")
            for written in (*draft.iterdir(), draft):
                checkpoint.disk.sync(written)
            folder = _named(draft, settings.name, _slug(run.parts))
            checkpoint.disk.sync(logdir)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise errors.RunError(
            f"log directory {logdir} cannot be written ({error.strerror}): give another --logdir"
        ) from error
    run.directory = folder
    experiment.lock = Lock(folder, Display(0, 0, quiet=True).warn)


def _sweep(logdir: Path) -> None:
    """Remove old drafts of run directories, left by processes that were killed."""
    for left in logdir.glob(".*"):
        if re.fullmatch(r"\.[0-9a-f]{32}", left.name) and time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)


def as_yaml(run: Run, kinds: Kinds) -> str:
    """Write the resolved settings as a config file.

    Args:
        run: the run.
        kinds: the kinds of parts, those of plugins included.

    Returns:
        The text of ``config.yaml``.
    """
    import yaml

    text = yaml.safe_dump(plain_settings(run, kinds), sort_keys=False, allow_unicode=True)
    return f"# A ganzoo run, with every setting; start another like it with: ganzoo run --config FILE\n{text}"


def plain_settings(run: Run, kinds: Kinds) -> dict[str, object]:
    """Convert the resolved settings to plain data: every part with every parameter.

    Args:
        run: the run.
        kinds: the kinds of parts, those of plugins included.

    Returns:
        The settings by name. The value of a setting that names parts is a mapping, or a list of mappings.
    """
    plain: dict[str, object] = {}
    for setting, specs in run.parts.specs.items():
        mappings = [spec.plain() for spec in specs]
        plain[setting] = mappings if kinds.settings[setting].many else mappings[0]
    if plain["d_optimizer"] == plain["g_optimizer"]:  # written once, so that -o optimizer.lr changes both players
        plain["optimizer"] = plain["g_optimizer"]
        plain["d_optimizer"] = plain["g_optimizer"] = None
    if plain["d_arch"] == plain["arch"]:  # likewise, so that -o arch.width changes both networks
        plain["d_arch"] = None
    return {**plain, **words.plain(run.settings)}


def environment(experiment: Experiment) -> dict[str, object]:
    """Collect versions, device and plugin distributions of a run.

    Args:
        experiment: the experiment.

    Returns:
        The content of ``environment.json``.
    """
    device = experiment.run.device
    return {
        "ganzoo": version("ganzoo"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "processes": experiment.processes.world_size,
        "launch": launch_id(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "parts": experiment.run.parts.providers,
        "plugins": list(experiment.catalogue.sources),
        "plugin_files": dict(experiment.catalogue.plugin_files),
        "origins": origins.origins(experiment.run.parts, experiment.catalogue.plugin_files),
    }


def _named(draft: Path, name: str | None, slug: str) -> Path:
    """Rename a draft to the name that the user gave, or to ``00007-slug`` with the next free number.

    Two runs that start at the same time get two numbers, since the rename of the slower run fails and is tried again.
    """
    while True:
        taken = [int(match[1]) for p in draft.parent.iterdir() if (match := re.match(r"(\d{5,})-", p.name))]
        folder = draft.with_name(name or f"{max(taken, default=-1) + 1:05d}-{slug}")
        try:
            return draft.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if name:
                raise _exists(folder) from error


def _exists(folder: Path) -> errors.RunError:
    return errors.RunError(f"{folder} exists: give another --name, or go on with: {origins.command('resume', folder)}")


def _slug(parts: Parts) -> str:
    specs = [
        spec
        for setting in NAMED_AFTER
        for spec in parts.specs[setting]
        if setting != "d_arch" or parts.specs["d_arch"] != parts.specs["arch"]
    ]
    names = [spec.name for outer in specs for spec in outer.family()]
    return "-".join(names)[:120]
