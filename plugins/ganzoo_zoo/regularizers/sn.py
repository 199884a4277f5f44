"""Spectral normalisation of a player's weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.errors import Incompatible

WEIGHTED = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.Linear, nn.Embedding,
)  # fmt: skip


class SpectralNorm(ganzoo.Regularizer):
    """Spectral normalisation (SN, SNGAN): every weight is divided by its largest singular value.

    With W a layer's weight as a matrix, one row an output:

    Formula:
        W_SN = W / sigma(W),  sigma(W) = u' W v,  v <- W'u / |W'u|,  u <- Wv / |Wv|     once a pass in training

    Args:
        power_iterations: updates of u and v a pass; one follows a weight that moves slowly.
        players: whose weights: discriminator (SNGAN), generator, or both (SAGAN, BigGAN).

    Raises:
        Incompatible: the player has no weight of a convolution, a linear layer or an embedding.

    Notes:
        u and v are buffers, saved with the net, and stand still in evaluation. sigma is that of the matrix, not of the
        convolution as an operator, which may stretch more. It is no penalty on sigma: that is another method (Yoshida
        and Miyato 2017, arXiv:1705.10941). Weights that are parametrized already are left as they are.

    Source:
        Miyato et al. 2018, Spectral normalization for GANs, arXiv:1802.05957, equation 8 and algorithm 1.
    """

    power_iterations: Annotated[int, Ge(1)] = 1
    players: Literal["discriminator", "generator", "both"] = "discriminator"

    constrains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "constrains", self.players != "generator")  # a fact of this part, not of its class

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> None:
        """Put the division on every weight of the players named."""
        for player, network in networks._asdict().items():
            if self.players not in (player, "both"):
                continue
            layers = [m for m in network.modules() if isinstance(m, WEIGHTED)]
            if not layers:
                raise Incompatible(f"sn finds no convolution, linear layer or embedding in the {player}: leave sn out")
            for layer in layers:
                if not is_parametrized(layer, "weight"):
                    spectral_norm(layer, n_power_iterations=self.power_iterations)
