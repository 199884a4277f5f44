"""The operations of a pass of r3gan and of stylegan2, against a count by hand: no layer is computed twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ganzoo
from ganzoo.speed.hardware import Flops

COUNT, LATENT, CHANNELS, SIDES = 2, 5, 3, (4, 8, 16)


def multiplications(net: Any, *given: torch.Tensor) -> float:
    """Multiplications a sample of a forward pass, as torch counts the operations."""
    with torch.no_grad(), Flops() as counted:
        net(*given)
    return counted.total / 2 / COUNT


def made(words: str) -> ganzoo.Networks:
    torch.manual_seed(0)
    shape = (CHANNELS, SIDES[-1], SIDES[-1])
    return ganzoo.part("architecture", words).build(ganzoo.Spec(shape=shape, latent_dim=LATENT))


def test_r3gan() -> None:
    nets = made("r3gan:width=16,wide_to=8,blocks=2,group=4")
    widths = (16, 16, 8)
    block = [2 * (2 * (w * 2 * w) + 2 * w * 4 * 9) * s * s for w, s in zip(widths, SIDES, strict=True)]
    matched = 16 * 8  # the only change of channels
    g = LATENT * 16 + sum(block) + 16 * 16 * 4 * 4 + 16 * 8 * 8 * 8 + matched * 8 * 8
    d = CHANNELS * 8 * 16 * 16 + sum(block) + 16 * 8 * 8 * 8 + 16 * 16 * 4 * 4 + matched * 8 * 8 + 16 * 16 + 16
    assert multiplications(nets.generator, torch.randn(COUNT, LATENT)) == pytest.approx(g + 8 * CHANNELS * 16 * 16)
    assert multiplications(nets.discriminator, torch.randn(COUNT, CHANNELS, 16, 16)) == pytest.approx(d)


@pytest.mark.parametrize("training", [False, True])
def test_stylegan2(training: bool) -> None:
    nets = made("stylegan2:width=16,wide_to=8,style=6,mapping=3,mixing=1")
    nets.generator.train(training)
    widths = (16, 16, 8)
    mapping = (LATENT * 6 + 2 * 6 * 6) * (2 if training else 1)  # mixing maps other noise too
    synthesis = 0
    for i, (w, s) in enumerate(zip(widths, SIDES, strict=True)):
        if i:
            before, half = widths[i - 1], SIDES[i - 1]
            synthesis += 9 * before * w * half * half + 16 * w * s * s  # transposed convolution, then the filter
            synthesis += 6 * before + before * w  # the scales, and the divisors
            synthesis += 16 * CHANNELS * half * half  # the image so far is upsampled
        synthesis += 9 * w * w * s * s + 6 * w + w * w
        synthesis += w * CHANNELS * s * s + 6 * w  # the image of the side
    assert multiplications(nets.generator, torch.randn(COUNT, LATENT)) == pytest.approx(mapping + synthesis)

    d = CHANNELS * 8 * 16 * 16
    for w, after, s in ((8, 16, 16), (16, 16, 8)):
        half = s // 2
        d += 9 * w * w * s * s + 16 * w * (s + 1) ** 2 + 9 * w * after * half * half
        d += 16 * w * half * half + w * after * half * half  # the shortcut
    d += 9 * 17 * 16 * 4 * 4 + 16 * 16 * 16 + 16
    assert multiplications(nets.discriminator, torch.randn(COUNT, CHANNELS, 16, 16)) == pytest.approx(d)
