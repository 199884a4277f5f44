"""The operations of the networks of presets at their own resolution, against a sum over the layers: none is made twice.

The networks are on the meta device, so that no number is computed. test_style_flops.py counts stylegan2 and r3gan.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import ganzoo
from ganzoo.speed.hardware import Flops
from ganzoo_zoo.architectures.layers import transformer
from ganzoo_zoo.architectures.layers.attention import SelfAttention
from ganzoo_zoo.architectures.layers.resampling import DownConv, UpConv
from ganzoo_zoo.presets import PRESETS

OWN: dict[str, tuple[tuple[int, ...], int, dict[str, tuple[int, ...]]]] = {
    "dcgan": ((3, 64, 64), 0, {}),
    "sngan": ((3, 32, 32), 0, {}),
    "sngan-projection": ((3, 32, 32), 10, {}),
    "sagan": ((3, 128, 128), 1000, {}),
    "biggan": ((3, 128, 128), 1000, {}),
    "biggan-cifar": ((3, 32, 32), 10, {}),
    "pggan": ((3, 1024, 1024), 0, {}),
    "fastgan": ((3, 256, 256), 0, {}),
    "gat": ((4, 32, 32), 1000, {}),
    "pix2pix": ((3, 256, 256), 0, {"condition": (3, 256, 256)}),
    "coarse-to-refine": ((3, 256, 256), 0, {"condition": (3, 256, 256), "mask": (1, 256, 256)}),
    "srgan": ((3, 96, 96), 0, {"condition": (3, 24, 24)}),
    "esrgan": ((3, 128, 128), 0, {"condition": (3, 32, 32)}),
}
"""Shape of a sample, number of classes, and the inputs."""


def by_hand(layer: Any, given: torch.Tensor, made: torch.Tensor) -> float:
    """Multiplications of a layer for one sample, by its sizes."""
    if isinstance(layer, UpConv):  # nearest, then 3x3: one transposed convolution of 4x4 and stride 2
        return made.shape[1] * 16 * given[0].numel()
    if isinstance(layer, DownConv):  # 3x3, then averages: one convolution of 4x4 and stride 2
        return made[0].numel() * 16 * given.shape[1]
    if isinstance(layer, nn.Conv2d):
        return made[0].numel() * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        return given[0].numel() * layer.out_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return made[0].numel() * layer.in_features
    if isinstance(layer, SelfAttention):  # each place with each pooled place, over C / 8 and C / 2 channels
        channels, places = given.shape[1], given[0, 0].numel()
        return places * places // 4 * (channels // 8 + channels // 2)
    if isinstance(layer, transformer.Attention):
        return 2 * given.shape[1] ** 2 * given.shape[2]
    return 0.0


@pytest.mark.parametrize("name", OWN)
def test_a_pass_costs_what_its_layers_cost(name: str) -> None:
    shape, classes, inputs = OWN[name]
    part = ganzoo.part("architecture", PRESETS[name]["arch"])
    latent = PRESETS[name].get("latent_dim", 64)
    expected, calls = Counter[str](), Counter[int]()
    with torch.device("meta"):
        named = {key: ganzoo.TensorSpec(each) for key, each in inputs.items()}
        spec = ganzoo.Spec(shape=shape, latent_dim=latent, classes=part.classes(classes), inputs=named)
        nets = part.build(spec)
        labels = torch.zeros(1, dtype=torch.long) if spec.classes else None
        given = {key: torch.zeros(1, *each) for key, each in inputs.items()}
        batch = ganzoo.Batch(latent=torch.zeros(1, latent), labels=labels, **given)

        def hear(player: str) -> Any:
            def called(layer: nn.Module, given: Any, made: Any) -> None:
                if given:  # the part of a weight that scales the weight is given names
                    expected[player] += by_hand(layer, given[0], made)
                weighted = [*layer.parameters(recurse=False)] or parametrize.is_parametrized(layer)
                calls[id(layer)] += bool(weighted)

            return called

        for player, net in nets._asdict().items():
            for layer in net.modules():
                layer.register_forward_hook(hear(player))
        with torch.no_grad():
            for player, play in (
                ("generator", lambda: part.generate(nets.generator, batch)),
                ("discriminator", lambda: part.judge(nets.discriminator, torch.zeros(1, *shape), batch)),
            ):
                with Flops() as counted:
                    play()
                assert counted.total / 2 == pytest.approx(expected[player], rel=0.01), player
    assert max(calls.values()) == 1
