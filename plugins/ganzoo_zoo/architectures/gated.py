"""Inpainting in two stages of gated convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import init

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.gated import ContextualAttention, GatedConv, GatedUp
from ganzoo_zoo.architectures.layers.initial_weights import initialise
from ganzoo_zoo.architectures.layers.norms import NormName
from ganzoo_zoo.architectures.layers.patches import PatchForm
from ganzoo_zoo.architectures.pictures import Patches, by_terms_alone, condition


class Gated(Patches):
    """Gated convolutions (inpainting, coarse to refine, DeepFill): a coarse picture, then a refined picture.

    With x the condition, m = 1 in the hole and 0 elsewhere, and both stages encoders and decoders of gated and dilated
    gated convolutions:

    Formula:
        coarse = tanh G_1(x (1 - m), m),   y = m coarse + (1 - m) x
        refined = tanh G_2(y, m),          picture = refined in the hole, x elsewhere, bit for bit

    Args:
        width: channels of the first maps, at least 2: half of what the paper's code counts before its gates.
        attention: whether the second stage has a branch with contextual attention.
        first: share of the run in which the coarse stage learns alone, by the terms that read the stage ``coarse``,
            from 0 to below 1. 0 trains both stages together.
        then: with ``first``, what becomes of the coarse stage afterwards: frozen, or trained on by its own terms.
        d_form: free-form (SN-PatchGAN, with the regularizer sn), patch (pix2pix) or pixel (1x1 convolutions).
        d_width: channels of the discriminator's first map, at least 1.
        d_layers: convolutions of stride 2 in the discriminator, at least 1. The paper has 6, for 256 pixels.
        d_norm: norm in a discriminator of another form than free-form: none, batch, instance, layer or pixel.
        d_scales: discriminators, at least 1, each for pictures at half the size of the one before.
        d_condition: whether the discriminator sees the condition and the mask beside the picture.
        alone: share of the run in which the generator learns alone, by its terms, from 0 to 1.

    Raises:
        Incompatible: data without a condition of the samples' shape, or sides that are no multiples of 4 (of 8 with
            attention).

    Notes:
        Stages for terms such as ``l1:stage=coarse,refined``: coarse and refined are the whole pictures of the two
        networks, before known pixels are put back. Without a mask in the data the whole picture is the hole. With
        ``first`` the stages are apart: no gradient goes from the second stage into the first, and the adversary begins
        with the second stage. Both stages are fully convolutional. The paper's discriminator sees the picture and the
        mask, this one the condition too.

    Source: Yu et al., Free-form image inpainting with gated convolution, 2019, arXiv:1806.03589, figures 3 and 4, and
        the authors' code.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "gated:width=2,d_width=4,d_layers=2")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=1, inputs={"condition": ganzoo.TensorSpec((3, 16, 16)),
        ...                                                             "mask": ganzoo.TensorSpec((1, 16, 16))})
        >>> batch = ganzoo.Batch(condition=torch.rand(1, 3, 16, 16), mask=-torch.ones(1, 1, 16, 16))
        >>> made = part.generate_all(part.build(spec).generator, batch)
        >>> sorted(made), torch.equal(made["images"], batch["condition"])
        (['coarse', 'images', 'refined'], True)
    """

    width: Annotated[int, Ge(2)] = 24
    attention: bool = False
    first: Annotated[float, Ge(0), Lt(1)] = 0.0
    then: Literal["frozen", "trained"] = "frozen"
    d_form: PatchForm = "free-form"
    d_layers: Annotated[int, Ge(1)] = 4
    d_norm: NormName = "none"

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make both stages.

        Args:
            spec: shapes that the networks are built for.

        Raises:
            Incompatible: see the class.
        """
        shape = condition("gated", spec)
        mask = spec.inputs.get("mask")
        if mask is not None and (shape != spec.shape or mask.shape != (1, *spec.shape[1:])):
            raise Incompatible(
                f"gated fills the hole of a picture, and this data gives a condition of shape {shape} and a mask of "
                f"shape {mask.shape} for samples of shape {spec.shape}: use data such as inpaint"
            )
        multiple = self.side_multiple(spec)
        if any(side % multiple for side in spec.shape[1:]):
            raise Incompatible(
                f"gated wants sides that are multiples of {multiple}, and this data gives "
                f"{'x'.join(map(str, spec.shape[1:]))}: set the data's size"
            )
        stages = TwoStages(shape[0], spec.shape[0], self.width, self.attention, apart=self.first > 0)
        # A gate halves its map at the start: with a gain of 2 the maps keep their size through twenty layers.
        initialise(stages, lambda weight: init.xavier_uniform_(weight, 2.0))
        return stages

    def side_multiple(self, spec: ganzoo.Spec) -> int:
        """4, and 8 with attention, which halves the smallest maps once more.

        Args:
            spec: shapes that the networks are built for.
        """
        return 8 if self.attention else 4

    def intermediates(self, spec: ganzoo.Spec) -> Mapping[str, tuple[int, ...]]:
        """``coarse`` and ``refined``, pictures of the samples' shape.

        Args:
            spec: shapes that the networks are built for.
        """
        return {"coarse": spec.shape, "refined": spec.shape}

    def learning(self, progress: float) -> ganzoo.Learning:
        """The coarse stage alone in the first part of the run, then the second stage, or both.

        Args:
            progress: 0 at the first step of the run, 1 at the last.
        """
        if progress < self.first:
            return ganzoo.Learning(generator=("coarse",), discriminator=(), adversarial=False)
        then = by_terms_alone(self.alone, progress) or ganzoo.Learning()
        return then._replace(generator=("refine",)) if self.first and self.then == "frozen" else then

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """The refined pictures, with the known pixels of the condition."""
        return self.generate_all(generator, batch)["images"]

    def generate_all(self, generator: nn.Module, batch: ganzoo.Batch) -> Mapping[str, Tensor]:
        """The pictures of both stages, and the refined one with the known pixels of the condition."""
        x, mask = batch["condition"], batch.get("mask")
        hole = torch.ones_like(x[:, :1]) if mask is None else (mask > 0).to(x.dtype)
        coarse, refined = generator(x, hole)
        images = refined if mask is None else torch.where(hole > 0, refined.to(x.dtype), x)
        return {"images": images, "coarse": coarse, "refined": refined}


