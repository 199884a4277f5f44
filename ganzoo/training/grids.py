"""The sample grids of a run: samples from fixed latents, beside real samples and the inputs they were made for."""

from __future__ import annotations

import math

from torch import Tensor

from ganzoo.data.feed import Feed
from ganzoo.disk import pictures
from ganzoo.disk.record import RunLogger
from ganzoo.training.distributed import NullLogger
from ganzoo.training.events import Events
from ganzoo.training.run import Run


class Grids:
    """Draws the samples of a run's grids, and logs the grids.

    Args:
        run: the run.
        feed: the data of the run. Held-out samples are shown where there are some.
        events: is notified of every grid.

    Attributes:
        real: (N, *shape), the real samples that are shown, in [-1, 1], on the CPU.
        shown: the batch of the real samples, with labels and inputs.
        spread: the standard deviation over the real samples.
    """

    def __init__(self, run: Run, feed: Feed, events: Events) -> None:
        self.run, self.events = run, events
        in_plane = run.spec.shape == (2,)
        self.count = max(run.settings.samples, pictures.POINTS) if in_plane else run.settings.samples
        # Labels repeat in order, so that a column is a class. The last row is full.
        self.columns = pictures.class_columns(run.spec.classes, self.count) if len(run.spec.shape) == 3 else None
        if self.columns is not None:
            self.count = math.ceil(self.count / self.columns) * self.columns
        self.among = {"among": feed.look(self.count).images, "centres": run.parts.data.modes()} if in_plane else {}
        self.shown = (feed.held_out or feed).look(self.count)
        assert self.shown.images is not None
        self.real = self.shown.images
        self.spread = float(_spread(self.real))

    def samples(self, source: str) -> Tensor:
        """Samples from fixed latents, for the inputs that the grids show.

        Args:
            source: ``ema`` or ``generator``.

        Returns:
            (N, *shape) in [-1, 1] on the CPU.
        """
        inputs = {name: self.shown[name] for name in self.run.spec.inputs}
        count = self.shown.size if inputs else self.count
        return self.run.sample(count, source=source, inputs=inputs)

    def stages(self, tag: str) -> list[Tensor]:
        """What the generator made on the way to the samples of a grid, where that is a picture of the samples' size.

        Args:
            tag: the tag of the grid: ``samples/ema`` or ``samples/generator``.
        """
        run, shape = self.run, self.run.spec.shape
        names = [name for name, each in run.parts.architecture.intermediates(run.spec).items() if each == shape]
        if not names:
            return []
        inputs = {name: self.shown[name] for name in run.spec.inputs}
        made = run.intermediates(run.latents(self.shown.size, inputs=inputs), tag.rpartition("/")[2])
        return [made[name] for name in names]

    def log(self, logger: RunLogger | NullLogger, tag: str, samples: Tensor) -> None:
        """Log a grid of samples, beside the inputs that the samples were generated for.

        Args:
            logger: the logger of the run.
            tag: the tag of the grid, such as ``samples/ema``.
            samples: (N, *shape).
        """
        seen, labels, spec = samples, self.shown.labels, self.run.spec
        if tag == "samples/real" and self.columns is not None and labels is not None and not spec.inputs:
            rows = self.count // self.columns
            seen = pictures.by_class(samples, labels, self.columns, rows, spec.classes)
        if spec.inputs:
            pair = pictures.all_beside([*(self.shown[name] for name in spec.inputs), self.real])
            seen = pair if tag == "samples/real" else pictures.all_beside([pair, *self.stages(tag), samples])
        among = self.among if tag != "samples/real" else {}
        names = self.run.class_names if self.columns is not None and not spec.inputs else ()
        logger.images(self.run.step, tag, seen, self.columns, names=names, **among)
        self.events.images_recorded(self.run, self.run.step, tag, samples)

    def diversity(self, samples: Tensor) -> dict[str, float]:
        """The spread of samples over the spread of the real samples: near 0 where the samples are all alike.

        Args:
            samples: (N, *shape).

        Returns:
            ``samples/diversity``, or nothing where the real samples are all equal.
        """
        return {"samples/diversity": float(_spread(samples)) / self.spread} if self.spread else {}


def _spread(samples: Tensor) -> Tensor:
    """(): the standard deviation over the samples, averaged over the numbers of a sample."""
    return samples.double().std(0, correction=0).mean()
