"""Pictures and histograms that TensorBoard shows beside the sample grids.

Sample grids are always made. The pictures of this module are made only as long as the time stays below a share of the
run's time, at the first look and at the last look in any case. No picture is part of a step, and no picture draws from
the random streams of training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ganzoo.disk import pictures
from ganzoo.disk.record import RunLogger
from ganzoo.parts import Batch
from ganzoo.step.round import logits
from ganzoo.training.distributed import NullLogger
from ganzoo.training.evaluating import evaluating
from ganzoo.training.interpolation import slerp
from ganzoo.training.run import Run

SHARE = 0.02
"""The share of the run's time that these pictures and histograms may take."""

JUDGED = 128
"""Samples, real and generated, whose scores and slopes make a histogram."""

LAYERS, WIDEST = 8, 512
"""Layers of a player whose singular values make a histogram, and the largest smaller side of such a weight."""

SEARCHED = 8_000_000
"""Numbers of real samples that nearest neighbours are looked for in. The samples stay in memory."""

NEIGHBOURS, COMPARED = 5, 8
"""Neighbours of a sample, and samples whose neighbours are shown."""

WALKS, FRAMES = 4, 8
"""Walks through the latent space, and samples of a walk."""

TAKEN = 4096
"""Weights of a tensor whose gradients are in the histogram."""

FIELD = 96
"""Positions along a side of the plane at which the discriminator is asked for the field."""


