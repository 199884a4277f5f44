"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ganzoo.parts.part import Part

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.parts.data import Data


class Metric(Part):
    """A figure of merit, on samples."""

    kind: ClassVar[str] = "metric"

    @property
    def samples(self) -> int:
        """The number of real samples, and of fake samples, that ``score`` is given."""
        return 1000

    @property
    def figures(self) -> Mapping[str, bool | None]:
        """The names that ``score`` gives, the headline figure first.

        The value is True where higher is better, False where lower is better, and None where neither is. A run keeps
        the best checkpoint by one of the figures (``--best``).
        """
        return {}

    @property
    def pairs(self) -> bool:
        """The metric compares fake i with real i, made for one condition: ``score`` is given held-out pairs."""
        return False

    def score(self, real: Tensor, fake: Tensor, data: Data) -> Mapping[str, float]:
        """Compute the named figures.

        Args:
            real: (samples, *shape), in [-1, 1], on the CPU.
            fake: (samples, *shape), in [-1, 1], on the CPU.
            data: the data part of the run.

        Returns:
            A number for each name in ``figures``.
        """
        raise NotImplementedError
