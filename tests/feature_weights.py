"""Weights of the feature networks, made by the tests: nets of the published classes with fixed random numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


@cache
def feature_weights(folder: Path, network: str, layers: int = 5) -> Path:
    """A safetensors file with the first ``layers`` layers of a network of torchvision, named as torchvision names."""
    from torchvision import models

    with torch.device("meta"):
        found = getattr(models, network)(weights=None).features[:layers]
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for number, layer in enumerate(found):
        if isinstance(layer, nn.Conv2d):
            scale = (2 / layer.weight[0].numel()) ** 0.5
            weights[f"features.{number}.weight"] = scale * torch.randn(layer.weight.shape, generator=generator)
            weights[f"features.{number}.bias"] = 0.1 * torch.randn(layer.out_channels, generator=generator)
    file = folder / f"{network}-{layers}.safetensors"
    save_file(weights, file)
    return file
