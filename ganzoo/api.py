"""The functions that users of the library call: ``run``, ``resume``, ``load``, ``part`` and ``catalogue``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

import torch

from ganzoo import errors
from ganzoo.names import nearest
from ganzoo.parts import Architecture, Data, Engine, Loss, Metric, Optimizer, Part, Regularizer, Schedule, Tracker
from ganzoo.plugins import Catalogue, Entry, load_catalogue
from ganzoo.recipe import evaluate as evaluation
from ganzoo.recipe.assemble import assemble, training
from ganzoo.recipe.evaluate import Evaluation
from ganzoo.recipe.resume import begin, reload, reopen
from ganzoo.recipe.settings import PartsDict, SettingsDict, resolve
from ganzoo.training.run import Run
from ganzoo.words import PartSpec

if TYPE_CHECKING:
    from ganzoo.comparison.finished import Compared
    from ganzoo.comparison.table import Table


def run(
    *,
    preset: str | None = None,
    config: str | Path | Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    no_plugins: bool = False,
    quiet: bool = False,
    **settings: Unpack[SettingsDict],
) -> Run:
    """Train a GAN.

    Args:
        preset: the name of a preset to start from, such as ``"sngan"``.
        config: a YAML file of settings, or a mapping.
        overrides: single values: ``"loss.margin=2"``, ``"r1.gamma=5"``, ``"optimizer.lr=1e-4"``.
        plugins: Python files with parts of your own.
        no_plugins: whether to leave out installed plugins. Parts that ship with ganzoo and ``plugins`` remain.
        quiet: show no progress.
        settings: the options of ``ganzoo run`` by name. Parts (``arch``, ``loss``, ``regularizers``, ``schedule``,
            ``data``, ``metrics``, ``optimizer``) are given as text, as mappings with ``name`` or as part objects, and
            ``data`` also as a dataset of torch, a tensor, an array or a list of samples. The other settings are
            ``batch_size``, ``steps``, ``seed``, ``device``, ``logdir`` and further fields of ``Settings``.

    Returns:
        The run, with directory, networks, average, newest metrics, and the method ``sample``.

    Raises:
        GanzooError: a setting, a part, the data or the run directory cannot be used, or training was stopped.

    Example:
        >>> import tempfile
        >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu"}
        >>> run(data="ring", arch="mlp:width=4", regularizers=None, logdir=tempfile.mkdtemp(), quiet=True, **small).step
        1
    """
    catalogue = load_catalogue(no_plugins=no_plugins, files=plugins)
    resolved = resolve(catalogue, preset=preset, config=config, given=settings, overrides=overrides)
    with torch.inference_mode(False), torch.enable_grad():  # the caller may have switched gradients off
        experiment = assemble(resolved, catalogue)
        # A context and not a call: between this function and a part's code lie few frames.
        with training(experiment, begin(experiment), quiet=quiet) as trainer:
            trainer.train()
    return experiment.run


def resume(
    run_dir: str | Path,
    *,
    steps: int | None = None,
    keep_courses: bool = False,
    device: str | None = None,
    plugins: Sequence[str | Path] = (),
    quiet: bool = False,
    **parts: Unpack[PartsDict],
) -> Run:
    """Continue a run from the newest complete checkpoint. The weights are those of a run without an interruption.

    Args:
        run_dir: the run directory.
        steps: the step to train up to. None takes the step that the run was begun or resumed with.
        keep_courses: with ``steps``: numbers that follow the run, such as ``lr=0.002..0``, keep their way of the length
            before, and their last values from its end on. Otherwise their ways stretch over the new length.
        device: the device. None takes the device of the run's settings.
        plugins: the Python files that the run's parts came from, if any.
        quiet: show no progress.
        parts: the parts that were given as Python objects, which a config file cannot hold, or the data in another
            place.

    Returns:
        The run.

    Raises:
        RunError: the directory is no run directory.
        CheckpointError: no checkpoint is complete.

    Example:
        >>> import tempfile
        >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu", "quiet": True}
        >>> made = run(data="ring", arch="mlp:width=4", regularizers=None, logdir=tempfile.mkdtemp(), **small)
        >>> resume(made.dir, steps=2, quiet=True).step
        2
    """
    with torch.inference_mode(False), torch.enable_grad():
        experiment, total = reopen(
            run_dir, load_catalogue(files=plugins), steps=steps, keep_courses=keep_courses, parts=parts, device=device
        )
        with training(experiment, total, quiet=quiet) as trainer:
            trainer.train()
    return experiment.run


def load(
    run_dir: str | Path,
    *,
    checkpoint: str | int = "newest",
    device: str | None = None,
    plugins: Sequence[str | Path] = (),
    **parts: Unpack[PartsDict],
) -> Run:
    """Read a run from disk, with networks, average, settings and newest metrics. The data are not needed.

    Args:
        run_dir: the run directory.
        checkpoint: ``"newest"``, ``"best"`` (by the figure of the setting ``best``), or a step.
        device: the device. None takes the device of the run's settings.
        plugins: the Python files that the run's parts came from, if any.
        parts: the parts that were given as Python objects, which a config file cannot hold. A loss, data or a schedule
            that is missing is an error only where it is used.

    Returns:
        The run.

    Raises:
        RunError: the directory is no run directory.
        CheckpointError: no checkpoint is complete.

    Example:
        >>> import tempfile
        >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu", "quiet": True}
        >>> made = run(data="ring", arch="mlp:width=4", regularizers=None, logdir=tempfile.mkdtemp(), **small)
        >>> load(made.dir).sample(3).shape
        torch.Size([3, 2])
    """
    return reload(run_dir, load_catalogue(files=plugins), parts, which=checkpoint, device=device)


def evaluate(
    run_dir: str | Path,
    *,
    checkpoint: str | int = "newest",
    source: str = "auto",
    samples: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    record: bool = True,
    plugins: Sequence[str | Path] = (),
    **parts: Unpack[PartsDict],
) -> list[Evaluation]:
    """Compute metrics at checkpoints of a run, and append the figures to the run's records.

    A figure equals the figure that training records at the same step with the setting ``metrics``.

    Args:
        run_dir: the run directory. Another process may train the run at the same time.
        checkpoint: ``"newest"``, ``"best"`` (by the figure of the setting ``best``), ``"all"``, or a step.
        source: ``"ema"``, ``"generator"``, ``"both"``, or ``"auto"``: the average if the run keeps one.
        samples: the number of generated samples. None takes the number of the metric.
        seed: the seed of the noise. None takes the seed that training uses.
        device: the device to compute on. None takes the device of the run's settings.
        record: whether to append the figures to ``evaluations.jsonl`` and to TensorBoard.
        plugins: the Python files that the run's parts came from, if any.
        parts: ``metrics``, without which the metrics of the run are computed, and the parts that were given as Python
            objects, which a config file cannot hold.

    Returns:
        The figures of each metric at each checkpoint.

    Raises:
        RunError: the directory is no run directory.
        CheckpointError: no checkpoint is complete, or the data are not the data that the run was trained on.
        Incompatible: a metric does not suit the run.

    Example:
        >>> import tempfile
        >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu", "metrics": "modes"}
        >>> folder = tempfile.mkdtemp()
        >>> ring = run(data="ring", arch="mlp:width=4", regularizers=None, logdir=folder, quiet=True, **small)
        >>> evaluate(ring.dir)[0].figures["modes"] == ring.metrics["metrics/modes/modes"]
        True
    """
    return list(
        evaluation.evaluate(
            run_dir,
            load_catalogue(files=plugins),
            which=checkpoint,
            source=source,
            samples=samples,
            seed=seed,
            device=device,
            record=record,
            parts=parts,
        )
    )


def compare(
    *runs: str | Path,
    vary: Mapping[str, Sequence[object]] | None = None,
    rows: Sequence[Mapping[str, object]] = (),
    seeds: int | Sequence[int] = 3,
    baseline: str | None = None,
    interval: Literal["t", "bootstrap"] = "t",
    out: str | Path | None = None,
    jobs: int | None = None,
    on: str = "local",
    preset: str | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    different_data: bool = False,
    quiet: bool = False,
    **settings: Unpack[SettingsDict],
) -> Table | Compared:
    """Compare recipes over seeds, or finished runs.

    With ``vary`` or ``rows``, every recipe is trained with every seed. The call may be killed at any time: the same
    call goes on, and gives the same table.

    Args:
        runs: the directories of finished runs, to compare these runs and train nothing.
        vary: the values to combine, by setting or by ``"part.key"``: ``{"loss": ["hinge", "sgan"]}``.
        rows: recipes by name beside the combinations: mappings with ``name``, settings and ``"part.key"`` values.
        seeds: the number of seeds, or the seeds.
        baseline: the name of the recipe that the others are compared with. None: the first.
        interval: the 95 % interval of a mean: Student's t, or percentiles of bootstrap means.
        out: the folder of the comparison. None: ``comparisons/latest`` for recipes, and no folder for finished runs.
        jobs: the number of runs at the same time. None leaves the choice to the engine.
        on: the engine that makes the runs: ``"local"``, ``"command:sbatch"``, or the engine of a plugin.
        preset: a preset for all recipes.
        overrides: single values for all recipes: ``"optimizer.lr=1e-4"``.
        plugins: Python files with parts of your own.
        different_data: whether finished runs of different data may stand in one table.
        quiet: show no progress.
        settings: the settings that all recipes share, as for ``run``. Parts are given as text or as mappings.

    Returns:
        The table of the recipes, or the comparison of the finished runs. Both have ``markdown``, ``csv`` and ``json``.

    Raises:
        GanzooError: a setting, a part, the folder or the engine cannot be used.

    Example:
        >>> compare(vary={"loss": ["hinge", "hing"]}, data="ring", steps=1)
        Traceback (most recent call last):
        ganzoo.errors.UnknownPart: no loss is named 'hing' ...
    """
    from ganzoo.comparison import finished, recipes
    from ganzoo.comparison.plan import Plan, checked, seeds_of

    catalogue = load_catalogue(files=plugins)
    if not vary and not rows:
        return finished.compare(runs, catalogue, None if out is None else Path(out), different_data=different_data)
    given = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    plan = Plan(
        base={**({"preset": preset} if preset else {}), **given},
        overrides=list(overrides),
        vary={key: list(values) for key, values in (vary or {}).items()},
        rows=list(rows),
        seeds=seeds_of(seeds if isinstance(seeds, int) else list(seeds)),
        baseline=baseline,
        interval=interval,
        plugins=[str(Path(each).resolve()) for each in plugins],
    )
    return recipes.compare(
        checked(plan),
        Path("comparisons/latest" if out is None else out),
        catalogue,
        on=on,
        jobs=jobs,
        say=_say if not quiet else (lambda line: None),
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@overload
def part(kind: Literal["architecture"], named: str, /, **values: object) -> Architecture: ...
@overload
def part(kind: Literal["loss"], named: str, /, **values: object) -> Loss: ...
@overload
def part(kind: Literal["regularizer"], named: str, /, **values: object) -> Regularizer: ...
@overload
def part(kind: Literal["schedule"], named: str, /, **values: object) -> Schedule: ...
@overload
def part(kind: Literal["data"], named: str, /, **values: object) -> Data: ...
@overload
def part(kind: Literal["metric"], named: str, /, **values: object) -> Metric: ...
@overload
def part(kind: Literal["optimizer"], named: str, /, **values: object) -> Optimizer: ...
@overload
def part(kind: Literal["tracker"], named: str, /, **values: object) -> Tracker: ...
@overload
def part(kind: Literal["engine"], named: str, /, **values: object) -> Engine: ...
@overload
def part(kind: str, named: str, /, **values: object) -> Part: ...
def part(kind: str, named: str, /, **values: object) -> Part:
    """Make a part outside a run.

    Args:
        kind: the kind of part: ``"loss"``, ``"regularizer"``, ``"data"``, and so on.
        named: the part as text, ``"name:key=value"``.
        values: parameters that are not in the text.

    Returns:
        The part, validated.

    Raises:
        PartError: the kind, the name, a key or a value is wrong.

    Example:
        >>> import torch
        >>> from ganzoo import Scores
        >>> hinge = part("loss", "hinge", margin=2)
        >>> hinge.discriminator(Scores(real=torch.tensor([2.0]), fake=torch.tensor([-2.0])))
        tensor(0.)
    """
    catalogue = load_catalogue()
    if kind not in catalogue.kinds:
        known = ", ".join(catalogue.kinds)
        raise errors.UnknownPart(f"there is no kind {kind!r}{nearest(kind, catalogue.kinds)}; there are {known}")
    return catalogue.make(kind, PartSpec.parse(named).with_parameters(**values))[1]


@overload
def catalogue(kind: None = None, *, no_plugins: bool = False) -> Catalogue: ...
@overload
def catalogue(kind: str, *, no_plugins: bool = False) -> list[Entry]: ...
def catalogue(kind: str | None = None, *, no_plugins: bool = False) -> Catalogue | list[Entry]:
    """List the parts that a setting can name.

    Args:
        kind: the kind of part. None returns the whole catalogue.
        no_plugins: whether to leave out installed plugins.

    Returns:
        The catalogue, or the entries of one kind, each with ``name``, ``provider`` and ``summary``.

    Example:
        >>> [entry.name for entry in catalogue("loss") if entry.name.startswith("hinge")]
        ['hinge', 'hinge-linear']
    """
    found = load_catalogue(no_plugins=no_plugins)
    return found if kind is None else found.entries(kind)
