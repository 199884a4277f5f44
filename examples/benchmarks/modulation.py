"""What a modulated convolution costs: ganzoo's layer beside a grouped convolution with weights per sample.

``python examples/benchmarks/modulation.py``

The grouped form is the form of StyleGAN2's authors with ``fused_modconv``: weights (N, O, I, k, k) are made,
demodulated, and applied as one convolution of N groups. A step is a forward pass and the gradients by the maps, the
style and the weights. The second table adds the gradient of a gradient, as path length regularization takes it.
"""

from __future__ import annotations

from collections.abc import Callable

import paired
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ganzoo_zoo.architectures.layers.modulation import ModulatedConv

SIZES = ((64, 16, 16), (32, 32, 16))
"""Channels, side and samples of the maps."""


def grouped(layer: ModulatedConv, x: Tensor, style: Tensor) -> Tensor:
    """The layer's function, by weights per sample and a grouped convolution."""
    count, inputs, *side = x.shape
    w = layer.weight[None] * layer.scale(style)[:, None, :, None, None]
    w = w * (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    maps = x.reshape(1, -1, *side)
    if layer.up:
        w = w.transpose(1, 2).reshape(count * inputs, -1, 3, 3)
        made = F.conv_transpose2d(maps, w, stride=2, groups=count)
        return layer.blur(made.reshape(count, -1, *made.shape[2:]))
    made = F.conv2d(maps, w.flatten(0, 1), padding=1, groups=count)
    return made.reshape(count, -1, *side)


def ours(layer: ModulatedConv, x: Tensor, style: Tensor) -> Tensor:
    return layer(x, style)


def step(
    form: Callable[[ModulatedConv, Tensor, Tensor], Tensor],
    layer: ModulatedConv,
    x: Tensor,
    style: Tensor,
    twice: bool,
) -> Callable[[], Tensor]:
    """A forward pass with its gradients, once or twice."""
    weights = list(layer.parameters())

    def make() -> Tensor:
        made = form(layer, x, style)
        if twice:
            (slope,) = torch.autograd.grad(made.square().sum(), style, create_graph=True)
            torch.autograd.grad(slope.square().sum(), [x, *weights])
        else:
            torch.autograd.grad(made.square().sum(), [x, style, *weights])
        return made

    return make


def memory(make: Callable[[], Tensor]) -> float:
    """MB that torch allocates in a step, in total."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        make()
    return sum(max(0, event.self_cpu_memory_usage) for event in found.key_averages()) / 1e6


def main() -> None:
    how = paired.options(__doc__)
    for channels, side, samples in SIZES:
        for up in (False, True):
            for twice in (False, True):
                torch.manual_seed(0)
                layer = ModulatedConv(channels, channels, 3, style=64, up=up)
                x = torch.randn(samples, channels, side, side, requires_grad=True)
                style = torch.randn(samples, 64, requires_grad=True)
                made, again, theirs = (step(form, layer, x, style, twice) for form in (ours, ours, grouped))
                torch.testing.assert_close(made(), theirs(), rtol=1e-3, atol=1e-3)
                title = f"{channels} channels, {side}x{side}, {samples} samples{', up' if up else ''}"
                contestants = {"grouped": theirs, "ganzoo": made, "ganzoo again": again}
                paired.table(title + (", second derivative" if twice else ""), "grouped", contestants, how)
                print(f"\nmemory allocated: {memory(made):.0f} and grouped {memory(theirs):.0f} MB\n")


if __name__ == "__main__":
    main()
