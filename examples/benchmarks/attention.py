"""What self-attention costs: ganzoo's layer beside the operations of the authors' code, in the order of their code.

``python examples/benchmarks/attention.py``

SAGAN's authors keep maps with the channels last, so that a place is a row: queries (N, H W, C / 8), keys and values
that are pooled and reshaped to rows, and two products of matrices. A step is a forward pass and the gradients by the
maps and the weights. The second table of a size adds the gradient of a gradient, as R1 takes the gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import paired
import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo_zoo.architectures.layers.attention import SelfAttention

SIZES = ((64, 32, 8), (256, 32, 4), (192, 64, 1))
"""Channels, side and samples of the maps. The second size is SAGAN's generator, the third BigGAN's at 128x128."""


def rows(layer: SelfAttention, x: Tensor) -> Tensor:
    """The layer's function by rows of places, as sn_non_local_block_sim of the authors' non_local.py has it."""
    count, channels, height, width = x.shape

    def places(maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).reshape(count, -1, maps.shape[1])

    theta = places(layer.query(x))
    phi = places(F.max_pool2d(layer.key(x), 2))
    g = places(F.max_pool2d(layer.value(x), 2))
    mixed = torch.matmul(torch.matmul(theta, phi.transpose(1, 2)).softmax(-1), g)
    mixed = mixed.reshape(count, height, width, channels // 2).permute(0, 3, 1, 2)
    return x + layer.gamma * layer.output(mixed)


def ours(layer: SelfAttention, x: Tensor) -> Tensor:
    return layer(x)


def step(
    form: Callable[[SelfAttention, Tensor], Tensor], layer: SelfAttention, x: Tensor, twice: bool
) -> Callable[[], Tensor]:
    """A forward pass with its gradients, once or twice."""
    weights = list(layer.parameters())

    def make() -> Tensor:
        made = form(layer, x)
        if twice:
            (slope,) = torch.autograd.grad(made.square().sum(), x, create_graph=True)
            torch.autograd.grad(slope.square().sum(), weights)
        else:
            torch.autograd.grad(made.square().sum(), [x, *weights])
        return made

    return make


def main() -> None:
    how = paired.options(__doc__)
    for channels, side, samples in SIZES:
        for twice in (False, True):
            torch.manual_seed(0)
            layer = SelfAttention(channels)
            torch.nn.init.ones_(layer.gamma)
            x = torch.randn(samples, channels, side, side, requires_grad=True)
            made, again, theirs = (step(form, layer, x, twice) for form in (ours, ours, rows))
            torch.testing.assert_close(made(), theirs(), rtol=1e-3, atol=1e-3)
            title = f"{channels} channels, {side}x{side}, {samples} samples"
            contestants = {"rows": theirs, "ganzoo": made, "ganzoo again": again}
            paired.table(title + (", second derivative" if twice else ""), "rows", contestants, how)


if __name__ == "__main__":
    main()
