"""What a step of a recipe costs: time, by phase; memory; operations, against what the machine can do.

The steps measured are the engine's own, ``advance`` with the records' notes; nothing is written to disk. What is
compared is measured in one process, in turn (A B A B), and a comparison of the recipe with itself stands beside it:
what that one says of chance holds for the other.
"""

from ganzoo.bench.contestants import Plain, Steps
from ganzoo.bench.costs import Live, flops, matmul_peak, memory
from ganzoo.bench.measurement import bench, measure
from ganzoo.bench.report import Against, Report, Spread
from ganzoo.bench.timing import PHASES, StepClock, phases, race, ratios

__all__ = [
    "PHASES",
    "Against",
    "Live",
    "Plain",
    "Report",
    "Spread",
    "StepClock",
    "Steps",
    "bench",
    "flops",
    "matmul_peak",
    "measure",
    "memory",
    "phases",
    "race",
    "ratios",
]
