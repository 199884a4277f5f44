"""The run as the user holds it: its parts, what it learned, samples of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import torch
from torch import Tensor, nn

from ganzoo import errors
from ganzoo.names import brief, shell_command
from ganzoo.parts import Batch, Spec
from ganzoo.step.randomness import derive_seed, draw_latents
from ganzoo.step.round import logits
from ganzoo.step.state import State
from ganzoo.training import mcmc, standing
from ganzoo.training.apply import MEMORY, OVERLAP, Tiling, apply
from ganzoo.training.diagnostics import such_as
from ganzoo.training.evaluating import evaluating
from ganzoo.training.labels import Labels, class_numbers
from ganzoo.training.parts import Parts

if TYPE_CHECKING:
    from ganzoo.recipe.settings import Settings

SAMPLE_BATCH = 256
"""Samples generated at a time when many are wanted."""


@dataclass
class Requests:
    """What observers ask a run for. The training loop answers after the present step.

    Args:
        stop: end the training, with a checkpoint.
        save: write a checkpoint.
        sample: draw samples and compute metrics.
        reason: why the training is to end.
    """

    stop: bool = False
    save: bool = False
    sample: bool = False
    reason: str = ""


@dataclass(repr=False)
class Run:
    """A training run: what it is made of, and what it made.

    Attributes:
        directory: the run directory. None: the run is measured and not recorded.
        settings: all of them, resolved.
        spec: sample shape, latent size, number of classes.
        metrics: the newest value of each tag.
        warnings: what was found questionable at assembly, a line each.
        choices: what was left to ganzoo and is decided now, a line each.
        identity: what a run must agree with to go on from its checkpoints, and the versions that made it; plain data.
        requests: what observers ask for, by ``request_stop``, ``request_save`` and ``request_sample``.
        class_names: the names of the classes, in the order of their numbers. Empty where the data names none.
        data_range: the numbers of the data that became -1 and 1, such as (0, 4095). None where no numbers were scaled.
        plugin_files: the Python files that the user gave with ``--plugin``.
        missing: networks that were not loaded, each with the reason.
        sums: of the steps' scalars since they were last recorded, by tag, and of how many.
        course_steps: the steps over which numbers that follow the run take their way, where the run is longer and the
            numbers keep their last values. None: the whole run.
        parts: the parts of the run, and the specs that named the parts.
        state: networks, optimizers, the average of the generator, counters.
        device: where the networks are.
        dtype: floating-point type of the weights.

    Example:
        >>> import tempfile
        >>> import ganzoo
        >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu", "quiet": True}
        >>> run = ganzoo.run(data="ring", arch="mlp:width=4", regularizers=None, logdir=tempfile.mkdtemp(), **small)
        >>> run.step, run.sample(3, seed=1).shape
        (1, torch.Size([3, 2]))
    """

    directory: Path | None
    settings: Settings
    parts: Parts
    spec: Spec
    state: State
    device: torch.device
    dtype: torch.dtype
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    data_range: tuple[float, float] | None = None
    requests: Requests = field(default_factory=Requests, repr=False)
    plugin_files: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    course_steps: int | None = None

    @property
    def dir(self) -> Path:
        """The run directory.

        Raises:
            RunError: the run has none, because it was not begun.
        """
        if self.directory is None:
            raise errors.RunError("this run has no directory: it was assembled and not begun")
        return self.directory

    @property
    def generator(self) -> nn.Module:
        """The generator as it was trained last."""
        return self.state.networks.generator

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator as it was trained last.

        Raises:
            RunError: the discriminator could not be loaded, because a part that changes the network is missing.
        """
        if "discriminator" in self.missing:
            raise errors.RunError(self.missing["discriminator"])
        return self.state.networks.discriminator

    @property
    def ema(self) -> nn.Module | None:
        """The average of the generator, None where none was kept."""
        return self.state.ema

    def __repr__(self) -> str:
        labels = self.parts.labels
        where = f"{str(self.directory)!r}, " if self.directory is not None else ""
        return f"Run({where}{labels['arch']} on {labels['data']}, loss {labels['loss']}, step {self.step})"

    def _repr_png_(self) -> bytes | None:
        """Samples as a picture, which a notebook shows in the place of the text."""
        import io

        from PIL import Image

        from ganzoo.disk import pictures

        if self.spec.inputs:
            return None  # samples need conditions
        columns = pictures.class_columns(self.spec.classes, 64) if len(self.spec.shape) == 3 else None
        samples = self.sample(64 if columns is None else columns * max(1, 64 // columns))
        drawn = pictures.picture(samples, columns, names=self.class_names if columns is not None else ())
        out = io.BytesIO()
        Image.fromarray(drawn.permute(1, 2, 0).contiguous().numpy()).save(out, "PNG")
        return out.getvalue()

    @property
    def step(self) -> int:
        """Steps made."""
        return self.state.counters.step

    def request_stop(self, reason: str = "an observer asked for the end") -> None:
        """Ask the training to end after the present step. A checkpoint is saved, and the run can be resumed.

        Args:
            reason: why, in one line, for the user and for ``status.json``.
        """
        self.requests.stop, self.requests.reason = True, reason

    def request_save(self) -> None:
        """Ask the training for a checkpoint after the present step."""
        self.requests.save = True

    def request_sample(self) -> None:
        """Ask the training for samples and metrics after the present step."""
        self.requests.sample = True

    def command(self, verb: str) -> str:
        """Write a command on this run that works as printed, with the plugin files of the run.

        Args:
            verb: what precedes the run directory, such as ``"resume"``.
        """
        objects = [setting for setting, specs in self.parts.specs.items() if any(spec.origin is None for spec in specs)]
        return shell_command(verb, self.dir, self.plugin_files, objects)

    def sample(
        self,
        count: int = 64,
        *,
        seed: int = 0,
        source: str = "auto",
        truncation: float | None = None,
        labels: Labels | None = None,
        inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Generate samples. A seed gives the same samples at every call.

        Args:
            count: the number of samples.
            seed: the seed of the noise.
            source: ``ema``, ``generator``, or ``auto``: the average if the run keeps an average.
            truncation: the number that the architecture's ``truncate`` takes. For noise, the absolute value beyond
                which N(0, 1) is cut off. For styles of a mapping network, psi of w' = mean + psi (w - mean). None
                changes no sample.
            labels: (count,) class numbers, a list of numbers or names of classes, or the number or the name of the only
                class. None gives all classes in turn.
            inputs: further tensors for the generator by name, (count, *shape) each, see ``spec.inputs``.

        Returns:
            (count, *shape) in [-1, 1] on the CPU.

        Raises:
            SettingsError: an argument is outside the range above.
        """
        if not isinstance(count, SupportsIndex) or index(count) < 1:
            raise errors.SettingsError(f"count {brief(count)} is not a whole number >= 1")
        if truncation is not None and not isinstance(truncation, SupportsFloat):
            raise errors.SettingsError(f"truncation {brief(truncation)} is not a number")
        batch = self.latents(count, seed=seed, labels=labels, inputs=inputs)
        return self.generated(batch, source, truncation=truncation)

    def generated(self, batch: Batch, source: str = "auto", *, truncation: float | None = None) -> Tensor:
        """Generate samples from a batch.

        Args:
            batch: latents, with labels and inputs where the networks take labels and inputs.
            source: as for ``sample``.
            truncation: as for ``sample``.

        Returns:
            (N, *shape) in [-1, 1] on the CPU.

        Raises:
            SettingsError: the truncation is outside the range of the architecture.
        """
        return self.synthesized(self.styles(batch, source, truncation=truncation), batch, source)

    def intermediates(self, batch: Batch, source: str = "auto") -> dict[str, Tensor]:
        """Generate samples from a batch, with what the generator makes on the way.

        Args:
            batch: latents, with labels and inputs where the networks take labels and inputs.
            source: as for ``sample``.

        Returns:
            ``images``, and the stages that the architecture names, on the CPU.
        """
        net, architecture = self.weights(source), self.parts.architecture
        with evaluating(net), torch.no_grad():
            pieces = batch.at(self.state.stage).split(SAMPLE_BATCH)
            made = [architecture.generate_all(net, piece) for piece in pieces]
        return {name: torch.cat([each[name].to("cpu", self.dtype) for each in made]) for name in made[0]}

    def styles(self, batch: Batch, source: str = "auto", *, truncation: float | None = None) -> Tensor:
        """The points of the generator's style space that a batch maps to.

        Points can be interpolated, mixed and searched. The method ``synthesized`` makes samples of points.

        Args:
            batch: latents, with labels and inputs where the networks take labels and inputs.
            source: as for ``sample``.
            truncation: as for ``sample``.

        Returns:
            (N, D), a vector a sample, or (N, L, D), a vector for each of L layers, on the device of the run. For a
            generator without a mapping network, the points are the latents.

        Raises:
            SettingsError: the truncation is outside the range of the architecture.
        """
        net, architecture = self.weights(source), self.parts.architecture
        with evaluating(net), torch.no_grad():
            pieces = batch.at(self.state.stage).split(SAMPLE_BATCH)
            styles = torch.cat([architecture.styles(net, piece) for piece in pieces])
            return styles if truncation is None else architecture.truncate(net, styles, truncation)

    def synthesized(self, styles: Tensor, batch: Batch, source: str = "auto") -> Tensor:
        """Generate samples from points of the style space.

        Args:
            styles: (N, D) or (N, L, D), points as ``styles`` gives.
            batch: N labels and inputs, where the networks take labels and inputs. The latents are not read.
            source: as for ``sample``.

        Returns:
            (N, *shape) in [-1, 1].
        """
        net, architecture = self.weights(source), self.parts.architecture
        with evaluating(net), torch.no_grad():
            pieces = batch.at(self.state.stage).split(SAMPLE_BATCH)
            made = [
                architecture.synthesize(net, some, piece).to("cpu", self.dtype)
                for some, piece in zip(torch.split(styles, SAMPLE_BATCH), pieces, strict=True)
            ]
        return architecture.show(torch.cat(made), self.spec)

    def stand(self, batches: int = 16, *, seed: int = 0, source: str = "auto", truncation: float | None = None) -> None:
        """Compute the statistics of batch norm anew for the weights that make samples (standing statistics).

        The statistics of this object change, and no file. Each batch has the run's batch size.

        Args:
            batches: the number of batches whose statistics are averaged, at least 1: 16 in BigGAN's code.
            seed: of the noise. The classes of a batch come in turn.
            source: as for ``sample``.
            truncation: as for ``sample``. Samples at a truncation want statistics at the same truncation.

        Raises:
            SettingsError: the generator has no batch norm, the networks need a condition, or an argument is outside of
                the range.
        """
        if self.spec.inputs:
            raise errors.SettingsError(
                f"standing statistics are drawn from noise, and this run's nets take {', '.join(self.spec.inputs)}: "
                "leave standing out"
            )
        net, architecture = self.weights(source), self.parts.architecture
        noise = torch.Generator().manual_seed(derive_seed(seed, "standing"))

        def play(_: int) -> None:
            batch = self.latents(self.settings.batch_size, noise=noise).at(self.state.stage)
            styles = architecture.styles(net, batch)
            if truncation is not None:
                styles = architecture.truncate(net, styles, truncation)
            architecture.synthesize(net, styles, batch)

        standing.stand(net, batches, play)

    def walk(
        self,
        batch: Batch,
        method: str = "mala",
        *,
        steps: int = 100,
        step_size: float = 0.01,
        prior: bool = False,
        seed: int = 0,
        source: str = "auto",
    ) -> tuple[Batch, float]:
        """Move the latents of a batch by MCMC along the energy of the samples, U(G(z)) = -D(G(z)).

        Args:
            batch: a batch of ``latents``.
            method: langevin (unadjusted), or mala (with Metropolis's correction), see ``ganzoo.training.mcmc``.
            steps: the steps of each chain.
            step_size: a. A step is a times the slope, and noise of variance 2a.
            prior: add |z|^2 / 2, so that N(0, I), which the noise was drawn from, weighs in.
            seed: of the walk.
            source: as for ``sample``.

        Returns:
            The batch with moved latents, and the share of accepted proposals.

        Raises:
            Incompatible: the loss does not make minus the score an energy.
            SettingsError: an argument is outside the range above.
        """
        if not self.parts.loss.energy_based:
            raise errors.Incompatible(
                f"loss {self.parts.labels['loss']} does not make the discriminator an energy, which MCMC needs: train "
                f"with an energy-based loss{such_as(self.parts.catalogue_names('loss', 'energy_based'))}"
            )
        if method not in ("langevin", "mala"):
            raise errors.SettingsError(f"mcmc {method!r} is not one of langevin, mala")
        if steps < 1 or not step_size > 0:
            raise errors.SettingsError(f"mcmc wants steps >= 1 and a step size > 0, not {steps} and {step_size:g}")
        architecture, noise = self.parts.architecture, torch.Generator().manual_seed(derive_seed(seed, "mcmc"))
        net, ends, accepted = self.weights(source), [], 0.0
        with evaluating(net, self.discriminator):
            for piece in batch.at(self.state.stage).split(SAMPLE_BATCH):
                assert piece.latent is not None

                def energy(z: Tensor, piece: Batch = piece) -> Tensor:
                    images = architecture.generate(net, piece.replace(latent=z))
                    energies = -logits(architecture.judge(self.discriminator, images, piece))
                    return energies + z.square().sum(1) / 2 if prior else energies

                walk = mcmc.walk(energy, piece.latent, steps, step_size, noise, adjusted=method == "mala")
                ends.append(walk.end)
                accepted += walk.accepted * len(walk.end)
        end = torch.cat(ends)
        if not bool(end.isfinite().all()):
            raise errors.SettingsError(f"the walk left all bounds at a step size of {step_size:g}: give a smaller one")
        return batch.replace(latent=end), accepted / len(end)

    def reconstruct(
        self, images: Tensor, *, labels: Tensor | None = None, scale: float = 1.0, source: str = "auto"
    ) -> Tensor:
        """Images encoded by the discriminator and generated again, (N, *shape) in [-1, 1] on the CPU.

        Args:
            images: (N, *shape) in [-1, 1].
            labels: (N,) the class numbers, where the nets are given classes.
            scale: a factor of the encoded latents. A value a little below 1 gives smoother images.
            source: as for ``sample``.

        Raises:
            Incompatible: the loss teaches no encoding, or the architecture has no encoder.
            SettingsError: images of another shape, or labels that are missing.
        """
        loss, spec = self.parts.loss, self.spec
        if not loss.trains_encoder:
            raise errors.Incompatible(
                f"loss {self.parts.labels['loss']} does not teach the discriminator to encode images: train with a "
                f"loss that trains an encoder{such_as(self.parts.catalogue_names('loss', 'trains_encoder'))}"
            )
        if tuple(images.shape[1:]) != spec.shape:
            found, due = ("x".join(map(str, shape)) for shape in (images.shape[1:], spec.shape))
            raise errors.SettingsError(f"images of {found} cannot be reconstructed by a run on {due}")
        if spec.classes and labels is None:
            raise errors.SettingsError("this run's nets are given classes: give the images' labels")
        net, architecture = self.weights(source), self.parts.architecture
        batch = Batch(
            images=images.to(self.device, self.dtype),
            labels=labels.to(self.device) if labels is not None and spec.classes else None,
        ).at(self.state.stage)
        made = []
        with evaluating(net, self.discriminator), torch.no_grad():
            for piece in batch.split(SAMPLE_BATCH):
                seen = piece.images if piece.stage is None else architecture.resize(piece.images, piece.stage)
                latent = scale * architecture.encode(self.discriminator, seen, piece)
                made.append(architecture.generate(net, piece.replace(images=None, latent=latent)).to("cpu", self.dtype))
        return architecture.show(torch.cat(made), spec)

    def apply(
        self,
        pictures: Tensor,
        *,
        mask: Tensor | None = None,
        tile: int | None = None,
        overlap: int = OVERLAP,
        memory: float = MEMORY,
        labels: Labels | None = None,
        seed: int = 0,
        source: str = "auto",
    ) -> Tensor:
        """Apply the generator to pictures of any size: enlarge, fill, translate, colorize or segment the pictures.

        A network that takes a single size, and a picture that is larger than a tile, are worked on in tiles that
        overlap. A third of the overlap on either side is context, the third between is blended. So tiles leave no seam
        where the network sees no further than a third of the overlap.

        Args:
            pictures: (N, C, H, W) or (C, H, W) in [-1, 1], with the channels of the condition, of any height and width.
            mask: (N, 1, H, W), (1, H, W) or (H, W), above 0 where the pictures are to be changed. For runs that fill
                holes.
            tile: the side of a tile in pixels, at least 1. None takes the largest tile that ``memory`` allows.
            overlap: pixels that neighbouring tiles share, at least 0.
            memory: GiB that the maps of a tile may take.
            labels: the classes, as for ``sample``.
            seed: of the noise.
            source: as for ``sample``.

        Returns:
            (N, C', factor H, factor W), or without N where the pictures have none, on the CPU.

        Raises:
            Incompatible: the run makes no picture from a picture, or takes no mask.
            DataError: the run needs a mask that is missing, empty, of another size, or a hole over everything.
            SettingsError: an argument is outside the range above.
        """
        several = pictures if pictures.dim() == 4 else pictures[None]
        hole = mask if mask is None or mask.dim() == 4 else mask.reshape(1, 1, *mask.shape[-2:])
        if hole is not None:
            hole = hole.float().expand(len(several), -1, -1, -1)
        net = self.weights(source)
        numbers = self.class_numbers(len(several), labels)
        with evaluating(net), torch.no_grad():
            made = apply(self, net, several.cpu(), hole, Tiling(tile, overlap, memory), seed, numbers)
        return made if pictures.dim() == 4 else made[0]

    def weights(self, source: str) -> nn.Module:
        """Choose the generator's weights.

        Args:
            source: ``ema``, ``generator``, or ``auto``: the average if the run keeps an average.

        Returns:
            The generator or the average.

        Raises:
            SettingsError: the source is none of the three, or the run keeps no average.
        """
        if source not in ("auto", "ema", "generator"):
            raise errors.SettingsError(f"source {source!r} is not one of auto, ema, generator")
        if source == "ema" and self.ema is None:
            raise errors.SettingsError("this run kept no average (--ema 0): use source=generator")
        return self.generator if source == "generator" or self.ema is None else self.ema

    def latents(
        self,
        count: int,
        *,
        seed: int = 0,
        labels: Labels | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        noise: torch.Generator | None = None,
    ) -> Batch:
        """The batch that ``sample`` generates from.

        Args:
            count: the number of samples.
            seed: as for ``sample``.
            labels: as for ``sample``.
            inputs: as for ``sample``.
            noise: the generator to draw from, for samples that are drawn in several batches. None makes a new
                generator from ``seed``.

        Returns:
            Latents, labels and inputs on the device of the run.

        Raises:
            SettingsError: an argument is outside the range that ``sample`` gives.
        """
        noise = torch.Generator().manual_seed(derive_seed(seed, "sample")) if noise is None else noise
        shape, cpu = (count, self.spec.latent_dim), torch.device("cpu")
        latent = draw_latents(shape, self.settings.noise, noise, cpu, torch.float64)
        numbers = self.class_numbers(count, labels)
        due = {name: (count, *each.shape) for name, each in self.spec.inputs.items()}
        found = {name: tuple(value.shape) for name, value in (inputs or {}).items()}
        if found != due:
            wanted = f"makes each sample for {_shapes(due)}" if due else "takes none"
            raise errors.SettingsError(
                f"inputs: {_shapes(found) or 'none'} given, and this run {wanted}: give inputs={{name: tensor}}"
            )
        brought = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in (inputs or {}).items()
        }
        return Batch(latent=latent.to(self.device, self.dtype), labels=numbers).replace(**brought)

    def in_data_units(self, samples: Tensor) -> Tensor:
        """Samples in the units of the data, where numbers were scaled to [-1, 1].

        Args:
            samples: (N, *shape) in [-1, 1], as ``sample`` gives.

        Returns:
            (N, *shape). The same samples where the data has no range.

        Example:
            >>> import ganzoo, tempfile, torch
            >>> small = {"steps": 1, "batch_size": 4, "latent_dim": 4, "samples": 4, "device": "cpu", "quiet": True}
            >>> run = ganzoo.run(data="ring", arch="mlp:width=4", regularizers=None, logdir=tempfile.mkdtemp(), **small)
            >>> run.data_range = (0.0, 4095.0)
            >>> run.in_data_units(torch.tensor([-1.0, 1.0])).tolist()
            [0.0, 4095.0]
        """
        if self.data_range is None:
            return samples
        low, high = self.data_range
        return low + (samples + 1.0) * ((high - low) / 2.0)

    def class_numbers(self, count: int, labels: Labels | None = None) -> Tensor | None:
        """The class numbers of samples.

        Args:
            count: the number of samples.
            labels: as for ``sample``.

        Returns:
            (count,) int64 on the device of the run. None where the networks are given no classes.

        Raises:
            SettingsError: a class does not exist, or the number of labels is not ``count``.
        """
        numbers = class_numbers(count, labels, self.spec.classes, self.class_names)
        return None if numbers is None else numbers.to(self.device)


def _shapes(found: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} of shape {shape}" for name, shape in found.items())
