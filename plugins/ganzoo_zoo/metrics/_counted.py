"""Metrics whose numbers of real and of generated samples are parameters."""

from __future__ import annotations

import ganzoo


class Counted(ganzoo.Metric):
    """A metric on as many samples as the user says.

    Args:
        count: the number of generated samples.
        real_count: the number of real samples. none takes all real samples.
    """

    count: int = 1000
    real_count: int | None = None

    @property
    def samples(self) -> int:
        """The number of generated samples."""
        return self.count

    @property
    def reals(self) -> int | None:
        """The number of real samples. None takes all real samples."""
        return self.real_count
