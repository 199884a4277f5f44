"""Transformers for both players: Scalable GANs with Transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.utils import parametrize

import ganzoo
from ganzoo.errors import Incompatible
from ganzoo_zoo.architectures.layers.conditioning import require_labels
from ganzoo_zoo.architectures.layers.initial_weights import Rescale
from ganzoo_zoo.architectures.layers.transformer import (
    Attention,
    RMSNorm,
    Size,
    SlowLinear,
    SwiGLU,
    positions,
    unit,
)
from ganzoo_zoo.architectures.options import Conditional, other_nets


class GAT(Conditional):
    """Transformers for both players (GAT): patches of images, or of the latent maps of an autoencoder that is given.

    Formula:
        G: w = mapping(z, y).  Tokens start as positions.  Per block: h <- h + g1(w) attention(norm(h) (1 + s1(w))),
           h <- h + g2(w) SwiGLU(norm(h) (1 + s2(w))).  After each K-th of the blocks a linear layer makes an image, and
           the k-th sample is the sum of the first k images
        D: patches of all K samples together, a class token, blocks with layer scale, and the logit of the class token

    Args:
        width: length of a token: 384 (GAT-S), 768 (B), 1024 (L) or 1152 (XL) in the paper.
        depth: number of blocks of each network: 12 (S, B), 24 (L) or 28 (XL).
        heads: number of attention heads: 6 (S), 12 (B) or 16 (L, XL). The length of a head is divisible by 4.
        patch: side of a patch in pixels: 2, 4 or 8.
        levels: K, the number of samples that G makes on the way and that D is shown together. 1 shows the last sample
            alone. The part ``multi-level-noise`` perturbs the samples.
        qk_norm: whether queries and keys are normalised (RMS) with a learned scale, as in the authors' code.
        base_width: learning rates are meant for this width, and each weight moves by the learning rate times
            ``base_width / width`` (width-aware learning rate). 768 in the paper, 0 for no adjustment.
        conditional: how both networks use the label. projection: G maps noise and class together, and D takes an inner
            product with a vector of the class. auto: projection where the data has labels, else none.
        projection_size: length of the vectors of D's inner product.

    Raises:
        Incompatible: samples that are no images or not divisible into patches, or data with a condition.

    Notes:
        During training a sample is (K C, H, W): the K samples of G, or K copies of a real sample, along the channels.
        Penalties and augmentations see the K samples. People and metrics see the last sample alone.
        The paper trains on the 4x32x32 latent maps of a pretrained autoencoder. ``folder`` reads such maps from
        ``.npy`` files, and ``ganzoo sample --out x.npy`` writes maps for the decoder. The paper's alignment of D with
        a pretrained DINOv2 network is left out.
        The width-aware learning rate holds for Adam and other optimizers whose moves do not depend on the size of the
        gradient: weights are stored divided by ``base_width / width``.
        The authors' G has a patch embedding whose output is multiplied by 0, with (patch^2 C + 1) ``width`` weights.
        The embedding is left out, and with the embedding all published sizes have the authors' number of weights.

    Source: S. Hyun, M. Lee, J.-P. Heo, Scalable GANs with Transformers, 2025, arXiv 2509.24935, section 3, and the
        authors' code, github.com/hse1032/GAT, which settles what the paper leaves open: gated linear units, rotary
        positions, initial weights.

    Example:
        >>> import ganzoo, torch
        >>> part = ganzoo.part("architecture", "gat:width=16,depth=4,heads=2,patch=4")
        >>> spec = ganzoo.Spec(shape=(3, 16, 16), latent_dim=5)
        >>> nets, batch = part.build(spec), ganzoo.Batch(latent=torch.randn(2, 5))
        >>> part.generate(nets.generator, batch).shape
        torch.Size([2, 3, 16, 16])
        >>> part.generate(nets.generator, batch.at(part.stage(spec, 0.0, 0))).shape
        torch.Size([2, 12, 16, 16])
    """

    width: Annotated[int, Ge(4)] = 384
    depth: Annotated[int, Ge(1)] = 12
    heads: Annotated[int, Ge(1)] = 6
    patch: Annotated[int, Ge(1)] = 2
    levels: Annotated[int, Ge(1)] = 4
    qk_norm: bool = True
    base_width: Annotated[int, Ge(0)] = 0
    projection_size: Annotated[int, Ge(1)] = 2048

    def __post_init__(self) -> None:
        if self.width % (4 * self.heads):
            raise ValueError(f"width={self.width} is no multiple of 4 * heads={4 * self.heads}")
        if self.levels > self.depth:
            raise ValueError(f"levels={self.levels} is more than depth={self.depth}: each level needs a block")
        if self.conditional not in ("none", "projection", "auto"):
            raise ValueError(f"conditional={self.conditional} is not one of none, projection, auto for gat")

    def stage(self, spec: ganzoo.Spec, progress: float, images: int) -> ganzoo.Stage | None:
        """The same stage throughout, at which D is shown all levels. None with a single level.

        Args:
            spec: shape of samples.
            progress: of the run.
            images: real images drawn before the step.
        """
        return ganzoo.Stage(0) if self.levels > 1 else None

    def resize(self, images: Tensor, stage: ganzoo.Stage) -> Tensor:
        """A copy of the real samples for each level.

        Args:
            images: (N, C, H, W).
            stage: not read.

        Returns:
            (N, K C, H, W).
        """
        return images.repeat(1, self.levels, 1, 1)

    def show(self, images: Tensor, spec: ganzoo.Spec) -> Tensor:
        """The last of the K samples.

        Args:
            images: (N, K C, H, W) or (N, C, H, W).
            spec: shape of samples.

        Returns:
            (N, C, H, W).
        """
        return images[:, -spec.shape[0] :]

    def generator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the generator.

        Args:
            spec: shape, noise and classes that the network is built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("gat", spec)
        net = Generator(self, spec.latent_dim, spec.shape[0], patches(self.patch, spec.shape), classes)
        self._adjust(net)
        return net

    def discriminator(self, spec: ganzoo.Spec) -> nn.Module:
        """Make the discriminator.

        Args:
            spec: shape and classes that the network is built for.

        Raises:
            Incompatible: see the class.
        """
        classes = self.check_condition("gat", spec)
        net = Discriminator(self, spec.shape[0], patches(self.patch, spec.shape), classes)
        self._adjust(net)
        return net

    def generate(self, generator: nn.Module, batch: ganzoo.Batch) -> Tensor:
        """The last sample, or at a stage all levels along the channels.

        Args:
            generator: the network.
            batch: noise and labels.
        """
        levels: Tensor = generator(batch.latent, batch.labels, every_level=batch.stage is not None)
        return levels

    def judge(self, discriminator: nn.Module, images: Tensor, batch: ganzoo.Batch) -> Any:
        """Judge all levels. Without a stage, the sample takes the place of each level.

        Args:
            discriminator: the network.
            images: (N, K C, H, W), or (N, C, H, W) without a stage.
            batch: labels that belong to the images.

        Returns:
            (N,) logits.
        """
        seen = images if batch.stage is not None else images.repeat(1, self.levels, 1, 1)
        return discriminator(seen, batch.labels)

    def _adjust(self, net: nn.Module) -> None:
        """Store each parameter divided by base_width / width, and multiply at each use."""
        if not self.base_width or self.base_width == self.width:
            return
        factor = self.base_width / self.width
        for module in list(net.modules()):
            for name, parameter in list(module.named_parameters(recurse=False)):
                with torch.no_grad():
                    parameter.div_(factor)
                parametrize.register_parametrization(module, name, Rescale(factor))


class StyledBlock(nn.Module):
    """A block of the generator, whose norms are scaled and whose sums are gated by the style.

    Args:
        width: length of a token.
        heads: number of heads.
        size: height and width in patches.
        qk_norm: whether queries and keys are normalised.
    """

    def __init__(self, width: int, heads: int, size: Size, qk_norm: bool) -> None:
        super().__init__()
        self.norm = RMSNorm()
        self.attention = Attention(width, heads, size, qk_norm)
        self.mlp = SwiGLU(width)
        self.style = nn.Linear(width, 4 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Refine the tokens.

        Args:
            x: (N, tokens, width).
            style: (N, width).

        Returns:
            A tensor of the shape of ``x``.
        """
        scale, gate, scale2, gate2 = self.style(F.silu(style))[:, None].chunk(4, 2)
        x = x + gate * self.attention(self.norm(x) * (1 + scale))
        refined: Tensor = x + gate2 * self.mlp(self.norm(x) * (1 + scale2))
        return refined


