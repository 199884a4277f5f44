"""Self-attention between the pixels of maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo_zoo.architectures.layers.dimensions import CONV, max_pool


class SelfAttention(nn.Module):
    """Every pixel adds a weighted mean of features of all other pixels (self-attention of SAGAN).

    Formula:
        q = W_q x,  k = pool(W_k x),  v = pool(W_v x),  a_ij = softmax over j of q_i . k_j
        y_i = x_i + gamma W_o sum over j of a_ij v_j,  at the start gamma = 0

    Args:
        channels: C. Queries and keys have C / 8 channels, values have C / 2, at least 1.
        dims: dimensions of a map: 1 for sequences, 2 for images, 3 for volumes.

    Notes:
        Keys and values are pooled by a maximum over 2 pixels along each side, as in the authors' code and in BigGAN's.
        The paper's text describes no pooling. All convolutions are 1x1 and without a bias.

    Source: H. Zhang et al., Self-attention generative adversarial networks, 2018, arXiv 1805.08318, section 3.

    Example:
        >>> import torch
        >>> x = torch.randn(2, 8, 4, 4)
        >>> bool(torch.equal(SelfAttention(8)(x), x))
        True
    """

    def __init__(self, channels: int, dims: int = 2) -> None:
        super().__init__()
        narrow, half, conv = max(1, channels // 8), max(1, channels // 2), CONV[dims]
        self.query = conv(channels, narrow, 1, bias=False)
        self.key = conv(channels, narrow, 1, bias=False)
        self.value = conv(channels, half, 1, bias=False)
        self.output = conv(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:
        """The weights a_ij.

        Args:
            x: (N, C, H, W), or in the same way with other sides, of at least 2 pixels.

        Returns:
            (N, H W, H/2 W/2): each row sums to 1.
        """
        query = self.query(x).flatten(2)
        key = max_pool[x.ndim - 2](self.key(x), 2).flatten(2)
        # The softmax is written out: the fused attention of torch has no second derivative, which r1 and wgan-gp need.
        a: Tensor = (query.transpose(1, 2) @ key).softmax(2)
        return a

    def attended(self, x: Tensor) -> Tensor:
        """The term that gamma scales and adds to the maps.

        Args:
            x: (N, C, H, W), or in the same way with other sides, of at least 2 pixels.

        Returns:
            (N, C, H, W).
        """
        value = max_pool[x.ndim - 2](self.value(x), 2).flatten(2)
        mean = (self.weights(x) @ value.transpose(1, 2)).transpose(1, 2)  # a place is a row: the faster product
        h: Tensor = self.output(mean.reshape(*mean.shape[:2], *x.shape[2:]))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Add the attended features.

        Args:
            x: (N, C, H, W), or in the same way with other sides, of at least 2 pixels.

        Returns:
            (N, C, H, W).
        """
        return x + self.gamma * self.attended(x)