class TwoStages(nn.Module):
    """Both stages: (N, C, H, W) conditions and (N, 1, H, W) holes -> two pictures (N, outputs, H, W) in [-1, 1].

    Args:
        inputs: C.
        outputs: channels of the picture.
        width: channels of the first maps.
        attention: whether the second stage has a branch with contextual attention.
        apart: whether no gradient goes from the second stage into the first.
    """

    def __init__(self, inputs: int, outputs: int, width: int, attention: bool, *, apart: bool) -> None:
        super().__init__()
        self.apart = apart
        self.coarse = Stage(inputs + 1, outputs, width)
        self.refine = Stage(outputs + 1, outputs, width, attention=attention)

    def forward(self, x: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Make both pictures.

        Args:
            x: (N, C, H, W) conditions.
            hole: (N, 1, H, W), 1 in the hole and 0 elsewhere.

        Returns:
            The coarse and the refined picture.
        """
        known = x * (1 - hole)
        coarse = self.coarse(known, hole)
        seen = coarse.detach() if self.apart else coarse
        # Conditions of other channels than the picture's have no known pixels: the hole is everywhere then.
        composite = seen * hole + known if known.shape == seen.shape else seen
        return coarse, self.refine(composite, hole)


class Stage(nn.Module):
    """An encoder and decoder of gated convolutions, to a quarter of the side, with dilation there.

    Args:
        inputs: channels of the picture and of the hole.
        outputs: channels of the picture that is made.
        width: channels of the first map. Maps have two and four times as many at a half and a quarter of the side.
        attention: whether a second branch attends from the hole to the known part.
    """

    def __init__(self, inputs: int, outputs: int, width: int, *, attention: bool = False) -> None:
        super().__init__()
        wide = 4 * width
        self.down = nn.Sequential(*self._down(inputs, width))
        self.middle = nn.Sequential(*(GatedConv(wide, wide, dilation=d) for d in (1, 2, 4, 8, 16)))
        self.other: nn.ModuleDict | None = None
        if attention:
            self.other = nn.ModuleDict(
                {
                    "down": nn.Sequential(*self._down(inputs, width)),
                    "attend": ContextualAttention(),
                    "after": nn.Sequential(GatedConv(wide, wide), GatedConv(wide, wide)),
                    "merge": GatedConv(2 * wide, wide),
                }
            )
        self.up = nn.Sequential(
            GatedConv(wide, wide),
            GatedConv(wide, wide),
            GatedUp(wide, 2 * width),
            GatedConv(2 * width, 2 * width),
            GatedUp(2 * width, width),
            GatedConv(width, max(1, width // 2)),
            nn.Conv2d(max(1, width // 2), outputs, 3, padding=1),  # the only one without a gate
        )

    @staticmethod
    def _down(inputs: int, width: int) -> list[nn.Module]:
        return [
            GatedConv(inputs, width, 5),
            GatedConv(width, 2 * width, stride=2),
            GatedConv(2 * width, 2 * width),
            GatedConv(2 * width, 4 * width, stride=2),
            GatedConv(4 * width, 4 * width),
        ]

    def forward(self, picture: Tensor, hole: Tensor) -> Tensor:
        """Make a picture.

        Args:
            picture: (N, C, H, W), H and W multiples of 4.
            hole: (N, 1, H, W), 1 in the hole and 0 elsewhere.

        Returns:
            (N, outputs, H, W) in [-1, 1].
        """
        x = torch.cat([picture, hole], 1)
        h: Tensor = self.middle(self.down(x))
        if self.other is not None:
            small = nn.functional.max_pool2d(hole, 4)
            attended = self.other["attend"](self.other["down"](x), small)
            h = self.other["merge"](torch.cat([h, self.other["after"](attended)], 1))
        return torch.tanh(self.up(h))
