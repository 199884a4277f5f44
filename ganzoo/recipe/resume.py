"""Begin a run in a new directory, resume a run from a directory, or read a run from disk without training."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganzoo import errors, words
from ganzoo.disk import checkpoint
from ganzoo.disk.lock import Lock
from ganzoo.kinds import Kinds
from ganzoo.launcher import launch, launch_id
from ganzoo.names import brief, user_path
from ganzoo.recipe import origins
from ganzoo.recipe.assemble import Experiment, adopt, assemble, build, total_steps
from ganzoo.recipe.directory import open_directory
from ganzoo.recipe.gather import gather
from ganzoo.recipe.settings import RESUME_MAY_CHANGE, PartSource, Settings, read_config, resolve
from ganzoo.speed import hardware
from ganzoo.training.display import Display
from ganzoo.training.plain import read_spec, read_sums
from ganzoo.training.run import Run
from ganzoo.words import PartSpec, labels_of


def begin(experiment: Experiment) -> int:
    """Make the run directory, or find the run directory that was made before torchrun restarted the processes.

    Args:
        experiment: a fresh experiment.

    Returns:
        The step to train up to.

    Raises:
        RunError: the directory exists, lies outside the log directory, or cannot be written.
    """
    processes = experiment.processes
    with processes.relay_errors():
        found = _begun(Path(experiment.run.settings.logdir)) if processes.is_main and launch().restarts else None
        if processes.is_main and found is None:
            open_directory(experiment)
            found = experiment.run.directory
        again = processes.broadcast_object(experiment.lock is None)
        folder = Path(processes.broadcast_object(str(found)))
        if again:
            return _go_on(experiment, folder)
        experiment.run.directory = folder
        processes.broadcast_state(experiment.run.state)
        return total_steps(experiment.run.settings)


def reopen(
    run_dir: str | Path,
    catalogue: PartSource,
    *,
    steps: int | None = None,
    keep_courses: bool = False,
    parts: Mapping[str, object] | None = None,
    device: str | None = None,
) -> tuple[Experiment, int]:
    """Prepare a run to continue from the newest complete checkpoint.

    Args:
        run_dir: the run directory.
        catalogue: the source in which the parts are looked up.
        steps: the step to train up to. None takes the step that the run was begun or resumed with.
        keep_courses: with ``steps``: numbers that follow the run take the way of the length before, and keep their last
            values from there on. Otherwise their ways stretch over the new length.
        parts: the parts that were given as Python objects, or the data in another place, by setting.
        device: the device. None takes the device of the run's settings.

    Returns:
        The experiment, and the step to train up to.

    Raises:
        RunError: the directory is no run directory.
        CheckpointError: no checkpoint is complete, or the data differ from the data of the run.
        SettingsError: a setting that moves the weights differs, the run is beyond ``steps``, or courses are to be kept
            and ``steps`` are not given.
    """
    if keep_courses and steps is None:
        raise errors.SettingsError("the numbers that follow the run are kept where the run becomes longer: give steps")
    folder, settings = _settings_of(run_dir, catalogue, parts or {}, device=device)
    if missing := origins.absent(folder, settings, catalogue):
        raise errors.RunError(f"{folder} cannot be continued: {'; '.join(missing.values())}")
    moved = "data" in (parts or {})
    try:
        experiment = assemble(settings, catalogue, fresh=False)
    except errors.DataError as error:
        if moved:
            raise
        raise errors.DataError(f"{error}; if the data have moved, give resume their place with --data") from error
    return experiment, _go_on(experiment, folder, steps, keep_courses=keep_courses, moved=moved)


def _go_on(
    experiment: Experiment,
    folder: Path,
    steps: int | None = None,
    *,
    keep_courses: bool = False,
    moved: bool = False,
) -> int:
    """Load the newest checkpoint into an experiment, or begin again at step 0 where no checkpoint was written.

    Returns:
        The step to train up to.
    """
    run, screen = experiment.run, Display(0, 0, quiet=True)
    run.directory = folder
    total = steps or total_steps(run.settings)
    with experiment.processes.relay_errors():
        experiment.processes.require_same({"steps": steps, "keep_courses": keep_courses})
        if experiment.processes.is_main:
            experiment.lock = Lock(folder, screen.warn)
            try:
                checkpoints = folder / "checkpoints"
                saved = checkpoint.newest(checkpoints, set_aside=True) if checkpoint.found(checkpoints) else None
                if saved is None:  # stopped before the first checkpoint: the seed gives the same run again
                    screen.warn(f"warning: {folder} has no checkpoint: it begins again at step 0, from its seed")
                    run.course_steps = total_steps(run.settings) if keep_courses else None
                    if run.settings.init_from is not None:
                        adopt(run, run.settings.init_from)
                else:
                    total = steps or int(saved.fact("until"))
                    if total < saved.step:
                        more = f"give --steps {saved.step + 1} or more"
                        raise errors.SettingsError(f"{folder} is at step {saved.step} already: {more}")
                    if steps is None and (wanted := total_steps(run.settings)) > total:
                        screen.warn(
                            f"warning: {folder} is trained up to step {total}, as it was begun or resumed last; its "
                            f"config.yaml says {wanted}: give --steps {wanted} to go that far"
                        )
                    kept = saved.numbers.get("course_steps")
                    before = int(kept or saved.fact("until"))
                    if keep_courses or steps is None:  # a run that goes on as it was told keeps what it was told
                        run.course_steps = before if keep_courses else kept
                    if steps is not None and total != before and (numbers := _scheduled(run)):
                        screen.warn(_what_becomes_of(numbers, saved.step, before, total, kept=keep_courses))
                    _same_run(folder, saved.numbers, run, experiment.catalogue.kinds, moved=moved)
                    for line in saved.passed_over:
                        screen.warn(f"warning: {line}: going on from step {saved.step}")
                    what = f"restore the checkpoint of step {saved.step}, which is intact"
                    free = f"free memory on {run.device}, or give another --device"
                    with hardware.room(f"there is no memory to {what}: {free}"):
                        run.state.load(saved.tensors, saved.numbers)
                    run.sums = read_sums(saved.numbers)
            except BaseException:
                experiment.lock.release()
                raise
        experiment.processes.broadcast_state(run.state)
        run.course_steps = experiment.processes.broadcast_object(run.course_steps)
        return int(experiment.processes.broadcast_object(total))


def _what_becomes_of(numbers: str, step: int, before: int, total: int, *, kept: bool) -> str:
    """What a run of another length makes of the numbers that follow the run, in a line."""
    if kept:
        return (
            f"the numbers that follow the run keep their way of {before} steps: {numbers}; each has its last value "
            f"from step {before} to step {total}"
        )
    return (
        f"the numbers that follow the run stretch from {before} to {total} steps: {numbers}; each goes on from its "
        f"value at {step / total:.0%} of its way (--keep-courses keeps the ways as they were)"
    )


def _scheduled(run: Run) -> str:
    """What follows the run: numbers of parts, such as ``optimizer.lr=0.002..0``, and growth by shares of the run."""
    found = {
        f"{key.rpartition(' ')[2]}.{name}={number}"
        for key, bound in run.parts.bound.items()
        for name, number in bound.scheduled.items()
    }
    own = {each for each in found if each[:2] not in ("d_", "g_") or each[2:] not in found}  # both players' in one
    grown = [run.parts.architecture.stage(run.spec, progress, run.state.counters.images) for progress in (0.0, 1.0)]
    growth = ["the growth of the networks, which never goes back"] if grown[0] != grown[1] else []
    return ", ".join([*sorted(own), *growth])


def _begun(logdir: Path) -> Path | None:
    """Find the run directory that an earlier start of the same torchrun call made."""
    for file in sorted(logdir.glob("[!.]*/environment.json"), key=lambda file: file.stat().st_mtime, reverse=True):
        if origins.recorded(file.parent).get("launch") == launch_id():
            return file.parent
    return None


def _keep_facts(folder: Path, was: Mapping[str, Any], run: Run) -> None:
    """Keep the names of the classes and the range where the data tell none now.

    Raises:
        CheckpointError: the data tell others now: a name would draw what was trained as another.
    """
    names, found = list(was.get("class_names", ())), was.get("data_range")
    span = tuple(found) if found else None
    for said, before, now in (("classes", names, run.class_names), ("data_range", span, run.data_range)):
        if before and now and before != now:
            raise errors.CheckpointError(
                f"{folder} was trained on data with {said} {brief(before)}, and the data have {brief(now)} now: give "
                "the data it was trained on"
            )
    run.class_names, run.data_range = run.class_names or names, run.data_range or span
    run.identity["data"] = {
        **run.identity.get("data", {}),
        "class_names": run.class_names,
        "data_range": None if run.data_range is None else list(run.data_range),
    }


def _same_run(folder: Path, was: Mapping[str, Any], run: Run, kinds: Kinds, *, moved: bool = False) -> None:
    """Compare a run with the checkpoint's record of settings, data and versions.

    Other settings or data are refused. Other versions add a warning to the run. With ``moved`` the data may be
    described in another way, and the samples must be the same.

    Raises:
        SettingsError: a setting that moves the weights differs.
        CheckpointError: the data differ.
    """
    now = json.loads(json.dumps(run.identity))  # lists instead of tuples, as in the record read from disk
    before, after = _flat(was.get("settings", {}), kinds), _flat(now["settings"], kinds)
    changed = [
        f"{key} was {before[key]} and is {after.get(key, 'gone')}"
        for key in before
        # A parameter that a newer version added has the default value. An object's address differs in every process.
        if before[key] != after.get(key)
        and not (moved and key.startswith("data."))
        and (key in after or key.endswith(".name"))
        and " at 0x" not in str(before[key])
    ]
    new = [key for key in after if key not in before and key.endswith(".name")]
    changed += [f"{key} was not there and is {after[key]}" for key in new]
    if changed and before:
        raise errors.SettingsError(
            f"{folder}/config.yaml is not what the run was trained with: {'; '.join(changed)}: put that back, or start "
            f"another run from its networks with: {origins.command('run --init-from', folder)}"
        )
    given_as_object = any(spec.origin is None for spec in run.parts.specs["data"])
    data = f" --data {shlex.quote(run.parts.labels['data'])}" if moved and not given_as_object else ""
    numbers = {"size": "samples", "shape": "numbers a sample", "classes": "classes", "digest": "", "content": ""}
    for key, said in numbers.items():
        then, today = was.get("data", {}).get(key), now["data"].get(key)
        if then != today and then is not None and today is not None:
            differs = f"it had {then} {said}, and has {today}" if said else "its samples are not the same"
            raise errors.CheckpointError(
                f"{folder} was trained on other data: {differs}; give the data it was trained on, or start another run "
                f"from its networks with: {origins.command('run --init-from', folder)}{data}"
            )
    _keep_facts(folder, was.get("data", {}), run)
    versions = was.get("versions", {})
    for key, current in now["versions"].items():
        if versions.get(key, current) != current:
            run.warnings.append(
                f"{key} was {versions[key]} and is {current}: training goes on, but not bit for bit as it would have"
            )


def _flat(settings: Mapping[str, object], kinds: Kinds) -> dict[str, object]:
    """Settings that move the weights, on one level: ``{"loss.name": "hinge", "r1.gamma": 10, "arch.of.width": 8}``."""
    found: dict[str, object] = {}
    for key, value in settings.items():
        if key in RESUME_MAY_CHANGE or (key in kinds.settings and kinds.settings[key].resume_may_change):
            continue
        parts = value if isinstance(value, list) and all(isinstance(item, Mapping) for item in value) else [value]
        labels = iter(labels_of([part for part in parts if isinstance(part, Mapping)]))
        for part in parts:
            if isinstance(part, Mapping):
                label = next(labels)
                owner = f"{key}.{label}" if part is not value else key
                found.update(_flat_part(owner, part))
            else:
                found[key] = part
    return found


def _flat_part(owner: str, part: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a part and of the parts that are parameters of the part, on one level."""
    found: dict[str, object] = {}
    for name, each in part.items():
        found.update(_flat_part(f"{owner}.{name}", each) if isinstance(each, Mapping) else {f"{owner}.{name}": each})
    return found


