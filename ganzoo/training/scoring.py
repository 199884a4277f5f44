"""Compute the figures of a metric on a run, during training and afterwards, by the same samples and the same numbers.

The noise of the generated samples, the choice of the real samples and the random numbers of a metric are functions of
the seeds. A figure that is computed again from a checkpoint therefore equals the figure that training recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ganzoo import errors
from ganzoo.data.feed import Feed
from ganzoo.names import cache_folder
from ganzoo.parts import Batch, Metric, Samples
from ganzoo.parts.samples import Transform
from ganzoo.speed import hardware
from ganzoo.step.naming import named
from ganzoo.step.randomness import derive_seed
from ganzoo.training.distributed import SINGLE_PROCESS, Processes
from ganzoo.training.run import Run

REFERENCES_KEPT = 64
"""Files of reference statistics that the cache keeps. The oldest files are removed."""


def metric_seed(run: Run) -> int:
    """The seed of the samples that training hands to metrics: the seed of the run plus 1.

    Args:
        run: the run.
    """
    return run.settings.seed + 1


def score(
    run: Run,
    label: str,
    metric: Metric,
    reals: Feed,
    *,
    seed: int | None = None,
    source: str = "auto",
    count: int | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> dict[str, float]:
    """Compute the figures of a metric.

    Args:
        run: the run.
        label: the name of the metric in records.
        metric: the metric.
        reals: the samples that training sees. ``reals.held_out`` is used by metrics on held-out samples.
        seed: the seed of the generated samples. None takes the seed that training uses.
        source: ``ema``, ``generator`` or ``auto``, as for ``Run.sample``.
        count: the number of samples instead of ``metric.samples``.
        processes: the processes that compute the features together, for a metric that streams.

    Returns:
        The figures by tag, such as ``metrics/modes/high_quality``.
    """
    number = metric_seed(run) if seed is None else seed
    feed = (reals.held_out if metric.held_out else None) or reals
    samples = RunSamples(run, metric, feed, number, source, count, processes if metric.streams() else SINGLE_PROCESS)
    with named("metric", label), hardware.random_state_kept(run.device):
        hardware.seed_default_generators(run.device, derive_seed(number, "metric"))
        found = metric.evaluate(samples)
    return {f"metrics/{label}/{key}": float(value) for key, value in found.items()}


def sample_count(run: Run, metric: Metric, reals: Feed, count: int | None = None) -> int:
    """The number of samples that are generated for a metric.

    Args:
        run: the run.
        metric: the metric.
        reals: the samples that training sees, with ``held_out``.
        count: the number that was asked for. None takes the number of the metric.

    Returns:
        The number that was asked for, or the number of real samples where the metric or the networks need a real sample
        for each generated sample and there are fewer.
    """
    wanted = metric.samples if count is None else count
    feed = (reals.held_out if metric.held_out else None) or reals
    free = metric.streams() and not metric.pairs and not run.spec.inputs
    return wanted if free else min(wanted, feed.size)


class RunSamples(Samples):
    """The samples of a run and of the run's data. Samples are generated and read when the metric asks for them.

    Args:
        run: the run.
        metric: the metric that reads the samples.
        feed: the real samples.
        seed: the seed of the noise.
        source: ``ema``, ``generator`` or ``auto``.
        count: the number of samples instead of ``metric.samples``.
        processes: the processes that share the work.
    """

    def __init__(
        self, run: Run, metric: Metric, feed: Feed, seed: int, source: str, count: int | None, processes: Processes
    ) -> None:
        self.run, self.feed, self.processes = run, feed, processes
        self.seed, self.source = seed, source
        self.data, self.batch = run.parts.data, 256
        wanted = metric.samples if count is None else count
        self._count = sample_count(run, metric, feed, count)
        asked = wanted if metric.reals == metric.samples else metric.reals
        self._reals = feed.size if asked is None else min(asked, feed.size)
        self._to = run.device if metric.streams() else torch.device("cpu")

    @property
    def count(self) -> int:
        """The number of generated samples."""
        return self._count

    @property
    def reals(self) -> int:
        """The number of real samples."""
        return self._reals

    @property
    def device(self) -> torch.device:
        """The device of the run, or the CPU for a metric that gets all samples at once."""
        return self._to

    @property
    def real_labels(self) -> Tensor | None:
        """(reals,) the classes of the real samples, or None where the data has no classes."""
        found = [piece.labels for piece in self.feed.in_pieces(self.reals, self.batch)]
        return None if not self.feed.classes else torch.cat([labels for labels in found if labels is not None])

    @property
    def fake_labels(self) -> Tensor | None:
        """(count,) the classes that the samples are generated for, or None where the networks are given no classes."""
        return torch.arange(self.count) % self.run.spec.classes if self.run.spec.classes else None

    def real(self, transform: Transform | None = None) -> Iterator[Tensor]:
        """Read the real samples in batches.

        Args:
            transform: as for ``Samples.real``.

        Yields:
            The rows of each batch.
        """
        if transform is None:
            for piece in self.feed.in_pieces(self.reals, self.batch):
                yield _images(piece).to(self.device)
            return

        def rows(piece: Batch) -> Tensor:
            return transform(_images(piece).to(self.device))

        # Each process reads all samples and transforms a share: the features cost more than the reading.
        yield from self._shared(partial(rows, piece) for piece in self.feed.in_pieces(self.reals, self.batch))

    def fake(self, transform: Transform | None = None) -> Iterator[Tensor]:
        """Generate the samples in batches.

        Args:
            transform: as for ``Samples.fake``.

        Yields:
            The rows of each batch.
        """

        def rows(batch: Batch) -> Tensor:
            made = self.run.generated(batch, self.source).float().to(self.device)
            return made if transform is None else transform(made)

        yield from self._shared(partial(rows, batch) for batch in self._latents())

    def reference(self, settings: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Compute statistics of the real samples, or read the statistics from the user's cache folder.

        Args:
            settings: as for ``Samples.reference``.
            make: as for ``Samples.reference``.

        Returns:
            The statistics. Where several processes train, the main process reads and writes the cache.
        """
        known = {"data": self.feed.content(), "reals": self.reals, "settings": settings}
        if self.reals < self.feed.size:
            known["seed"] = self.feed.seed  # chooses the samples
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
        file = reference_folder() / f"{digest}.safetensors"
        found = _read(file) if self.processes.is_main else None
        if not self.processes.broadcast_object(found is not None):
            found = {name: value.detach().cpu().contiguous() for name, value in make().items()}
            if self.processes.is_main:
                _write(found, file)
        held = [found.get(name) for name in sorted(found)] if found is not None else None
        names = self.processes.broadcast_object(sorted(found) if found is not None else [])
        tensors = [self.processes.all_gather(None if held is None else held[k])[0] for k in range(len(names))]
        return dict(zip(names, (value for value in tensors if value is not None), strict=True))

    def _latents(self) -> Iterator[Batch]:
        """The batches to generate from. Noise is drawn batch by batch, so that memory does not grow with the count."""
        run, noise = self.run, torch.Generator().manual_seed(derive_seed(self.seed, "sample"))
        conditions = self.feed.in_pieces(self.count, self.batch) if run.spec.inputs else iter(())
        for first in range(0, self.count, self.batch):
            size = min(self.batch, self.count - first)
            given = next(conditions, None)
            inputs = {} if given is None else {name: given[name] for name in run.spec.inputs}
            classes = (first + torch.arange(size)) % run.spec.classes if run.spec.classes else None
            yield run.latents(size, labels=classes, inputs=inputs, noise=noise)

    def _shared(self, makers: Iterator[Callable[[], Tensor]]) -> Iterator[Tensor]:
        """Compute batches, each in one of the processes, and yield all batches in order in every process."""
        world = self.processes.world_size
        while group := list(islice(makers, world)):
            with torch.no_grad():
                own = group[self.processes.rank]() if self.processes.rank < len(group) else None
            for rows in self.processes.all_gather(own)[: len(group)]:
                assert rows is not None
                yield rows.to(self.device)


