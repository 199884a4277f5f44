#!/usr/bin/env python3
"""tests/gpu/sweep_table.py FILE...: a table of a sweep on the emulated CUDA device.

GANZOO_SWEEP=0/1 GANZOO_SWEEP_TABLE=rows.jsonl .ci/gpu python3 tests/gpu/test_sweep.py
tests/gpu/sweep_table.py rows.jsonl
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize")


def main(*files: str) -> None:
    """Print the table of all lines, by kind, and the reasons of the compositions that were not captured."""
    rows = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    kinds, reasons = defaultdict[str, list[Any]](list), Counter[str]()
    for row in rows:
        kinds[row["name"].split()[0]].append(row)
        reasons.update(re.sub(r"^warning: [^:]*: ", "", line) for line in row["said"])
    print("| kind | recipes | captured | waits in a step | kernels as written | kernels captured | graphs |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind, found in [*sorted(kinds.items()), ("all", rows)]:
        captured = [row for row in found if row["captured"].get("graph launches", 0) == 1]
        waits = sum(row[way].get(name, 0) for row in found for way in ("written", "captured") for name in WAITS)
        kernels = [
            [row[way].get("kernels launched", 0.0) for row in captured] or [0.0] for way in ("written", "captured")
        ]
        spans = [f"{min(each):.0f} to {max(each):.0f}, median {statistics.median(each):.0f}" for each in kernels]
        print(f"| {kind} | {len(found)} | {len(captured)} | {waits:g} | {spans[0]} | {spans[1]} | 1 |")
    print()
    for reason, number in reasons.most_common():
        print(f"- {number}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