def reload(
    run_dir: str | Path,
    catalogue: PartSource,
    parts: Mapping[str, object] | None = None,
    *,
    which: str | int = "newest",
    device: str | None = None,
) -> Run:
    """Read a run from disk to sample it. The architecture, the shapes and the weights are needed.

    A loss, data, a schedule or an optimizer that is not installed now is a ``Missing``: only its use is an error. The
    networks are in evaluation mode.

    Args:
        run_dir: the run directory.
        catalogue: the source in which the parts are looked up.
        parts: the parts that were given as Python objects, or the data in another place, by setting.
        which: the checkpoint: ``"newest"``, ``"best"`` or a step.
        device: the device. None takes the device of the run's settings.

    Returns:
        The run, with networks, average and newest metrics.

    Raises:
        RunError: the directory is no run directory.
        CheckpointError: the checkpoint is missing or damaged.
    """
    from ganzoo.disk.record import newest

    folder, settings = _settings_of(run_dir, catalogue, parts or {}, device=device, to_sample=True)
    missing = origins.absent(folder, settings, catalogue)
    for (setting, _), reason in missing.items():
        if setting in ("arch", "d_arch"):
            raise errors.RunError(f"{folder} cannot be loaded: {reason}")
    saved = checkpoint.chosen(folder / "checkpoints", which)
    spec = read_spec(saved.fact("spec"))
    made = build(settings, gather(settings, catalogue, missing), spec)
    made.directory = folder
    made.warnings += saved.passed_over
    facts = saved.numbers.get("data", {})
    made.class_names = list(facts.get("class_names", ()))
    made.data_range = tuple(facts["data_range"]) if facts.get("data_range") else None
    made.identity = {key: saved.numbers[key] for key in ("settings", "data", "versions") if key in saved.numbers}
    reasons = "; ".join(missing.values())
    try:
        failed = made.state.load_to_sample(saved.tensors, saved.numbers)
    except errors.CheckpointError as error:
        raise errors.CheckpointError(f"{error}{f'; {reasons}' if missing else ''}") from error
    if failed and not missing:
        raise next(iter(failed.values()))
    made.missing = {group: f"the {group} is not loaded: {reasons}" for group in failed}
    for net in (*made.state.networks, made.state.ema):
        if net is not None:
            net.eval()
    made.metrics.update(newest(folder / "metrics.jsonl"))
    return made


