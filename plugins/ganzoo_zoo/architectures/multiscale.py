"""A discriminator at several scales, around the discriminator of any architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.dcgan import DCGAN
from ganzoo_zoo.architectures.layers.dimensions import average_pool, max_pool
from ganzoo_zoo.architectures.wrapping import Wrapper, delegates

Pooling = Literal["average", "max"]


@delegates
class Multiscale(Wrapper):
    """Multi-scale discriminators (pix2pixHD): several discriminators of one architecture, each at half the size before.

    Formula:
        x_0 = x,  x_{k+1} = pool(x_k),  D(x) = mean or sum over k of D_k(x_k)

    Args:
        of: the architecture. The generator is the architecture's own, unchanged.
        scales: number of discriminators, at least 1. Each has weights of its own.
        pooling: average (3 pixels of stride 2, without the border's zeros) or max (3 pixels of stride 2).
        combine: how the scales make a logit: mean, or sum. The paper sums the losses of the scales, which is the loss
            of the sum only where the loss is linear in the scores. patch and unet with d_scales sum the losses.

    Raises:
        Incompatible: samples that cannot be halved so often, or an architecture that grows.

    Notes:
        Features of all scales are returned together, the finest scale first, so that feature matching compares all of
        them. Class logits and embeddings of the scales are combined as the logits are. Conditions that have the size of
        the samples are pooled like the samples.

    Source: T.-C. Wang et al., High-resolution image synthesis with conditional GANs, 2018, arXiv 1711.11585, section
        3.2, and the authors' code, which pools by averages.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "multiscale:of=dcgan,width=4,scales=2")
        >>> nets = part.build(ganzoo.Spec(shape=(3, 16, 16), latent_dim=5))
        >>> images = torch.randn(2, 3, 16, 16)
        >>> part.judge(nets.discriminator, images, ganzoo.Batch(images=images)).shape
        torch.Size([2])
    """

    of: ganzoo.Architecture = DCGAN()
    scales: Annotated[int, Ge(1)] = 3
    pooling: Pooling = "average"
    combine: Literal["mean", "sum"] = "mean"

    def classes(self, available: int) -> int:
        """The number of classes that the inner networks are given.

        Args:
            available: number of classes of the data, 0 without labels.
        """
        return self.of.classes(available)

    @property
    def logit_scales(self) -> int:
        """One: the logits of the scales are combined."""
        return 1

    def resize(self, images: Tensor, stage: ganzoo.Stage) -> Tensor:
        """The same samples.

        Args:
            images: (N, *shape).
            stage: the point of growth.
        """
        return images

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make a discriminator for each scale.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.require_one_size(spec)
        if self.of.logit_scales > 1:
            raise Incompatible(
                f"multiscale wraps a discriminator of one scale, and {type(self.of).__name__} has "
                f"{self.of.logit_scales}: give {type(self.of).__name__} a single scale"
            )
        scales = nn.ModuleList()
        for number, each in enumerate(self._specs(spec)):
            try:
                scales.append(self.of.discriminator(each))
            except Incompatible as error:
                if not number:
                    raise
                seen = "x".join(map(str, each.shape))
                raise Incompatible(
                    f"multiscale shows its discriminator {number + 1} samples of {seen}, which is refused ({error}): "
                    f"use scales={number}, or larger samples"
                ) from error
        return scales

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge samples at each scale, and combine the outputs.

        Args:
            discriminator: the discriminators, the finest scale first.
            images: (N, *shape).
            batch: labels and conditions that belong to the images.

        Returns:
            (N,) logits, or a mapping with ``logits`` and the outputs of the inner architecture.
        """
        assert isinstance(discriminator, nn.ModuleList)
        outputs = []
        for k, net in enumerate(discriminator):
            if k:
                due = {name: each for name, each in batch.inputs.items() if each.shape[2:] == images.shape[2:]}
                batch = batch.replace(**{name: pooled(each, self.pooling) for name, each in due.items()})
                images = pooled(images, self.pooling)
            outputs.append(self.of.judge(net, images, batch))
        named = [dict(output) if isinstance(output, Mapping) else {"logits": output} for output in outputs]
        features = [each for output in named for each in output.pop("features", ())]
        logits = torch.stack([output.pop("logits").flatten(1).mean(1) for output in _vectors(named)])
        joined: dict[str, Any] = {
            key: self._combined(torch.stack([output[key] for output in named])) for key in named[0]
        }
        if features:
            joined["features"] = features
        return {"logits": self._combined(logits), **joined} if joined else self._combined(logits)

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the inner outputs, with the features of all scales.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        first, *others = [dict(self.of.outputs(each)) for each in self._specs(spec)]
        if "features" in first:
            first["features"] = [*first["features"], *(shape for other in others for shape in other["features"])]
        return first

    def encode(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Tensor:
        """Encode with the discriminator of the finest scale.

        Args:
            discriminator: the discriminators, the finest scale first.
            images: (N, *shape), in [-1, 1].
            batch: labels and conditions that belong to the images.

        Raises:
            Incompatible: the inner architecture has no encoder.
        """
        assert isinstance(discriminator, nn.ModuleList)
        return self.of.encode(discriminator[0], images, batch)

    def _combined(self, stacked: Tensor) -> Tensor:
        return stacked.mean(0) if self.combine == "mean" else stacked.sum(0)

    def _specs(self, spec: ganzoo.Spec) -> list[ganzoo.Spec]:
        """The spec of each scale, the finest scale first."""
        specs = [spec]
        if len(spec.shape) not in (2, 3, 4):
            raise Incompatible(
                f"multiscale halves images, sequences or volumes, and this data gives samples of shape {spec.shape}: "
                "use the inner architecture alone"
            )
        for _ in range(self.scales - 1):
            finer = specs[-1]
            sides = finer.shape[1:]
            if min(sides) < 2:
                raise Incompatible(
                    f"multiscale cannot halve samples of {'x'.join(map(str, spec.shape))} {self.scales - 1} times: use "
                    f"scales={len(specs)}"
                )
            inputs = {
                name: replace(each, shape=(each.shape[0], *_halved(sides))) if each.shape[1:] == sides else each
                for name, each in finer.inputs.items()
            }
            specs.append(replace(finer, shape=(finer.shape[0], *_halved(sides)), inputs=inputs))
        return specs


def _vectors(named: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The outputs with logits of two dimensions at least, for the mean over patches."""
    for output in named:
        if output["logits"].ndim == 1:
            output["logits"] = output["logits"][:, None]
    return named


def _halved(sides: Sequence[int]) -> tuple[int, ...]:
    return tuple((side - 1) // 2 + 1 for side in sides)


def pooled(images: Tensor, pooling: Pooling) -> Tensor:
    """Halve the sides of samples.

    Args:
        images: (N, C, *S).
        pooling: average or max, over 3 pixels with stride 2.

    Returns:
        (N, C, *S/2), rounded up.

    Example:
        >>> import torch
        >>> pooled(torch.ones(1, 1, 4, 4), "average").flatten().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    dims = images.ndim - 2
    if pooling == "max":
        return max_pool[dims](images, 3, stride=2, padding=1)
    return average_pool[dims](images, 3, stride=2, padding=1, count_include_pad=False)
