"""What users of the library call: ``run``, ``resume``, ``load``, ``part`` and ``catalogue``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo import errors
from ganzoo import plugins as door
from ganzoo.names import nearest
from ganzoo.parts import Part
from ganzoo.recipe.assemble import assemble, train
from ganzoo.recipe.resume import begin, reload, reopen
from ganzoo.recipe.settings import resolve
from ganzoo.training.run import Run
from ganzoo.words import PartSpec


def run(
    *,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    no_plugins: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a GAN, and return the run: its directory, networks, average, metrics and samples.

    Args:
        preset: settings to start from, such as ``"sngan"``.
        config: a YAML file of settings, or a mapping.
        overrides: ``"loss.margin=2"``, ``"r1.gamma=5"``, ``"optimizer.lr=1e-4"``.
        plugins: Python files with parts of your own.
        no_plugins: use only the parts that ship with ganzoo (and those of ``plugins``).
        quiet: show no progress.
        settings: what the command line takes, by the same names (``arch``, ``loss``, ``regularizers``, ``schedule``,
            ``data``, ``optimizer``, ``steps``, ``seed``, ``logdir``, ``device``, ...); parts as words, as mappings
            with ``name``, or as part objects.

    Raises:
        GanzooError: in one line, what was found, what was expected, what to do.
    """
    catalogue_ = door.load_catalogue(no_plugins=no_plugins, files=plugins)
    resolved = resolve(catalogue_, preset=preset, config=config, given=settings, overrides=overrides)
    experiment = assemble(resolved, catalogue_)
    return train(experiment, begin(experiment), quiet=quiet)


def resume(
    run_dir: str | Path,
    *,
    steps: int | None = None,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
    **parts: Any,
) -> Run:
    """Go on with a run in its own directory, from its newest whole checkpoint, as if it had never stopped.

    Args:
        run_dir: the run directory.
        steps: the step to train up to, where it differs from the run's own.
        plugins: the Python files that its parts came from, if any.
        quiet: show no progress.
        parts: the parts that were given as Python objects, which a config file cannot hold.

    Raises:
        RunError: that is no run directory; CheckpointError: no checkpoint of it is whole.
    """
    experiment, total = reopen(run_dir, door.load_catalogue(files=plugins), steps=steps, parts=parts)
    return train(experiment, total, quiet=quiet)


def load(
    run_dir: str | Path, *, checkpoint: str | int = "newest", plugins: Sequence[str | Path] = (), **parts: Any
) -> Run:
    """A run as it is on disk: networks, average, settings, newest metrics. Needs no data.

    Args:
        run_dir: the run directory.
        checkpoint: newest, best (by the run's ``--best`` figure), or a step.
        plugins: the Python files that its parts came from, if any.
        parts: the parts that were given as Python objects, which a config file cannot hold.

    Raises:
        RunError: that is no run directory; CheckpointError: no checkpoint of it is whole.
    """
    return reload(run_dir, door.load_catalogue(files=plugins), parts, which=checkpoint)


def part(kind: str, named: str, /, **values: Any) -> Part:
    """One part, alone: ``part("loss", "hinge:margin=2").discriminator(ganzoo.Scores(real=r, fake=f))``.

    Args:
        kind: architecture, loss, regularizer, schedule, data, metric or optimizer.
        named: words, ``"name:key=value"``.
        values: parameters, instead of in words.

    Raises:
        PartError: the kind, the name, a key or a value is wrong.
    """
    found = door.load_catalogue()
    if kind not in found.kinds:
        known = ", ".join(found.kinds)
        raise errors.UnknownPart(f"there is no kind {kind!r}{nearest(kind, found.kinds)}; there are {known}")
    return found.make(kind, PartSpec.parse(named).with_parameters(**values))[1]


def catalogue(kind: str | None = None, *, no_plugins: bool = False) -> Any:
    """Every part that can be named; of one kind, their entries (name, provider, summary)."""
    found = door.load_catalogue(no_plugins=no_plugins)
    return found if kind is None else found.entries(kind)