def _settings_of(
    run_dir: str | Path,
    catalogue: PartSource,
    parts: Mapping[str, object],
    *,
    device: str | None = None,
    to_sample: bool = False,
) -> tuple[Path, Settings]:
    """Check that a path is a run directory, and resolve the settings of ``config.yaml``.

    Args:
        run_dir: the run directory.
        catalogue: the source in which the parts are looked up.
        parts: parts in place of those of the file, by setting.
        device: the device in place of that of the file.
        to_sample: leave out settings that are not known here, such as those of a plugin that is not installed.
    """
    folder = user_path(run_dir)
    config = folder / "config.yaml"
    try:
        file, made = folder.is_file(), config.is_file()
    except OSError as error:
        raise errors.RunError(f"{folder} cannot be read ({error.strerror}): give a run directory that can") from error
    if file:
        raise errors.RunError(f"{folder} is a file, and was not opened: give the run directory that `ganzoo run` made")
    if not made:
        raise errors.RunError(f"{folder} is no run directory: it has no config.yaml; give one that `ganzoo run` made")
    parts = dict(parts)
    data = parts.pop("data", None)
    told = read_config(config)
    if to_sample:
        known = {*catalogue.kinds.settings, *words.parameters(Settings)}
        told = {name: value for name, value in told.items() if name in known}
    settings = resolve(catalogue, config=told, given={**parts, "device": device})
    if data is None:
        return folder, settings
    given, (was,) = catalogue.specify("data", data), settings.parts["data"]
    if isinstance(given, PartSpec) and isinstance(was, PartSpec) and given.name == was.name:
        given = was.with_parameters(**given.parameters)  # the same data in another place keep size and channels
    return folder, replace(settings, parts={**settings.parts, "data": (given,)})
