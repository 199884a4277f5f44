"""The description of a run before training, for ``ganzoo run --dry-run``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ganzoo.names import one_line
from ganzoo.parts import PLAYERS
from ganzoo.recipe.assemble import Experiment, total_steps
from ganzoo.training import probe


def description(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Describe an experiment: parts with providers, shapes, sizes and memory.

    Args:
        experiment: an assembled experiment. No run directory is needed.

    Yields:
        The heading and the text of each line.
    """
    run, source = experiment.run, experiment.feed
    for setting, specs in run.parts.specs.items():
        providers = ", ".join(dict.fromkeys(spec.source for spec in specs))
        said = " ".join(shlex.quote(str(spec)) for spec in specs) or "none"  # to be pasted behind the option
        yield setting, f"{said}  from {providers}" if providers else said
    classes = f", {source.classes} classes" if source.classes else ""
    given = "given to the nets" if run.spec.classes else "not given to the nets"
    yield "samples", f"{source.size:,} of {_shape(source.shape)}{classes}{f' ({given})' if classes else ''}"
    if source.counts():
        yield "classes", source.counts()
    yield "noise", f"{run.spec.latent_dim} numbers, {run.settings.noise}"
    for player in PLAYERS:
        count = sum(p.numel() for p in getattr(run.state.networks, player).parameters())
        yield player, f"{count:,} parameters"
    yield "steps", f"{total_steps(run.settings):,} of batch {run.settings.batch_size}, seed {run.settings.seed}"
    yield "runs on", "; ".join([f"{run.device}, {run.settings.precision}", *run.choices])
    try:
        fixed, each = probe.memory(run, experiment.game, source)
    except Exception as error:  # an estimate may fail where training works, so that the description goes on
        yield "memory", f"not known: the estimate failed ({one_line(error)})"
    else:
        most = fixed + each * run.settings.batch_size // experiment.game.environment.micro_batches
        yield "memory", f"about {most / 2**20:,.0f} MiB on top of torch and the data"
    yield "records", f"a directory in {run.settings.logdir}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
