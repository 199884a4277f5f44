"""ganzoo against a plain DCGAN script: alternating, detach, two optimizers, everything as torch does by itself.

``python examples/benchmarks/plain.py``
"""

from __future__ import annotations

from collections.abc import Callable

import paired
import torch
from torch.nn.functional import relu


def script(r1: bool = False) -> Callable[[], None]:
    """The loop of the usual script, on networks of the same weights; a batch is a slice of shuffled rows."""
    generator, discriminator = paired.networks()
    images = paired.images()
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=paired.LR, betas=paired.BETAS)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=paired.LR, betas=paired.BETAS)
    rows = torch.randperm(len(images)).split(paired.BATCH)[:-1]
    made = 0

    def step() -> None:
        nonlocal made
        real = images[rows[made % len(rows)]].requires_grad_(r1)
        made += 1

        discriminator.zero_grad()
        real_scores = discriminator(real)
        fake = generator(torch.randn(paired.BATCH, paired.LATENT))
        d_loss = relu(1 - real_scores).mean() + relu(1 + discriminator(fake.detach())).mean()
        if r1:
            (slope,) = torch.autograd.grad(real_scores.sum(), real, create_graph=True)
            d_loss = d_loss + paired.R1 / 2 * slope.square().sum((1, 2, 3)).mean()
        d_loss.backward()
        d_optimizer.step()

        generator.zero_grad()
        g_loss = -discriminator(fake).mean()
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()  # scripts print them

    return step


def main() -> None:
    how = paired.options(__doc__)
    contestants = {
        "plain script": script(),
        "plain script + R1": script(r1=True),
        "ganzoo": paired.ours(),
        "ganzoo again": paired.ours(),
        "ganzoo + R1": paired.ours(r1=True),
        "ganzoo bf16": paired.ours(precision="bf16"),
        "ganzoo bf16 + R1": paired.ours(r1=True, precision="bf16"),
    }
    paired.table("plain script", "plain script", contestants, how)


if __name__ == "__main__":
    main()
