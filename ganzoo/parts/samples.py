"""The samples that a metric reads, whole or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo.parts.data import Data

BATCH = 256
"""The number of samples that are generated, or read, at a time."""

Transform: TypeAlias = "Callable[[Tensor], Tensor]"
"""Maps a batch (N, *shape) to N rows, such as the features of a network. A row depends on its own sample alone."""


class Samples:
    """Real and generated samples, as a metric reads them. Samples in memory may be given by hand.

    Args:
        real: (reals, *shape), floating, in [-1, 1].
        fake: (count, *shape), floating, in [-1, 1].
        data: the data part that the real samples come from.
        batch: the number of samples in a batch.
        real_labels: (reals,) the classes of the real samples, or None.
        fake_labels: (count,) the classes that the samples were generated for, or None.

    Example:
        >>> import torch, ganzoo
        >>> ring = ganzoo.part("data", "ring")
        >>> samples = ganzoo.Samples(real=torch.zeros(5, 2), fake=torch.ones(3, 2), data=ring, batch=2)
        >>> [len(rows) for rows in samples.real()], samples.count
        ([2, 2, 1], 3)
    """

    def __init__(
        self,
        *,
        real: Tensor,
        fake: Tensor,
        data: Data,
        batch: int = BATCH,
        real_labels: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> None:
        self._real, self._fake, self.data, self.batch = real, fake, data, batch
        self._real_labels, self._fake_labels = real_labels, fake_labels

    @property
    def count(self) -> int:
        """The number of generated samples."""
        return len(self._fake)

    @property
    def reals(self) -> int:
        """The number of real samples."""
        return len(self._real)

    @property
    def device(self) -> torch.device:
        """The device that a metric computes on. ``real`` and ``fake`` give batches on this device."""
        return self._fake.device

    @property
    def real_labels(self) -> Tensor | None:
        """(reals,) the classes of the real samples, or None where the data has no classes."""
        return self._real_labels

    @property
    def fake_labels(self) -> Tensor | None:
        """(count,) the classes that the samples are generated for, or None where the networks are given no classes."""
        return self._fake_labels

    def real(self, transform: Transform | None = None) -> Iterator[Tensor]:
        """Read the real samples in batches. Memory does not grow with the number of samples.

        Where several processes train, each process transforms a share of the batches, and every process gets all rows.

        Args:
            transform: what to make of each batch. None gives the samples themselves.

        Yields:
            The rows of each batch, in the order of the samples, on ``device``.
        """
        yield from self._pieces(self._real, transform)

    def fake(self, transform: Transform | None = None) -> Iterator[Tensor]:
        """Generate the samples in batches. Every call gives the same samples.

        Args:
            transform: as for ``real``.

        Yields:
            As for ``real``.
        """
        yield from self._pieces(self._fake, transform)

    def reference(self, settings: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Compute statistics of the real samples, or read the statistics from a cache.

        Args:
            settings: a text that tells the statistics from all others of the same samples: the features, their
                weights and every setting that matters.
            make: computes the statistics from ``real``.

        Returns:
            The tensors of ``make``, on the CPU. Samples in memory are not cached.
        """
        return {name: value.cpu() for name, value in make().items()}

    @staticmethod
    def moments(batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """Compute mean and covariance. Memory does not grow with the number of rows.

        Formula:
            m = sum_i x_i / n,  c = sum_i (x_i - m)(x_i - m)^T / (n - 1)

        Args:
            batches: batches of rows, (N, D).

        Returns:
            ``mean`` (D,) and ``covariance`` (D, D), in float64.

        Example:
            >>> import ganzoo, torch
            >>> found = ganzoo.Samples.moments([torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0]])])
            >>> found["mean"].item(), found["covariance"].item()
            (2.0, 4.0)
        """
        import torch

        count, batches = 0, iter(batches)
        first = next(batches).double()
        shift = first.mean(0)  # sums about a point near the mean do not cancel
        total, outer = torch.zeros_like(shift), first.new_zeros(len(shift), len(shift))
        for rows in chain([first], batches):
            x = rows.double() - shift
            count, total, outer = count + len(x), total + x.sum(0), outer + x.T @ x
        mean = total / count
        return {"mean": shift + mean, "covariance": (outer - count * torch.outer(mean, mean)) / max(count - 1, 1)}

    def _pieces(self, rows: Tensor, transform: Transform | None) -> Iterator[Tensor]:
        for first in range(0, len(rows), self.batch):
            piece = rows[first : first + self.batch]
            yield piece if transform is None else transform(piece)