class Looks:
    """Makes the pictures and histograms of a run.

    Args:
        run: the run.
        real: (N, *shape), real samples in [-1, 1].
        labels: (N,) class numbers of the real samples, or None.
        training: gives a number of real samples of the training data, for the neighbours.
    """

    def __init__(self, run: Run, real: Tensor, labels: Tensor | None, training: Callable[[int], Batch]) -> None:
        self.run, self.training = run, training
        self.real = real[:JUDGED]
        self.labels = labels[:JUDGED] if labels is not None and run.spec.classes else None
        self.began = time.monotonic()
        self.spent = 0.0
        self.before: Tensor | None = None
        self.searched: Tensor | None = None
        self.looked = False

    def record(self, logger: RunLogger | NullLogger, step: int, samples: Mapping[str, Tensor], *, last: bool) -> None:
        """Make the pictures and histograms of a step, if there is time left for the pictures.

        Args:
            logger: the logger of the run.
            step: the step.
            samples: the samples of the grids by source, ``ema`` and ``generator``.
            last: the run is at its end.
        """
        now = time.monotonic()
        if self.looked and not last and self.spent > SHARE * (now - self.began):
            return
        self.looked = True
        best = samples.get("ema", samples["generator"])
        for tag, picture in self.pictures(samples, best):
            logger.extra_picture(step, tag, picture)
        for tag, values in self.histograms(samples["generator"]):
            logger.histogram(step, tag, values)
        self.before = best
        self.spent += time.monotonic() - now

    def pictures(self, samples: Mapping[str, Tensor], best: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Draw the pictures.

        Args:
            samples: the samples by source.
            best: the samples of the average, or of the generator without an average.

        Yields:
            The tag and the picture, (3, H, W), uint8.
        """
        if self.run.spec.shape == (2,):
            yield "samples/field", self.field(best)
            return
        if best.dim() != 4 or self.run.spec.inputs:
            return
        names = {"ema": "average", "generator": "generator", "real": "real"}
        parts = {names[key]: value[:16] for key, value in {**samples, "real": self.real}.items()}
        yield "samples/side by side", pictures.captioned(parts, 4)
        if self.before is not None and self.before.shape == best.shape:
            yield "samples/change", pictures.picture((best - self.before).abs()[:16] - 1, 4)
        yield "samples/neighbours", self.neighbours(best)
        if self.run.parts.architecture.style_space == "z":
            yield "samples/walk", self.walk()

    def neighbours(self, samples: Tensor) -> Tensor:
        """Draw samples beside the training samples that are nearest in pixels.

        Args:
            samples: (N, *shape), generated images.

        Returns:
            The picture, (3, H, W), uint8.
        """
        if self.searched is None:
            count = max(1, min(2000, SEARCHED // samples[0].numel()))
            self.searched = self.training(count).images.float().cpu()
        shown = samples[:COMPARED].float().cpu()
        distance = torch.cdist(shown.flatten(1), self.searched.flatten(1))
        near = self.searched[distance.topk(min(NEIGHBOURS, len(self.searched)), largest=False).indices]
        rows = torch.cat([shown[:, None], near], 1)
        return pictures.picture(rows.flatten(0, 1), rows.shape[1])

    def walk(self) -> Tensor:
        """Draw walks between two seeds. Each walk has a class.

        Returns:
            The picture, (3, H, W), uint8.
        """
        labels = torch.arange(WALKS) % self.run.spec.classes if self.run.spec.classes else None
        ends = [self.run.latents(WALKS, seed=seed, labels=labels) for seed in (0, 1)]
        points = [slerp(ends[0].latent, ends[1].latent, k / (FRAMES - 1)) for k in range(FRAMES)]
        batch = Batch(latent=torch.stack(points, 1).flatten(0, 1))
        if ends[0].labels is not None:
            batch = batch.replace(labels=ends[0].labels.repeat_interleave(FRAMES))
        return pictures.picture(self.run.generated(batch), FRAMES)

    def field(self, samples: Tensor) -> Tensor:
        """Draw the discriminator's scores over the plane, with real points and samples.

        Args:
            samples: (N, 2), generated points.

        Returns:
            The picture, (3, H, W), uint8.
        """
        side = torch.linspace(-pictures.REACH, pictures.REACH, FIELD)
        places = torch.cartesian_prod(side.flip(0), side).flip(1).to(self.run.device, self.run.dtype)  # rows from above
        scores = self._judged(places, None).reshape(FIELD, FIELD)
        return pictures.field(scores, self.real, samples)

    def histograms(self, samples: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Compute the values of the histograms.

        Args:
            samples: (N, *shape), samples of the generator.

        Yields:
            The tag and the values.
        """
        if not self.run.spec.inputs:
            fake_labels = None
            if self.run.spec.classes:
                fake_labels = torch.arange(len(samples)) % self.run.spec.classes
            for name, images, labels in (("real", self.real, self.labels), ("fake", samples[:JUDGED], fake_labels)):
                if self.run.spec.classes and labels is None:
                    continue
                given = images.to(self.run.device, self.run.dtype)
                with torch.enable_grad():
                    given.requires_grad_(True)
                    scores = self._judged(given, labels, grad=True)
                    (slope,) = torch.autograd.grad(scores.sum(), given)
                yield f"scores of {name}/all", scores
                yield f"slope at {name}/all", slope.flatten(1).norm(dim=1)
        for player in ("discriminator", "generator"):
            network = getattr(self.run, player)
            # In training mode, a look at a spectrally normalised weight makes a power iteration, which changes the run.
            with evaluating(network):
                weights = [*_weights(network)]
            for layer, weight in weights:
                yield f"singular values/{player} {layer}", torch.linalg.svdvals(weight)
            if (sizes := _gradient_sizes(self.run.state.optimizers[player])) is not None:
                yield f"gradients of {player}/all", sizes

    def _judged(self, images: Tensor, labels: Tensor | None, grad: bool = False) -> Tensor:
        """(N,): the scores of samples."""
        run = self.run
        if run.spec.classes and labels is None:
            labels = torch.arange(len(images)) % run.spec.classes
        given = Batch(labels=labels[: len(images)].to(run.device) if labels is not None else None)
        with evaluating(run.discriminator), torch.set_grad_enabled(grad):
            return logits(run.parts.architecture.judge(run.discriminator, images, given)).float()


def _gradient_sizes(optimizer: torch.optim.Optimizer) -> Tensor | None:
    """The sizes of a player's gradient, weight by weight, as powers of ten.

    The sizes come from the running mean of the squared gradient that Adam and RMSprop keep, so that no gradient is
    computed for the histogram. Each tensor gives at most ``TAKEN`` numbers.

    Returns:
        (N,), or None for an optimizer that keeps no such mean.
    """
    found = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = optimizer.state.get(parameter, {})
            mean = kept.get("exp_avg_sq", kept.get("square_avg"))
            if not isinstance(mean, Tensor):
                continue
            numbers = mean.detach().flatten()
            numbers = numbers[:: max(1, len(numbers) // TAKEN)].double().cpu()
            if "betas" in group and "step" in kept:  # Adam's mean begins at zero, which this factor makes up for
                numbers = numbers / (1 - float(group["betas"][1]) ** float(kept["step"]))
            found.append(numbers)
    sizes = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)
    sizes = sizes[sizes > 0]
    return sizes.log10() / 2 if len(sizes) else None


def _weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights of the first layers as matrices, (outputs, inputs), that are small enough."""
    found = 0
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() < 2 or "parametrizations" in name:
            continue
        matrix = weight.detach().float().flatten(1).cpu()
        if min(matrix.shape) <= WIDEST and found < LAYERS:
            found += 1
            yield name, matrix
