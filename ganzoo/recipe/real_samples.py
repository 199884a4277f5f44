"""Samples that a run is looked at with: held out of its training, of its own data, or of other data."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from ganzoo.data import choose
from ganzoo.data.feed import Feed
from ganzoo.parts import Batch, Data
from ganzoo.recipe.settings import PartSource
from ganzoo.training.run import Run
from ganzoo.words import PartSpec


def held_out(run: Run) -> Feed | None:
    """Make a feed of the samples that training never sees.

    Args:
        run: the run.

    Returns:
        The feed, or None where the data part holds no samples out.
    """
    dataset = run.parts.data.held_out()
    if dataset is None:
        return None
    return _own(run, dataset)


def shown(run: Run, count: int) -> tuple[Batch, bool]:
    """Read samples of the run's data to look at. Samples that are held out of training are preferred.

    Args:
        run: the run.
        count: the largest number of samples.

    Returns:
        The samples, and whether the samples were held out of training.

    Raises:
        DataError: the data is missing or unreadable.
    """
    source = held_out(run)
    if source is not None:
        return source.look(min(count, source.size)), True
    seen = _own(run, run.parts.data.dataset())
    return seen.look(min(count, seen.size)), False


def _own(run: Run, dataset: Dataset[Any]) -> Feed:
    """A feed of a dataset of the run's data part, which gives the networks what training gives them."""
    data = run.parts.data
    made = choose.feed(dataset, run.parts.labels["data"], 1, run.settings.seed, run.device, run.dtype, data)
    made.keep_inputs(run.spec.inputs)
    return made


def other(run: Run, named: str, catalogue: PartSource, count: int) -> Batch:
    """Read samples of other data, at the run's size and channels if the data part has parameters of these names.

    Args:
        run: the run that the samples are for.
        named: the data part, written as for ``--data``.
        catalogue: the source in which the part is looked up.
        count: the largest number of samples.

    Returns:
        The samples.

    Raises:
        GanzooError: the data cannot be found, made or read.
    """
    shape = run.spec.shape
    fitting: dict[str, object] = {}
    if len(shape) == 3:
        fitting = {"size": shape[1] if shape[1] == shape[2] else f"{shape[1]}x{shape[2]}", "channels": shape[0]}
    given = catalogue.specify("data", named)
    spec, data = catalogue.make("data", given)
    if isinstance(given, PartSpec):
        fitting = {
            key: value for key, value in fitting.items() if key in spec.parameters and key not in given.parameters
        }
        spec, data = catalogue.make("data", given.with_parameters(**fitting))
    assert isinstance(data, Data)
    samples = choose.feed(data.dataset(), spec.label, 1, run.settings.seed, run.device, run.dtype, data)
    return samples.look(min(count, samples.size))
