"""Regularizers by their words, attached to small networks or judged on plain tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import ganzoo
from ganzoo import words

POINTS = ganzoo.Spec(shape=(2,), latent_dim=2)
IMAGES = ganzoo.Spec(shape=(3, 8, 8), latent_dim=2)


def part(named: str) -> Any:
    return ganzoo.part("regularizer", named)


def prepared(named: str, *networks: nn.Module, spec: ganzoo.Spec = POINTS) -> Any:
    bound = words.bind(part(named))
    pair = ganzoo.Networks(*(networks or (nn.Linear(2, 2), nn.Linear(2, 1))))
    module = bound.part.prepare(pair, spec)
    bound.values["module"] = module.double() if module is not None else None
    return bound.part


def judged(critic, real, fake, **more):
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    return ganzoo.Scores(
        real=critic(real), fake=critic(fake), real_images=real, fake_images=fake, discriminator=critic, **more
    )


def some(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)
