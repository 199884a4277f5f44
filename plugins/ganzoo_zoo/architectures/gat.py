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
from ganzoo_zoo.architectures.options import Conditional

Size = tuple[int, int]
"""Height and width in patches."""

SLOW = 0.01
"""The factor by which the layers that map noise and classes learn more slowly, as in StyleGAN."""


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


class SlowLinear(nn.Linear):
    """A linear layer that learns more slowly: weights are stored 100 times as large and rescaled at each use.

    Args:
        inputs: length of the input vectors.
        outputs: length of the output vectors.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.xavier_uniform_(self.weight, gain=1.0 / SLOW)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map.

        Args:
            x: (N, inputs).

        Returns:
            (N, outputs).
        """
        return F.linear(x, self.weight * SLOW, self.bias * SLOW)


class RMSNorm(nn.Module):
    """Divides each vector by the root of its mean square. Written out, since exporters lack the fused operation.

    Args:
        width: length of the vectors, for a learned scale of each number. None has no scale.
        eps: is added to the mean square.
    """

    def __init__(self, width: int | None = None, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = None if width is None else nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        Args:
            x: (..., width).

        Returns:
            A tensor of the same shape.
        """
        x = x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return x if self.weight is None else x * self.weight


class Rotary(nn.Module):
    """Rotates pairs of numbers of queries and keys by angles that grow with row and column (rotary positions).

    Args:
        size: height and width in patches.
        length: of a head. The first half turns with the row, the second half with the column.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, size: Size, length: int) -> None:
        super().__init__()
        half = length // 2
        frequencies = 1.0 / 10000 ** (torch.arange(0, half, 2).double() / half)
        rows, columns = (torch.outer(torch.arange(n).double(), frequencies) for n in size)
        angles = torch.cat(
            [rows[:, None].expand(-1, size[1], -1), columns[None].expand(size[0], -1, -1)], 2
        ).repeat_interleave(2, 2)
        self.register_buffer("cos", angles.cos().float().flatten(0, 1), persistent=False)
        self.register_buffer("sin", angles.sin().float().flatten(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate. Tokens before the patches, such as a class token, stay.

        Args:
            x: (N, heads, tokens, length).

        Returns:
            A tensor of the same shape.
        """
        before, patches_ = x[:, :, : -len(self.cos)], x[:, :, -len(self.cos) :]
        turned = torch.stack([-patches_[..., 1::2], patches_[..., ::2]], -1).flatten(-2)
        turned = patches_ * self.cos.to(x.dtype) + turned * self.sin.to(x.dtype)
        return torch.cat([before, turned], 2)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions.

    Written as products, since fused attention has no second derivative, which penalties on slopes take.

    Args:
        width: length of a token.
        heads: number of heads.
        size: height and width in patches.
        qk_norm: whether queries and keys are normalised.
    """

    def __init__(self, width: int, heads: int, size: Size, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = RMSNorm(width // heads, 1.2e-7) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(width // heads, 1.2e-7) if qk_norm else nn.Identity()
        self.out = nn.Linear(width, width)
        self.rotary = Rotary(size, width // heads)

    def forward(self, x: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (N, tokens, width).

        Returns:
            A tensor of the same shape.
        """
        count, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotary(self.q_norm(q)) * (width // self.heads) ** -0.5, self.rotary(self.k_norm(k))
        mixed: Tensor = self.out(((q @ k.transpose(2, 3)).softmax(-1) @ v).transpose(1, 2).reshape(x.shape))
        return mixed


class SwiGLU(nn.Module):
    """The feed-forward part of a block: two products of which the one gates the other.

    Args:
        width: length of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = int(2 / 3 * int(width * 4.0))
        self.first = nn.Linear(width, 2 * hidden)
        self.second = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map each token.

        Args:
            x: (N, tokens, width).

        Returns:
            A tensor of the same shape.
        """
        gate, value = self.first(x).chunk(2, -1)
        mapped: Tensor = self.second(F.silu(gate) * value)
        return mapped


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
        raise Incompatible(f"gat makes images, and this data gives {tuple(shape)}: use --arch mlp")
    _, height, width = shape
    if height % patch or width % patch:
        raise Incompatible(
            f"gat cuts images into patches of patch={patch} pixels a side, and this data gives "
            f"{'x'.join(map(str, shape))}: give a patch that divides both sides"
        )
    return height // patch, width // patch


def positions(size: Size, width: int) -> Tensor:
    """Sines and cosines of column and row, as the start of each token.

    Args:
        size: height and width in patches.
        width: length of a token, divisible by 4.

    Returns:
        (1, tokens, width).
    """
    frequencies = 1.0 / 10000 ** (torch.arange(width // 4).double() / (width / 4))
    rows, columns = torch.meshgrid(*(torch.arange(n).double() for n in size), indexing="ij")
    turns = [axis.reshape(-1, 1) * frequencies for axis in (columns, rows)]
    return torch.cat([wave for turn in turns for wave in (turn.sin(), turn.cos())], 1)[None].float()


def unit(x: Tensor) -> Tensor:
    """Vectors with a mean square of 1.

    Args:
        x: (N, D).
    """
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


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