class ToPatches(nn.Module):
    """The linear layer that makes an image of tokens, after a norm that the style scales.

    Args:
        width: length of a token.
        patch: side of a patch.
        channels: of the images.
        size: height and width in patches.
    """

    def __init__(self, width: int, patch: int, channels: int, size: Size) -> None:
        super().__init__()
        self.size, self.patch, self.channels = size, patch, channels
        self.norm = RMSNorm()
        self.style = nn.Linear(width, width)
        self.linear = nn.Linear(width, patch * patch * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Make an image.

        Args:
            x: (N, tokens, width).
            style: (N, width).

        Returns:
            (N, C, H, W).
        """
        x = self.linear(self.norm(x) * (1 + self.style(F.silu(style))[:, None]))
        (height, width), p = self.size, self.patch
        x = x.reshape(len(x), height, width, p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(len(x), self.channels, height * p, width * p)


class Generator(nn.Module):
    """The generator: (N, latent_dim) -> (N, C, H, W), or all levels (N, K C, H, W).

    Args:
        part: sizes of the network.
        latent: length of the noise.
        channels: of the images.
        size: height and width in patches.
        classes: number of classes, 0 without labels.
    """

    positions: Tensor

    def __init__(self, part: GAT, latent: int, channels: int, size: Size, classes: int) -> None:
        super().__init__()
        width = part.width
        self.register_buffer("positions", positions(size, width), persistent=False)
        self.embedding = nn.Embedding(classes, latent) if classes else None
        self.mapping = nn.Sequential(
            SlowLinear(latent * (2 if classes else 1), width), nn.SiLU(), SlowLinear(width, width)
        )
        self.blocks = nn.ModuleList(StyledBlock(width, part.heads, size, part.qk_norm) for _ in range(part.depth))
        self.images = nn.ModuleList(ToPatches(width, part.patch, channels, size) for _ in range(part.levels))
        self.after = [(k + 1) * part.depth // part.levels - 1 for k in range(part.levels)]
        initialise_gat(self)
        for module in self.modules():
            if isinstance(module, (StyledBlock, ToPatches)):
                nn.init.xavier_uniform_(module.style.weight, gain=0.1)

    def forward(self, latent: Tensor, labels: Tensor | None = None, every_level: bool = False) -> Tensor:
        """Make images.

        Args:
            latent: (N, latent_dim) noise.
            labels: (N,) class numbers, or None.
            every_level: whether all levels are returned.

        Returns:
            (N, C, H, W), or (N, K C, H, W). The last layer is linear.
        """
        given = [unit(latent)]
        if self.embedding is not None:
            given.insert(0, unit(self.embedding(require_labels(labels))))
        style = self.mapping(torch.cat(given, 1))
        x = self.positions.to(latent.dtype).expand(len(latent), -1, -1)
        samples: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x = block(x, style)
            if number == self.after[len(samples)]:
                image = self.images[len(samples)](x, style)
                samples.append(image if not samples else samples[-1] + image)
        return torch.cat(samples, 1) if every_level else samples[-1]


class Block(nn.Module):
    """A block of the discriminator, with layer scale.

    Args:
        width: length of a token.
        heads: number of heads.
        size: height and width in patches.
        qk_norm: whether queries and keys are normalised.
    """

    def __init__(self, width: int, heads: int, size: Size, qk_norm: bool) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.attention = Attention(width, heads, size, qk_norm)
        self.norm2 = RMSNorm(width)
        self.mlp = SwiGLU(width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))
        self.scale2 = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Refine the tokens.

        Args:
            x: (N, tokens, width).

        Returns:
            A tensor of the same shape.
        """
        x = x + self.attention(self.norm(x)) * self.scale
        refined: Tensor = x + self.mlp(self.norm2(x)) * self.scale2
        return refined


class Discriminator(nn.Module):
    """The discriminator: (N, K C, H, W) -> (N,) logits.

    Args:
        part: sizes of the network.
        channels: of the images.
        size: height and width in patches.
        classes: number of classes, 0 without labels.
    """

    positions: Tensor

    def __init__(self, part: GAT, channels: int, size: Size, classes: int) -> None:
        super().__init__()
        width = part.width
        self.register_buffer("positions", positions(size, width), persistent=False)
        self.patches = nn.Conv2d(part.levels * channels, width, part.patch, part.patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, part.heads, size, part.qk_norm) for _ in range(part.depth))
        self.norm = RMSNorm(width)
        vector = part.projection_size
        self.head = nn.Linear(width, vector if classes else 1)
        self.embedding = nn.Embedding(classes, vector) if classes else None
        self.mapping = (
            nn.Sequential(SlowLinear(vector, vector), nn.SiLU(), SlowLinear(vector, vector)) if classes else None
        )
        initialise_gat(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Judge images.

        Args:
            images: (N, K C, H, W).
            labels: (N,) class numbers, or None.

        Returns:
            (N,) logits.
        """
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x + self.positions.to(x.dtype)], 1)
        for block in self.blocks:
            x = block(x)
        summary: Tensor = self.head(self.norm(x[:, 0]))
        if self.embedding is None or self.mapping is None:
            return summary.squeeze(1)
        product: Tensor = summary * self.mapping(self.embedding(require_labels(labels)))
        return product.sum(1)


def patches(patch: int, shape: Sequence[int]) -> Size:
    """Height and width of images in patches.

    Args:
        patch: side of a patch in pixels.
        shape: of a sample, without the batch.

    Raises:
        Incompatible: the samples are no images, or not divisible into patches.

    Example:
        >>> patches(4, (3, 32, 48))
        (8, 12)
    """
    if len(shape) != 3:
        raise Incompatible(f"gat makes images, and this data gives {tuple(shape)}: {other_nets(shape)}")
    _, height, width = shape
    if height % patch or width % patch:
        raise Incompatible(
            f"gat cuts images into patches of patch={patch} pixels a side, and this data gives "
            f"{'x'.join(map(str, shape))}: give a patch that divides both sides"
        )
    return height // patch, width // patch


def initialise_gat(net: nn.Module) -> None:
    """Draw the weights of linear layers and patches uniformly (Glorot), and of embeddings from N(0, 0.02^2).

    Args:
        net: the network, changed in place. Layers that learn more slowly stay.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear) and not isinstance(layer, SlowLinear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Conv2d):
            fan = math.sqrt(6.0 / (layer.weight[0].numel() + layer.out_channels))
            nn.init.uniform_(layer.weight, -fan, fan)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02)
