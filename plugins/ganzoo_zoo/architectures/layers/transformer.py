"""Layers of transformers on patches: attention with rotary positions, SwiGLU, and layers that learn slowly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]
"""Height and width in patches."""

SLOW = 0.01
"""The factor by which the layers that map noise and classes learn more slowly, as in StyleGAN."""


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
        eps = torch.finfo(torch.float32).eps  # what torch's own norm has in float32, as in the authors' code
        self.q_norm = RMSNorm(width // heads, eps) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(width // heads, eps) if qk_norm else nn.Identity()
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
