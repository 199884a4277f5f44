"""What the engine costs: its step against the same mathematics and the same operations written by hand, without ganzoo.

``python examples/benchmarks/overhead.py``

By hand: one round, both players' gradients by ``autograd.grad``, fused Adam, channels last, an average of the generator
in one ``foreach``, batches gathered from bytes. What the engine does beside: it looks whether losses and gradients are
finite, keeps a step's scalars for the records (losses, scores, gradient norms), seeds the step's random numbers.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import paired
import torch
from torch.nn.functional import relu

from ganzoo import bench

TINY: dict[str, Any] = {"arch": "dcgan:width=2", "data": "digits:size=8", "batch_size": 4, "latent_dim": 4}


def by_hand(*, r1: bool = False, precision: str = "fp32", **settings: Any) -> Callable[[], None]:
    """The one-step hinge GAN, on copies of the same networks."""
    made = paired.experiment(r1=r1, precision=precision, **settings)
    generator, discriminator = copy.deepcopy(made.run.state.networks)
    average = copy.deepcopy(generator).requires_grad_(False).eval()
    batch, latent = made.run.settings.batch_size, made.run.settings.latent_dim
    data: torch.Tensor = made.run.parts.data.dataset().tensors[0]
    rows = torch.randperm(len(data))
    g_weights, d_weights = [*generator.parameters()], [*discriminator.parameters()]
    averages, pairs = [*average.parameters()], [*zip(average.buffers(), generator.buffers(), strict=True)]
    g_adam = torch.optim.Adam(g_weights, lr=paired.LR, betas=paired.BETAS, fused=True)
    d_adam = torch.optim.Adam(d_weights, lr=paired.LR, betas=paired.BETAS, fused=True)
    noise = torch.Generator()
    steps = 0

    def step() -> None:
        nonlocal steps
        start = steps * batch % (len(data) - batch)
        autocast = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with autocast:
            fake = generator(torch.randn(batch, latent, generator=noise))
        fake = fake.float()
        real = data[rows[start : start + batch]].float().mul_(1 / 127.5).sub_(1.0).requires_grad_(r1)
        with autocast:
            real_scores = discriminator(real)
        with autocast:
            fake_scores = discriminator(fake)
        real_scores, fake_scores = real_scores.float(), fake_scores.float()
        d_loss = relu(1 - real_scores).mean() + relu(1 + fake_scores).mean()
        if r1:
            (slope,) = torch.autograd.grad(real_scores.sum(), real, create_graph=True)
            d_loss = d_loss + paired.R1 / 2 * slope.flatten(1).square().sum(1).mean()
        g_loss = -fake_scores.mean()
        d_gradients = torch.autograd.grad(d_loss, d_weights, retain_graph=True)
        g_gradients = torch.autograd.grad(g_loss, g_weights)
        for adam, weights, gradients in ((d_adam, d_weights, d_gradients), (g_adam, g_weights, g_gradients)):
            for weight, gradient in zip(weights, gradients, strict=True):
                same = gradient.stride() == weight.stride()  # fused Adam walks both by one order
                weight.grad = gradient if same else torch.empty_like(weight).copy_(gradient)
            adam.step()
            for weight in weights:
                weight.grad = None
        steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(averages, g_weights, 1 - min(0.999, (1 + steps) / (10 + steps)))
            for mine, theirs in pairs:
                mine.copy_(theirs)

    return step


def overhead(title: str, how: argparse.Namespace, **settings: Any) -> None:
    """A row: what the engine adds to the step by hand, beside what chance adds."""
    contestants = [by_hand(**settings), by_hand(**settings), paired.ours(**settings)]
    for step in contestants:
        for _ in range(3):
            step()
    hand, again, engine = bench.race(contestants, paired.CPU, repeats=how.repeats, steps=how.steps)
    peaks = []
    for step in (contestants[0], contestants[2]):
        with bench.Live() as live:
            step()
        peaks.append(live.most)
    added = bench.Spread.of([1e6 * (a - b) for a, b in zip(engine, hand, strict=True)])
    chance, ratio = bench.ratios(again, hand), bench.ratios(engine, hand)
    print(
        f"| {title} | {1e3 * bench.Spread.of(hand).median:.3f} | {100 * (chance.median - 1):+.2f} % "
        f"| {100 * (ratio.median - 1):+.2f} % | {100 * (ratio.low - 1):+.2f} to {100 * (ratio.high - 1):+.2f} % "
        f"| {added.median:+.0f} ({added.low:+.0f} to {added.high:+.0f}) | {peaks[1] / peaks[0]:.4f} |",
        flush=True,
    )


def main() -> None:
    how = paired.options(__doc__)
    print(
        f"{how.threads} threads, {how.repeats} repeats of {how.steps} steps (tiny: {50 * how.steps})\n\n"
        "| step | by hand, ms | by hand again | ganzoo | quartiles | microseconds added | peak memory |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for precision in ("fp32", "bf16"):
        for r1 in (False, True):
            overhead(f"DCGAN-32 {precision}{' + R1' * r1}", how, precision=precision, r1=r1)
    torch.set_num_threads(1)
    how.steps *= 50
    for r1 in (False, True):
        overhead(f"tiny fp32{' + R1' * r1}, 1 thread", how, r1=r1, **TINY)


if __name__ == "__main__":
    main()
