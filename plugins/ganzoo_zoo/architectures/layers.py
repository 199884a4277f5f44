"""What the nets share: norms, resampling convolutions, batch statistics, labels, initial weights, possible shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

import ganzoo
from ganzoo.errors import Incompatible

NormName = Literal["none", "batch", "instance", "layer", "pixel"]
UpsampleName = Literal["nearest", "transposed", "pixel-shuffle"]


class Labelled(ganzoo.Architecture):
    """Nets that take class labels when they are asked to, and noise besides, and nothing else."""

    conditional: bool = False

    def classes(self, available: int) -> int:
        """All classes of the data when conditional, else 0.

        Raises:
            Incompatible: conditional nets, and data without labels.
        """
        if self.conditional and not available:
            raise Incompatible(
                "conditional nets need labels, and this data has none: use conditional=false, or data with classes"
            )
        return available if self.conditional else 0

    def checked(self, name: str, spec: ganzoo.Spec) -> int:
        """How many classes the nets are built for; refuses a condition, which these nets have no place for."""
        if spec.condition_shape is not None:
            raise Incompatible(
                f"{name} makes samples from noise and labels alone, and this data gives a condition of "
                f"shape {spec.condition_shape}: use an architecture that takes one"
            )
        return self.classes(spec.classes)


class Auxiliary(Labelled):
    """Nets whose discriminator may tell its features, and the class of a sample instead of being given it."""

    auxiliary: bool = False
    joint: bool = False

    def __post_init__(self) -> None:
        if self.auxiliary and self.conditional:
            raise ValueError("auxiliary=true gives G the label and has D find it out: leave conditional out")
        if self.joint and not self.auxiliary:
            raise ValueError("joint=true takes the logit from class logits: give auxiliary=true too")

    def classes(self, available: int) -> int:
        """All classes of the data when auxiliary or conditional, else 0."""
        if self.joint and not available:
            raise Incompatible("joint=true needs classes, and this data has none: use data with classes")
        return available if self.auxiliary else super().classes(available)

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """What D says; a D that is to find out the label is not given it."""
        return super().judge(discriminator, images, batch.replace(labels=None) if self.auxiliary else batch)

    def told(self, spec: ganzoo.Spec, features: list[tuple[int, ...]]) -> dict[str, list[tuple[int, ...]]]:
        """What an auxiliary D returns beside logits, by its features' shapes."""
        if not self.auxiliary:
            return {}
        return {"features": features, **({"class_logits": [(spec.classes,)]} if spec.classes else {})}


class Embedding(ganzoo.Architecture):
    """Nets whose discriminator may be an encoder: its last layer gives a vector, and the logit is the average of it."""

    embedding: Annotated[int, Ge(0)] | Literal["latent"] = 0

    def embedded(self, spec: ganzoo.Spec) -> int:
        """How many numbers the vector has, 0 where the last layer gives the logit itself."""
        return spec.latent_dim if self.embedding == "latent" else self.embedding

    def outputs(self, spec: ganzoo.Spec) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The embedding, where there is one."""
        size = self.embedded(spec)
        return {"embedding": [(size,)]} if size else {}

    def encode(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Tensor:
        """The embedding, brought to mean 0 and variance 1 over its numbers: its average is the logit, and no noise."""
        if not self.embedding:
            return super().encode(discriminator, images, batch)
        e: Tensor = self.judge(discriminator, images, batch)["embedding"]
        e = e - e.mean(1, keepdim=True)
        return e * (e.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def judgement(last: Tensor, embedding: int, *, joint: bool = False) -> Tensor | dict[str, Tensor]:
    """What a discriminator returns, from its last layer's (N, embedding or 1), or class logits if ``joint``."""
    if joint:  # K + 1 classes, whose last is "fake" with a logit of 0: real is any of the others
        return {"logits": last.logsumexp(1), "class_logits": last}
    return {"logits": last.mean(1), "embedding": last} if embedding else last.squeeze(1)


def doublings(name: str, shape: tuple[int, ...]) -> int:
    """How often a 4x4 map is doubled to reach images of that shape.

    Raises:
        Incompatible: the samples are no square images of a side that is a power of two from 8 to 256.
    """
    makes = f"{name} makes square images whose side is a power of two from 8 to 256, and this data gives"
    if len(shape) != 3:
        raise Incompatible(f"{makes} {shape}: use --arch mlp")
    _, height, width = shape
    if height != width or height not in (8, 16, 32, 64, 128, 256):
        side = min(256, max(8, 1 << (max(height, width) - 1).bit_length()))
        raise Incompatible(f"{makes} {'x'.join(map(str, shape))}: set the data's size={side}")
    return height.bit_length() - 3


# -- norms ------------------------------------------------------------------------------------------------------------


