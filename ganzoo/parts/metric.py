"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.parts.batch import Spec
    from ganzoo.parts.data import Data
    from ganzoo.parts.samples import Samples


class Metric(Part):
    """A figure of merit, on samples.

    A metric defines ``score``, which gets all samples at once, or ``evaluate``, which reads the samples in batches, so
    that memory does not grow with their number.

    Example:
        >>> import torch
        >>> from ganzoo import Metric
        >>> class Brightness(Metric):
        ...     figures = {"brightness": None}
        ...     def score(self, real, fake, data):
        ...         return {"brightness": float(fake.mean() - real.mean())}
        >>> Brightness().score(torch.zeros(4, 1, 8, 8), torch.ones(4, 1, 8, 8), None)
        {'brightness': 1.0}
    """

    kind: ClassVar[str] = "metric"

    @property
    def samples(self) -> int:
        """The number of samples to generate. ``score`` gets as many real samples."""
        return 1000

    @property
    def reals(self) -> int | None:
        """The number of real samples for ``evaluate``. None takes all real samples."""
        return self.samples

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The names of the figures, the headline figure first.

        The value is True where higher is better, False where lower is better, and None where neither is. A run keeps
        the best checkpoint by one of the figures (``--best``).
        """
        return {}

    @property
    def pairs(self) -> bool:
        """The metric compares fake i with real i, made for one condition: ``score`` is given held-out pairs."""
        return False

    @property
    def held_out(self) -> bool:
        """The real samples are samples that training never sees."""
        return self.pairs

    @property
    def labels(self) -> bool:
        """The metric needs classes, in the data and in the networks."""
        return False

    @classmethod
    def must_define(cls) -> tuple[tuple[str, ...], ...]:
        """The methods that a part of the kind needs."""
        return (("score", "evaluate"),)

    def check(self, spec: Spec, reals: int) -> None:
        """Refuse samples that the metric cannot judge, before training starts.

        Args:
            spec: the shapes of samples and latents, and the number of classes.
            reals: the number of real samples there are.

        Raises:
            Incompatible: the message names the cause and an alternative.
        """

    def score(self, real: Tensor, fake: Tensor, data: Data) -> Mapping[str, float]:
        """Compute the named figures from all samples at once.

        Args:
            real: (samples, *shape), in [-1, 1], on the CPU.
            fake: (samples, *shape), in [-1, 1], on the CPU.
            data: the data part of the run.

        Returns:
            A number for each name in ``figures``.
        """
        raise NotImplementedError

    def evaluate(self, samples: Samples) -> Mapping[str, float]:
        """Compute the named figures from samples that are read in batches.

        Args:
            samples: the real and the generated samples.

        Returns:
            A number for each name in ``figures``.
        """
        return self.score(_whole(samples.real()), _whole(samples.fake()), samples.data)

    @classmethod
    def streams(cls) -> bool:
        """Whether the class reads the samples in batches."""
        return cls.evaluate is not Metric.evaluate


def _whole(batches: Iterator[Tensor]) -> Tensor:
    """All batches as one tensor on the CPU."""
    import torch

    return torch.cat([batch.float().cpu() for batch in batches])
