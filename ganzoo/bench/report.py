"""What is known of the cost of a step: figures with their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around the median.

    Args:
        median: half of the values are below.
        low: a quarter of the values is below.
        high: a quarter of the values is above.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the spread of values.

        Args:
            values: at least one number.
        """
        low, _, high = quantiles(values, method="inclusive") if len(values) > 1 else [*values] * 3
        return cls(median(values), low, high)


@dataclass(frozen=True, kw_only=True)
class Against:
    """A recipe beside a plain loop of the same networks.

    Attributes:
        milliseconds: of the plain loop's step.
        ratio: the plain loop's time over the recipe's, repeat by repeat: above 1 the recipe is faster.
        control: the same for the recipe against itself, in the same repeats: how far from 1 chance reaches.
        left_out: regularizers of the recipe that the plain loop makes do without.
    """

    milliseconds: Spread
    ratio: Spread
    control: Spread
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a step of a recipe costs.

    Attributes:
        recipe: its parts, by setting.
        device: where it ran.
        precision: what the nets computed in.
        threads: of the CPU.
        batch_size: samples in a batch.
        steps: steps timed together, a repeat.
        repeats: how many times.
        milliseconds: a step, without any timer inside.
        images_per_second: batches a second, times their size.
        phases: milliseconds of each, which add up to the step. ``penalty`` is the step with the penalties less the same
            without, all passes that are made for them; the step without is shared out as timers inside one saw it, and
            ``other`` of it is losses, norms, records, what timers cost.
        memory: bytes that tensors took at most: state (weights, optimizers, average), and what a step adds.
        state: bytes of the state alone.
        flops: of matrix products and convolutions, a step.
        peak: of a large matrix product here, a second, in the same precision, on the same threads.
        against: the comparison, if one was asked for.
        written: milliseconds of a step made as written, where steps are recorded; the phases are then this one's.
        said: warnings, a line each.
    """

    recipe: Mapping[str, str]
    device: str
    precision: str
    threads: int
    batch_size: int
    steps: int
    repeats: int
    milliseconds: Spread
    images_per_second: float
    phases: Mapping[str, float]
    memory: int
    state: int
    flops: float
    peak: float
    against: Against | None = None
    written: Spread | None = None
    said: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """Of the machine's peak that the step reaches."""
        return self.flops / (self.milliseconds.median / 1e3) / self.peak

    def plain(self) -> dict[str, object]:
        """As plain data."""
        return {**asdict(self), "fraction": self.fraction}
