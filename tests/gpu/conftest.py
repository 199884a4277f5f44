"""What the tests on a CUDA device share with the tests of the same engine on the CPU."""

import sys
from pathlib import Path

for folder in ("speed", "faults"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
