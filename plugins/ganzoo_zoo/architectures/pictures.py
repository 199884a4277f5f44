"""What networks from pictures to pictures share: the conditions that they take, and the PatchGAN discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import init

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import NormName
from ganzoo_zoo.architectures.layers.patches import (
    MultiScale,
    PatchDiscriminator,
    PatchForm,
    beside,
    smallest_side,
)
from ganzoo_zoo.architectures.options import other_nets


class Patches(ganzoo.Architecture):
    """Architectures whose discriminator is a PatchGAN.

    Args:
        d_form: patch (pix2pix), pixel (1x1 convolutions) or free-form (5x5 of stride 2, all outputs are logits).
        d_width: channels of the discriminator's first map, at least 1.
        d_layers: convolutions of stride 2 in the discriminator, at least 1. A logit of ``patch`` sees 16, 34, 70 or
            142 pixels for 1, 2, 3 or 4.
        d_norm: norm in the discriminator: none, batch, instance, layer or pixel.
        d_scales: discriminators, at least 1, each for pictures at half the size of the one before.
        d_condition: whether the discriminator sees the condition beside the picture.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.
    """

    d_form: PatchForm = "patch"
    d_width: Annotated[int, Ge(1)] = 64
    d_layers: Annotated[int, Ge(1)] = 3
    d_norm: NormName = "batch"
    d_scales: Annotated[int, Ge(1)] = 1
    d_condition: bool = True
    alone: Annotated[float, Ge(0), Le(1)] = 0.0

    def learning(self, progress: float) -> ganzoo.Learning:
        """The generator alone, by its terms, in the first part of the run.

        Args:
            progress: 0 at the first step of the run, 1 at the last.
        """
        return by_terms_alone(self.alone, progress) or ganzoo.Learning()

    @property
    def logit_scales(self) -> int:
        """The number of discriminators."""
        return self.d_scales

    @property
    def name(self) -> str:
        """The name of the architecture, for messages."""
        return type(self).__name__.lower()

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator, with weights from N(0, 0.02).

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: the samples are no pictures, or too small for the layers, or an input is no picture.
        """
        channels = spec.shape[0] + sum(shape[0] for shape in self.seen_inputs(self.name, spec).values())
        least = smallest_side(self.d_form, self.d_layers, self.d_scales)
        if min(spec.shape[1:]) < least:
            raise Incompatible(
                f"{self.name} with d_layers={self.d_layers} and d_scales={self.d_scales} judges pictures of at least "
                f"{least} pixels a side, and this data gives {'x'.join(map(str, spec.shape[1:]))}: give fewer d_layers"
            )
        nets = [
            PatchDiscriminator(channels, self.d_form, self.d_width, self.d_layers, self.d_norm)
            for _ in range(self.d_scales)
        ]
        for net in nets:
            initialise(net, lambda weight: init.normal_(weight, 0.0, 0.02))
        return nets[0] if self.d_scales == 1 else MultiScale(nets)

    def seen_inputs(self, name: str, spec: ganzoo.Spec) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the inputs that the discriminator sees.

        Args:
            name: of the architecture, for messages.
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: the samples or the inputs are no pictures.
        """
        found = pictures(name, spec)
        return found if self.d_condition else {}

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Logits of patches, of the pictures beside all inputs in the order of their names.

        Args:
            discriminator: the network.
            images: (N, C, H, W).
            batch: the inputs that the pictures were made for.
        """
        inputs = [batch.inputs[name] for name in sorted(batch.inputs)] if self.d_condition else []
        return discriminator(beside(images, inputs) if inputs else images)

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the discriminator's maps.

        Args:
            spec: shapes that the networks are built for.
        """
        side = list(spec.shape[1:])
        maps: list[tuple[int, ...]] = []
        for _ in range(self.d_scales):
            maps += self._maps(side)
            side = [(n + 1) // 2 for n in side]
        return {"features": maps}

    def _maps(self, side: list[int]) -> list[tuple[int, ...]]:
        if self.d_form == "pixel":
            return [(self.d_width, *side), (2 * self.d_width, *side)]
        maps: list[tuple[int, ...]] = []
        for i in range(self.d_layers):
            side = [(n + 1) // 2 if self.d_form == "free-form" else n // 2 for n in side]
            maps.append((self.d_width * min(4 if self.d_form == "free-form" else 8, 2**i), *side))
        if self.d_form == "patch":
            maps.append((self.d_width * min(8, 2**self.d_layers), *(n - 1 for n in side)))
        return maps


def pictures(name: str, spec: ganzoo.Spec) -> dict[str, tuple[int, ...]]:
    """The shapes of all inputs by name, where samples and inputs are pictures.

    Args:
        name: of the architecture, for messages.
        spec: shapes that the networks are built for.

    Raises:
        Incompatible: the samples or an input are no pictures.
    """
    if len(spec.shape) != 3:
        raise Incompatible(
            f"{name} makes pictures, and this data gives samples of shape {spec.shape}: {other_nets(spec.shape)}"
        )
    for key, each in spec.inputs.items():
        if len(each.shape) != 3 or each.dtype != "float":
            raise Incompatible(
                f"{name} takes pictures, and this data gives {key} of shape {each.shape}: use an architecture that "
                "takes what the data gives"
            )
    return {key: spec.inputs[key].shape for key in sorted(spec.inputs)}


def condition(name: str, spec: ganzoo.Spec, *, same_size: bool = True) -> tuple[int, ...]:
    """The shape of the condition.

    Args:
        name: of the architecture, for messages.
        spec: shapes that the networks are built for.
        same_size: whether the condition must have the height and width of the samples.

    Raises:
        Incompatible: the data gives no condition, or a condition of another size.
    """
    found = pictures(name, spec)
    if "condition" not in found:
        raise Incompatible(
            f"{name} makes a picture from a picture, and this data gives no condition: use data of pairs, such as "
            "inpaint, superres, colorize or pairs"
        )
    shape = found["condition"]
    if same_size and shape[1:] != spec.shape[1:]:
        raise Incompatible(
            f"{name} makes pictures of the condition's size, and this data gives a condition of "
            f"{'x'.join(map(str, shape[1:]))} for {'x'.join(map(str, spec.shape[1:]))}: use srresnet or rrdb"
        )
    return shape


def by_terms_alone(share: float, progress: float) -> ganzoo.Learning | None:
    """What learns while the generator has no adversary, or None once the generator has one.

    Args:
        share: of the run in which the generator learns alone. 1 is the whole run.
        progress: 0 at the first step of the run, 1 at the last.

    Example:
        >>> by_terms_alone(0.5, 0.4).adversarial, by_terms_alone(0.5, 0.6), by_terms_alone(1.0, 1.0).adversarial
        (False, None, False)
    """
    if progress < share or share == 1:
        return ganzoo.Learning(discriminator=(), adversarial=False)
    return None
