"""Find the point of an image: the point of the style space from which the generator makes the nearest sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ganzoo import errors
from ganzoo.disk.photos import Photo, Source, read
from ganzoo.parts import Batch
from ganzoo.step.randomness import derive_seed
from ganzoo.training.evaluating import evaluating
from ganzoo.training.run import Run

SCALES = (1, 2, 4)
"""The factors by which images are made smaller before they are compared. Coarse scales find the right region."""

STARTS = 256
"""Points that are drawn at first. The nearest points are improved."""

IMPROVED = 4
"""Points that are improved side by side."""

SOME = 64
"""Samples that are made at a time."""


@dataclass(frozen=True)
class Projection:
    """The point of an image in the style space.

    Args:
        styles: the point of the style space, as ``run.styles`` gives for one sample. The point is a latent where the
            generator has no mapping network.
        label: the class number, or None where the generator is given no classes.
        sample: (C, H, W), the sample that the generator makes from the point.
        image: (C, H, W), the image in the run's size and channels.
        error: the root of the mean squared difference between sample and image, in numbers of [-1, 1].
        start_error: the same for the nearest of the drawn latents, before any improvement.
    """

    styles: Tensor
    label: int | None
    sample: Tensor
    image: Tensor
    error: float
    start_error: float


def read_image(path: Path, shape: tuple[int, ...], data_range: tuple[float, float] | None = None) -> Photo:
    """Read an image at the size and with the channels of a run. The image is cut to the run's aspect ratio.

    Transparent pixels become white, as in the data part ``folder``.

    Args:
        path: a file of any format that Pillow reads.
        shape: (C, H, W), with 1 or 3 channels.
        data_range: the numbers that are black and white, of an image of more than 8 bits, as ``run.data_range``. None
            takes 0 and 1 of floating-point numbers, and 0 and 65535 of integers.

    Returns:
        The image, whose ``pixels`` are (C, H, W) in [-1, 1].

    Raises:
        Incompatible: the samples of the run are no images.
        DataError: the file cannot be read.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise errors.Incompatible(
            f"samples of shape {'x'.join(map(str, shape))} are no images with 1 or 3 channels: give a run on images"
        )
    photo = read(Source(PurePosixPath(path.name), path), shape[0], data_range)
    pixels = photo.pixels
    if photo.alpha is not None:
        opacity = photo.alpha.float() / 255
        pixels = opacity * pixels + (1 - opacity)
    height, width = pixels.shape[1:]
    scale = max(shape[1] / height, shape[2] / width)
    tall, wide = min(height, round(shape[1] / scale)), min(width, round(shape[2] / scale))
    top, left = (height - tall) // 2, (width - wide) // 2
    cut = pixels[None, :, top : top + tall, left : left + wide]
    fitted = interpolate(cut, shape[1:], mode="bicubic", antialias=True)[0].clamp(-1, 1)  # bicubic filters overshoot
    return replace(photo, pixels=fitted, alpha=None)


