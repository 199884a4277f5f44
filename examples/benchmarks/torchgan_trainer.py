"""ganzoo against the Trainer of torchgan 0.1, in fp32, which is what it has.

In an environment with ganzoo: ``pip install --no-deps torchgan && python examples/benchmarks/torchgan_trainer.py``

It is torchgan's ``Trainer`` whose ``train_iter`` is timed, with the ``train_ops`` of its losses: all that its ``train``
does between two batches, but for its loggers, which are off. It has no hinge loss: the two below are its loss classes
with the hinge for ``forward``, as its documentation says to add one. It has no R1 penalty, so it runs without.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import paired
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

os.environ.update(TENSORBOARD_LOGGING="0", CONSOLE_LOGGING="0", VISDOM_LOGGING="0")

from torchgan.losses import DiscriminatorLoss, GeneratorLoss  # it looks at the environment when imported
from torchgan.models import Discriminator, Generator
from torchgan.trainer import Trainer


class WrappedGenerator(Generator):
    def __init__(self, net: nn.Module) -> None:
        super().__init__(encoding_dims=paired.LATENT)
        self.net = net

    def forward(self, latent: Tensor) -> Any:
        return self.net(latent)


class WrappedDiscriminator(Discriminator):
    def __init__(self, net: nn.Module) -> None:
        super().__init__(input_dims=3)
        self.net = net

    def forward(self, images: Tensor) -> Any:
        return self.net(images)


class HingeGenerator(GeneratorLoss):
    def forward(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class HingeDiscriminator(DiscriminatorLoss):
    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()


def trainer(folder: str) -> Callable[[], None]:
    """The Trainer's step, on networks of the same weights; a batch is a slice of shuffled rows."""
    generator, discriminator = paired.networks()
    adam = {"name": torch.optim.Adam, "args": {"lr": paired.LR, "betas": paired.BETAS}}
    made = Trainer(
        {
            "generator": {"name": WrappedGenerator, "args": {"net": generator}, "optimizer": adam},
            "discriminator": {"name": WrappedDiscriminator, "args": {"net": discriminator}, "optimizer": adam},
        },
        [HingeGenerator(), HingeDiscriminator()],
        device=paired.CPU,
        checkpoints=f"{folder}/model/gan",
        recon=f"{folder}/images",
    )
    made.batch_size = paired.BATCH  # what calling the trainer with a loader sets
    images = paired.images()
    rows = torch.randperm(len(images)).split(paired.BATCH)[:-1]
    steps = 0

    def step() -> None:
        nonlocal steps
        made.real_inputs = images[rows[steps % len(rows)]]
        steps += 1
        g_loss, d_loss, g_moves, d_moves = made.train_iter()
        known = made.loss_information
        known["generator_losses"] += g_loss
        known["discriminator_losses"] += d_loss
        known["generator_iters"] += g_moves
        known["discriminator_iters"] += d_moves

    return step


def main() -> None:
    how = paired.options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        contestants = {
            "torchgan": trainer(folder),
            "torchgan again": trainer(folder),
            "ganzoo": paired.ours(),
            "ganzoo again": paired.ours(),
            "ganzoo + R1": paired.ours(r1=True),
            "ganzoo bf16": paired.ours(precision="bf16"),
            "ganzoo bf16 + R1": paired.ours(r1=True, precision="bf16"),
        }
        paired.table("torchgan", "torchgan", contestants, how)


if __name__ == "__main__":
    main()