def _images(batch: Batch) -> Tensor:
    assert batch.images is not None
    return batch.images.float()


def reference_folder() -> Path:
    """The folder of the cached statistics of real samples."""
    return cache_folder() / "reference"


def _read(file: Path) -> dict[str, Tensor] | None:
    """The tensors of a file. None where the file is missing or damaged."""
    try:
        found = load_file(file)
        file.touch()
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    return found


def _write(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write tensors to the cache. A cache that cannot be written costs the work of the next time, and no error."""
    with contextlib.suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{uuid4().hex}")
        try:
            save_file(dict(tensors), draft)
            draft.chmod(0o600)  # features of private pictures tell of the pictures
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        kept = sorted(file.parent.glob("*.safetensors"), key=lambda each: each.stat().st_mtime)
        for old in kept[:-REFERENCES_KEPT]:
            old.unlink(missing_ok=True)


def require_samples(run: Run, label: str, metric: Metric, reals: Feed) -> None:
    """Refuse a metric that the run or the data cannot serve.

    Args:
        run: the run.
        label: the name of the metric.
        metric: the metric.
        reals: the samples that training sees, with ``held_out`` where the data holds samples out.

    Raises:
        Incompatible: the metric needs pairs, classes or held-out samples, and there are none, or ``Metric.check``
            refuses.
    """
    data = run.parts.labels["data"]
    if metric.pairs and not run.spec.inputs:
        raise errors.Incompatible(
            f"metric {label} compares pairs, and data {run.parts.spec('data').label} gives no condition to make a "
            f"sample for: use data of pairs, or leave {label} out"
        )
    if metric.held_out and reals.held_out is None:
        raise errors.Incompatible(
            f"metric {label} is figured on held-out {'pairs' if metric.pairs else 'samples'}, and data {data} holds "
            f"none out: set its hold_out=0.2, or leave {label} out"
        )
    if metric.labels and not (reals.classes and run.spec.classes):
        lacks = "the networks are given none" if reals.classes else f"data {data} has none"
        raise errors.Incompatible(
            f"metric {label} compares classes, and {lacks}: use data with classes and networks with "
            f"conditional=concat, or leave {label} out"
        )
    feed = (reals.held_out if metric.held_out else None) or reals
    metric.check(run.spec, feed.size)


def try_metric(run: Run, label: str, metric: Metric, reals: Feed) -> None:
    """Score real samples against themselves, so that a metric that fails does so before training.

    A metric that streams, that compares pairs or that needs held-out samples is left out.

    Args:
        run: the run.
        label: the label of the metric.
        metric: the metric.
        reals: the data of the run.

    Raises:
        Incompatible: the metric cannot judge this data.
        PartError: the metric returns no mapping of numbers.
    """
    if metric.streams() or metric.pairs or metric.held_out:
        return
    with named("metric", label):
        real = _images(reals.look(min(metric.samples, reals.size)))
        found = metric.score(real, real, run.parts.data)
    if not isinstance(found, Mapping):
        raise errors.PartError(
            f"metric {label} gave a {type(found).__name__}: return a mapping from figures to numbers"
        )
