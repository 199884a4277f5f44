"""Weights whose rows are orthogonal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge
from torch import nn

import ganzoo
from ganzoo_zoo.regularizers.sn import matrix, weighted

if TYPE_CHECKING:
    from torch import Tensor

Player = Literal["discriminator", "generator"]


class Orthogonal(ganzoo.Regularizer):
    """Orthogonal regularization (BigGAN, ortho): the rows of every weight are drawn apart, whatever their length.

    With W a layer's weight as a matrix, one row an output, and 1 - I which is zero on the diagonal alone:

    Formula:
        weight * sum over layers |W W' . (1 - I)|^2      gradient 4 weight (W W' . (1 - I)) W

    Args:
        weight: the paper's beta.
        players: whose weights: generator (BigGAN, for the truncation trick), discriminator, or both.

    Raises:
        Incompatible: the player has no weight of a convolution or a linear layer.

    Notes:
        The paper writes W'W, its code W W' with half of this gradient, which makes its 1e-4 half as much here; the
        form with the diagonal, |W'W - I|^2, also asks for rows of length one and is another method. Embeddings are left
        out, as there.

    Source:
        Brock, Donahue and Simonyan 2019, Large scale GAN training (BigGAN), arXiv:1809.11096, equation 3.
    """

    weight: Annotated[float, Ge(0)] = 1e-4
    players: Literal["discriminator", "generator", "both"] = "generator"

    def __post_init__(self) -> None:
        paying = {"discriminator", "generator"} if self.players == "both" else {self.players}
        object.__setattr__(self, "paid_by", frozenset(paying))

    def prepare(self, networks: ganzoo.Networks, spec: ganzoo.Spec) -> None:
        """Look up the layers."""
        layers = {player: weighted("orthogonal", player, networks) for player in self.paid_by}
        object.__setattr__(
            self, "_layers", {p: [x for x in found if not isinstance(x, nn.Embedding)] for p, found in layers.items()}
        )

    def discriminator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared inner products of different rows of the discriminator's weights."""
        return self._penalty("discriminator")

    def generator_penalty(self, s: ganzoo.Scores) -> Tensor:
        """Squared inner products of different rows of the generator's weights."""
        return self._penalty("generator")

    def _penalty(self, player: Player) -> Tensor:
        found = []
        for layer in self._layers[player]:  # type: ignore[attr-defined]  # set beside the fields
            products = matrix(layer) @ matrix(layer).T
            found.append((products - torch.diag(products.diagonal())).square().sum())
        return self.weight * torch.stack(found).sum()
