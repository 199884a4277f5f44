"""A discriminator that judges several samples at once, around the discriminator of any architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.mlp import MLP
from ganzoo_zoo.architectures.wrapping import Wrapper, delegates


@delegates
class Packed(Wrapper):
    """Packed discriminator (PacGAN): one judgement of several samples of one kind, so that a lack of variety shows.

    Formula:
        D(x_1, ..., x_m) = inner D(x_1, ..., x_m along the first dimension),  the logit of x_i is that of its pack

    Args:
        of: the architecture. The generator is the architecture's own, unchanged.
        samples: m, the samples in a pack, at least 1. The paper has 2, 3 and 4.

    Raises:
        Incompatible: inner networks that use class labels, or an architecture that grows.

    Notes:
        A batch of N samples makes N / m packs of neighbours, and each sample has the logit of its pack, so that a mean
        over samples is the mean over packs. Where m does not divide N, the first samples fill the last pack, so give
        micro-batches (``--accumulate``) of at least m samples. A sample's score depends on the others, so penalties on
        the gradient of each sample are refused. Channels of images, coordinates of points and conditions are joined
        alike.

    Source: Z. Lin, A. Khetan, G. Fanti and S. Oh, PacGAN: The power of two samples in generative adversarial networks,
        2018, arXiv 1712.04086, section 2.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "packed:of=mlp,width=8,samples=2")
        >>> nets = part.build(ganzoo.Spec(shape=(2,), latent_dim=5))
        >>> points = torch.randn(4, 2)
        >>> logits = part.judge(nets.discriminator, points, ganzoo.Batch(images=points))
        >>> bool(logits[0] == logits[1]), bool(logits[0] == logits[2])
        (True, False)
    """

    of: ganzoo.Architecture = MLP()
    samples: Annotated[int, Ge(1)] = 2

    def classes(self, available: int) -> int:
        """None: the samples of a pack may be of several classes.

        Args:
            available: number of classes of the data, 0 without labels.

        Raises:
            Incompatible: the inner networks use class labels.
        """
        if self.of.classes(available):
            raise Incompatible(
                "packed judges samples of several classes together, and its inner networks use the label of each: give "
                "conditional=none"
            )
        return 0

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the inner discriminator for packs.

        Args:
            spec: shape, noise and classes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        self.require_one_size(spec)
        self.classes(spec.classes)
        return Packs(self.of.discriminator(self._packed_spec(spec)))

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge packs of samples, and give each sample the output of its pack.

        Args:
            discriminator: the network, of packs.
            images: (N, *shape).
            batch: conditions that belong to the images.

        Returns:
            (N, ...) logits, or a mapping with ``logits`` and the outputs of the inner architecture.
        """
        assert isinstance(discriminator, Packs)
        packs = self._packs(images)
        inputs = {name: self._packs(each) for name, each in batch.inputs.items()}
        output = self.of.judge(discriminator.inner, packs, ganzoo.Batch(images=packs, **inputs))
        return _of_samples(output, self.samples, images.shape[0])

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the inner outputs for packs.

        Args:
            spec: shape, noise and classes that the networks are built for.
        """
        return self.of.outputs(self._packed_spec(spec))

    def encode(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Tensor:
        """Refuse: a pack has no code of a single sample.

        Args:
            discriminator: the network.
            images: (N, *shape).
            batch: conditions that belong to the images.

        Raises:
            Incompatible: always.
        """
        raise Incompatible(
            "packed judges several samples together and encodes no single one: use the inner architecture"
        )

    def _packed_spec(self, spec: ganzoo.Spec) -> ganzoo.Spec:
        """The spec of a pack: the first dimension of samples and conditions is m times as long."""
        inputs = {name: replace(each, shape=self._packed_shape(each.shape)) for name, each in spec.inputs.items()}
        return replace(spec, shape=self._packed_shape(spec.shape), classes=0, inputs=inputs)

    def _packed_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        first, *others = shape
        return (self.samples * first, *others)

    def _packs(self, tensor: Tensor) -> Tensor:
        """(N, C, ...) -> (ceil(N / m), m C, ...), the last pack filled with the first samples."""
        count = -(-tensor.shape[0] // self.samples)
        missing = count * self.samples - tensor.shape[0]
        if missing:
            order = torch.arange(missing, device=tensor.device) % tensor.shape[0]
            tensor = torch.cat([tensor, tensor[order]])
        return tensor.reshape(count, self.samples * tensor.shape[1], *tensor.shape[2:])


class Packs(nn.Module):
    """The discriminator of packs.

    Args:
        inner: the network that judges a pack as a single sample.
    """

    mixes_samples = True  # penalties on the gradient of each sample are refused with this discriminator

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


def _of_samples(output: Any, samples: int, count: int) -> Any:
    """The outputs of packs as the outputs of their samples."""
    if isinstance(output, Tensor):
        return output.repeat_interleave(samples, 0)[:count]
    if isinstance(output, Mapping):
        return {name: _of_samples(each, samples, count) for name, each in output.items()}
    return [_of_samples(each, samples, count) for each in output]
