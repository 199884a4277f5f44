"""Gated convolutions, and attention of a hole to what is known around the hole."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedConv(nn.Module):
    """A convolution that is gated pixel by pixel and channel by channel.

    Formula:
        y = act(a) sigmoid(b),  (a, b) = the two halves of the channels of one convolution of x,  act = ELU

    Args:
        inputs: channels of the input.
        outputs: channels of the output: half of the channels of the convolution.
        kernel: side of the kernel, odd.
        stride: 1 or 2.
        dilation: distance of the kernel's taps.
        activation: act.

    Notes:
        At a stride of 2 an even side is halved. At a stride of 1 the side stays.

    Source: Yu et al., Free-form image inpainting with gated convolution, 2019, arXiv:1806.03589, section 3.1, and the
        authors' code, where act is ELU.

    Example:
        >>> GatedConv(4, 6, 3, stride=2)(torch.zeros(1, 4, 8, 8)).shape
        torch.Size([1, 6, 4, 4])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        activation: Callable[[Tensor], Tensor] = F.elu,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.both = nn.Conv2d(inputs, 2 * outputs, kernel, stride, padding, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and gate.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, outputs, H / stride, W / stride).
        """
        value, gate = self.both(x).chunk(2, 1)
        return self.activation(value) * torch.sigmoid(gate)


class GatedUp(GatedConv):
    """Nearest x2, then a gated 3x3 convolution, as the paper's code enlarges maps.

    Example:
        >>> GatedUp(4, 6)(torch.zeros(1, 4, 8, 8)).shape
        torch.Size([1, 6, 16, 16])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge, convolve and gate.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, outputs, 2H, 2W).
        """
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class ContextualAttention(nn.Module):
    """Fills the hole with patches of the known part, weighed by how much the patches are alike.

    Maps are compared at half the size: s(i, j) is the cosine of the 3x3 patch at i, from the known part, and of the 3x3
    patch at j.

    Formula:
        w(., j) = softmax over known i of scale fuse(s)(i, j)
        y at j = the mean, over the 4x4 patches that cover j, of the sum over i of w(i, j) patch_i
        fuse(s)(i, j) = sum over k of s(i + k, j + k), k from -1 to 1, along the rows, then along the columns

    Args:
        scale: factor of the cosines in the softmax.
        fuse: whether neighbours help each other.

    Notes:
        A patch counts as known where none of its pixels lies in the hole. Without any known patch the output is 0. The
        memory grows with the square of the number of pixels of the map.

    Source: Yu et al., Generative image inpainting with contextual attention, 2018, arXiv:1801.07892, section 4.1, and
        the authors' code.

    Example:
        >>> layer = ContextualAttention()
        >>> hole = torch.zeros(1, 1, 8, 8)
        >>> layer(torch.ones(1, 2, 8, 8), hole).mean().item()
        1.0
    """

    def __init__(self, scale: float = 10.0, fuse: bool = True) -> None:
        super().__init__()
        self.scale, self.fuse = scale, fuse

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (N, C, H, W) maps, H and W even.
            hole: (N, 1, H, W), 1 in the hole and 0 elsewhere.

        Returns:
            (N, C, H, W).
        """
        height, width = x.shape[-2] // 2, x.shape[-1] // 2
        small = x[:, :, ::2, ::2]
        patches = F.unfold(small, 3, padding=1)  # (N, 9C, L)
        lengths = patches.square().sum(1, keepdim=True).add(1e-8).sqrt()
        alike = (patches / lengths).transpose(1, 2) @ (patches / lengths)  # (N, L known, L asked)
        if self.fuse:
            alike = _fused(alike, height, width)
        covered = F.max_pool2d(hole[:, :, ::2, ::2], 3, stride=1, padding=1)
        known = (covered == 0).flatten(1)[:, :, None].to(x.dtype)  # (N, L, 1)
        weights = F.softmax(self.scale * alike * known + (known - 1) * 1e4, 1) * known
        whole = F.unfold(x, 4, stride=2, padding=1)  # (N, 16C, L)
        pasted = _pasted((whole @ weights).reshape(len(x), -1, height, width))
        return pasted / _pasted(torch.ones_like(pasted[:1, :1, ::2, ::2]).expand(1, 16, height, width))


def _pasted(patches: Tensor) -> Tensor:
    """The sum of 4x4 patches at every second pixel, (N, 16C, h, w) -> (N, C, 2h, 2w): F.fold, which exports refuse."""
    channels = patches.shape[1] // 16
    kernel = torch.eye(16, dtype=patches.dtype, device=patches.device).view(16, 1, 4, 4).repeat(channels, 1, 1, 1)
    return F.conv_transpose2d(patches, kernel, stride=2, padding=1, groups=channels)


def _fused(alike: Tensor, height: int, width: int) -> Tensor:
    """Sums along the diagonals of pairs of places: in the order of the rows, then in the order of the columns."""
    kernel = torch.eye(3, dtype=alike.dtype, device=alike.device)[None, None]
    for shape in ((height, width), (width, height)):
        alike = F.conv2d(alike[:, None], kernel, padding=1)[:, 0]
        # The next order: places that were numbered row by row are numbered column by column, and the reverse.
        places = alike.reshape(len(alike), *shape, *shape)
        alike = places.permute(0, 2, 1, 4, 3).reshape(alike.shape)
    return alike
