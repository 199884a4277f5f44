"""Spectral normalisation of a player's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.errors import Incompatible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
    nn.Embedding,
)


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

    @property
    def constrains_discriminator(self) -> bool:
        """The discriminator's weights are divided, unless only the generator's are."""
        return self.players != "generator"

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> nn.Module:
        """Put the division on every weight of the players named. The module returned only names what to report."""
        divided: dict[str, nn.Module] = {}
        for player, network in networks._asdict().items():
            if self.players not in (player, "both"):
                continue
            wanted = weighted("sn", player, networks)
            for name, layer in network.named_modules():
                if layer in wanted and not is_parametrized(layer, "weight"):
                    spectral_norm(layer, n_power_iterations=self.power_iterations)
                    divided[f"{player}.{name}"] = layer
        return Borrowed(divided)

    def report(self) -> Mapping[str, Tensor]:
        """The first singular value of each weight, before it is divided by it."""
        return {name: _first_singular_value(layer) for name, layer in self.module.layers.items()}


class Borrowed(nn.Module):
    """Layers of a player's net, by name.

    The layers stand in a plain mapping, which torch does not look into: the net saves and trains them, this module has
    no tensors of its own.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = dict(layers)


def _first_singular_value(layer: Any) -> Tensor:
    norm = layer.parametrizations.weight
    sigma: Tensor = norm[0]._u @ matrix(layer, norm.original) @ norm[0]._v
    return sigma


def weighted(part: str, player: str, networks: ganzoo.Networks) -> list[nn.Module]:
    """The layers of a player that have a weight.

    Raises:
        Incompatible: there are none.
    """
    layers: list[nn.Module] = [m for m in getattr(networks, player).modules() if isinstance(m, WEIGHTED)]
    if not layers:
        raise Incompatible(f"{part} finds no convolution, linear layer or embedding in the {player}: leave {part} out")
    return layers


def matrix(layer: nn.Module, weight: Tensor | None = None) -> Tensor:
    """A layer's weight (or that one in its place) as a matrix, one row an output."""
    w: Tensor = layer.weight if weight is None else weight  # type: ignore[assignment]  # these layers have one
    turned = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    return (w.transpose(0, 1) if turned else w).flatten(1)