def project(
    run: Run,
    image: Tensor,
    *,
    steps: int = 300,
    rate: float = 0.05,
    prior: float = 0.01,
    label: int | str | None = None,
    seed: int = 0,
    source: str = "auto",
    encoder: bool | None = None,
    progress: Callable[[int, float], object] | None = None,
) -> Projection:
    """Find the point of the style space that an image belongs to, by optimisation from the nearest of many draws.

    Formula:
        minimise over p   sum_s mean (x_s - G(p)_s)^2 + prior mean ((p - m) / d)^4,
        x_s the image made s times smaller, m and d mean and standard deviation of the drawn points

    Args:
        run: a trained run on images.
        image: (C, H, W) in [-1, 1].
        steps: steps of Adam. 0 keeps the nearest start.
        rate: the learning rate, which falls to 0 along a cosine.
        prior: the weight of the term that keeps the point near the points of draws.
        label: the number or the name of the class. None tries every class in turn.
        seed: the seed of the draws.
        source: the generator's weights: ``ema``, ``generator`` or ``auto``.
        encoder: start from the discriminator's encoding. None starts there where the loss trains an encoder.
        progress: is called with the step and the error of the best point.

    Returns:
        The point, the sample and the errors.

    Raises:
        Incompatible: samples are made for further inputs, or the run has no encoder.
        SettingsError: an argument is outside the range above.
    """
    if run.spec.inputs:
        raise errors.Incompatible(
            f"this run makes each sample for {', '.join(run.spec.inputs)}, and not from a latent alone: give a run "
            "without further inputs"
        )
    if tuple(image.shape) != run.spec.shape:
        found, due = ("x".join(map(str, shape)) for shape in (image.shape, run.spec.shape))
        raise errors.SettingsError(f"an image of {found} cannot be projected by a run on {due}")
    if steps < 0 or not rate > 0 or prior < 0:
        raise errors.SettingsError(f"steps >= 0, rate > 0 and prior >= 0 are wanted, not {steps}, {rate:g}, {prior:g}")
    target = image.to(run.device, run.dtype)[None]
    batch = _starts(run, label, seed)
    points = run.styles(batch, source)
    middle, spread = points.mean(0), points.std(0).clamp(min=1e-6)
    if encoder if encoder is not None else run.parts.loss.trains_encoder:
        batch = _encoded(run, target, batch)
        points = run.styles(batch, source)
    net, architecture = run.weights(source), run.parts.architecture
    with evaluating(net):
        with torch.no_grad():
            made = [
                _distance(architecture.synthesize(net, some, rest), target)
                for some, rest in zip(torch.split(points, SOME), batch.split(SOME), strict=True)
            ]
            order = torch.cat(made).argsort()[:IMPROVED]
            batch, points = batch.rows(order), points[order].clone()
            start = float(_errors(architecture.synthesize(net, points, batch), target).min())
        points.requires_grad_(True)
        adam = torch.optim.Adam([points], lr=rate)
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
            samples = architecture.synthesize(net, points, batch)
            far = ((points - middle) / spread).pow(4).flatten(1).mean(1)
            # each point has its own term, so that the sum improves every point by itself
            (points.grad,) = torch.autograd.grad((_distance(samples, target) + prior * far).sum(), points)
            adam.step()
            if progress is not None:
                progress(step + 1, float(_errors(samples.detach(), target).min()))
        with torch.no_grad():
            samples = architecture.synthesize(net, points, batch)
    miss = _errors(samples, target)
    if not bool(miss.isfinite().any()):
        raise errors.SettingsError(f"the search left all bounds at a rate of {rate:g}: give a smaller rate")
    best = int(miss.nan_to_num(math.inf).argmin())
    return Projection(
        styles=points[best].detach().cpu(),
        label=None if batch.labels is None else int(batch.labels[best]),
        sample=samples[best].detach().float().cpu(),
        image=image.float().cpu(),
        error=float(miss[best]),
        start_error=start,
    )


def _starts(run: Run, label: int | str | None, seed: int) -> Batch:
    """The latents that are tried at first, with the classes in turn."""
    return run.latents(STARTS, seed=derive_seed(seed, "project"), labels=label)


def _encoded(run: Run, target: Tensor, batch: Batch) -> Batch:
    """The encoding of the image, once for each class that is tried."""
    labels = torch.unique(batch.labels) if batch.labels is not None else None
    count = 1 if labels is None else len(labels)
    given = Batch(labels=labels)
    with evaluating(run.discriminator), torch.no_grad():
        images = target.expand(count, *target.shape[1:])
        latent = run.parts.architecture.encode(run.discriminator, images, given)
    return Batch(latent=latent.to(batch.latent.dtype), labels=labels)


def _distance(made: Tensor, target: Tensor) -> Tensor:
    """(N,): the mean squared difference at every scale that the images allow, summed over the scales."""
    total = torch.zeros(len(made), device=made.device, dtype=made.dtype)
    for scale in SCALES:
        if scale <= min(made.shape[-2:]):
            total = total + (avg_pool2d(made, scale) - avg_pool2d(target, scale)).square().flatten(1).mean(1)
    return total


def _errors(made: Tensor, target: Tensor) -> Tensor:
    """(N,): the root of the mean squared difference."""
    return (made - target).square().flatten(1).mean(1).sqrt()
