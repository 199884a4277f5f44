"""Spectral normalisation of a player's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
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
        W_SN = W / sigma(W),  sigma(W) = u' W v,  u <- Wv / |Wv|,  v <- W'u / |W'u|     once a round in training

    Args:
        power_iterations: updates of u and v in a round, at least 1. A single update follows a weight that moves slowly.
        players: the players whose weights are divided: discriminator (SNGAN), generator, or both (SAGAN, BigGAN).

    Raises:
        Incompatible: the player has no weight of a convolution, a linear layer or an embedding.

    Notes:
        u and v are updated once a round, as in algorithm 1, and not once a pass: all passes of a round (real, fake,
        interpolated samples) see one sigma. The first authors' code updates u and v in each pass. u and v are buffers,
        saved with the net, and constant in evaluation. sigma is that of the matrix, not of the convolution as an
        operator, which may stretch more. A penalty on sigma is another method, sn-penalty. A weight with another
        parametrization (equalised learning rate, weight norm) is divided last. A weight that starts as zero has no
        sigma and is drawn anew.

    Source:
        Miyato et al. 2018, Spectral normalization for GANs, arXiv:1802.05957, equation 8 and algorithm 1.

    Example:
        The weight diag(4, 1) is divided by 4.

        >>> import ganzoo, torch
        >>> net = torch.nn.Linear(2, 2, bias=False)
        >>> _ = net.weight.data.copy_(torch.diag(torch.tensor([4.0, 1.0])))
        >>> nets = ganzoo.Networks(generator=torch.nn.Linear(1, 1), discriminator=net)
        >>> _ = ganzoo.part("regularizer", "sn:power_iterations=50").prepare(nets, None)
        >>> net.weight.diagonal().tolist()
        [1.0, 0.25]
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
                if layer in wanted and _division(layer) is None:
                    _draw_zeros(layer)
                    spectral_norm(layer, n_power_iterations=self.power_iterations)
                    divided[f"{player}.{name}"] = layer
        return Borrowed(divided)

    def report(self) -> Mapping[str, Tensor]:
        """The first singular value of each weight before the division."""
        return {name: _first_singular_value(layer) for name, layer in self.module.layers.items()}


class Borrowed(nn.Module):
    """Layers of a player's net, by name.

    The layers stand in a plain mapping, which torch does not look into: the net saves and trains them, this module has
    no tensors of its own.

    Args:
        layers: the layers by name.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = dict(layers)


def _division(layer: Any) -> Any:
    """The parametrization that divides a layer's weight by the first singular value, None where there is none."""
    found = layer.parametrizations.weight if is_parametrized(layer, "weight") else ()
    return next((each for each in found if hasattr(each, "_u")), None)  # torch has no public name for the class


@torch.no_grad()
def _draw_zeros(layer: Any) -> None:
    """Draw a weight of zeros from N(0, 1 / fan_in): a residual branch that starts as zero starts with sigma 1 here."""
    if not is_parametrized(layer, "weight") and not layer.weight.any():
        nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)


def _first_singular_value(layer: Any) -> Tensor:
    division, weight = _division(layer), layer.parametrizations.weight.original
    for before in layer.parametrizations.weight:
        if before is division:
            break
        weight = before(weight)
    sigma: Tensor = division._u @ matrix(layer, weight) @ division._v
    return sigma


def weighted(part: str, player: str, networks: ganzoo.Networks) -> list[nn.Module]:
    """The layers of a player that have a weight.

    Args:
        part: name of the regularizer, for the message.
        player: the player.
        networks: the two nets.

    Raises:
        Incompatible: the player has no such layer.
    """
    layers: list[nn.Module] = [m for m in getattr(networks, player).modules() if isinstance(m, WEIGHTED)]
    if not layers:
        raise Incompatible(f"{part} finds no convolution, linear layer or embedding in the {player}: leave {part} out")
    return layers


def matrix(layer: nn.Module, weight: Tensor | None = None) -> Tensor:
    """A layer's weight as a matrix, one row an output.

    Args:
        layer: a layer of a type in ``WEIGHTED``.
        weight: a weight to read in place of the layer's own.

    Example:
        >>> matrix(nn.Conv2d(3, 8, 5)).shape
        torch.Size([8, 75])
    """
    w: Tensor = layer.weight if weight is None else weight  # type: ignore[assignment]  # these layers have one
    turned = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    return (w.transpose(0, 1) if turned else w).flatten(1)
