"""The random numbers of a run: every stream is a function of (seed, stream, position)."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal, TypeAlias

import torch


def derive_seed(seed: int, stream: str, *position: int) -> int:
    """Derive the seed of one stream of random numbers at one position.

    The seed is a hash, so that neighbouring positions give unrelated numbers. The hash is the same on every machine.

    Args:
        seed: the seed of the run.
        stream: name of the stream, such as ``"latent"`` or ``"data"``.
        position: whole numbers that tell positions in the stream apart, such as the step.

    Returns:
        A whole number below 2^63.

    Example:
        >>> derive_seed(0, "latent", 3) == derive_seed(0, "latent", 3)
        True
        >>> derive_seed(0, "latent", 3) == derive_seed(0, "latent", 4)
        False
    """
    text = "/".join([str(seed), stream, *map(str, position)])
    # torch's generators take signed 64-bit seeds: the shift leaves 63 bits.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


Noise: TypeAlias = Literal["normal", "uniform", "truncated"]
"""The distribution of latents: N(0, 1), U(-1, 1), or N(0, 1) given that the absolute value is at most 2."""


def draw_latents(
    shape: tuple[int, ...], noise: Noise, generator: torch.Generator, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Draw latents.

    Args:
        shape: the shape of the latents.
        noise: the distribution.
        generator: the source of random numbers, on the device.
        device: where the latents are drawn.
        dtype: the dtype of the latents.

    Returns:
        Independent numbers.

    Example:
        >>> made = torch.Generator().manual_seed(0)
        >>> z = draw_latents((1000,), "truncated", made, torch.device("cpu"), torch.float64)
        >>> bool(z.abs().max() <= 2)
        True
    """
    if noise == "normal":
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)
    uniform = torch.rand(shape, generator=generator, device=device, dtype=dtype) * 2 - 1
    # By the inverse of the distribution function: as if a number beyond 2 were drawn again.
    return uniform if noise == "uniform" else math.sqrt(2) * torch.erfinv(uniform * math.erf(math.sqrt(2)))


def default_generators(where: torch.device) -> list[torch.Generator]:
    """The random number generators that parts draw from.

    Other devices are not queried: a query creates a context of hundreds of megabytes on an accelerator.

    Args:
        where: the device.

    Returns:
        The default generator of the CPU, and on an accelerator also the default generator of the device.
    """
    found = [torch.default_generator]
    module: Any = None if where.type == "cpu" else torch.get_device_module(where)
    if where.type == "mps":
        found.append(module._get_default_mps_generator())  # torch has no public name for this generator
    elif module is not None:
        module.init()
        found.append(module.default_generators[where.index or 0])
    return found


class RandomStreams:
    """The two streams that a step draws from: one generator draws latents, and parts share torch's default generators.

    The separation keeps the latents of a run independent of the draws of parts (dropout, noise, augmentation).

    Args:
        device: where latents are drawn.

    Attributes:
        latents: the generator of latents and of the labels of fakes, on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.latents = torch.Generator(device)
        # torch.manual_seed would look for every kind of device that torch knows, at a cost of 0.2 ms a step.
        self._defaults = default_generators(device)

    def seed_step(self, seed: int, step: int, rollbacks: int, rank: int) -> None:
        """Set both streams to the random numbers of a step.

        Args:
            seed: the seed of the run.
            step: number of the step, from 0.
            rollbacks: how often the run returned to a checkpoint after a number that was not finite.
            rank: number of the process, from 0.
        """
        if rollbacks:
            # After a rollback the same numbers would lead to the same NaN.
            seed = derive_seed(seed, "rollback", rollbacks)
        # All processes draw the latents of the whole batch and take their own rows: the same seed everywhere.
        self.latents.manual_seed(derive_seed(seed, "latent", step))
        # Parts draw for the process's own rows: another seed in each process, and the plain one in the first.
        own = [rank] if rank else []
        number = derive_seed(seed, "parts", step, *own)
        for stream in self._defaults:
            stream.manual_seed(number)
