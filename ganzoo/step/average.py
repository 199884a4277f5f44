"""How fast the average of the generator's weights follows the weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Averaging:
    """The rule of the average of the generator: ema <- b ema + (1 - b) theta after each update of the generator.

    Formula:
        with a decay: b = min(decay, (1 + t) / (10 + t)) after t updates. The warm-up makes a short run's average useful
        with a half-life h in images: b = 0.5^(batch / h), where h is at most rampup times the images so far
        uniform: b = 1 - 1 / (t - max(start, 1) + 1), the plain mean of the weights from update ``start`` on
        up to update ``start``: b = 0, so that the average is the generator itself

    Attributes:
        batch_size: images a step.
        decay: b. 0 keeps no average. None where the half-life counts.
        half_life: h, in images.
        rampup: share of the images so far that bounds the half-life. None is no bound.
        start: updates of the generator until which the average is the generator itself.
        uniform: whether the average is the plain mean. Decay and half-life are not read then.

    Source: T. Karras et al., 2020, arXiv 2006.06676, and its code, for half-life and ramp-up. A. Brock et al., 2019,
        arXiv 1809.11096, and its code, for the start. Y. Yazici et al., 2019, The unusual effectiveness of averaging in
        GAN training, arXiv 1806.04498, equations 1 and 2, for the plain mean.

    Example:
        >>> Averaging(32, None, 10_000).weight(updates=100)  # doctest: +ELLIPSIS
        0.00221...
    """

    batch_size: int
    decay: float | None
    half_life: float | None = None
    rampup: float | None = None
    start: int = 0
    uniform: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the run keeps an average."""
        return self.half_life is not None or bool(self.decay)

    def weight(self, updates: int) -> float:
        """The weight 1 - b of the new weights in the average.

        Args:
            updates: t, updates of the generator so far. Each update counts as a batch of images.
        """
        if self.start and updates <= self.start:
            return 1.0
        if self.uniform:
            # The mean begins at the first update at the earliest, without the weights of before the training.
            return 1.0 / (updates - max(self.start, 1) + 1)
        if self.half_life is None:
            return 1.0 - min(self.decay or 0.0, (1 + updates) / (10 + updates))
        half_life = self.half_life
        if self.rampup is not None:
            half_life = min(half_life, self.rampup * updates * self.batch_size)
        # A half-life of 0 forgets at once: the power underflows to 0.
        return float(1.0 - 0.5 ** (self.batch_size / max(half_life, 1e-8)))
