"""What the shared backward saves: one-step WGAN with both gradients from one backward pass, beside the usual two.

``python examples/benchmarks/shared.py``
"""

from __future__ import annotations

import paired

from ganzoo.speed import hardware


def main() -> None:
    how = paired.options(__doc__)
    for precision in ("fp32", "bf16"):
        given = {"loss": "wgan", "precision": precision}
        usual, again = paired.ours(**given), paired.ours(**given)
        shared = paired.ours(**given, schedule="onestep:shared=true")
        contestants = {"two passes": usual, "two passes again": again, "shared": shared}
        paired.table(f"one-step WGAN, {precision}", "two passes", contestants, how)
        counts = []
        for step in (usual, shared):
            with hardware.Flops() as counted:
                step()
            counts.append(counted.total)
        usual_, shared_ = (count / 1e9 for count in counts)
        print(f"\noperations: {usual_:.2f} and {shared_:.2f} GFLOP, {usual_ / shared_:.3f} times\n")


if __name__ == "__main__":
    main()