class PixelNorm(nn.Module):
    """x / sqrt(mean_c x^2 + 1e-8): every pixel's vector of channels, brought to length sqrt(C) (Karras 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over dimension 1."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def norm(name: NormName, channels: int) -> nn.Module:
    """A norm over (N, C, H, W). All but ``batch`` treat each sample by itself.

    ``layer`` is over (C, H, W) and ``instance`` over (H, W), both with a scale and a shift per channel: group norms of
    one group, and of one channel a group. No net here has maps below 4x4, so instance norm always has 16 values.
    """
    match name:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels)
        case "instance":
            return nn.GroupNorm(channels, channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "pixel":
            return PixelNorm()


def shifts(name: NormName) -> bool:
    """Whether the norm has a shift of its own, which makes the bias of the convolution before it idle."""
    return name in ("batch", "instance", "layer")


# -- resampling convolutions ------------------------------------------------------------------------------------------


class UpConv(nn.Conv2d):
    """Nearest-neighbour x2, then a 3x3 convolution: the upsampling that leaves no checkerboard (Odena et al. 2016).

    Of the nine pixels under the kernel several are copies of one, so the two are one transposed convolution whose
    4x4 kernel is the 3x3 kernel summed over 2x2 windows: the same numbers for 16/36 of the multiplications.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        kernel = F.avg_pool2d(self.weight.flip(2, 3), 2, stride=1, padding=1, divisor_override=1)
        return F.conv_transpose2d(x, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class DownConv(nn.Conv2d):
    """A 3x3 convolution, then 2x2 average pooling, as one 4x4 convolution of stride 2: the same numbers for 16/36."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/2, W/2)."""
        kernel = F.avg_pool2d(self.weight, 2, stride=1, padding=1)
        return F.conv2d(x, kernel, self.bias, stride=2, padding=1)


class SubpixelConv(nn.Conv2d):
    """A 3x3 convolution to four times the channels, shuffled to x2 the pixels (Shi et al. 2016).

    Output channel c at (2y + i, 2x + j) is channel 4c + 2i + j at (y, x). ``initialise`` gives the four kernels of an
    output channel equal weights (ICNR, Aitken et al. 2017), so that it starts as a convolution, then nearest x2.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, 4 * outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        return F.pixel_shuffle(super().forward(x), 2)


def upsampling(name: UpsampleName, inputs: int, outputs: int, *, bias: bool) -> nn.Module:
    """A convolution that doubles the side of its maps."""
    if name == "transposed":  # kernel 4 is a multiple of stride 2, so that every pixel is covered equally often
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
    return {"nearest": UpConv, "pixel-shuffle": SubpixelConv}[name](inputs, outputs, bias=bias)


# -- what a sample's companions say about it --------------------------------------------------------------------------


class MinibatchStddev(nn.Module):
    """One more channel: how much the samples of a group differ (Karras et al. 2018, section 3).

    Sample n belongs to group n mod (N / size). A batch that ``size`` does not divide is grouped by the largest
    smaller size that does; a group of one sees no difference.
    """

    mixes_samples = True  # so it is refused under a gradient penalty per sample

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + 1, H, W)."""
        count, _, height, width = x.shape
        size = next(s for s in range(self.size, 0, -1) if count % s == 0)
        groups = at_least_float32(x).reshape(size, count // size, -1)
        stddev = (groups.var(0, correction=0) + 1e-8).sqrt().mean(1)  # (N / size,)
        plane = stddev.repeat(size).to(x.dtype)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, plane], 1)


class MinibatchDiscrimination(nn.Module):
    """How near a sample is to each other sample of its batch, in learned projections (Salimans et al. 2016).

    Formula:
        M_i = f_i T,  o_ib = sum over j != i of exp(-|M_ib - M_jb|_1)
    A sample's nearness to itself, always 1, is left out, as in the authors' code. T starts with columns of expected
    length 1, where that code begins too; its weight norm and data-dependent initial bias are not reproduced.
    """

    mixes_samples = True  # so it is refused under a gradient penalty per sample

    def __init__(self, features: int, kernels: int, dims: int = 5) -> None:
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(features, kernels * dims, bias=False)
        nn.init.normal_(self.project.weight, 0.0, features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, A) -> (N, kernels)."""
        projected = at_least_float32(self.project(features)).reshape(features.shape[0], self.kernels, -1)
        distance = (projected[:, None] - projected[None]).abs().sum(3)  # (N, N, kernels)
        return torch.exp(-distance).sum(1) - 1.0


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened: differences and sums over a batch need more than the 8 bits of bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# -- labels -----------------------------------------------------------------------------------------------------------


def with_labels(x: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """One-hot labels concatenated to vectors (N, D), or as constant planes to images (N, C, H, W).

    Nets that were built without classes take no notice of labels.
    """
    if not classes:
        return x
    if labels is None:
        raise TypeError("these nets are conditional: they need labels, (N,) class numbers")
    # F.one_hot would fetch the labels to look at their range, which a recorded step cannot
    hot = (labels.unsqueeze(1) == torch.arange(classes, device=labels.device)).to(x.dtype)
    return torch.cat([x, hot.reshape(*hot.shape, *(1,) * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])], 1)


# -- initial weights --------------------------------------------------------------------------------------------------


@torch.no_grad()
def initialise(net: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Draw every kernel of a net in place by ``draw``; biases start at zero."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if isinstance(layer, SubpixelConv):  # ICNR: one kernel for the four pixels that it becomes
                draw(kernel := layer.weight[::4])
                layer.weight.copy_(kernel.repeat_interleave(4, 0))
            else:
                draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
